//! The machine, one step at a time. Each module has the tests of one part.

mod commit;
mod exchange;
mod judge;
mod simulation;

use std::time::{Duration, SystemTime};

use super::*;
use crate::generation::Generation;
use crate::store::record::{Fingerprint, LoginId, Mark, Tokens};

const SECOND: Duration = Duration::from_secs(1);

/// A machine, its clock and its lots.
struct Play {
    machine: Machine,
    now: Now,
    lot: u128,
    /// The step the machine is waiting for an answer to.
    step: Option<Step>,
    told: Vec<Outcome>,
    notes: Vec<Note>,
    /// Does it stay in the queue for a place?
    queues: bool,
}

fn holder(coordinator: u128) -> Holder {
    Holder { boot: "boot".to_owned(), namespace: "ns".to_owned(), pid: 1, started: 1, coordinator }
}

fn set(access: &str, refresh: Option<&str>) -> TokenSet {
    let set = TokenSet::new(access).with_expires_in(SECOND * 3600);
    match refresh {
        Some(refresh) => set.with_refresh_token(refresh),
        None => set,
    }
}

/// A live record of login 1, generation 5, with refresh token `refresh-5` and an access token that
/// expired long ago.
fn expired() -> CredentialRecord {
    let mut record =
        CredentialRecord::installed(LoginId(1), Generation::new(5), &set("access-5", Some("refresh-5")));
    record.tokens.as_mut().unwrap().age = SECOND * 7200;
    record
}

fn fresh(generation: u64, refresh: &str) -> CredentialRecord {
    CredentialRecord::installed(LoginId(1), Generation::new(generation), &set("access-new", Some(refresh)))
}

fn marked(mut record: CredentialRecord, coordinator: u128, nonce: u128) -> CredentialRecord {
    record.marks += 1;
    record.mark = Some(Mark {
        holder: holder(coordinator),
        nonce,
        number: record.marks,
        fingerprint: record.fingerprint(),
        life: None,
    });
    record
}

fn snapshot(record: CredentialRecord) -> Snapshot {
    Snapshot { version: Version::from_bits(1000), record, age: Duration::ZERO, holder_dead: false }
}

fn unavailable() -> Arc<StoreError> {
    Arc::new(StoreError::unavailable("out of order"))
}

const ME: u128 = 42;
/// Of a mark that we wrote before, and sent something under.
const OURS: u128 = 77;

impl Play {
    fn new() -> Self {
        Self::with(Policy::default(), None)
    }

    fn with(policy: Policy, known: Option<Held>) -> Self {
        Self::flown(Machine::new(policy, holder(ME), known, None))
    }

    fn flown(machine: Machine) -> Self {
        Self::resumed(machine.remembering(Own::sent(OURS), ClientPrint(ME as u16)))
    }

    fn resumed(machine: Machine) -> Self {
        let now = Now::new(SystemTime::UNIX_EPOCH + SECOND * 1_000_000, SECOND * 1000);
        let mut play =
            Self { machine, now, lot: 1, step: None, told: Vec::new(), notes: Vec::new(), queues: false };
        play.event(Event::Begin);
        play
    }

    /// Somebody holds generation 5 and is not satisfied.
    fn knowing(generation: u64) -> Self {
        Self::with(Policy::default(), Some(Self::held(generation)))
    }

    fn held(generation: u64) -> Held {
        let now = Now::new(SystemTime::UNIX_EPOCH + SECOND * 1_000_000, SECOND * 1000);
        let tokens = Tokens::received(&set("access-held", Some("refresh-held")), None);
        Held { login: LoginId(1), generation: Generation::new(generation), tokens, obtained: now }
    }

    fn event(&mut self, event: Event) -> &mut Self {
        self.lot += 1;
        let lots = Lots { version: Version::from_bits(self.lot), nonce: self.lot, unit: 0.5 };
        self.step = Some(self.machine.step(self.now, lots, event));
        for note in self.machine.notes() {
            match note {
                Note::Tell(outcome) => self.told.push(outcome),
                note => self.notes.push(note),
            }
        }
        match self.step {
            // There is one, unless a test says otherwise.
            Some(Step::Enter) if !self.queues => {
                self.lot -= 1;
                self.event(Event::Entered)
            }
            _ => self,
        }
    }

    fn passes(&mut self, time: Duration) -> &mut Self {
        self.now = self.now.after(time);
        self
    }

    /// The call that the machine waits for has its turn.
    fn called(&mut self) -> &mut Self {
        self.machine.had_to_wait(self.now);
        self
    }

    // What the world answers.

    fn loaded(&mut self, snapshot: Snapshot) -> &mut Self {
        assert!(matches!(self.step, Some(Step::Load)), "{:?}", self.step);
        self.event(Event::Loaded(Ok(Some(snapshot))))
    }

    fn load_fails(&mut self) -> &mut Self {
        assert!(matches!(self.step, Some(Step::Load)), "{:?}", self.step);
        self.event(Event::Loaded(Err(unavailable())))
    }

    fn swapped(&mut self) -> &mut Self {
        self.swap();
        self.event(Event::Swapped(Ok(Swapped::Done)))
    }

    fn conflict(&mut self, found: Option<Snapshot>) -> &mut Self {
        self.swap();
        self.event(Event::Swapped(Ok(Swapped::Conflict(found))))
    }

    fn swap_fails(&mut self) -> &mut Self {
        self.swap();
        self.event(Event::Swapped(Err(unavailable())))
    }

    fn answered(&mut self, answer: Answer) -> &mut Self {
        assert!(matches!(self.step, Some(Step::Send { .. })), "{:?}", self.step);
        self.event(Event::Answered(answer))
    }

    fn waited(&mut self) -> &mut Self {
        let pause = self.wait();
        self.passes(pause).event(Event::Woke)
    }

    fn revoked(&mut self) -> &mut Self {
        assert!(matches!(self.step, Some(Step::Revoke { .. })), "{:?}", self.step);
        self.event(Event::Revoked)
    }

    // What the machine asks for.

    fn swap(&self) -> (Option<u128>, &CredentialRecord) {
        let Some(Step::Swap { expected, new, .. }) = &self.step else {
            panic!("{:?}", self.step);
        };
        (expected.map(Version::to_bits), new)
    }

    fn wait(&self) -> Duration {
        let Some(Step::Wait(pause)) = &self.step else {
            panic!("{:?}", self.step);
        };
        *pause
    }

    fn sends(&self) -> Option<&str> {
        let Some(Step::Send { refresh_token, .. }) = &self.step else {
            panic!("{:?}", self.step);
        };
        refresh_token.as_ref().map(RefreshToken::expose_secret)
    }

    fn looks(&self) {
        assert!(matches!(self.step, Some(Step::Load)), "{:?}", self.step);
    }

    fn failed(&self) -> &RefreshError {
        assert!(matches!(self.step, Some(Step::Done)), "{:?}", self.step);
        let [Outcome::Failed(error)] = self.told.as_slice() else {
            panic!("{:?}", self.told);
        };
        error
    }

    fn refreshed(&self) -> &Held {
        assert!(matches!(self.step, Some(Step::Done)), "{:?}", self.step);
        let Some(Outcome::Refreshed(held)) = self.told.last() else {
            panic!("{:?}", self.told);
        };
        held
    }

    fn adopted(&self) -> &Held {
        assert!(matches!(self.step, Some(Step::Done)), "{:?}", self.step);
        let [Outcome::Adopted(held)] = self.told.as_slice() else {
            panic!("{:?}", self.told);
        };
        held
    }

    /// Up to a request on the wire that spends `refresh-5`.
    fn sent() -> Self {
        let mut play = Self::knowing(5);
        play.loaded(snapshot(expired())).swapped();
        assert_eq!(play.sends(), Some("refresh-5"));
        play
    }

    /// Up to the write of a received set.
    fn received() -> Self {
        let mut play = Self::sent();
        play.answered(Answer::Tokens(set("access-6", Some("refresh-6"))));
        play
    }
}

fn access(held: &Held) -> &str {
    held.tokens.access_token.as_ref().unwrap().expose_secret()
}

fn refresh(record: &CredentialRecord) -> Option<&str> {
    record.refresh_token().map(RefreshToken::expose_secret)
}

fn fingerprint(token: &str) -> Fingerprint {
    Fingerprint::of(LoginId(1), &token.into())
}

#[test]
fn an_event_that_nobody_waited_for_ends_the_flight() {
    let mut play = Play::new();
    play.event(Event::Woke);
    assert_eq!(play.failed().kind(), ErrorKind::Aborted);
}
