//! The service: what it does about a request before it is sent.

#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::coordinator::PerThread;
use crate::future::{Exchange, ResponseFuture};
use crate::layer::{Config, Next};
use crate::replay::ReplayBody;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// A client that keeps its token fresh. Made by [`RefreshLayer`](crate::RefreshLayer); clones share
/// everything.
///
/// # Errors
///
/// The inner service's own errors pass through. Where there is no usable token, the error downcasts to
/// [`RefreshError`](crate::RefreshError), and the API has not acted: nothing was sent, or the API refused the one request
/// that was, and its login ended or was replaced before the replay. A refused request whose token cannot be
/// helped gets the API's answer, with a [`RefreshReport`](crate::RefreshReport) in its extensions.
///
/// # Cancel safety
///
/// As [`ResponseFuture`](crate::ResponseFuture) says: what is dropped is the request, never a refresh.
#[derive(Clone, Debug)]
pub struct Refresh<S> {
    inner: S,
    /// Every request holds one.
    config: Arc<PerThread<Arc<Config>>>,
}

impl<S> Refresh<S> {
    pub(crate) fn new(inner: S, config: Arc<PerThread<Arc<Config>>>) -> Self {
        Self { inner, config }
    }
}

impl<S, B, R> Service<Request<B>> for Refresh<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let config = self.config.mine();
        let origin = config.may_receive(request.uri(), request.headers());
        let Some(origin) = origin.filter(|_| !request.headers().contains_key(AUTHORIZATION)) else {
            config.say_why_not(request.uri(), request.headers());
            return ResponseFuture::plain(self.inner.call(request.map(ReplayBody::plain)));
        };
        let config = config.clone();
        let (mut head, body) = request.into_parts();
        match config.token(&head) {
            // Nothing is boxed, waited for or locked where the token is good.
            Next::Send { token, used, keyed } => {
                let (body, replay) = ReplayBody::recorded(body, config.body_limit);
                let exchange = Exchange::begin(&head, replay, config, keyed, (used, origin));
                token.attach(&mut head);
                let call = self.inner.call(Request::from_parts(head, body));
                ResponseFuture::sending(call, self.inner.clone(), exchange)
            }
            Next::Wait(waiter, slot) => {
                self.give_readiness_back();
                ResponseFuture::waiting(waiter, self.inner.clone(), config, (slot, origin), head, body)
            }
            Next::Fail(error) => {
                self.give_readiness_back();
                ResponseFuture::failed(error)
            }
        }
    }
}

impl<S> Refresh<S> {
    /// Drops the ready service, and with it a permit: kept by somebody who does not send, it could keep
    /// the very refresh from running that is waited for.
    fn give_readiness_back(&mut self)
    where
        S: Clone,
    {
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
    }
}
