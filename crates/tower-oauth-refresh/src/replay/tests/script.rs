//! A body that does what it is told, and the two ways to read one.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use crate::replay::{BoxError, PollFrame, ReplayBody};

#[derive(Clone)]
pub(super) enum Step<D = Bytes> {
    Data(D),
    Trailers(HeaderMap),
    Pending,
    Fail,
    Panic,
}

impl Step {
    pub(super) fn data(&self) -> &Bytes {
        match self {
            Self::Data(bytes) => bytes,
            _ => panic!("not data"),
        }
    }
}

/// Takes its steps in order. Polling it after its end is a bug, and panics.
pub(super) struct Script<D = Bytes> {
    steps: VecDeque<Step<D>>,
    hint: SizeHint,
    exact_at_its_end: bool,
    ending_early: bool,
    ended: bool,
    polls: Arc<AtomicUsize>,
}

impl<D> Script<D> {
    pub(super) fn new(steps: impl IntoIterator<Item = Step<D>>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            hint: SizeHint::new(),
            exact_at_its_end: false,
            ending_early: false,
            ended: false,
            polls: Arc::default(),
        }
    }

    /// Claims this length before its first frame.
    pub(super) fn claiming(mut self, hint: SizeHint) -> Self {
        self.hint = hint;
        self
    }

    /// Knows that zero bytes are left when none are, whatever it claimed before.
    pub(super) fn exact_at_its_end(mut self) -> Self {
        self.exact_at_its_end = true;
        self
    }

    /// Says that it is at its end as soon as it is.
    pub(super) fn ending_early(mut self) -> Self {
        self.ending_early = true;
        self
    }

    pub(super) fn polls(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.polls)
    }
}

impl<D: Buf + Unpin> Body for Script<D> {
    type Data = D;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<D>, BoxError>>> {
        assert!(!self.ended, "polled after its end");
        self.polls.fetch_add(1, Ordering::Relaxed);
        match self.steps.pop_front() {
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Pending) => Poll::Pending,
            Some(Step::Fail) => Poll::Ready(Some(Err("script failed".into()))),
            // Without the panic hook, which would print each of them.
            Some(Step::Panic) => std::panic::resume_unwind(Box::new("as told")),
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ending_early && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.exact_at_its_end && self.steps.is_empty() { SizeHint::with_exact(0) } else { self.hint }
    }
}

impl<D> fmt::Debug for Script<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

pub(super) fn trailers(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("x-end"), HeaderValue::from_static(value))])
}

/// One poll, with nobody to wake.
pub(super) fn next<B>(body: &mut ReplayBody<B>) -> PollFrame
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

pub(super) fn fails<B>(body: &mut ReplayBody<B>) -> bool
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    matches!(next(body), Poll::Ready(Some(Err(_))))
}

/// All that is left: data and trailers. A script waits once at each `Pending`, so asking again is enough.
pub(super) fn rest<B>(body: &mut ReplayBody<B>) -> Result<(Vec<u8>, Option<HeaderMap>), BoxError>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    let (mut data, mut trailers) = (Vec::new(), None);
    loop {
        match next(body) {
            Poll::Pending => {}
            Poll::Ready(None) => return Ok((data, trailers)),
            Poll::Ready(Some(frame)) => match frame?.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}
