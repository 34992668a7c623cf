//! The servers and the browser that tests talk to, for the commands here and for tests that stop one and start it again.

mod browser;
mod service;

pub use self::browser::Chromium;
pub use self::service::pgbouncer::PgBouncer;
pub use self::service::postgres::Postgres;
pub use self::service::redis::Redis;
