//! Whose turn it is, and how long the server is left alone.

use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::*;
use crate::token::TokenSet;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u32) -> Now {
    Now::new(SystemTime::UNIX_EPOCH + SECOND * seconds, SECOND * seconds)
}

fn answer(status: u16, wait: Duration) -> Answer {
    let status = StatusCode::from_u16(status).unwrap();
    Answer::Unavailable { in_doubt: false, retry_after: Some(wait), status, code: None }
}

/// A gate of one place, and what the server said to some credentials, each a second after the one before.
fn gate(said: &[(&str, u16, u32)]) -> Gate {
    let gate = Gate::new(1, SECOND * 40);
    for (after, (key, status, wait)) in (100..).zip(said) {
        gate.heard(&CredentialKey::from(*key), &answer(*status, SECOND * *wait), at(after));
    }
    gate
}

#[tokio::test]
async fn no_number_of_places_is_none_or_too_many() {
    assert_eq!(Gate::new(0, SECOND * 40).places.available_permits(), 1);
    assert_eq!(Gate::new(usize::MAX, SECOND * 40).places.available_permits(), Semaphore::MAX_PERMITS);
}

#[test]
fn of_two_rests_of_the_server_the_longer_one_counts_and_ends_on_time() {
    for rests in [[("a", 503, 30), ("b", 503, 10)], [("a", 503, 10), ("b", 503, 29)]] {
        let gate = gate(&rests);
        assert_eq!(gate.rests_until(at(129)), Some(at(130)));
        assert_eq!(gate.rests_until(at(130)), None);
    }
    let gate = Gate::new(1, SECOND * 40);
    let status = StatusCode::SERVICE_UNAVAILABLE;
    gate.heard(
        &"a".into(),
        &Answer::Unavailable { in_doubt: false, retry_after: None, status, code: None },
        at(100),
    );
    gate.heard(&"a".into(), &Answer::Refused { code: None, retry_after: Some(SECOND) }, at(100));
    assert_eq!(gate.rests_until(at(100)), None);
}

#[test]
fn a_long_rate_limit_binds_others_once_a_second_credential_heard_one() {
    assert_eq!(gate(&[("a", 429, 3600)]).rests_until(at(101)), None);
    assert_eq!(gate(&[("a", 429, 3600), ("a", 429, 3600)]).rests_until(at(101)), None, "the same one");
    assert_eq!(gate(&[("a", 429, 3600), ("b", 429, 60)]).rests_until(at(102)), Some(at(161)));
    assert_eq!(gate(&[("a", 429, 3600), ("b", 429, 60)]).rests_until(at(161)), None, "one of them may come");
    assert_eq!(gate(&[("a", 429, 6), ("c", 503, 1), ("b", 429, 60)]).rests_until(at(106)), None);
    let three = gate(&[("a", 429, 3600), ("b", 429, 60), ("c", 429, 90)]);
    assert_eq!(three.rests_until(at(170)), Some(at(192)));
}

#[test]
fn a_short_rate_limit_binds_all_and_a_conflict_or_a_refusal_nobody_else() {
    assert_eq!(gate(&[("a", 429, 5)]).rests_until(at(104)), Some(at(105)));
    for status in [403, 409] {
        for wait in [1, 3600] {
            let gate = gate(&[("a", status, wait), ("b", status, wait)]);
            assert_eq!(gate.rests_until(at(101)), None, "{status}");
        }
    }
}

#[test]
fn a_success_ends_a_long_rest_and_leaves_a_short_one() {
    let success = Answer::Tokens(TokenSet::new("t"));
    for (said, left) in [
        (&[("a", 503, 3600)][..], None),
        (&[("a", 429, 3600), ("b", 429, 3600)], None),
        (&[("a", 503, 4)], Some(at(104))),
    ] {
        let gate = gate(said);
        gate.heard(&"c".into(), &success, at(102));
        assert_eq!(gate.rests_until(at(102)), left);
    }
}

#[test]
fn a_new_login_ends_what_the_server_said_to_the_credential_before() {
    let gate = gate(&[("a", 429, 3600), ("b", 429, 3600)]);
    gate.forget(&"c".into());
    assert!(gate.rests_until(at(102)).is_some());
    gate.forget(&"a".into());
    assert_eq!(gate.rests_until(at(102)), None);
    gate.heard(&"c".into(), &answer(429, SECOND * 3600), at(103));
    assert!(gate.rests_until(at(104)).is_some(), "two still heard it");
}

#[tokio::test(start_paused = true)]
async fn a_rest_of_five_seconds_is_waited_for_and_a_longer_one_told() {
    for (rest, told) in [(SECOND * 5, None), (Duration::from_millis(5001), Some(Duration::from_millis(5001)))]
    {
        let start = Instant::now();
        let now = || at(100).after(start.elapsed());
        let gate = Gate::new(1, SECOND * 40);
        gate.heard(&"a".into(), &answer(503, rest), now());
        let entered = gate.enter(now).await;
        match told {
            None => {
                assert!(entered.is_ok());
                assert_eq!(start.elapsed(), rest);
            }
            Some(rest) => {
                assert!(matches!(entered, Err(TurnedAway::Rests(until)) if until == at(100).after(rest)));
                assert_eq!(start.elapsed(), Duration::ZERO);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_begins_while_somebody_queues_is_kept_by_him_too() {
    for (rest, enters) in [(3, true), (30, false)] {
        let start = Instant::now();
        let now = || at(100).after(start.elapsed());
        let gate = Gate::new(1, SECOND * 40);
        let first = gate.enter(now).await.unwrap();
        let mut second = Box::pin(gate.enter(now));
        assert!(second.as_mut().now_or_never().is_none());
        gate.heard(&"a".into(), &answer(503, SECOND * rest), now());
        drop(first);
        assert_eq!(second.await.is_ok(), enters);
        assert_eq!(start.elapsed(), if enters { SECOND * rest } else { Duration::ZERO });
    }
}

#[tokio::test]
async fn the_queue_has_an_end_and_whoever_leaves_it_makes_room() {
    let gate = Gate::new(1, SECOND * 40);
    let _first = gate.enter(|| at(100)).await.unwrap();
    let mut queue: Vec<_> = (0..LONGEST_QUEUE).map(|_| Box::pin(gate.enter(|| at(100)))).collect();
    for queued in &mut queue {
        assert!(queued.as_mut().now_or_never().is_none());
    }
    for _ in 0..2 {
        let entered = gate.enter(|| at(100)).now_or_never();
        assert!(matches!(entered, Some(Err(TurnedAway::Full(until))) if until == at(105)));
    }
    queue.pop();
    assert!(gate.enter(|| at(100)).now_or_never().is_none());
    drop(queue);
    assert_eq!(gate.queue.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_places_are_taken_back_than_were_held_for_too_long() {
    let gate = Gate::new(2, SECOND * 40);
    let now = || at(100);
    let stands_still = gate.enter(now).await.unwrap();
    sleep(SECOND * 30).await;
    let works = gate.enter(now).await.unwrap();
    let third = tokio::time::timeout(SECOND * 11, gate.enter(now)).await.expect("it hangs").unwrap();
    assert_eq!(gate.places.available_permits(), 0);
    drop((stands_still, works, third));
    assert_eq!(gate.places.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_place_whose_holder_stands_still_is_given_to_the_next() {
    let gate = Gate::new(1, SECOND * 40);
    let now = || at(100);
    let stands_still = gate.enter(now).await.unwrap();
    let second = tokio::time::timeout(SECOND * 41, gate.enter(now)).await.expect("it hangs").unwrap();
    drop(stands_still);
    assert_eq!(gate.places.available_permits(), 0, "its place is another's");
    drop(second);
    assert_eq!(gate.places.available_permits(), 1);
}
