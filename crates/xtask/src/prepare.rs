//! What tests need from the machine beyond cargo: programs are installed, and the databases that tests share
//! run until the tests have ended.

mod debian;
mod node;

use xtask::{Chromium, PgBouncer, Postgres, Redis};

use crate::step::{Outcome, Stop, output};

/// What runs while the tests do.
#[derive(Debug, Default)]
pub(crate) struct Services {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
}

/// One line per thing.
pub(crate) fn everything() -> Result<Services, Stop> {
    node::ready()?;
    install(&["chromium", "chromium-driver"], || Chromium::installed().is_some())?;
    stores()
}

/// For what is asked of stores: without the servers that others wrote, and without a browser.
pub(crate) fn stores() -> Result<Services, Stop> {
    // What the tests look at files with.
    install(&["strace"], || output("strace", &["-V"]).is_some())?;
    install(&["sqlite3"], || output("sqlite3", &["--version"]).is_some())?;
    databases()
}

/// What counts instructions.
pub(crate) fn valgrind() -> Outcome {
    install(&["valgrind"], || output("valgrind", &["--version"]).is_some())
}

/// Nothing but servers.
pub(crate) fn databases() -> Result<Services, Stop> {
    install(&["postgresql"], || Postgres::installed().is_some())?;
    install(&["pgbouncer"], || PgBouncer::installed().is_some())?;
    install(&["redis-server"], || Redis::installed().is_some())?;
    Ok(Services {
        postgres: unless_given(DATABASE_URL, Postgres::start)?,
        redis: unless_given(REDIS_URL, Redis::start)?,
    })
}

const DATABASE_URL: &str = "DATABASE_URL";
const REDIS_URL: &str = "REDIS_URL";

impl Services {
    /// Where they are, for the environment of the tests.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let postgres = self.postgres.as_ref().map(|postgres| (DATABASE_URL, postgres.url()));
        postgres.into_iter().chain(self.redis.as_ref().map(|redis| (REDIS_URL, redis.url())))
    }
}

/// Also where a server is given: some tests stop theirs.
fn install(packages: &[&str], is_installed: impl Fn() -> bool) -> Outcome {
    if !is_installed() {
        debian::install(packages)?;
    }
    let names = packages.join(" ");
    let missing = || Stop::Because(format!("{names}: installed, and the programs are not found"));
    is_installed().then_some(()).ok_or_else(missing)
}

/// Starts a private one, unless the environment says which one to take.
fn unless_given<T>(variable: &str, start: impl Fn() -> std::io::Result<T>) -> Result<Option<T>, Stop> {
    if std::env::var_os(variable).is_some() {
        return Ok(None);
    }
    let failed = |error| Stop::Because(format!("cannot start what {variable} would point to: {error}"));
    start().map(Some).map_err(failed)
}
