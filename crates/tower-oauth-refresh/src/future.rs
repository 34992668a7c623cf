//! The response future: a hand-written path for a valid token, and a boxed one for everything else.

mod heal;
mod kept;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use self::kept::Kept;
use crate::body::ResponseBody;
use crate::challenge::is_grpc;
use crate::coordinator::{OriginId, Slot, TokenId, Waiter};
use crate::error::RefreshError;
use crate::layer::{Asks, Config};
use crate::replay::{Replay, ReplayBody};
use crate::service::BoxError;

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
    config: Arc<Config>,
    kept: Box<Kept>,
    replay: Replay<B>,
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
        (slot, origin): (Arc<Slot>, OriginId),
        mut head: request::Parts,
        body: B,
    ) -> Self {
        let slow = Box::pin(async move {
            waiter.wait().await.map_err(|error| config.coordinator.about(&slot, error))?;
            ready_service(&mut service).await?;
            let current = config.coordinator.in_use(&slot)?;
            let (body, replay) = ReplayBody::recorded(body, config.body_limit);
            let used = (current.id(), origin);
            let exchange = Exchange::begin(&head, replay, config, Some(slot), used);
            current.attachment().attach(&mut head);
            let request = Request::from_parts(head, body);
            let mut answer = service.call(request).await.map_err(Into::into)?;
            match exchange.config.asks(&mut answer) {
                Asks::Nothing => Ok(exchange.accepted(answer, false)),
                // In a box of its own, for nearly nobody needs it, and many may wait.
                asks => Box::pin(exchange.heal(service, answer, asks)).await,
            }
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
                    let mut answer = ready!(call.poll(cx)).map_err(Into::into)?;
                    let (Some(service), Some(exchange)) = (service.take(), exchange.take()) else {
                        return Poll::Ready(Ok(answer.map(ResponseBody::plain)));
                    };
                    match exchange.config.asks(&mut answer) {
                        Asks::Nothing => return Poll::Ready(Ok(exchange.accepted(answer, false))),
                        asks => exchange.heal(service, answer, asks),
                    }
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
    /// What is kept of a request that is about to get its token and be sent.
    #[inline]
    pub(crate) fn begin(
        head: &request::Parts,
        replay: Replay<B>,
        config: Arc<Config>,
        keyed: Option<Arc<Slot>>,
        (used, origin): (TokenId, OriginId),
    ) -> Self {
        let mut kept = Kept::new(used, origin, keyed);
        if replay.check().is_ok() {
            kept.keep(head);
        }
        Self { config, kept, replay }
    }

    /// An answer that did not refuse the token. gRPC may still do so in its trailers: too late for a
    /// replay, in time for the next request. `replayed`: it is the answer to a replay with a newer token already.
    #[inline]
    fn accepted<R: Body>(self, answer: Response<R>, replayed: bool) -> Response<ResponseBody<R>> {
        let Self { config, mut kept, replay } = self;
        // The frames of its body are freed now, not when the answer has been read.
        drop(replay);
        let (used, origin, keyed) = (kept.used, kept.origin, kept.keyed.take());
        kept.spare();
        if !is_grpc(answer.headers()) {
            // Only a success shows that the token was accepted: other answers may be given before it is looked at.
            if answer.status().is_success()
                && let Some(slot) = keyed.as_ref().or(config.fixed())
            {
                slot.accepted(used, origin);
            }
            return answer.map(ResponseBody::plain);
        }
        let watcher = move |trailers: &HeaderMap| {
            let status = trailers.get("grpc-status").map(HeaderValue::as_bytes);
            match (status, keyed.as_ref().or(config.fixed())) {
                (Some(b"16"), Some(slot)) if replayed => config.coordinator.refused_again(slot, used, origin),
                (Some(b"16"), Some(slot)) => drop(config.coordinator.refused(slot, used, origin)),
                (Some(b"0"), Some(slot)) => slot.accepted(used, origin),
                _ => {}
            }
        };
        answer.map(|body| ResponseBody::watched(body, Box::new(watcher)))
    }
}

async fn ready_service<S, T>(service: &mut S) -> Result<(), BoxError>
where
    S: Service<T>,
    S::Error: Into<BoxError>,
{
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)
}
