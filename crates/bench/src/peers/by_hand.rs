//! What users of `reqwest-middleware` write themselves, and ours in the same chain, before a middleware that answers
//! at once.
//!
//! Nobody has published that code; these are the usual forms of it: a lock around the token, looked at, and once more
//! by whoever has come to write. One says nothing to a 401; the other keeps a clone of every request, and answers a
//! 401 with a new token and that clone.

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderName, HeaderValue, Method, StatusCode};
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

    /// Another than the one that was refused: one question for all whose token it was.
    async fn newer(&self, refused: &str) -> Result<String, Failure> {
        let mut kept = self.token.write().await;
        if let Some((token, _)) = kept.as_ref().filter(|(token, _)| token != refused) {
            return Ok(token.clone());
        }
        let new = self.source.token_until().await?;
        Ok(kept.insert(new).0.clone())
    }
}

fn attach(token: &str, request: &mut Request) -> Answer<()> {
    request.headers_mut().insert(AUTHORIZATION, header(token).map_err(failed)?);
    Ok(())
}

#[async_trait]
impl Middleware for ByHand {
    async fn handle(&self, mut request: Request, more: &mut Extensions, next: Next<'_>) -> Answer<Response> {
        let token = self.token().await.map_err(failed)?;
        attach(&token, &mut request)?;
        next.run(request, more).await
    }
}

/// The same, and it sends again after a 401.
struct Again(ByHand);

#[async_trait]
impl Middleware for Again {
    async fn handle(&self, mut request: Request, more: &mut Extensions, next: Next<'_>) -> Answer<Response> {
        let token = self.0.token().await.map_err(failed)?;
        let kept = request.try_clone();
        attach(&token, &mut request)?;
        let answer = next.clone().run(request, more).await?;
        match kept {
            Some(mut again) if answer.status() == StatusCode::UNAUTHORIZED => {
                let token = self.0.newer(&token).await.map_err(failed)?;
                attach(&token, &mut again)?;
                next.run(again, more).await
            }
            _ => Ok(answer),
        }
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

    fn by_hand(source: &Arc<Source>, again: bool) -> Result<Self, Failure> {
        let by_hand = ByHand { token: RwLock::default(), source: source.clone() };
        Self::of(Some(if again { Arc::new(Again(by_hand)) } else { Arc::new(by_hand) }))
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

fn send_by_hand(runtime: &Runtime, again: bool) -> Result<Send, Failure> {
    let chain = Chain::by_hand(&Source::open(), again)?;
    runtime.block_on(chain.send())?;
    Ok(chain.sender())
}

pub(super) fn send(runtime: &Runtime) -> Result<Send, Failure> {
    send_by_hand(runtime, false)
}

pub(super) fn send_again(runtime: &Runtime) -> Result<Send, Failure> {
    send_by_hand(runtime, true)
}

pub(super) fn send_ours(runtime: &Runtime) -> Result<Send, Failure> {
    let coordinator = Source::open().coordinator()?;
    runtime.block_on(coordinator.install(KEY, Endpoint::login(std::time::Duration::from_secs(3600))))?;
    Ok(Chain::ours(coordinator)?.sender())
}

fn callers_by_hand(runtime: &Runtime, source: &Arc<Source>, again: bool) -> Result<Callers, Failure> {
    let chain = Chain::by_hand(source, again)?;
    runtime.block_on(chain.send())?;
    Ok(chain.callers())
}

pub(super) fn callers(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    callers_by_hand(runtime, source, false)
}

pub(super) fn callers_again(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    callers_by_hand(runtime, source, true)
}

pub(super) fn callers_of_ours(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    Ok(Chain::ours(ours::expired(runtime, source)?)?.callers())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Refuses the first token it sees.
    #[derive(Default)]
    struct Refuses(Mutex<Vec<HeaderValue>>);

    #[async_trait]
    impl Middleware for Refuses {
        async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Answer<Response> {
            let mut seen = self.0.lock().unwrap();
            seen.push(request.headers()[AUTHORIZATION].clone());
            let mut answer = http::Response::new(Body::default());
            if seen[0] == request.headers()[AUTHORIZATION] {
                *answer.status_mut() = StatusCode::UNAUTHORIZED;
            }
            Ok(answer.into())
        }
    }

    #[test]
    fn what_is_written_by_hand_sends_a_refused_request_once_more() {
        let runtime = super::super::runtime().unwrap();
        let (api, source) = (Arc::<Refuses>::default(), Source::open());
        let again = Again(ByHand { token: RwLock::default(), source: source.clone() });
        let client = ClientBuilder::new(reqwest::Client::new()).with(again).with_arc(api.clone()).build();
        let answer = runtime.block_on(client.get("https://api.example/").body("tea").send()).unwrap();
        assert_eq!((answer.status(), source.asked()), (StatusCode::OK, 2));
        assert_eq!(api.0.lock().unwrap().len(), 2);
    }
}
