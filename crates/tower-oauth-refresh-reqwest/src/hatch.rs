//! Where a call and the layer meet: requests are passed out to the chain, and answers in.
//!
//! The layer wraps a service that it may keep; the chain is lent for the length of one call. So the service hands its
//! request to whoever drives the layer, which is the call itself, and finds the answer in the same place.
//!
//! There is no channel, and nobody is woken. The call polls the layer, and looks for a request as soon as that is
//! pending. While it sends the request it does not poll the layer, and when the answer is there it does so at once. That
//! rests on one thing: the layer polls what it sends in its own future, which is pinned in the call. Nothing stands
//! between layer and hatch, and the core spawns nothing but refreshes. A layer that gave its sends to another task would
//! wait for ever.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body::{Body, Frame, SizeHint};
use reqwest::Url;
use reqwest_middleware::{Error, Result};
use tower_oauth_refresh::ResponseBody;
use tower_service::Service;

use crate::body::BoxError;
use crate::service;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The one place of a call. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Hatch(Arc<Mutex<Inside>>);

/// Each is put in by one side and taken out by the other.
struct Inside {
    /// Of the first send, which need not parse it again.
    url: Option<Url>,
    request: Option<reqwest::Request>,
    answer: Option<Result<reqwest::Response>>,
}

impl Hatch {
    /// For requests to `url` alone.
    pub(crate) fn to(url: Url) -> Self {
        Self(Arc::new(Mutex::new(Inside { url: Some(url), request: None, answer: None })))
    }

    /// What the layer wants to be sent.
    pub(crate) fn request(&self) -> Option<reqwest::Request> {
        self.inside().request.take()
    }

    pub(crate) fn has_request(&self) -> bool {
        self.inside().request.is_some()
    }

    /// What the chain said to it. The layer is to be polled next.
    pub(crate) fn answer(&self, answer: Result<reqwest::Response>) {
        self.inside().answer = Some(answer);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // Nothing stops halfway with it in hand.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Service<Request<B>> for Hatch
where
    B: Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    type Response = Response<Lent>;
    type Error = Error;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        let mut inside = self.inside();
        // An answer that is still here has been given up by the layer.
        inside.answer = None;
        match service::outbound(request, inside.url.take()) {
            Ok(request) => inside.request = Some(request),
            Err(error) => inside.answer = Some(Err(error.into())),
        }
        drop(inside);
        Answer(self.clone())
    }
}

/// What the chain will have said.
pub(crate) struct Answer(Hatch);

impl Future for Answer {
    type Output = Result<Response<Lent>>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = self.0.inside().answer.take() else { return Poll::Pending };
        Poll::Ready(answer.map(Lent::lend))
    }
}

/// The body of an answer, which stays in its answer until somebody reads it.
pub(crate) enum Lent {
    /// The answer, without its headers and extensions.
    Whole(reqwest::Response),
    Open(reqwest::Body),
}

impl Lent {
    /// An answer for the layer to look at.
    fn lend(mut answer: reqwest::Response) -> Response<Self> {
        // An answer of gRPC that is all head is watched, too: only a body that is open says that it ends there.
        let open = answer.headers().contains_key(&GRPC_STATUS);
        let mut head = Response::new(());
        *head.status_mut() = answer.status();
        *head.version_mut() = answer.version();
        mem::swap(head.headers_mut(), answer.headers_mut());
        mem::swap(head.extensions_mut(), answer.extensions_mut());
        head.map(|()| if open { Self::Open(answer.into()) } else { Self::Whole(answer) })
    }

    /// The layer's answer as one of the chain's: the very same, where nobody has read its body or watches it; otherwise
    /// one from the same `url`.
    pub(crate) fn restored(answer: Response<ResponseBody<Self>>, url: Option<Url>) -> reqwest::Response {
        let (mut head, body) = answer.into_parts();
        let body = match body.into_inner() {
            Ok(Self::Whole(mut answer)) => {
                mem::swap(answer.headers_mut(), &mut head.headers);
                mem::swap(answer.extensions_mut(), &mut head.extensions);
                return answer;
            }
            Ok(open) => ResponseBody::plain(open),
            Err(more) => more,
        };
        service::from(url, Response::from_parts(head, reqwest::Body::wrap(body))).into()
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, reqwest::Error>>> {
        let this = self.get_mut();
        if let Self::Whole(_) = this
            && let Self::Whole(answer) = mem::replace(this, Self::Open(reqwest::Body::default()))
        {
            *this = Self::Open(answer.into());
        }
        let Self::Open(body) = this else { return Poll::Ready(None) };
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            // An answer does not say.
            Self::Whole(_) => false,
            Self::Open(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(answer) => {
                answer.content_length().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Self::Open(body) => body.size_hint(),
        }
    }
}
