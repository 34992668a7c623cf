//! The body of a response that passed the layer.
//!
//! It is the inner service's body and nothing else. What it adds: a look at the trailers, for gRPC tells
//! there, after a response that began well, that it refused the token (`grpc-status: 16`); and the frames
//! of a refused answer that were read while a refresh ran, put back where they were.

mod refused;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pub(crate) use self::refused::RefusedBody;

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
    /// ```
    pub struct ResponseBody<R: Body> {
        #[pin]
        source: Source<R>,
        watcher: Option<Watcher>,
    }
}

pin_project! {
    #[project = SourceProjection]
    enum Source<R: Body> {
        Inner { #[pin] body: R },
        /// Partly read already.
        Refused { #[pin] body: RefusedBody<R> },
    }
}

type Watcher = Box<dyn FnOnce(&HeaderMap) + Send + Sync>;

impl<R: Body> ResponseBody<R> {
    /// The body as it is. Allocates nothing.
    #[must_use]
    pub fn plain(body: R) -> Self {
        Self { source: Source::Inner { body }, watcher: None }
    }

    /// The inner service's body itself, for whoever needs its own type again.
    ///
    /// # Errors
    ///
    /// This body again, where there is more to it than that: its trailers are watched, or some of it has been read.
    pub fn into_inner(self) -> Result<R, Self> {
        match self {
            Self { source: Source::Inner { body }, watcher: None } => Ok(body),
            more => Err(more),
        }
    }

    /// The body, with somebody who is shown its trailers when they pass: once, or never if there are
    /// none, the body fails, or is dropped before.
    pub(crate) fn watched(body: R, watcher: Watcher) -> Self {
        Self { source: Source::Inner { body }, watcher: Some(watcher) }
    }

    /// The body of a refused answer, from its first frame.
    pub(crate) fn refused(body: RefusedBody<R>) -> Self {
        Self { source: Source::Refused { body }, watcher: None }
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
        let frame = match this.source.project() {
            SourceProjection::Inner { body } => body.poll_frame(cx),
            SourceProjection::Refused { body } => body.poll_frame(cx),
        };
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(watcher) = this.watcher.take()
        {
            watcher(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Inner { body } => body.is_end_stream(),
            Source::Refused { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Inner { body } => body.size_hint(),
            Source::Refused { body } => body.size_hint(),
        }
    }
}

impl<R: Body> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("watched", &self.watcher.is_some()).finish_non_exhaustive()
    }
}
