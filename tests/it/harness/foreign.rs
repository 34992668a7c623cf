//! A server that others wrote, and a coordinator in front of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::Layer as _;
use tower_oauth_refresh::{ClientAuth, Refresh, RefreshCoordinator, RefreshLayer, TokenSet};
use tower_oauth_refresh_testkit::ManualClock;

use super::{Counted, Got, HttpClient, KEY, full, send};
use crate::oidc::{Format, Provider, Tokens};

/// The lifetime of the provider's access tokens: long, for it goes by the machine's clock.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// npm `oidc-provider`, and a coordinator for one of its clients with nothing installed.
pub(crate) struct Foreign {
    pub(crate) server: Provider,
    /// The coordinator's own; the server goes by the machine's.
    pub(crate) clock: ManualClock,
    pub(crate) coordinator: Arc<RefreshCoordinator>,
    client: &'static str,
    bare: HttpClient<Full<Bytes>>,
}

impl Foreign {
    /// For the client of this name: `basic`, `post` or `public`.
    pub(crate) async fn start(client: &'static str) -> Self {
        let server = Provider::start(Format::Opaque, LONG).await;
        let registered = &server.ready.clients[client];
        let (id, secret) = (registered.client_id.clone(), registered.client_secret.clone());
        let auth = match (client, secret) {
            ("basic", Some(secret)) => ClientAuth::basic(id, secret),
            ("post", Some(secret)) => ClientAuth::post(id, secret),
            _ => ClientAuth::none(id),
        };
        let (clock, bare) = (ManualClock::new(), Counted::new().client(false));
        let coordinator = RefreshCoordinator::builder(server.ready.token_endpoint.parse().unwrap(), auth)
            .revocation_endpoint(server.ready.revocation_endpoint.parse().unwrap())
            .clock(Arc::new(clock.clone()))
            .build(bare.clone())
            .unwrap();
        Self { server, clock, coordinator, client, bare }
    }

    /// A new login, whose access token is taken to live for `life`.
    pub(crate) async fn install(&self, life: Duration) -> Tokens {
        let tokens = self.server.mint(self.client).await;
        let set = TokenSet::new(tokens.access_token.as_str())
            .with_refresh_token(tokens.refresh_token.as_str())
            .with_expires_in(life);
        self.coordinator.install(KEY, set).await.unwrap();
        tokens
    }

    /// A client without the layer.
    pub(crate) fn bare(&self) -> HttpClient<Full<Bytes>> {
        self.bare.clone()
    }

    /// `service` under the layer.
    pub(crate) fn layered<S>(&self, service: S) -> Refresh<S> {
        let (origin, _) = self.server.ready.echo.split_once("/api").unwrap();
        RefreshLayer::new(self.coordinator.clone(), KEY).origin(origin.parse().unwrap()).layer(service)
    }

    /// A client under the layer.
    pub(crate) fn client(&self) -> Refresh<HttpClient<Full<Bytes>>> {
        self.layered(self.bare())
    }

    pub(crate) fn request(&self, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        Request::post(&self.server.ready.echo).body(full(body)).unwrap()
    }

    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Got {
        send(self.client(), self.request(body)).await
    }

    /// Is the token good, as the server says (RFC 7662)?
    pub(crate) async fn is_active(&self, token: &str) -> bool {
        let endpoint = &self.server.ready.introspection_endpoint;
        let answer = self.server.post_form(endpoint, self.client, &[("token", token)]).await;
        answer.unwrap().1["active"].as_bool().unwrap()
    }

    /// Somebody else revokes the grant.
    pub(crate) async fn revoke_grant(&self, refresh_token: &str) {
        let endpoint = &self.server.ready.revocation_endpoint;
        let answer = self.server.post_form(endpoint, self.client, &[("token", refresh_token)]).await;
        assert_eq!(answer.unwrap().0, 200);
    }

    /// Refreshes that arrived at the server.
    pub(crate) async fn refreshes(&self) -> u64 {
        self.server.counters().await.token_requests.get("refresh_token").copied().unwrap_or(0)
    }
}
