//! The body of an answer, which tells the ledger how far it came.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};

use crate::answer::Answer;
use crate::ledger::OpenEntry;

/// Polls a cut body waits for before it breaks off, so that what was sent is flushed. A poll is no time:
/// each lets the connection do its work once.
const PATIENCE: u8 = 8;

#[derive(Debug)]
pub(crate) struct WireBody {
    bytes: Option<Bytes>,
    trailers: Option<HeaderMap>,
    /// Breaks off after the bytes, when this many polls have passed.
    cut: Option<u8>,
    entry: Option<OpenEntry>,
}

impl WireBody {
    /// The answer as a response; `cut` is where its body breaks off.
    pub(crate) fn respond(answer: Answer, cut: Option<usize>, entry: OpenEntry) -> Response<Self> {
        let mut headers = answer.headers;
        let mut bytes = answer.body;
        let cut = cut.filter(|cut| *cut < bytes.len());
        if let Some(cut) = cut {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            bytes.truncate(cut);
        }
        let mut body = Self {
            bytes: Some(bytes).filter(|bytes| !bytes.is_empty()),
            trailers: answer.trailers,
            cut: cut.map(|_| PATIENCE),
            entry: Some(entry),
        };
        // An empty body is never polled.
        body.note_progress();
        let mut response = Response::new(body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = headers;
        response
    }

    /// Nothing, and nothing to note.
    pub(crate) fn empty() -> Self {
        Self { bytes: None, trailers: None, cut: None, entry: None }
    }

    /// Closes the entry with the last frame, before it is flushed: the client must not be able to act on
    /// an answer that the ledger still counts as under way.
    fn note_progress(&mut self) {
        if self.bytes.is_none() && self.trailers.is_none() {
            let whole = self.cut.is_none();
            if let Some(mut entry) = self.entry.take() {
                entry.close(whole);
            }
        }
    }
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        let frame = if let Some(bytes) = this.bytes.take() {
            Frame::data(bytes)
        } else if let Some(trailers) = this.trailers.take() {
            Frame::trailers(trailers)
        } else {
            return match &mut this.cut {
                None => Poll::Ready(None),
                Some(0) => Poll::Ready(Some(Err(Cut))),
                Some(patience) => {
                    *patience -= 1;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            };
        };
        this.note_progress();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.trailers.is_none() && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.cut.is_some() || self.trailers.is_some() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// The body ends here on purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body was cut on purpose")
    }
}

impl std::error::Error for Cut {}
