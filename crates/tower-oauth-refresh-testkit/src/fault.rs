//! What a server is told to do wrong.
//!
//! A real server misbehaves along a few independent lines: it is slow or stuck before or after it has
//! done its work, it does or does not do the work, and its answer is honest, altered, foreign, cut or
//! missing. [`Fault`] combines them. "Commit" is the work: at the token endpoint the rotation, at the
//! revocation endpoint the revocation, at the resource server the check of the token.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::gate::Gate;

/// One scripted misbehaviour, for one request. Combine with the methods that take `self`.
///
/// ```
/// use http::StatusCode;
/// use tower_oauth_refresh_testkit::{Answer, Fault, Gate};
///
/// let gate = Gate::new();
/// // The server rotates, gets stuck, and in the end answers 502.
/// let lost = Fault::answer(Answer::new(StatusCode::BAD_GATEWAY)).after_commit().held_after_commit(&gate);
/// assert_eq!(lost.to_string(), "commit, hold, answer 502");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    pub(crate) delay: Option<Duration>,
    pub(crate) before: Option<Gate>,
    pub(crate) after: Option<Gate>,
    pub(crate) commits: bool,
    pub(crate) reads_body: bool,
    pub(crate) end: End,
}

type Change = dyn Fn(&mut Map<String, Value>) + Send + Sync;

#[derive(Clone)]
pub(crate) enum End {
    Honest,
    Altered(Arc<Change>),
    Scripted(Box<Answer>),
    Dropped,
    Cut(usize),
}

impl Fault {
    /// An honest answer: the base for those that only hold or delay.
    pub fn none() -> Self {
        Self::ending(End::Honest)
    }

    /// Answers this without doing the work; with [`after_commit`](Self::after_commit), having done it.
    pub fn answer(answer: Answer) -> Self {
        Self { commits: false, ..Self::ending(End::Scripted(Box::new(answer))) }
    }

    /// Closes the connection without an answer and without doing the work: the request was lost. With
    /// [`after_commit`](Self::after_commit) the answer was lost. On HTTP/2 the connection's other streams
    /// are lost with it.
    pub fn drop_connection() -> Self {
        Self { commits: false, ..Self::ending(End::Dropped) }
    }

    /// Does the work, promises the whole answer, sends `bytes` of its body, and closes. On HTTP/2 the
    /// stream is reset, which may overtake the bytes.
    pub fn cut_body_at(bytes: usize) -> Self {
        Self::ending(End::Cut(bytes))
    }

    /// Does the work and answers a page of HTML with status 200.
    pub fn not_json() -> Self {
        Self::answer(Answer::html()).after_commit()
    }

    /// Does the work and leaves `refresh_token` out of the answer.
    pub fn omit_refresh_token() -> Self {
        Self::alter(|members| drop(members.remove("refresh_token")))
    }

    /// Does the work and lets `change` edit the members of the JSON answer.
    pub fn alter(change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) -> Self {
        Self::ending(End::Altered(Arc::new(change)))
    }

    /// Does the work and overwrites the members of the JSON answer that `members` names. `null` is sent
    /// as `null`; something other than an object changes nothing.
    pub fn merge(members: Value) -> Self {
        Self::alter(move |answer| {
            for (name, value) in members.as_object().into_iter().flatten() {
                answer.insert(name.clone(), value.clone());
            }
        })
    }

    /// Answers 307 to `location` without doing the work: whoever follows hands its refresh token over.
    pub fn redirect(location: HeaderValue) -> Self {
        let answer = Answer::new(StatusCode::TEMPORARY_REDIRECT).header(header::LOCATION, location);
        Self::answer(answer)
    }

    /// Sleeps first, on tokio's clock, so paused time works. Prefer a gate.
    pub fn delay(duration: Duration) -> Self {
        Self::none().delayed(duration)
    }

    /// Holds the request at `gate` before the work.
    pub fn hold_before_commit(gate: &Gate) -> Self {
        Self::none().held_before_commit(gate)
    }

    /// Holds the answer at `gate` when the work is done.
    pub fn hold_after_commit(gate: &Gate) -> Self {
        Self::none().held_after_commit(gate)
    }

    /// Does the work before it ends as scripted.
    pub fn after_commit(mut self) -> Self {
        self.commits = true;
        self
    }

    /// Sleeps first, on tokio's clock.
    pub fn delayed(mut self, duration: Duration) -> Self {
        self.delay = Some(duration);
        self
    }

    /// Holds the request at `gate` before the work.
    pub fn held_before_commit(mut self, gate: &Gate) -> Self {
        self.before = Some(gate.clone());
        self
    }

    /// Holds the answer at `gate` when the work is done, or where it would be.
    pub fn held_after_commit(mut self, gate: &Gate) -> Self {
        self.after = Some(gate.clone());
        self
    }

    /// Resource server only: acts on the head of the request and never reads the body, as gateways do
    /// that refuse an upload early.
    pub fn before_body(mut self) -> Self {
        self.reads_body = false;
        self
    }

    fn ending(end: End) -> Self {
        Self { delay: None, before: None, after: None, commits: true, reads_body: true, end }
    }
}

/// What leaves the server in the end: an answer, up to where it is cut. `None`: it hangs up.
pub(crate) type Ending = Option<(Answer, Option<usize>)>;

impl Fault {
    /// Plays the fault through, around `work`, which does the honest thing and answers.
    pub(crate) async fn play(self, work: impl FnOnce() -> Answer) -> Ending {
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        if let Some(gate) = &self.before {
            gate.hold().await;
        }
        let honest = self.commits.then(work);
        if let Some(gate) = &self.after {
            gate.hold().await;
        }
        match (self.end, honest) {
            (End::Scripted(answer), _) => Some((*answer, None)),
            (End::Dropped, _) => None,
            (End::Honest, honest) => Some((honest?, None)),
            (End::Altered(change), honest) => Some((altered(honest?, &*change), None)),
            (End::Cut(bytes), honest) => Some((honest?, Some(bytes))),
        }
    }
}

fn altered(mut answer: Answer, change: &Change) -> Answer {
    if let Ok(Value::Object(mut members)) = serde_json::from_slice(&answer.body) {
        change(&mut members);
        answer.body = Value::Object(members).to_string().into();
    }
    answer
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let early = [
            (!self.reads_body, "leave the body"),
            (self.delay.is_some(), "delay"),
            (self.before.is_some(), "hold"),
            (self.commits, "commit"),
            (self.after.is_some(), "hold"),
        ];
        for (_, step) in early.iter().filter(|(applies, _)| *applies) {
            write!(f, "{step}, ")?;
        }
        fmt::Debug::fmt(&self.end, f)
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honest => f.write_str("answer"),
            Self::Altered(_) => f.write_str("alter the answer"),
            Self::Scripted(answer) => write!(f, "answer {}", answer.status.as_u16()),
            Self::Dropped => f.write_str("drop the connection"),
            Self::Cut(bytes) => write!(f, "cut the body at {bytes}"),
        }
    }
}

#[cfg(test)]
mod tests;
