//! The command line.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use lexopt::Arg::{Long, Short};
use lexopt::{Parser, ValueExt as _};
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
    pub(crate) fn parse(mut arguments: Parser) -> Result<Self, BoxError> {
        let mut given = Given::default();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(Self::Help),
                Long("dir") => given.dir = Some(arguments.value()?.into()),
                Long("token-lifetime") => given.lifetime = Some(arguments.value()?.parse()?),
                Long("token-endpoint") => given.token_endpoint = Some(arguments.value()?.parse()?),
                Long("client-id") => given.client_id = Some(arguments.value()?.string()?),
                Long("client-secret") => given.client_secret = Some(arguments.value()?.string()?),
                Long("refresh-token-file") => given.refresh_token_file = Some(arguments.value()?.into()),
                Long("url") => given.url = Some(arguments.value()?.parse()?),
                Long("requests") => given.requests = Some(arguments.value()?.parse()?),
                other => return Err(other.unexpected().into()),
            }
        }
        given.options()
    }
}

/// The options as they were typed.
#[derive(Default)]
struct Given {
    dir: Option<PathBuf>,
    lifetime: Option<u64>,
    token_endpoint: Option<Uri>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token_file: Option<PathBuf>,
    url: Option<Uri>,
    requests: Option<usize>,
}

impl Given {
    fn options(self) -> Result<Options, BoxError> {
        let dir = self.dir.unwrap_or_else(default_dir);
        let Some(token_endpoint) = self.token_endpoint else {
            let real = [
                ("--client-id", self.client_id.is_some()),
                ("--client-secret", self.client_secret.is_some()),
                ("--refresh-token-file", self.refresh_token_file.is_some()),
                ("--url", self.url.is_some()),
                ("--requests", self.requests.is_some()),
            ];
            if let Some((name, _)) = real.iter().find(|(_, given)| *given) {
                return Err(format!("{name} is for a real server, and --token-endpoint is missing").into());
            }
            let lifetime = Duration::from_secs(self.lifetime.unwrap_or(2).max(1));
            return Ok(Options::Demo { dir, lifetime });
        };
        if self.lifetime.is_some() {
            return Err("--token-lifetime is for the servers inside this process".into());
        }
        let missing = |name| format!("{name} is missing; --help tells what it is");
        let id = self.client_id.ok_or_else(|| missing("--client-id"))?;
        Ok(Options::Real(Box::new(Real {
            dir,
            token_endpoint,
            auth: match self.client_secret {
                Some(secret) => ClientAuth::basic(id, secret),
                None => ClientAuth::none(id),
            },
            refresh_token_file: self.refresh_token_file.ok_or_else(|| missing("--refresh-token-file"))?,
            url: self.url.ok_or_else(|| missing("--url"))?,
            requests: self.requests.unwrap_or(50),
        })))
    }
}

/// Where programs keep what they would not like to lose, for this user alone.
fn default_dir() -> PathBuf {
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || env::home_dir().map(|home| home.join(".local/state"));
    state.or_else(home).unwrap_or_else(env::temp_dir).join("tower-oauth-refresh-quickstart")
}
