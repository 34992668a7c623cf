//! What to copy: one coordinator for all users, and one client whose requests say whose they are.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tower::{BoxError, Layer as _};
use tower_oauth_refresh::{ClientAuth, Origin, Refresh, RefreshCoordinator, RefreshLayer};

use crate::clock::MovableClock;
use crate::live;
use crate::login::OAuthClient;
use crate::outbound::{self, HttpClient};
use crate::pending::PendingLogins;
use crate::session::Sessions;

/// The authorization server, this application's registration there, and the API that it calls.
#[derive(Clone, Deserialize)]
#[expect(missing_docs, reason = "named as in the server's own metadata (RFC 8414 §2)")]
#[non_exhaustive]
pub struct Provider {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub revocation_endpoint: String,
    pub client_id: String,
    pub client_secret: String,
    pub scope: String,
    /// A URL of the API that answers a GET request.
    pub api: String,
}

/// The application: everything that its pages need.
pub struct Backend {
    pub(crate) provider: Provider,
    /// Scheme, host and port under which browsers see this application.
    pub(crate) origin: String,
    pub(crate) coordinator: Arc<RefreshCoordinator>,
    /// Requests through it name their credential in their extensions.
    pub(crate) api: Refresh<HttpClient>,
    pub(crate) http: HttpClient,
    pub(crate) oauth: OAuthClient,
    pub(crate) logins: PendingLogins,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) clock: Arc<MovableClock>,
}

impl Backend {
    /// An application that browsers reach at `origin`, such as `https://app.example`.
    ///
    /// # Errors
    ///
    /// If the provider's description cannot be right.
    pub fn new(provider: Provider, origin: &str, clock: Arc<MovableClock>) -> Result<Arc<Self>, BoxError> {
        let http = outbound::http_client()?;
        let auth = ClientAuth::basic(provider.client_id.as_str(), provider.client_secret.as_str());
        // Credentials live as long as the sessions do, which is as long as this process. To keep both across
        // restarts, or to share them among hosts, give it a `.store(…)`.
        let coordinator = RefreshCoordinator::builder(provider.token_endpoint.parse()?, auth)
            .revocation_endpoint(provider.revocation_endpoint.parse()?)
            .clock(clock.clone())
            .build(http.clone())?;
        let api = RefreshLayer::credential_from_extension(coordinator.clone())
            .origin(Origin::of(&provider.api.parse()?)?)
            .layer(http.clone());
        let backend = Arc::new(Self {
            oauth: OAuthClient::new(&provider, origin)?,
            provider,
            origin: origin.to_owned(),
            api,
            http,
            logins: PendingLogins::new(clock.clone())?,
            sessions: Arc::new(Sessions::new(clock.clone())),
            clock,
            coordinator,
        });
        live::start_listening(&backend)?;
        Ok(backend)
    }

    /// Waits until every refresh under way has ended. Call it last.
    ///
    /// # Cancel safety
    ///
    /// Refreshes under way go on at the server.
    pub async fn shutdown(&self) -> bool {
        self.coordinator.shutdown(Duration::from_secs(30)).await
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
