//! The example application as it is, an authorization server for it, and a recording of all that it answers.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum_bff::{Backend, MovableClock, pages};
use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::oidc::Provider;

/// Everything that went to the browser, headers and bodies.
type Recording = Arc<Mutex<Vec<u8>>>;

pub(super) struct Site {
    pub(super) origin: String,
    pub(super) provider: Provider,
    pub(super) clock: Arc<MovableClock>,
    recording: Recording,
    serving: JoinHandle<()>,
}

impl Site {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let options = json!({
            "access_token_ttl": 600, "login_page": true, "redirect_uris": [format!("{origin}/callback")],
        });
        let provider = Provider::start_with(&options).await;
        let (ready, client) = (&provider.ready, &provider.ready.clients["basic"]);
        let description = json!({
            "issuer": ready.issuer,
            "authorization_endpoint": ready.authorization_endpoint,
            "token_endpoint": ready.token_endpoint,
            "revocation_endpoint": ready.revocation_endpoint,
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "scope": "openid api:read api:write",
            "api": ready.echo,
        });
        let clock = Arc::new(MovableClock::default());
        let described = serde_json::from_value(description).unwrap();
        let backend = Backend::new(described, &origin, clock.clone()).unwrap();
        let recording = Recording::default();
        let recorded = pages(backend).layer(from_fn_with_state(recording.clone(), record));
        let serving = async move { axum::serve(listener, recorded).await.unwrap() };
        let serving = tokio::runtime::Handle::current().spawn(serving);
        Self { origin, provider, clock, recording, serving }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    pub(super) fn recording(&self) -> Vec<u8> {
        self.recording.lock().unwrap().clone()
    }

    /// A request past the browser, as an attacker's program would send it.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(HeaderName, &str)],
    ) -> (StatusCode, String) {
        let mut request = http::Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let response = client.request(request.body(Full::default()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    pub(super) async fn press(&self, path: &str, session: &str, origin: Option<&str>) -> StatusCode {
        let cookie = format!("__Host-session={session}");
        let mut headers = vec![(header::COOKIE, cookie.as_str())];
        headers.extend(origin.map(|origin| (header::ORIGIN, origin)));
        self.send("POST", path, &headers).await.0
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn record(State(recording): State<Recording>, request: Request, next: Next) -> Response {
    let (parts, body) = next.run(request).await.into_parts();
    let headers = format!("{:?} {:?}\n", parts.status, parts.headers);
    recording.lock().unwrap().extend(headers.into_bytes());
    let body = body.map_frame(move |frame| {
        let data = frame.data_ref().map(|data| data.to_vec()).unwrap_or_default();
        recording.lock().unwrap().extend(data);
        frame
    });
    Response::from_parts(parts, Body::new(body))
}
