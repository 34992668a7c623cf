//! The frames of a body, kept to be handed out a second time.

use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::NotReplayable;

/// Frames in their order, each as the very buffer that was sent.
///
/// They are handed out one by one: joining them would copy, and a joined view that sums its parts on
/// every step makes a long replay quadratic.
#[derive(Default)]
pub(super) struct Captured {
    // Beside the queue, so that a body of one frame needs no queue.
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    size: usize,
}

impl Captured {
    /// Keeps another handle on `frame`. After an error what was kept is of no use.
    pub(super) fn keep(&mut self, frame: &Frame<Bytes>, limit: usize) -> Result<(), NotReplayable> {
        if self.trailers.is_some() {
            return Err(NotReplayable::UnknownFrame);
        }
        if let Some(bytes) = frame.data_ref() {
            self.count(bytes.len(), limit)?;
            self.push(bytes.clone());
            return Ok(());
        }
        let trailers = frame.trailers_ref().ok_or(NotReplayable::UnknownFrame)?;
        for (name, value) in trailers {
            self.count(name.as_str().len(), limit)?;
            self.count(value.len(), limit)?;
        }
        self.trailers = Some(trailers.clone());
        Ok(())
    }

    /// The next frame of the replay, which is kept no longer.
    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        let bytes = self.first.take().or_else(|| self.rest.pop_front());
        bytes.map(Frame::data).or_else(|| self.trailers.take().map(Frame::trailers))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty() && self.trailers.is_none()
    }

    fn count(&mut self, more: usize, limit: usize) -> Result<(), NotReplayable> {
        self.size = self.size.saturating_add(more);
        if self.size > limit { Err(NotReplayable::TooLarge) } else { Ok(()) }
    }

    fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            // Says nothing, and an endless row of them would grow past every limit.
        } else if self.first.is_none() {
            self.first = Some(bytes);
        } else {
            self.rest.push_back(bytes);
        }
    }
}
