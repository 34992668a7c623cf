//! A web back end on axum, whose handler calls the API through the layer; asked by somebody without a token.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use tokio::net::TcpListener;
use tower_oauth_refresh::{BoxFuture, ReplayBody};

use super::client::{Call, Client, Outcome, Probe};
use super::hyper;
use crate::harness::{HttpClient, World, full, send, start};

pub(super) async fn open(world: &World, probe: &Probe) -> impl Client + use<> {
    let below: Arc<dyn Client> = Arc::new(hyper::open(world, probe));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let routes = Router::new().fallback(forward).with_state(below);
    start(async move { axum::serve(listener, routes).await });
    BackEnd { browser: world.bare(), url }
}

/// The handler: what it learns, it tells in a header.
async fn forward(State(client): State<Arc<dyn Client>>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let call = Call { id: text("x-id").parse().unwrap(), origin: text("x-origin"), body };
    let outcome = client.call(call).await;
    let status = outcome.status.map_or(StatusCode::BAD_GATEWAY, |code| code.try_into().unwrap());
    (status, [("x-said", outcome.said)]).into_response()
}

struct BackEnd {
    browser: HttpClient<Full<Bytes>>,
    url: String,
}

impl Client for BackEnd {
    fn call(&self, call: Call) -> BoxFuture<'static, Outcome> {
        let request = Request::post(&self.url).header("x-id", call.id).header("x-origin", call.origin);
        let request = request.body(ReplayBody::plain(full(call.body))).unwrap();
        let browser = self.browser.clone();
        Box::pin(async move {
            let answer = send(browser, request).await;
            let said = answer.headers["x-said"].to_str().unwrap().to_owned();
            let status = Some(answer.status).filter(|status| *status != StatusCode::BAD_GATEWAY);
            Outcome { status: status.map(|status| status.as_u16()), said }
        })
    }
}
