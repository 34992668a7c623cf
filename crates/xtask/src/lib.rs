//! The servers that tests talk to, for the commands here and for tests that stop one and start it again.

mod service;

pub use self::service::postgres::Postgres;
pub use self::service::redis::Redis;
