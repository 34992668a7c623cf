//! The response future: a hand-written path for a valid token, and a boxed one for everything else.

mod heal;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, Method, Request, Response, Uri, Version, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::coordinator::{Current, Slot, Waiter};
use crate::error::RefreshError;
use crate::layer::Config;
use crate::replay::{Replay, ReplayBody};
use crate::service::{BoxError, attach};

pin_project! {
    /// The answer to a request, after at most one replay.
    ///
    /// # Cancel safety
    ///
    /// Dropping it abandons this request, as dropping the inner service's future does: the API may
    /// have acted on it, or may yet. A refresh that it waited for goes on: at the authorization server, in
    /// the store and for everybody else.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<ReplayBody<B>>>,
        R: Body,
    {
        #[pin]
        state: State<S, B, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, R>
    where
        S: Service<Request<ReplayBody<B>>>,
        R: Body,
    {
        /// Not managed.
        Plain { #[pin] call: S::Future },
        /// Sent with a valid token.
        Sending { #[pin] call: S::Future, service: Option<S>, exchange: Option<Exchange<B>> },
        /// Waiting for a token, or healing a refusal.
        Slow { slow: BoxFuture<'static, Result<Response<ResponseBody<R>>, BoxError>> },
        Failed { error: Option<RefreshError> },
    }
}

/// What is kept of a request that was sent with a token, in case it is refused.
pub(crate) struct Exchange<B> {
    pub(crate) config: Arc<Config>,
    pub(crate) slot: Arc<Slot>,
    /// The token that it carried.
    pub(crate) used: Arc<Current>,
    pub(crate) head: Head,
    pub(crate) replay: Replay<B>,
}

/// A request's head, as the caller made it.
pub(crate) struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    extensions: Extensions,
}

// ===== impl ResponseFuture =====

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>>,
    R: Body,
{
    pub(crate) fn plain(call: S::Future) -> Self {
        Self { state: State::Plain { call } }
    }

    pub(crate) fn sending(call: S::Future, service: S, exchange: Exchange<B>) -> Self {
        Self { state: State::Sending { call, service: Some(service), exchange: Some(exchange) } }
    }

    pub(crate) fn failed(error: RefreshError) -> Self {
        Self { state: State::Failed { error: Some(error) } }
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Send,
{
    /// Waits for a token, then sends.
    pub(crate) fn waiting(
        waiter: Waiter,
        mut service: S,
        config: Arc<Config>,
        slot: Arc<Slot>,
        request: Request<B>,
    ) -> Self {
        let slow = Box::pin(async move {
            let current = waiter.wait().await?;
            ready_service(&mut service).await?;
            let (request, exchange) = Exchange::begin(config, slot, current, request);
            let answer = service.call(request).await.map_err(Into::into)?;
            exchange.answered(service, answer).await
        });
        Self { state: State::Slow { slow } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Send,
{
    type Output = Result<Response<ResponseBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let slow = match this.state.as_mut().project() {
                StateProjection::Plain { call } => {
                    let answer = ready!(call.poll(cx)).map_err(Into::into)?;
                    return Poll::Ready(Ok(answer.map(ResponseBody::plain)));
                }
                StateProjection::Sending { call, service, exchange } => {
                    let answer = ready!(call.poll(cx)).map_err(Into::into)?;
                    let (Some(service), Some(exchange)) = (service.take(), exchange.take()) else {
                        return Poll::Ready(Ok(answer.map(ResponseBody::plain)));
                    };
                    let (parts, body) = answer.into_parts();
                    if !exchange.config.is_challenge(&parts) {
                        return Poll::Ready(Ok(exchange.accepted(parts, body)));
                    }
                    exchange.heal(service, Response::from_parts(parts, body))
                }
                StateProjection::Slow { slow } => return slow.as_mut().poll(cx),
                StateProjection::Failed { error } => {
                    let error = error.take().unwrap_or_else(RefreshError::polled_after_end);
                    return Poll::Ready(Err(error.into()));
                }
            };
            this.state.set(State::Slow { slow: Box::pin(slow) });
        }
    }
}

impl<S, B, R> fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>>,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

// ===== impl Exchange =====

impl<B: Body + 'static> Exchange<B> {
    /// The request with its token, and what is kept of it.
    pub(crate) fn begin(
        config: Arc<Config>,
        slot: Arc<Slot>,
        used: Arc<Current>,
        request: Request<B>,
    ) -> (Request<ReplayBody<B>>, Self) {
        let (parts, body) = request.into_parts();
        let head = Head {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            headers: parts.headers.clone(),
            extensions: parts.extensions.clone(),
        };
        let (body, replay) = ReplayBody::recorded(body, config.body_limit);
        let mut request = Request::from_parts(parts, body);
        attach(&mut request, &used);
        (request, Self { config, slot, used, head, replay })
    }

    /// An answer that did not refuse the token. gRPC may still do so in its trailers: too late for a
    /// replay, in time for the next request.
    fn accepted<R: Body>(self, parts: response::Parts, body: R) -> Response<ResponseBody<R>> {
        let grpc = parts
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        if !grpc {
            return Response::from_parts(parts, ResponseBody::plain(body));
        }
        let Self { config, slot, used, .. } = self;
        let watcher = move |trailers: &HeaderMap| {
            if trailers.get("grpc-status").is_some_and(|status| status == "16") {
                drop(config.coordinator.refused(&slot, &used));
            }
        };
        Response::from_parts(parts, ResponseBody::watched(body, Box::new(watcher)))
    }
}

impl Head {
    /// The request once more, with another body and token.
    fn with<B>(self, body: ReplayBody<B>, current: &Current) -> Request<ReplayBody<B>> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers;
        *request.extensions_mut() = self.extensions;
        attach(&mut request, current);
        request
    }
}

async fn ready_service<S, T>(service: &mut S) -> Result<(), BoxError>
where
    S: Service<T>,
    S::Error: Into<BoxError>,
{
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)
}
