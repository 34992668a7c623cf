//! The other side: an authorization server that ends a login when a refresh token comes twice, and an API.

use std::fs::{self, File};
use std::future::ready;
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tower::BoxError;
use tower_oauth_refresh::{ClientAuth, TokenSet};
use tower_oauth_refresh_testkit::{AuthServer, Gate, Ledger, ResourceServer, Rotation};

use crate::client::HttpClient;

/// The authorization server's name, the same in every run though its port is not: a credential belongs to
/// a token endpoint.
const TOKEN_ENDPOINT: &str = "http://localhost/token";

pub(crate) struct Servers {
    auth: Arc<AuthServer>,
    api: ResourceServer,
    logins: PathBuf,
    /// Writes down what a real server has in its database.
    _scribe: JoinSet<()>,
    /// Two programs with servers of their own must not share one login.
    _lock: File,
}

impl Servers {
    pub(crate) async fn start(dir: &Path, lifetime: Duration) -> Result<Self, BoxError> {
        let lock = File::create(dir.join("running"))?;
        lock.try_lock().map_err(|_| format!("another quickstart is running on {}", dir.display()))?;
        let logins = dir.join("server-logins");
        let builder = AuthServer::builder()
            .rotation(Rotation::Strict)
            .access_lifetime(lifetime)
            .client("quickstart", "not a secret")
            .logins(fs::read_to_string(&logins).unwrap_or_default());
        let auth = Arc::new(builder.start().await?);
        let api = ResourceServer::start(&auth).await?;
        let mut scribe = JoinSet::new();
        scribe.spawn(write_down(auth.clone(), logins.clone()));
        Ok(Self { auth, api, logins, _scribe: scribe, _lock: lock })
    }

    pub(crate) fn token_endpoint(&self) -> Uri {
        Uri::from_static(TOKEN_ENDPOINT)
    }

    pub(crate) fn client_auth(&self) -> ClientAuth {
        ClientAuth::basic(self.auth.client_id(), self.auth.client_secret())
    }

    pub(crate) fn api(&self) -> &ResourceServer {
        &self.api
    }

    /// A hyper client that finds the authorization server by its name.
    pub(crate) fn http_client(
        &self,
    ) -> Result<HttpClient<impl Connect + Clone + Send + Sync + 'static>, BoxError> {
        let port = self.auth.token_endpoint().port_u16().ok_or("the server has no port")?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let names = tower::service_fn(move |_: Name| ready(io::Result::Ok(iter::once(address))));
        Ok(Client::builder(TokioExecutor::new()).build(HttpConnector::new_with_resolver(names)))
    }

    /// Somebody logs in.
    pub(crate) fn log_in(&self) -> Result<TokenSet, BoxError> {
        let tokens = self.auth.login();
        fs::write(&self.logins, self.auth.logins())?;
        Ok(tokens)
    }

    pub(crate) fn revoke_access_tokens(&self) {
        self.auth.revoke_all_access_tokens();
    }

    /// The next refresh takes its time.
    pub(crate) fn hold_refresh(&self) -> Gate {
        self.auth.hold_before_commit()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.auth.ledger()
    }
}

async fn write_down(auth: Arc<AuthServer>, logins: PathBuf) {
    let ledger = auth.ledger();
    let mut known = 0;
    loop {
        ledger.until(|verdict| verdict.refreshes_committed > known).await;
        known = ledger.verdict().refreshes_committed;
        let draft = logins.with_extension("new");
        // Where it cannot be written, the next run begins with a login.
        let _ = fs::write(&draft, auth.logins()).and_then(|()| fs::rename(&draft, &logins));
    }
}
