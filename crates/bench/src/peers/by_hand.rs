//! What users of `reqwest-middleware` write themselves, and ours in the same chain, before a middleware that answers
//! at once.
//!
//! Nobody has published that code; this is the usual form of it: a lock around the token, looked at, and once more
//! by whoever has come to write. It says nothing to a 401.

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderName, HeaderValue, Method};
use reqwest::{Body, Request, Response, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result as Answer};
use tokio::runtime::Runtime;
use tokio::sync::RwLock;
use tower_oauth_refresh::{RefreshCoordinator, RefreshLayer};
use tower_oauth_refresh_reqwest::RefreshMiddleware;

use super::source::{Source, header};
use super::{Callers, now, ours};
use crate::Failure;
use crate::hot::Send;
use crate::world::{Endpoint, KEY};

struct Answers;

#[async_trait]
impl Middleware for Answers {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Answer<Response> {
        drop(black_box(request));
        Ok(http::Response::new(Body::default()).into())
    }
}

struct ByHand {
    token: RwLock<Option<(String, SystemTime)>>,
    source: Arc<Source>,
}

impl ByHand {
    #[expect(clippy::disallowed_methods, reason = "what is written by hand reads the machine's clock")]
    fn valid(token: Option<&(String, SystemTime)>) -> Option<String> {
        token.filter(|(_, until)| *until > SystemTime::now()).map(|(token, _)| token.clone())
    }

    async fn token(&self) -> Result<String, Failure> {
        if let Some(token) = Self::valid(self.token.read().await.as_ref()) {
            return Ok(token);
        }
        let mut kept = self.token.write().await;
        if let Some(token) = Self::valid(kept.as_ref()) {
            return Ok(token);
        }
        let new = self.source.token_until().await?;
        Ok(kept.insert(new).0.clone())
    }
}

#[async_trait]
impl Middleware for ByHand {
    async fn handle(&self, mut request: Request, more: &mut Extensions, next: Next<'_>) -> Answer<Response> {
        let token = self.token().await.map_err(failed)?;
        let value = header(&token).map_err(failed)?;
        request.headers_mut().insert(AUTHORIZATION, value);
        next.run(request, more).await
    }
}

fn failed(error: Failure) -> Error {
    Error::middleware(std::io::Error::other(error))
}

#[derive(Clone)]
struct Chain {
    client: ClientWithMiddleware,
    url: Url,
}

impl Chain {
    fn of(first: Option<Arc<dyn Middleware>>) -> Result<Self, Failure> {
        let client = ClientBuilder::new(reqwest::Client::new());
        let client = first.into_iter().fold(client, ClientBuilder::with_arc).with(Answers).build();
        Ok(Self { client, url: Url::parse("https://api.example/orders/17?full=yes")? })
    }

    fn by_hand(source: &Arc<Source>) -> Result<Self, Failure> {
        Self::of(Some(Arc::new(ByHand { token: RwLock::default(), source: source.clone() })))
    }

    fn ours(coordinator: Arc<RefreshCoordinator>) -> Result<Self, Failure> {
        let layer = RefreshLayer::new(coordinator, KEY).origin("https://api.example".parse()?);
        Self::of(Some(Arc::new(RefreshMiddleware::new(layer))))
    }

    async fn send(&self) -> Result<(), Failure> {
        let mut request = Request::new(Method::POST, self.url.clone());
        for (name, value) in [
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("user-agent", "bench"),
            ("x-request-id", "0123456789abcdef"),
        ] {
            request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        *request.body_mut() = Some(Body::from("{\"tea\": 1}"));
        self.client.execute(request).await?;
        Ok(())
    }

    fn sender(self) -> Send {
        Box::new(move || now(self.send()))
    }

    fn callers(self) -> Callers {
        Box::new(move || {
            let chain = self.clone();
            Box::pin(async move { chain.send().await.is_ok() })
        })
    }
}

pub(super) fn send_bare(_: &Runtime) -> Result<Send, Failure> {
    Ok(Chain::of(None)?.sender())
}

pub(super) fn send(runtime: &Runtime) -> Result<Send, Failure> {
    let chain = Chain::by_hand(&Source::open())?;
    runtime.block_on(chain.send())?;
    Ok(chain.sender())
}

pub(super) fn send_ours(runtime: &Runtime) -> Result<Send, Failure> {
    let coordinator = Source::open().coordinator()?;
    runtime.block_on(coordinator.install(KEY, Endpoint::login(std::time::Duration::from_secs(3600))))?;
    Ok(Chain::ours(coordinator)?.sender())
}

pub(super) fn callers(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    let chain = Chain::by_hand(source)?;
    runtime.block_on(chain.send())?;
    Ok(chain.callers())
}

pub(super) fn callers_of_ours(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    Ok(Chain::ours(ours::expired(runtime, source)?)?.callers())
}
