//! Two threads inside one step: an upload is polled on one while the replay takes over on the other.

use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::thread;

use bytes::Bytes;

use super::script::{Script, Step, next, rest, trailers};
use crate::replay::{Replay, ReplayBody};

/// What a server would have made of the replays.
#[derive(Debug, Default)]
struct Outcomes {
    whole: u32,
    failed: u32,
    refused: u32,
    /// Ended with success before its end.
    short: u32,
}

/// How the caller's body goes on after a first frame.
#[derive(Clone, Copy, Debug)]
enum Body {
    WithinTheLimit,
    OverTheLimit,
    Fails,
    Panics,
    UnknownFrame,
}

const LIMIT: usize = 8;

impl Body {
    fn script(self) -> Script {
        let data = |text: &'static str| Step::Data(Bytes::from_static(text.as_bytes()));
        let steps = match self {
            Self::WithinTheLimit => vec![data("ab"), data("cd"), data("ef")],
            Self::OverTheLimit => vec![data("ab"), data("0123456789"), data("ef")],
            Self::Fails => vec![data("ab"), Step::Fail],
            Self::Panics => vec![data("ab"), Step::Panic],
            Self::UnknownFrame => vec![Step::Trailers(trailers("t")), data("ab")],
        };
        Script::new(steps)
    }

    /// All of its data, if it ever comes to its end.
    fn whole(self) -> Option<&'static [u8]> {
        match self {
            Self::WithinTheLimit => Some(b"abcdef"),
            Self::OverTheLimit => Some(b"ab0123456789ef"),
            Self::UnknownFrame => Some(b"ab"),
            Self::Fails | Self::Panics => None,
        }
    }
}

fn rounds() -> u32 {
    let rounds = std::env::var("VERIFY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    rounds.unwrap_or(1)
}

/// Polls to the end, or until it fails or panics: as the task of a connection does.
fn upload(mut first: ReplayBody<Script>) {
    let _ = catch_unwind(AssertUnwindSafe(|| while let Poll::Ready(Some(Ok(_))) = next(&mut first) {}));
}

/// Takes over and reads the replay to its end.
fn replay(body: Body, replay: Replay<Script>, outcomes: &mut Outcomes) {
    let Ok((mut second, _)) = replay.again() else {
        outcomes.refused += 1;
        return;
    };
    match catch_unwind(AssertUnwindSafe(|| rest(&mut second))) {
        Ok(Ok((data, _))) if Some(&*data) == body.whole() => outcomes.whole += 1,
        Ok(Ok(_)) => outcomes.short += 1,
        Ok(Err(_)) | Err(_) => outcomes.failed += 1,
    }
}

/// Meets both threads `times` times, each with a body of its own.
fn race(body: Body, times: u32) -> Outcomes {
    let bodies = (0..times).map(|_| ReplayBody::recorded(body.script(), LIMIT));
    let (firsts, replays): (Vec<_>, Vec<_>) = bodies.unzip();
    let (arrived, mut outcomes) = (AtomicU32::new(0), Outcomes::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            for (first, round) in firsts.into_iter().zip(1..) {
                meet(&arrived, round);
                upload(first);
            }
        });
        for (handle, round) in replays.into_iter().zip(1..) {
            meet(&arrived, round);
            // At another moment of the upload each time.
            (0..round % 32).for_each(|_| hint::spin_loop());
            replay(body, handle, &mut outcomes);
        }
    });
    outcomes
}

/// Waits until both threads have come to this round, without the delay of a wake-up.
fn meet(arrived: &AtomicU32, round: u32) {
    arrived.fetch_add(1, Ordering::SeqCst);
    let mut spins = 0_u32;
    while arrived.load(Ordering::SeqCst) < 2 * round {
        spins += 1;
        if spins.is_multiple_of(100) { thread::yield_now() } else { hint::spin_loop() }
    }
}

#[test]
fn a_replay_taken_over_during_the_upload_never_ends_early_with_success() {
    let bodies = [Body::WithinTheLimit, Body::OverTheLimit, Body::Fails, Body::Panics, Body::UnknownFrame];
    let all = bodies.map(|body| (body, race(body, 5_000 * rounds())));
    for (body, outcomes) in &all {
        println!("{body:?}: {outcomes:?}");
    }
    assert!(all.iter().all(|(_, outcomes)| outcomes.short == 0), "ended early with success");
    assert!(all.iter().all(|(_, outcomes)| outcomes.whole + outcomes.failed > 0), "no replay took over");
}
