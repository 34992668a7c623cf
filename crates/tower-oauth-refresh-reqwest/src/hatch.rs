//! Where a call and the layer meet: requests are passed out to the chain, and answers in.
//!
//! The layer wraps a service that it may keep; the chain is lent for the length of one call. So the service hands its
//! request to whoever drives the layer, which is the call itself, and finds the answer in the same place.
//!
//! There is no channel, and nobody is woken. An [`Answer`] that is pending has been polled by the call, through the layer,
//! and the call looks for a request as soon as that poll returns; while it sends one it polls the layer no further, and
//! it does so at once when the answer is there. That rests on one thing: the layer's future is pinned in the call, and
//! polls there what it sends. Nothing stands between layer and hatch, and the core spawns nothing but refreshes. A layer
//! that gave its sends to another task would wait for ever.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use reqwest::Url;
use reqwest_middleware::{Error, Result};
use tower_oauth_refresh::ResponseBody;
use tower_service::Service;

use crate::body::BoxError;
use crate::service;

/// The one place of a call. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Hatch(Arc<Mutex<Inside>>);

/// Each is taken out by one side and put in by the other; what is moved least is cheapest.
struct Inside {
    /// Of the first send, which need not parse it again.
    url: Option<Url>,
    request: Option<reqwest::Request>,
    /// Stays here while the layer looks at its head, and until somebody reads its body.
    answer: Option<Result<reqwest::Response>>,
    /// Where the answer came from whose body is being read.
    opened: Option<Url>,
}

impl Hatch {
    /// For requests to `url` alone.
    pub(crate) fn to(url: Url) -> Self {
        let inside = Inside { url: Some(url), request: None, answer: None, opened: None };
        Self(Arc::new(Mutex::new(inside)))
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

    /// The layer's answer as one of the chain's: the very same, where nobody has read its body or watches it.
    pub(crate) fn restored(&self, answer: Response<ResponseBody<Lent>>) -> reqwest::Response {
        let (mut head, body) = answer.into_parts();
        let body = body.into_inner();
        let mut inside = self.inside();
        if let Ok(Lent::Whole(_)) = body
            && let Some(Ok(mut lent)) = inside.answer.take()
        {
            mem::swap(lent.headers_mut(), &mut head.headers);
            mem::swap(lent.extensions_mut(), &mut head.extensions);
            return lent;
        }
        let url = match &inside.answer {
            Some(Ok(lent)) => Some(lent.url().clone()),
            _ => inside.opened.take(),
        };
        drop(inside);
        let body = body.map_or_else(|watched| watched, ResponseBody::plain);
        service::from(url, Response::from_parts(head, reqwest::Body::wrap(body))).into()
    }

    /// The body of the answer that was lent.
    fn open(&self) -> Option<reqwest::Body> {
        let mut inside = self.inside();
        let answer = inside.answer.take()?.ok()?;
        inside.opened = Some(answer.url().clone());
        Some(answer.into())
    }

    /// The length of the body that was lent, if it is known.
    fn length(&self) -> Option<u64> {
        self.inside().answer.as_ref()?.as_ref().ok()?.content_length()
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
        let mut inside = self.0.inside();
        let Some(Ok(answer)) = &mut inside.answer else {
            let failed = inside.answer.take().and_then(Result::err);
            return failed.map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
        };
        let mut head = Response::new(Lent::Whole(self.0.clone()));
        *head.status_mut() = answer.status();
        *head.version_mut() = answer.version();
        mem::swap(head.headers_mut(), answer.headers_mut());
        mem::swap(head.extensions_mut(), answer.extensions_mut());
        Poll::Ready(Ok(head))
    }
}

/// The body of an answer, which stays in its answer until somebody reads it.
pub(crate) enum Lent {
    Whole(Hatch),
    Open(reqwest::Body),
}

impl Body for Lent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Self::Whole(hatch) = this {
            // It is there for as long as the layer has sent nothing else, and it does so only when it is done with it.
            let Some(body) = hatch.open() else {
                return Poll::Ready(Some(Err("the answer was given up for another".into())));
            };
            *this = Self::Open(body);
        }
        let Self::Open(body) = this else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(_) => false,
            Self::Open(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(hatch) => hatch.length().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Open(body) => body.size_hint(),
        }
    }
}
