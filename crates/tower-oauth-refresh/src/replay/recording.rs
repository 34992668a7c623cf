//! The caller's body and what was read of it so far, shared by the first copy and its replay.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, SizeHint};

use super::captured::Captured;
use super::{BoxError, NotReplayable, PollFrame, poll_bytes};

/// A body that two requests may read, one after the other.
pub(super) struct Recording<B> {
    // A std mutex, held for one poll of the caller's body, never across an await. The replay can thus
    // wait for a poll that is under way, for nothing longer. Nothing of the caller's is dropped under it
    // on purpose, except frames over the limit.
    state: Mutex<State<B>>,
}

struct State<B> {
    /// The caller's body. `None`: the first copy has it back, or the replay is over.
    source: Option<B>,
    /// Has the caller's body said that nothing follows?
    ended: bool,
    kept: Kept,
    limit: usize,
    first: FirstCopy,
    /// Who waits for the first copy, to be told that it fails now.
    waiting: Option<Waker>,
    /// The length that the caller's body claimed before it was polled.
    hint: SizeHint,
    /// Bytes of data that the replay has yielded.
    replayed: u64,
}

enum Kept {
    Frames(Captured),
    Refused(NotReplayable),
    /// Nobody can ask for a replay any more.
    Released,
}

#[derive(Clone, Copy)]
enum FirstCopy {
    Reading,
    /// Had yielded everything when the replay took over.
    Complete,
    /// Had not.
    TakenOver,
}

/// The replay's claim on the caller's body. Dropping it drops that body and all recorded frames, even if
/// the first copy lives on.
pub(super) struct Takeover<B>(Arc<Recording<B>>);

/// What the first copy fails with, once the replay reads the caller's body.
#[derive(Debug, thiserror::Error)]
#[error("the request body now belongs to the replay of its request")]
struct TakenOver;

/// What a replay fails with, instead of an end that a server could take for that of the whole body.
#[derive(Debug, thiserror::Error)]
#[error("the request body is not as long as it announced")]
struct WrongLength;

// === impl Recording ===

impl<B> Recording<B> {
    pub(super) fn new(body: B, hint: SizeHint, limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                source: Some(body),
                ended: false,
                kept: Kept::Frames(Captured::default()),
                limit,
                first: FirstCopy::Reading,
                waiting: None,
                hint,
                replayed: 0,
            }),
        }
    }

    /// The state, if the body can be sent once more for as long as the lock is held.
    fn replayable(&self) -> Result<MutexGuard<'_, State<B>>, NotReplayable> {
        // Poisoned: the caller's body panicked.
        let state = self.state.lock().map_err(|_| NotReplayable::BodyFailed)?;
        match state.kept {
            Kept::Frames(_) => Ok(state),
            Kept::Refused(reason) => Err(reason),
            // Not reached: only the end of the one handle that asks releases.
            Kept::Released => Err(NotReplayable::BodyFailed),
        }
    }

    /// Frees the recorded frames; none are recorded from now on.
    pub(super) fn release(&self) {
        let freed = mem::replace(&mut self.state().kept, Kept::Released);
        drop(freed);
    }

    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Body> Recording<B> {
    pub(super) fn first_is_at_end(&self) -> bool {
        let state = self.state();
        match state.first {
            FirstCopy::Reading => state.source_is_at_end(),
            FirstCopy::Complete => true,
            FirstCopy::TakenOver => false,
        }
    }

    pub(super) fn first_size_hint(&self) -> SizeHint {
        let state = self.state();
        match (state.first, &state.source) {
            (FirstCopy::Reading, Some(body)) => body.size_hint(),
            (FirstCopy::Complete, _) => SizeHint::with_exact(0),
            // No claim: whoever would believe one might send a short body as a whole one.
            _ => SizeHint::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), NotReplayable> {
        self.replayable().map(drop)
    }

    /// Gives the caller's body to the replay and wakes whoever waits for the first copy.
    pub(super) fn take_over(self: Arc<Self>) -> Result<Takeover<B>, NotReplayable> {
        // Decided and done under one lock: the first copy may be polled at any moment in between, and give the
        // caller's body away.
        let mut state = self.replayable()?;
        state.first = if state.source_is_at_end() { FirstCopy::Complete } else { FirstCopy::TakenOver };
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
        Ok(Takeover(self))
    }
}

impl<B> Recording<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    /// The first copy's next frame, and the caller's body itself when there is nothing left to record.
    pub(super) fn poll_first(&self, cx: &mut Context<'_>) -> (PollFrame, Option<B>) {
        let mut state = self.state();
        match state.first {
            FirstCopy::Reading => {}
            FirstCopy::Complete => return (Poll::Ready(None), None),
            FirstCopy::TakenOver => return (Poll::Ready(Some(Err(TakenOver.into()))), None),
        }
        let frame = state.poll_source(cx);
        state.record(&frame, cx.waker());
        let recording = matches!(state.kept, Kept::Frames(_));
        (frame, if recording { None } else { state.source.take() })
    }
}

// === impl State ===

impl<B: Body> State<B> {
    fn source_is_at_end(&self) -> bool {
        self.ended || self.source.as_ref().is_some_and(Body::is_end_stream)
    }

    fn record(&mut self, frame: &PollFrame, waker: &Waker) {
        let Kept::Frames(captured) = &mut self.kept else { return };
        let kept = match frame {
            Poll::Pending => {
                match &mut self.waiting {
                    Some(waiting) => waiting.clone_from(waker),
                    None => self.waiting = Some(waker.clone()),
                }
                return;
            }
            Poll::Ready(None) => return,
            Poll::Ready(Some(Ok(frame))) => captured.keep(frame, self.limit),
            Poll::Ready(Some(Err(_))) => Err(NotReplayable::BodyFailed),
        };
        if let Err(reason) = kept {
            self.kept = Kept::Refused(reason);
        }
    }
}

impl<B> State<B> {
    /// Has the replay yielded more than the caller's body announced, or less at its end?
    fn is_of_wrong_length(&self, ended: bool) -> bool {
        let wrong = |length| self.replayed > length || (ended && self.replayed < length);
        self.hint.exact().is_some_and(wrong)
    }
}

impl<B> State<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    /// The next frame of the caller's body, which is not asked again after its end.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> PollFrame {
        if self.ended {
            return Poll::Ready(None);
        }
        // Whoever has no body to read must not take that for its end.
        let Some(body) = &mut self.source else { return Poll::Ready(Some(Err(TakenOver.into()))) };
        let frame = poll_bytes(body, cx);
        self.ended = matches!(frame, Poll::Ready(None));
        frame
    }
}

// === impl Takeover ===

impl<B: Body> Takeover<B> {
    pub(super) fn is_at_end(&self) -> bool {
        let state = self.0.state();
        let drained = !matches!(&state.kept, Kept::Frames(captured) if !captured.is_empty());
        drained && state.source_is_at_end() && !state.is_of_wrong_length(true)
    }

    /// The caller's first claim, less what was yielded: exact only if that claim was, whatever the
    /// caller's body has learned of its length since. Trailers may follow a body without a length.
    pub(super) fn size_hint(&self) -> SizeHint {
        let state = self.0.state();
        if let Some(length) = state.hint.exact() {
            return SizeHint::with_exact(length.saturating_sub(state.replayed));
        }
        let mut hint = SizeHint::new();
        hint.set_lower(state.hint.lower().saturating_sub(state.replayed));
        if let Some(upper) = state.hint.upper().map(|upper| upper.saturating_sub(state.replayed))
            && upper > hint.lower()
        {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B> Takeover<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> PollFrame {
        let mut state = self.0.state();
        let kept = match &mut state.kept {
            Kept::Frames(captured) => captured.next(),
            Kept::Refused(_) | Kept::Released => None,
        };
        let frame = match kept {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => state.poll_source(cx),
        };
        let ended = match &frame {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(frame))) => {
                let yielded = frame.data_ref().map_or(0, Bytes::len);
                state.replayed = state.replayed.saturating_add(u64::try_from(yielded).unwrap_or(u64::MAX));
                frame.is_trailers()
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if state.is_of_wrong_length(ended) { Poll::Ready(Some(Err(WrongLength.into()))) } else { frame }
    }
}

impl<B> Drop for Takeover<B> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let freed = (state.source.take(), mem::replace(&mut state.kept, Kept::Released));
        drop(state);
        drop(freed);
    }
}
