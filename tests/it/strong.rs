//! Clients that sign, and tokens that are theirs alone, against a server that others wrote.

mod assertions;
mod certificates;
mod discovery;
mod dpop;
mod hostile;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{Request, Response, Uri, header};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_oauth_refresh::{Builder, Refresh, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet};
use tower_oauth_refresh_testkit::ManualClock;

use crate::harness::{BoxError, Got, KEY, LONG, full, send, within};
use crate::oidc::Provider;

type Outgoing = Request<ReplayBody<Full<Bytes>>>;

/// An HTTP client, with whatever is around it.
type Network = BoxCloneSyncService<Outgoing, Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError>;

/// A coordinator, and an HTTP client under its layer.
struct Program {
    /// The coordinator's own; proofs, assertions and servers go by the machine's.
    clock: ManualClock,
    coordinator: Arc<RefreshCoordinator>,
    client: Refresh<Network>,
    echo: Uri,
}

impl Program {
    /// `endpoint` is its way to the authorization server, and `api` the one to what answers at `echo`.
    fn new(builder: Builder, endpoint: Network, api: Network, echo: &str) -> Self {
        let clock = ManualClock::new();
        let coordinator = builder.clock(Arc::new(clock.clone())).build(endpoint).unwrap();
        let (origin, _) = echo.split_once("/api").unwrap();
        let layer = RefreshLayer::new(coordinator.clone(), KEY).origin(origin.parse().unwrap());
        Self { clock, coordinator, client: layer.layer(api), echo: echo.parse().unwrap() }
    }

    async fn install(&self, login: &TokenSet, life: Duration) {
        self.coordinator.install(KEY, login.clone().with_expires_in(life)).await.unwrap();
    }

    /// Asks the API for an echo.
    async fn post(&self, body: impl Into<Bytes>) -> Got {
        send(self.client.clone(), self.request(body)).await
    }

    fn request(&self, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        // No proof names the query (RFC 9449 §4.2).
        let query = format!("{}?of=tea", self.echo);
        Request::post(query).body(full(body)).unwrap()
    }

    /// When the access token has expired.
    async fn post_later(&self) -> Got {
        self.clock.advance(LONG);
        self.post("later").await
    }

    async fn access_token(&self) -> String {
        self.coordinator.token(KEY).await.unwrap().expose_secret().to_owned()
    }
}

/// The provider, which knows these keys of the client `assertion`.
async fn provider(assertion_keys: Value) -> Provider {
    Provider::start_with(&json!({ "access_token_ttl": LONG.as_secs(), "assertion_keys": assertion_keys }))
        .await
}

fn network() -> Network {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, ReplayBody<Full<Bytes>>> = Client::builder(TokioExecutor::new()).build(connector);
    boxed(client)
}

/// `service` without its type.
fn boxed<S, R>(service: S) -> Network
where
    S: Service<Outgoing, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let unbox = |answer: Response<R>| answer.map(|body| body.map_err(Into::into).boxed_unsync());
    BoxCloneSyncService::new(service.map_err(Into::into).map_response(unbox))
}

/// Logs in as a client that has no secret, and has the code exchanged at `token_endpoint` through `network`.
async fn log_in(server: &Provider, client: &str, token_endpoint: &str, network: &Network) -> TokenSet {
    let resource = &server.ready.resource;
    let mut form = server.authorize(client, &json!({ "resource": resource })).await;
    form.push(("client_id".to_owned(), server.ready.clients[client].client_id.clone()));
    form.push(("resource".to_owned(), resource.clone()));
    let body = Serializer::new(String::new()).extend_pairs(form).finish();
    let (status, answer) = post_form(token_endpoint, network, &body).await;
    assert_eq!(status, 200, "{answer}");
    TokenSet::from_response(&answer).unwrap()
}

/// The answer; where a nonce is wanted, that to the next proof.
async fn post_form(uri: &str, endpoint: &Network, form: &str) -> (u16, Value) {
    let answer = post_form_once(uri, endpoint, form).await;
    if answer.1["error"] == "use_dpop_nonce" { post_form_once(uri, endpoint, form).await } else { answer }
}

async fn post_form_once(uri: &str, endpoint: &Network, form: &str) -> (u16, Value) {
    let request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(ReplayBody::from(Bytes::from(form.to_owned())))
        .unwrap();
    let exchange = async {
        let (parts, body) = endpoint.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    };
    within(exchange).await
}
