//! The test kit's servers, and a coordinator on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, request};
use http_body::Body;
use http_body_util::Full;
use tower::Layer as _;
use tower_oauth_refresh::{
    AccessToken, Builder, ClientAuth, EventKind, Events, MemoryStore, Origin, Refresh, RefreshCoordinator,
    RefreshLayer, ReplayBody, Sealed, SealingKey, TokenSet,
};
use tower_oauth_refresh_testkit::{AuthServer, AuthServerBuilder, FaultyStore, ManualClock, ResourceServer};

use super::{Counted, Got, HttpClient, KEY, full, send, within};

/// How a test is run once more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Over HTTP/2 with prior knowledge, or over HTTP/1.1.
    pub(crate) http2: bool,
    /// Are records encrypted on their way into the store?
    pub(crate) sealed: bool,
}

/// An authorization server, an API behind it, and a coordinator with nothing installed.
pub(crate) struct World {
    way: Way,
    pub(crate) clock: ManualClock,
    pub(crate) auth: AuthServer,
    pub(crate) api: ResourceServer,
    /// Below the encryption, if there is one.
    pub(crate) store: FaultyStore<MemoryStore>,
    pub(crate) coordinator: Arc<RefreshCoordinator>,
    connector: Counted,
    client: HttpClient<Full<Bytes>>,
}

impl World {
    pub(crate) async fn start(way: Way) -> Self {
        Self::with(way, |auth| auth, |coordinator| coordinator).await
    }

    /// With a server and a coordinator that are not all defaults.
    pub(crate) async fn with(
        way: Way,
        auth: impl FnOnce(AuthServerBuilder) -> AuthServerBuilder,
        coordinator: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let clock = ManualClock::new();
        let auth = auth(AuthServer::builder().clock(clock.clone())).start().await.unwrap();
        let api = ResourceServer::start(&auth).await.unwrap();
        let store = FaultyStore::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        let connector = Counted::new();
        let client = connector.client(way.http2);
        let coordinator = coordinator(builder(way, auth.token_endpoint(), &auth, &clock, &store))
            .build(client.clone())
            .unwrap();
        Self { way, clock, auth, api, store, coordinator, connector, client }
    }

    /// A coordinator like the first one, on the same store.
    pub(crate) fn builder(&self) -> Builder {
        self.builder_at(self.auth.token_endpoint())
    }

    /// As [`builder`](Self::builder), where the token endpoint is found elsewhere.
    pub(crate) fn builder_at(&self, token_endpoint: Uri) -> Builder {
        builder(self.way, token_endpoint, &self.auth, &self.clock, &self.store)
    }

    /// The bare client: below the layer, and for the token endpoint.
    pub(crate) fn bare(&self) -> HttpClient<Full<Bytes>> {
        self.client.clone()
    }

    /// A bare client for bodies of another type.
    pub(crate) fn bare_for<B>(&self) -> HttpClient<B>
    where
        B: Body + Send + 'static,
        ReplayBody<B>: Body<Data: Send> + Send,
    {
        self.connector.client(self.way.http2)
    }

    /// The layer, for the API's origin.
    pub(crate) fn layer(&self) -> RefreshLayer {
        RefreshLayer::new(self.coordinator.clone(), KEY).origin(origin(&self.api))
    }

    /// The bare client under the layer.
    pub(crate) fn client(&self) -> Refresh<HttpClient<Full<Bytes>>> {
        self.layer().layer(self.bare())
    }

    /// Logs in, and installs what came.
    pub(crate) async fn install(&self) -> TokenSet {
        let tokens = self.auth.login();
        self.coordinator.install(KEY, tokens.clone()).await.unwrap();
        tokens
    }

    /// As [`install`](Self::install), with an access token that the server refuses already.
    pub(crate) async fn install_revoked(&self) -> TokenSet {
        let tokens = self.install().await;
        self.auth.revoke_access_token(&tokens.access_token);
        tokens
    }

    /// As [`install`](Self::install), with an access token that has expired.
    pub(crate) async fn install_expired(&self) -> TokenSet {
        let tokens = self.install().await;
        self.clock.advance(Duration::from_secs(3600));
        tokens
    }

    pub(crate) async fn token(&self) -> AccessToken {
        within(self.coordinator.token(KEY)).await.expect("a token")
    }

    /// A request that the ledger knows by `id`.
    pub(crate) fn request(&self, id: usize) -> Request<Full<Bytes>> {
        self.head(id).body(full("")).unwrap()
    }

    /// Its head, a `GET`.
    pub(crate) fn head(&self, id: usize) -> request::Builder {
        Request::get(self.api.url("/things")).header("x-request-id", id)
    }

    pub(crate) async fn get(&self, id: usize) -> Got {
        send(self.client(), self.request(id)).await
    }

    /// Refreshes that arrived at the server, and API requests.
    pub(crate) fn seen(&self) -> (usize, usize) {
        let verdict = self.auth.ledger().verdict();
        (verdict.refreshes, verdict.api_requests)
    }

    /// Connections made so far, to whichever server.
    pub(crate) fn connections(&self) -> usize {
        self.connector.connections()
    }

    /// No server saw anything that a faultless client would not have done.
    pub(crate) fn assert_clean(&self) {
        let verdict = self.auth.ledger().verdict();
        assert!(verdict.is_clean() && verdict.reuse_detections == 0, "{verdict:?}");
    }
}

/// Waits for an event.
pub(crate) async fn until(events: &mut Events, wanted: impl Fn(&EventKind) -> bool) {
    within(async { while !wanted(&events.next().await.expect("the coordinator lives").kind) {} }).await;
}

pub(crate) fn origin(api: &ResourceServer) -> Origin {
    api.origin().try_into().unwrap()
}

fn builder(
    way: Way,
    token_endpoint: Uri,
    auth: &AuthServer,
    clock: &ManualClock,
    store: &FaultyStore<MemoryStore>,
) -> Builder {
    let client = ClientAuth::basic(auth.client_id(), auth.client_secret());
    let builder = RefreshCoordinator::builder(token_endpoint, client)
        .revocation_endpoint(auth.revocation_endpoint())
        .clock(Arc::new(clock.clone()));
    match way.sealed {
        false => builder.store(store.clone()),
        true => builder.store(Sealed::new(store.clone(), SealingKey::new([7; 32]))),
    }
}
