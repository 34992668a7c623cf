//! What goes wrong, and when: drawn from the seed before the history begins.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dice::Dice;
use crate::world::{API, AUTH, STORE, WORKERS};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) when: When,
    pub(crate) lasts: Duration,
}

/// Which process, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// This one of the processes, then.
    At(usize, Duration),
    /// Whoever has just sent the refresh of this number: the answer is not there yet.
    Sent(usize),
    /// Whoever has just received the set of this number: it is not stored yet.
    Received(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Nothing passes between the process and this host …
    Cut(&'static str),
    /// … or only from the host …
    CutRequests(&'static str),
    /// … or only to it.
    CutAnswers(&'static str),
    /// What is said stays under way until the end.
    Hold(&'static str),
    /// The process is killed, and another one started at the end.
    Crash,
    /// Its wall clock is off by so many seconds until the end.
    Clock(i64),
}

/// Nothing begins after that …
pub(crate) const LAST_BEGIN: Duration = Duration::from_secs(24);
/// … and everything has healed by then.
pub(crate) const LAST: Duration = Duration::from_secs(30);

/// Of this history. One in eight has none.
pub(crate) fn draw(seed: u64) -> Vec<Fault> {
    let mut dice = Dice::of(seed, 0);
    let count = if dice.between(0, 8) == 0 { 0 } else { dice.between(1, 8) };
    let faults = (0..count).map(|_| {
        let host = [AUTH, AUTH, STORE, STORE, API][dice.between(0, 5) as usize];
        let kind = match dice.between(0, 7) {
            0 => Kind::Cut(host),
            1 => Kind::CutRequests(host),
            2 | 3 => Kind::CutAnswers(host),
            4 => Kind::Hold(host),
            5 => Kind::Crash,
            _ => Kind::Clock(dice.between(0, 121) as i64 - 60),
        };
        let number = dice.between(1, 10) as usize;
        let when = match dice.between(0, 4) {
            0 => When::Sent(number),
            1 => When::Received(number),
            _ => {
                let at = Duration::from_millis(dice.between(1_000, 24_000));
                When::At(dice.between(0, WORKERS.len() as u64) as usize, at)
            }
        };
        Fault { kind, when, lasts: Duration::from_millis(dice.between(200, 9_000)) }
    });
    faults.collect()
}

/// By kind, for the table.
pub(crate) fn counted(faults: &[Kind]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for fault in faults {
        let name = match fault {
            Kind::Clock(_) => "wall clock off".to_owned(),
            Kind::Crash => "process killed".to_owned(),
            Kind::Cut(host) => format!("cut off from the {host}"),
            Kind::CutRequests(host) => format!("requests to the {host} lost"),
            Kind::CutAnswers(host) => format!("answers of the {host} lost"),
            Kind::Hold(host) => format!("link to the {host} held"),
        };
        *all.entry(name).or_default() += 1;
    }
    all
}
