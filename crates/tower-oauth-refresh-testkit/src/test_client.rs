//! The client of this crate's own tests: real HTTP, and no intelligence.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower_oauth_refresh::{AccessToken, RefreshToken};

use crate::{AuthServer, ResourceServer};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
pub(crate) struct TestClient(Client<HttpConnector, Full<Bytes>>);

#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }

    pub(crate) fn refresh_token(&self) -> RefreshToken {
        self.json()["refresh_token"].as_str().unwrap().into()
    }

    pub(crate) fn access_token(&self) -> AccessToken {
        self.json()["access_token"].as_str().unwrap().into()
    }
}

impl TestClient {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build(connector()))
    }

    pub(crate) fn http2() -> Self {
        Self(Client::builder(TokioExecutor::new()).http2_only(true).build(connector()))
    }

    pub(crate) async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Result<Got, Failure> {
        let response = self.0.request(request.body(Full::new(body.into())).unwrap()).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        Ok(Got { status: parts.status, headers: parts.headers, trailers, body: body.to_bytes() })
    }

    /// A form with Basic authentication.
    pub(crate) async fn form(
        &self,
        server: &AuthServer,
        endpoint: Uri,
        form: &[(&str, &str)],
    ) -> Result<Got, Failure> {
        let basic = basic(&server.client_id(), server.client_secret().expose_secret());
        self.send(form_request(endpoint).header(header::AUTHORIZATION, basic), encode(form)).await
    }

    pub(crate) async fn refresh(&self, server: &AuthServer, token: &RefreshToken) -> Result<Got, Failure> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())];
        self.form(server, server.token_endpoint(), &form).await
    }

    pub(crate) async fn get(&self, api: &ResourceServer, token: &AccessToken) -> Got {
        let request = Request::get(api.url("/things")).header(header::AUTHORIZATION, bearer(token));
        self.send(request, "").await.unwrap()
    }
}

pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    Handle::current().spawn(task)
}

/// Without Nagle's algorithm, which costs 40 ms wherever a request takes two writes.
fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

pub(crate) fn form_request(endpoint: Uri) -> Builder {
    Request::post(endpoint).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
}

pub(crate) fn encode(form: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

pub(crate) fn basic(id: &str, secret: &str) -> String {
    let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", escape(id), escape(secret))))
}

pub(crate) fn bearer(token: &AccessToken) -> String {
    format!("Bearer {}", token.expose_secret())
}
