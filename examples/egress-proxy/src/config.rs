//! The configuration file.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tower::BoxError;
use tower_oauth_refresh::ClientAuth;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    /// A directory.
    pub(crate) store: PathBuf,
    pub(crate) token_endpoint: String,
    client_id: String,
    /// Without it the client is a public one.
    client_secret_file: Option<PathBuf>,
    pub(crate) credentials: BTreeMap<String, Credential>,
    pub(crate) routes: Vec<Route>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credential {
    /// Read when there is no login in the store, or one that has ended.
    refresh_token_file: PathBuf,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    pub(crate) prefix: String,
    /// Scheme, host and port of the API.
    pub(crate) origin: String,
    /// The first one is taken unless a request names another of them.
    pub(crate) credentials: Vec<String>,
}

impl Config {
    pub(crate) fn client_auth(&self) -> Result<ClientAuth, BoxError> {
        Ok(match &self.client_secret_file {
            Some(file) => ClientAuth::basic(self.client_id.as_str(), read(file)?),
            None => ClientAuth::none(self.client_id.as_str()),
        })
    }
}

impl Credential {
    pub(crate) fn refresh_token(&self) -> Result<String, BoxError> {
        read(&self.refresh_token_file)
    }
}

fn read(file: &Path) -> Result<String, BoxError> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(text.trim().to_owned())
}
