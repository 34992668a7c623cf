//! The body of a response that passed the layer.
//!
//! It is the inner service's body and nothing else. The one thing it adds is a look at the trailers:
//! gRPC tells there, after a response that began well, that it refused the token (`grpc-status: 16`).

#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The response body of the layer: the inner service's, frame for frame.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body::Body as _;
    /// use http_body_util::Full;
    /// use tower_oauth_refresh::ResponseBody;
    ///
    /// let body = ResponseBody::plain(Full::new(Bytes::from("hello")));
    /// assert_eq!(body.size_hint().exact(), Some(5));
    /// let full: Full<Bytes> = body.into_inner();
    /// # drop(full);
    /// ```
    pub struct ResponseBody<R> {
        #[pin]
        body: R,
        watcher: Option<Watcher>,
    }
}

type Watcher = Box<dyn FnOnce(&HeaderMap) + Send + Sync>;

impl<R> ResponseBody<R> {
    /// The body as it is. Allocates nothing.
    #[must_use]
    pub fn plain(body: R) -> Self {
        Self { body, watcher: None }
    }

    /// The body, with somebody who is shown its trailers when they pass: once, or never if there are
    /// none, the body fails, or is dropped before.
    #[cfg_attr(not(test), expect(dead_code, reason = "the layer that calls it does not exist yet"))]
    pub(crate) fn watched(body: R, watcher: Box<dyn FnOnce(&HeaderMap) + Send + Sync>) -> Self {
        Self { body, watcher: Some(watcher) }
    }

    /// The inner service's body; nobody looks at its trailers any more.
    #[must_use]
    pub fn into_inner(self) -> R {
        self.body
    }
}

impl<R: Body> Body for ResponseBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(watcher) = this.watcher.take()
        {
            watcher(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<R> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("watched", &self.watcher.is_some()).finish_non_exhaustive()
    }
}
