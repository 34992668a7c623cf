//! The body of a request that may have to be sent once more.
//!
//! A body is recorded while it streams to the server, never collected first. When the API refuses the
//! token, the replay takes the caller's body over: it yields what was recorded, then whatever the first
//! attempt had not read yet, so an answer that comes before the end of the upload loses nothing. The
//! first copy fails from then on. It never ends early with success, because a server would take a short
//! body for the whole one.
//!
//! What a replay costs is decided before the first byte:
//!
//! | the caller's body | first attempt | replay |
//! | --- | --- | --- |
//! | already at its end | itself | nothing to send, no allocation |
//! | `Full<Bytes>` within the limit | itself | another handle on the same bytes, no allocation |
//! | announces more than the limit | itself | refused: [`NotReplayable::TooLarge`] |
//! | anything else | recorded, one allocation for the first frame and all that is shared | no allocation |
//!
//! No body is polled before the service below asks for it.

mod captured;
mod recording;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use self::recording::{Recording, Takeover};

type BoxError = Box<dyn StdError + Send + Sync>;
type PollFrame = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

/// The request body that the layer hands to the service it wraps: the caller's body, able to be sent
/// once more.
///
/// It yields [`Bytes`]. Where the caller's body does too, nothing is copied; any other buffer is copied
/// once. Length and end of stream are what the caller's body says of itself, so `Content-Length` and
/// framing stay the same, also on the replay.
///
/// Dropping it before its end is what dropping the caller's body would be: the server sees a cut upload.
///
/// ```
/// use bytes::Bytes;
/// use http_body::Body as _;
/// use http_body_util::{BodyExt as _, Full};
/// use tower_oauth_refresh::ReplayBody;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let body = ReplayBody::plain(Full::new(Bytes::from("hello")));
/// assert_eq!(body.size_hint().exact(), Some(5));
/// assert_eq!(body.collect().await?.to_bytes(), "hello");
/// # Ok(())
/// # }
/// ```
pub struct ReplayBody<B> {
    source: Source<B>,
}

enum Source<B> {
    /// The caller's body itself: never recorded, or recorded no longer.
    Plain(B),
    /// No bytes, under the length that the caller's ended body claimed.
    Nothing(SizeHint),
    /// Everything in one piece; empty once it was handed out.
    Whole(Bytes),
    /// The first attempt, recorded as it streams.
    First(Arc<Recording<B>>),
    /// The second attempt: the recorded frames, then the rest of the caller's body.
    Second(Takeover<B>),
}

/// What the response future keeps in order to send the request's body once more.
///
/// [`again`](Self::again) consumes it. Dropping it frees everything recorded so
/// far and ends the recording, also while the upload goes on.
pub(crate) struct Replay<B> {
    handle: Handle<B>,
}

enum Handle<B> {
    Refused(NotReplayable),
    Nothing(SizeHint),
    Whole(Bytes),
    Recorded(Arc<Recording<B>>),
    Spent,
}

/// Why a request's body cannot be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReplayable {
    /// It is larger than the layer keeps.
    #[error("the request body exceeds the replay limit")]
    TooLarge,
    /// The caller's body failed (or panicked) on the first attempt; nobody knows what it would have sent.
    #[error("the request body failed on the first attempt")]
    BodyFailed,
    /// It yielded a frame that cannot be kept: one after the trailers, or neither data nor trailers.
    #[error("the request body yielded a frame that cannot be recorded")]
    UnknownFrame,
    /// It was sent twice: a body that had to be recorded is kept for one replay, and that went to a nonce (RFC 9449
    /// §9).
    #[error("the request body has been replayed before")]
    Replayed,
}

// === impl ReplayBody ===

impl<B> ReplayBody<B> {
    /// A body that is passed on as it is and not recorded.
    #[must_use]
    pub fn plain(body: B) -> Self {
        Self { source: Source::Plain(body) }
    }
}

impl<B: Body + 'static> ReplayBody<B> {
    /// A body that is recorded as it streams, and the handle that can send it once more.
    ///
    /// At most `limit` bytes of data and trailers are kept. The moment there are more, all of them are
    /// freed and the body goes on unrecorded. What a frame's buffer holds beyond the frame is not
    /// counted, and a kept frame costs another 32 bytes.
    #[inline]
    pub(crate) fn recorded(body: B, limit: usize) -> (Self, Replay<B>) {
        let hint = body.size_hint();
        let handle = if body.is_end_stream() {
            Handle::Nothing(hint)
        } else if hint.lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            Handle::Refused(NotReplayable::TooLarge)
        } else if let Some(bytes) = whole(&body) {
            Handle::Whole(bytes)
        } else {
            let recording = Arc::new(Recording::new(body, hint, limit));
            let first = Self { source: Source::First(Arc::clone(&recording)) };
            return (first, Replay { handle: Handle::Recorded(recording) });
        };
        (Self::plain(body), Replay { handle })
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollFrame {
        let this = self.get_mut();
        match &mut this.source {
            Source::Plain(body) => poll_bytes(body, cx),
            Source::Nothing(_) => Poll::Ready(None),
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(mem::take(bytes))))),
            Source::First(recording) => {
                let (frame, unrecorded) = recording.poll_first(cx);
                if let Some(body) = unrecorded {
                    this.source = Source::Plain(body);
                }
                frame
            }
            Source::Second(takeover) => takeover.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Plain(body) => body.is_end_stream(),
            Source::Nothing(_) => true,
            Source::Whole(bytes) => bytes.is_empty(),
            Source::First(recording) => recording.first_is_at_end(),
            Source::Second(takeover) => takeover.is_at_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Plain(body) => body.size_hint(),
            Source::Nothing(hint) => *hint,
            Source::Whole(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Source::First(recording) => recording.first_size_hint(),
            Source::Second(takeover) => takeover.size_hint(),
        }
    }
}

/// A body of known bytes, such as a token request sent through the same HTTP client.
impl<B> From<Bytes> for ReplayBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self { source: Source::Whole(bytes) }
    }
}

/// No body: what layers send that make a request of their own, as tower-http's `FollowRedirect` does.
impl<B> Default for ReplayBody<B> {
    fn default() -> Self {
        Self { source: Source::Nothing(SizeHint::with_exact(0)) }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Source::Plain(_) => "ReplayBody::Plain",
            Source::Nothing(_) => "ReplayBody::Nothing",
            Source::Whole(_) => "ReplayBody::Whole",
            Source::First(_) => "ReplayBody::First",
            Source::Second(_) => "ReplayBody::Second",
        })
    }
}

// === impl Replay ===

impl<B: Body> Replay<B> {
    /// Could the body be sent once more, as things stand?
    pub(crate) fn check(&self) -> Result<(), NotReplayable> {
        match &self.handle {
            Handle::Refused(reason) => Err(*reason),
            Handle::Recorded(recording) => recording.check(),
            Handle::Nothing(_) | Handle::Whole(_) | Handle::Spent => Ok(()),
        }
    }

    /// The same body once more, from its first byte, and what would send it yet again.
    ///
    /// The first copy of a recorded body fails from now on, and whoever waits for it is woken to see
    /// that: its connection or stream ends, and with it what was not yet read of the first response.
    /// Read what you need of that response before.
    ///
    /// If the first copy is being polled on another thread, this waits for that one poll.
    ///
    /// # Errors
    ///
    /// [`NotReplayable`], with the first copy untouched.
    pub(crate) fn again(mut self) -> Result<(ReplayBody<B>, Self), NotReplayable> {
        let (source, handle) = match mem::replace(&mut self.handle, Handle::Spent) {
            Handle::Refused(reason) => return Err(reason),
            Handle::Nothing(hint) => (Source::Nothing(hint), Handle::Nothing(hint)),
            Handle::Whole(bytes) => (Source::Whole(bytes.clone()), Handle::Whole(bytes)),
            Handle::Recorded(recording) => {
                (Source::Second(recording.take_over()?), Handle::Refused(NotReplayable::Replayed))
            }
            // Not reached: this function alone spends the handle, and consumes it.
            Handle::Spent => return Err(NotReplayable::BodyFailed),
        };
        Ok((ReplayBody { source }, Self { handle }))
    }
}

impl<B> Drop for Replay<B> {
    fn drop(&mut self) {
        if let Handle::Recorded(recording) = &self.handle {
            recording.release();
        }
    }
}

impl<B> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.handle {
            Handle::Refused(reason) => write!(f, "Replay::Refused({reason:?})"),
            Handle::Nothing(_) => f.write_str("Replay::Nothing"),
            Handle::Whole(_) => f.write_str("Replay::Whole"),
            Handle::Recorded(_) => f.write_str("Replay::Recorded"),
            Handle::Spent => f.write_str("Replay::Spent"),
        }
    }
}

/// The bytes of a body that is known to be one buffer in memory.
///
/// It is a copy of the handle that is polled, so the caller's body is untouched. Other bodies are not
/// polled ahead of time to find out: that could start their work, or panic outside a runtime.
fn whole<B: 'static>(body: &B) -> Option<Bytes> {
    let mut copy = (body as &dyn Any).downcast_ref::<Full<Bytes>>()?.clone();
    match Pin::new(&mut copy).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}

/// The next frame of any body; `copy_to_bytes` of a whole `Bytes` moves it.
fn poll_bytes<B>(body: &mut B, cx: &mut Context<'_>) -> PollFrame
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    Pin::new(body).poll_frame(cx).map(|frame| {
        frame.map(|result| match result {
            Ok(frame) => Ok(frame.map_data(|mut buffer| buffer.copy_to_bytes(buffer.remaining()))),
            Err(error) => Err(error.into()),
        })
    })
}
