//! The command line.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use tower::BoxError;
use tower_oauth_refresh::ClientAuth;

pub(crate) const HELP: &str = "\
Watch a credential being kept alive.

quickstart [--dir DIR] [--token-lifetime SECONDS]
    against servers inside this process

quickstart --token-endpoint URL --client-id ID [--client-secret SECRET]
           --refresh-token-file FILE --url URL [--requests N] [--dir DIR]
    against yours: N GET requests at once (default 50) to --url, whose origin gets the token.
    The refresh token file is read where no login is stored yet, and not again: where refresh
    tokens rotate, the one in it is spent from then on.

--dir DIR is where the sealed credentials are, and the key to them.";

#[derive(Debug)]
pub(crate) enum Options {
    Help,
    Demo { dir: PathBuf, lifetime: Duration },
    Real(Box<Real>),
}

/// A real server.
#[derive(Debug)]
pub(crate) struct Real {
    pub(crate) dir: PathBuf,
    pub(crate) token_endpoint: Uri,
    pub(crate) auth: ClientAuth,
    pub(crate) refresh_token_file: PathBuf,
    pub(crate) url: Uri,
    pub(crate) requests: usize,
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, BoxError> {
        let Some(mut given) = Given::read(arguments)? else { return Ok(Self::Help) };
        let dir = given.take("--dir").map_or_else(default_dir, PathBuf::from);
        let options = match given.take("--token-endpoint") {
            None => {
                let seconds: u64 = given.parse("--token-lifetime")?.unwrap_or(2);
                Self::Demo { dir, lifetime: Duration::from_secs(seconds.max(1)) }
            }
            Some(token_endpoint) => {
                let id = given.need("--client-id")?;
                Self::Real(Box::new(Real {
                    dir,
                    token_endpoint: token_endpoint.parse()?,
                    auth: match given.take("--client-secret") {
                        Some(secret) => ClientAuth::basic(id, secret),
                        None => ClientAuth::none(id),
                    },
                    refresh_token_file: given.need("--refresh-token-file")?.into(),
                    url: given.need("--url")?.parse()?,
                    requests: given.parse("--requests")?.unwrap_or(50),
                }))
            }
        };
        match given.0.keys().next() {
            Some(name) => Err(format!("{name} is not known here; --help tells what is").into()),
            None => Ok(options),
        }
    }
}

/// The options as they were typed.
struct Given(BTreeMap<String, String>);

impl Given {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, BoxError> {
        let mut given = BTreeMap::new();
        while let Some(name) = arguments.next() {
            if name == "--help" || name == "-h" {
                return Ok(None);
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            given.insert(name, value);
        }
        Ok(Some(Self(given)))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn need(&mut self, name: &str) -> Result<String, BoxError> {
        self.take(name).ok_or_else(|| format!("{name} is missing; --help tells what it is").into())
    }

    fn parse<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, BoxError> {
        let value = self.take(name).map(|value| value.parse());
        value.transpose().map_err(|_| format!("{name} needs a number").into())
    }
}

/// Where programs keep what they would not like to lose, for this user alone.
fn default_dir() -> PathBuf {
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || env::home_dir().map(|home| home.join(".local/state"));
    state.or_else(home).unwrap_or_else(env::temp_dir).join("tower-oauth-refresh-quickstart")
}
