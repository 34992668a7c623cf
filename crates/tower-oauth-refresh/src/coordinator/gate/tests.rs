//! Whose turn it is, and for how long.

use std::time::SystemTime;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::*;
use crate::generation::Generation;
use crate::store::Version;
use crate::store::record::{CredentialRecord, Holder, LoginId, Mark};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u32) -> Now {
    Now::new(SystemTime::UNIX_EPOCH + SECOND * seconds, SECOND * seconds)
}

fn retry_after(wait: Duration) -> Answer {
    Answer::Unavailable { in_doubt: false, retry_after: Some(wait) }
}

fn swap(marked: bool) -> Step {
    let mut new = CredentialRecord::empty(LoginId(1), Generation::ZERO);
    let holder = Holder { boot: String::new(), namespace: String::new(), pid: 1, started: 1, coordinator: 1 };
    new.mark = marked.then_some(Mark { holder, nonce: 1, number: 1, fingerprint: None });
    Step::Swap { expected: None, version: Version::from_bits(1), new }
}

fn send() -> Step {
    Step::Send { refresh_token: None, bound_key: None }
}

fn wait() -> Step {
    Step::Wait(SECOND)
}

/// How many places are free after each of these steps.
async fn free_after(steps: Vec<Step>) -> Vec<usize> {
    let gate = Gate::new(2);
    let mut passage = gate.passage();
    let mut free = Vec::new();
    for step in steps {
        let passed = passage.before(&step, || at(100)).now_or_never();
        assert!(matches!(passed, Some(Passed::Yes)), "{passed:?}");
        free.push(gate.places.available_permits());
    }
    free
}

#[tokio::test]
async fn a_place_is_kept_from_the_mark_to_the_end_of_the_exchange() {
    let exchange = vec![Step::Load, swap(true), send(), wait(), swap(true), send(), swap(false), Step::Done];
    assert_eq!(free_after(exchange).await, [2, 1, 1, 1, 1, 1, 2, 2]);
    let revoke = Step::Revoke { refresh_token: "spent".into(), bound_key: None };
    assert_eq!(free_after(vec![swap(true), send(), Step::Load, revoke, Step::Done]).await, [1, 1, 1, 1, 2]);
}

#[tokio::test]
async fn whoever_waits_without_having_sent_anything_gives_his_place_back() {
    assert_eq!(free_after(vec![swap(true), Step::Load, wait()]).await, [1, 1, 2]);
}

#[tokio::test]
async fn no_number_of_places_is_none_or_too_many() {
    assert_eq!(Gate::new(0).places.available_permits(), 1);
    assert_eq!(Gate::new(usize::MAX).places.available_permits(), Semaphore::MAX_PERMITS);
}

#[test]
fn of_two_rests_the_longer_one_counts_and_ends_on_time() {
    for rests in [[30, 10], [10, 30]] {
        let gate = Gate::new(1);
        for rest in rests {
            gate.heard(&retry_after(SECOND * rest), at(100));
        }
        assert_eq!(gate.rests_until(at(129)), Some(at(130)));
        assert_eq!(gate.rests_until(at(130)), None);
    }
    let gate = Gate::new(1);
    gate.heard(&Answer::Unavailable { in_doubt: false, retry_after: None }, at(100));
    gate.heard(&Answer::Refused { code: None, retry_after: Some(SECOND) }, at(100));
    assert_eq!(gate.rests_until(at(100)), None);
}

#[tokio::test(start_paused = true)]
async fn a_rest_of_five_seconds_is_waited_for_and_a_longer_one_told() {
    for (rest, told) in [(SECOND * 5, None), (Duration::from_millis(5001), Some(Duration::from_millis(5001)))]
    {
        let start = Instant::now();
        let now = || at(100).after(start.elapsed());
        let gate = Gate::new(1);
        gate.heard(&retry_after(rest), now());
        let passed = gate.passage().before(&swap(true), now).await;
        match told {
            None => {
                assert!(matches!(passed, Passed::Anew), "{passed:?}");
                assert_eq!(start.elapsed(), rest);
            }
            Some(rest) => {
                assert!(matches!(passed, Passed::Rests(until) if until == at(100).after(rest)), "{passed:?}");
                assert_eq!(start.elapsed(), Duration::ZERO);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_begins_while_somebody_queues_is_kept_by_him_too() {
    for (rest, anew) in [(3, true), (30, false)] {
        let start = Instant::now();
        let now = || at(100).after(start.elapsed());
        let gate = Gate::new(1);
        let mut first = gate.passage();
        first.before(&swap(true), now).await;
        let mut second = gate.passage();
        let step = swap(true);
        let mut queued = Box::pin(second.before(&step, now));
        assert!(queued.as_mut().now_or_never().is_none());
        gate.heard(&retry_after(SECOND * rest), now());
        drop(first);
        let passed = queued.await;
        assert_eq!(matches!(passed, Passed::Anew), anew, "{passed:?}");
        assert_eq!(start.elapsed(), if anew { SECOND * rest } else { Duration::ZERO });
    }
}

#[tokio::test]
async fn the_queue_has_an_end_and_whoever_leaves_it_makes_room() {
    let gate = Gate::new(1);
    let mut first = gate.passage();
    first.before(&swap(true), || at(100)).await;
    let mut queue: Vec<_> = (0..LONGEST_QUEUE)
        .map(|_| {
            Box::pin(async {
                let mut passage = gate.passage();
                passage.before(&swap(true), || at(100)).await
            })
        })
        .collect();
    for queued in &mut queue {
        assert!(queued.as_mut().now_or_never().is_none());
    }
    for _ in 0..2 {
        let passed = gate.passage().before(&swap(true), || at(100)).now_or_never();
        assert!(matches!(passed, Some(Passed::Rests(until)) if until == at(105)), "{passed:?}");
    }
    queue.pop();
    assert!(gate.passage().before(&swap(true), || at(100)).now_or_never().is_none());
    drop(queue);
    assert_eq!(gate.queue.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_second_exchange_of_one_flight_keeps_its_count_of_what_it_has_sent() {
    let gate = Gate::new(1);
    let mut passage = gate.passage();
    for step in [swap(true), send(), swap(false)] {
        passage.before(&step, || at(100)).await;
    }
    let other = gate.places.try_acquire().unwrap();
    let step = swap(true);
    let mut second = Box::pin(passage.before(&step, || at(100)));
    assert!(second.as_mut().now_or_never().is_none(), "it has to queue again");
    drop(other);
    let passed = second.await;
    assert!(matches!(passed, Passed::Yes), "{passed:?}");
    assert_eq!(gate.places.available_permits(), 0);
}
