//! Runtimes that stand still or end, at each step of what they carry out; and executors that are not tokio.
//!
//! A runtime here is one of the current thread that its test drives by hand. At the n-th step of a refresh, a login or a
//! logout it is driven no more, or dropped, and another runtime takes its place. There, everybody hears something in
//! bounded time. Afterwards the login lives, unless an answer was lost on its way, and no refresh token was sent
//! twice but with the doubt in the record.
//!
//! `VERIFY_ROUNDS` lets the second runtime fail as well, so many steps after the first.

mod executors;
mod parked;
mod trial;

use self::trial::{Ending, Trial, Who};
use super::*;

/// What the first runtime is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Refresh,
    Login,
    Logout,
}

/// Which trouble there is besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Right,
    /// The first answer is a 503.
    Outage,
    /// The store does not take the first commit.
    FullStore,
}

fn rounds() -> i64 {
    std::env::var("VERIFY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Plays `act` with the runtime failing at its first step, the second, and so on, until there is no further one. Tells
/// which steps those were.
fn at_every_step(act: Act, script: Script) -> Vec<&'static str> {
    let mut places = Vec::new();
    for (ending, who) in [
        (Ending::StandsStill, Who::Same),
        (Ending::StandsStill, Who::Neighbour),
        (Ending::Dropped, Who::Same),
        (Ending::Dropped, Who::Neighbour),
    ] {
        for gap in std::iter::once(-1).chain(0..rounds() - 1) {
            for n in 0.. {
                let trial = Trial::new(script, ending, who);
                let failed = trial.play(act, n, gap);
                if failed.is_empty() {
                    assert!(n > 3, "only {n} steps");
                    break;
                }
                places.extend(failed);
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn a_refresh_survives_its_runtime_at_every_step() {
    let places = at_every_step(Act::Refresh, Script::Right);
    let all = ["client: answered", "client: on its way", "load", "load: done", "swap", "swap: done"];
    assert_eq!(places, all);
}

#[test]
fn a_refresh_after_an_outage_survives_its_runtime_at_every_step() {
    let places = at_every_step(Act::Refresh, Script::Outage);
    assert!(places.contains(&"wait"), "{places:?}");
}

#[test]
fn a_refresh_that_is_not_stored_at_once_survives_its_runtime_at_every_step() {
    let places = at_every_step(Act::Refresh, Script::FullStore);
    assert!(places.contains(&"wait"), "{places:?}");
}

#[test]
fn a_login_survives_its_runtime_at_every_step() {
    at_every_step(Act::Login, Script::Right);
}

#[test]
fn a_logout_can_be_had_again_whatever_its_runtime_did() {
    at_every_step(Act::Logout, Script::Right);
}
