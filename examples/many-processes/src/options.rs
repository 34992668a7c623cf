//! The command line.

use std::str::FromStr;

use tower::BoxError;

use crate::protocol::Place;

pub(crate) const HELP: &str = "\
Watch several processes share one credential while some of them are killed.

many-processes [--store sqlite|file|postgres|redis] [--url URL]
               [--processes N] [--generations N] [--kills N]

--store        where the credential is kept: sqlite unless said otherwise
--url          of the database, for postgres and redis; DATABASE_URL and REDIS_URL otherwise
--processes    how many processes there are at a time (5)
--generations  how many refreshes to watch (9); a token lives for two seconds
--kills        how many processes to kill (5)";

/// What this program is started with to be one of the processes.
pub(crate) const WORKER: &str = "worker";

#[derive(Debug)]
pub(crate) enum Options {
    Help,
    Worker,
    Show(Plan),
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) store: String,
    pub(crate) url: Option<String>,
    pub(crate) processes: usize,
    pub(crate) generations: u64,
    pub(crate) kills: usize,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, BoxError> {
        let mut plan = Plan { store: "sqlite".to_owned(), url: None, processes: 5, generations: 9, kills: 5 };
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                WORKER => return Ok(Self::Worker),
                _ => {}
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--store" => plan.store = value,
                "--url" => plan.url = Some(value),
                "--processes" => plan.processes = number(&name, &value)?,
                "--generations" => plan.generations = number(&name, &value)?,
                "--kills" => plan.kills = number(&name, &value)?,
                _ => return Err(format!("{name} is not known here; --help tells what is").into()),
            }
        }
        // A killed one must leave somebody to take over.
        plan.processes = plan.processes.max(2);
        Ok(Self::Show(plan))
    }
}

impl Plan {
    /// Where the credential is kept; files are in `dir`.
    pub(crate) fn place(&self, dir: &std::path::Path) -> Result<Place, BoxError> {
        let url = |variable| {
            let url = self.url.clone().or_else(|| std::env::var(variable).ok());
            url.ok_or_else(|| format!("say where it is, with --url or {variable}"))
        };
        Ok(match self.store.as_str() {
            "file" => Place::File(dir.join("credentials")),
            "sqlite" => Place::Sqlite(dir.join("credentials.db")),
            "postgres" => Place::Postgres(url("DATABASE_URL")?),
            "redis" => Place::Redis(url("REDIS_URL")?),
            other => return Err(format!("{other} is no store; --help tells which there are").into()),
        })
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, BoxError> {
    value.parse().map_err(|_| format!("{name} needs a number").into())
}
