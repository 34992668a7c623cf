//! The body of a refused answer, read ahead within bounds.
//!
//! Reading it to its end lets an HTTP/1.1 connection be used again for the replay. Where no replay comes,
//! the caller gets every frame as it was.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};

/// No more of a refused answer is read ahead.
const READ_AHEAD: usize = 64 * 1024;

/// Nor more frames: each takes memory, whatever it carries.
const READ_AHEAD_FRAMES: usize = 1024;

pub(crate) struct RefusedBody<R: Body> {
    read: VecDeque<Result<Frame<R::Data>, R::Error>>,
    /// `None` after its end.
    rest: Option<Pin<Box<R>>>,
}

// The frames are moved, never pinned.
impl<R: Body> Unpin for RefusedBody<R> {}

impl<R: Body> RefusedBody<R> {
    pub(crate) fn new(body: R) -> Self {
        let rest = if body.is_end_stream() { None } else { Some(Box::pin(body)) };
        Self { read: VecDeque::new(), rest }
    }

    /// Reads ahead, up to the end or the bound. Dropping this loses nothing.
    pub(crate) async fn read_ahead(&mut self) {
        let mut kept = 0;
        while let Some(rest) = &mut self.rest {
            let frame = poll_fn(|cx| rest.as_mut().poll_frame(cx)).await;
            let ended = rest.is_end_stream() || !matches!(frame, Some(Ok(_)));
            if let Some(Ok(frame)) = &frame {
                kept += frame.data_ref().map_or(0, bytes::Buf::remaining);
            }
            self.read.extend(frame);
            if ended {
                self.rest = None;
            }
            if kept > READ_AHEAD || self.read.len() >= READ_AHEAD_FRAMES {
                return;
            }
        }
    }
}

impl<R: Body> Body for RefusedBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        if let Some(frame) = self.read.pop_front() {
            return Poll::Ready(Some(frame));
        }
        match &mut self.rest {
            Some(rest) => rest.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), |rest| rest.size_hint());
        let frames = self.read.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref());
        let read = frames.map(|data| u64::try_from(data.remaining()).unwrap_or(u64::MAX)).sum::<u64>();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint.set_lower(rest.lower().saturating_add(read));
        hint
    }
}
