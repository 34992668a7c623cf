//! A client, and the servers of the test kit.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};
use tower_oauth_refresh::{
    ClientAuth, Event, Events, Refresh, RefreshCoordinator, RefreshLayer, ReplayBody, ResponseBody, TokenSet,
};
use tower_oauth_refresh_binding::{AssertionSigner, Dpop, DpopKey, DpopService, SigningKey};
use tower_oauth_refresh_testkit::{AuthServer, ClientAuthentication, Ledger, ManualClock, ResourceServer};

pub(crate) const ES256_PEM: &str = include_str!("../../src/testdata/es256.pem");

type Http = BoxCloneService<Request<ReplayBody<Full<Bytes>>>, Response<Incoming>, BoxError>;

pub(crate) struct World {
    pub(crate) auth: AuthServer,
    pub(crate) api: ResourceServer,
    pub(crate) clock: ManualClock,
    pub(crate) coordinator: Arc<RefreshCoordinator>,
    pub(crate) client: Refresh<DpopService<Http>>,
    /// The headers of all requests that left, to either server.
    pub(crate) sent: Arc<Mutex<Vec<HeaderMap>>>,
    events: Mutex<Events>,
}

impl World {
    /// A public client, each of whose logins has a key of its own.
    pub(crate) async fn public() -> Self {
        Self::new(ClientAuthentication::None, Dpop::per_login(), false).await
    }

    pub(crate) async fn public_over_http2() -> Self {
        Self::new(ClientAuthentication::None, Dpop::per_login(), true).await
    }

    /// A client that signs assertions, and has this one key for its tokens.
    pub(crate) async fn confidential(key: DpopKey) -> Self {
        Self::new(ClientAuthentication::Assertion, Dpop::new(key), false).await
    }

    async fn new(authentication: ClientAuthentication, dpop: Dpop, http2: bool) -> Self {
        let clock = ManualClock::new();
        let dpop = dpop.clock(Arc::new(clock.clone()));
        let auth = AuthServer::builder().dpop().client("app", "").clock(clock.clone());
        let auth = auth.client_authentication(authentication).start().await.unwrap();
        let api = ResourceServer::start(&auth).await.unwrap();
        let sent = Arc::default();
        let http = http(http2, &sent);

        let client_auth = if authentication == ClientAuthentication::None {
            ClientAuth::none("app")
        } else {
            let key = SigningKey::es256_pem(ES256_PEM).unwrap();
            AssertionSigner::new("https://as.example", key).clock(Arc::new(clock.clone())).client_auth("app")
        };
        let coordinator = RefreshCoordinator::builder(auth.token_endpoint(), client_auth)
            .revocation_endpoint(auth.revocation_endpoint())
            .clock(Arc::new(clock.clone()))
            .dpop()
            .build(dpop.endpoint(http.clone()))
            .unwrap();
        let layer = RefreshLayer::new(coordinator.clone(), "acme").origin(api.origin().try_into().unwrap());
        let client = ServiceBuilder::new().layer(layer).service(dpop.client(http));
        let events = Mutex::new(coordinator.events());
        Self { auth, api, clock, coordinator, client, sent, events }
    }

    /// Somebody logs in, with a new key.
    pub(crate) async fn log_in(&self) -> TokenSet {
        let key = DpopKey::generate().unwrap();
        let login = self.auth.login_bound_to(key.thumbprint()).with_bound_key(key.bound_key().unwrap());
        self.coordinator.install("acme", login.clone()).await.unwrap();
        login
    }

    /// Both servers want a nonce that nobody knows yet.
    pub(crate) fn demand_nonces(&self) {
        self.auth.demand_nonce();
        self.api.demand_nonce();
    }

    /// The access tokens so far are no good any more, and all know it.
    pub(crate) fn let_tokens_expire(&self) {
        self.clock.advance(Duration::from_secs(7200));
    }

    pub(crate) async fn post(
        &self,
        id: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<ResponseBody<Incoming>>, BoxError> {
        let request = Request::post(self.api.url("/orders?of=tea")).header("x-request-id", id);
        self.client.clone().oneshot(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.auth.ledger()
    }

    /// What the coordinator has told so far.
    pub(crate) fn told(&self) -> Vec<Event> {
        use futures_util::FutureExt as _;
        let mut events = self.events.lock().unwrap();
        std::iter::from_fn(|| events.next().now_or_never().flatten()).collect()
    }
}

fn http(http2: bool, sent: &Arc<Mutex<Vec<HeaderMap>>>) -> Http {
    // Without Nagle's algorithm, which costs 40 ms wherever a request takes two writes.
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).http2_only(http2).build(connector);
    let sent = Arc::clone(sent);
    let client = client.map_err(BoxError::from).map_request(move |request: Request<_>| {
        sent.lock().unwrap().push(request.headers().clone());
        request
    });
    BoxCloneService::new(client)
}
