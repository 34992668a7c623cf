//! The machine's table: what may come in which phase. A row that no history has met fails the run.

use crate::coordinator::machine::{Answer, Event, Machine, Phase, Swapped};

const LOADED: &[&str] = &["found", "nothing there", "not loaded"];
const SWAPPED: &[&str] = &["swapped", "conflict", "not swapped"];
const ANSWERS: &[&str] = &[
    "tokens",
    "unusable",
    "grant dead",
    "configuration",
    "needs user",
    "refused",
    "unavailable",
    "in doubt",
    "not sent",
    "lost",
];

/// Every phase, and what it waits for.
pub(super) const ROWS: &[(&str, &[&str])] = &[
    ("Ready", &["begin"]),
    ("Looking", LOADED),
    ("Watching", &["woke"]),
    ("Restoring", SWAPPED),
    ("Entering", &["entered", "turned away"]),
    ("Leasing", SWAPPED),
    ("Checking", LOADED),
    ("Sending", ANSWERS),
    ("Pausing", &["woke"]),
    ("Rereading", LOADED),
    ("Condemning", SWAPPED),
    ("Releasing", SWAPPED),
    ("Committing", SWAPPED),
    ("Holding", &["woke"]),
    ("Reloading", LOADED),
    ("Revoking", &["revoked"]),
];

pub(super) fn row(machine: &Machine, event: &Event) -> (&'static str, &'static str) {
    let phase = match machine.phase {
        Phase::Ready => "Ready",
        Phase::Looking => "Looking",
        Phase::Watching => "Watching",
        Phase::Restoring => "Restoring",
        Phase::Entering { .. } => "Entering",
        Phase::Leasing { .. } => "Leasing",
        Phase::Checking { .. } => "Checking",
        Phase::Sending { .. } => "Sending",
        Phase::Pausing { .. } => "Pausing",
        Phase::Rereading { .. } => "Rereading",
        Phase::Condemning { .. } => "Condemning",
        Phase::Releasing { .. } => "Releasing",
        Phase::Committing { .. } => "Committing",
        Phase::Holding { .. } => "Holding",
        Phase::Reloading { .. } => "Reloading",
        Phase::Revoking => "Revoking",
        Phase::Over => "Over",
    };
    let event = match event {
        Event::Begin => "begin",
        Event::Entered => "entered",
        Event::TurnedAway(_) => "turned away",
        Event::Woke => "woke",
        Event::Revoked => "revoked",
        Event::Loaded(Ok(Some(_))) => "found",
        Event::Loaded(Ok(None)) => "nothing there",
        Event::Loaded(Err(_)) => "not loaded",
        Event::Swapped(Ok(Swapped::Done)) => "swapped",
        Event::Swapped(Ok(Swapped::Conflict(_))) => "conflict",
        Event::Swapped(Err(_)) => "not swapped",
        Event::Answered(Answer::Tokens(_)) => "tokens",
        Event::Answered(Answer::Unusable { .. }) => "unusable",
        Event::Answered(Answer::GrantDead { .. }) => "grant dead",
        Event::Answered(Answer::Configuration { .. }) => "configuration",
        Event::Answered(Answer::NeedsUser { .. }) => "needs user",
        Event::Answered(Answer::Refused { .. }) => "refused",
        Event::Answered(Answer::Unavailable { in_doubt: false, .. }) => "unavailable",
        Event::Answered(Answer::Unavailable { in_doubt: true, .. }) => "in doubt",
        Event::Answered(Answer::NotSent(_)) => "not sent",
        Event::Answered(Answer::Lost) => "lost",
    };
    (phase, event)
}
