use super::*;
use crate::generation::Generation;
use crate::store::record::{LoginId, Under};
use crate::token::TokenSet;

const SECOND: Duration = Duration::from_secs(1);

fn refused(name: u64, accepted: bool) -> Refused {
    Refused { origin: OriginId { name, place: 0 }, accepted }
}

/// An installed token of an hour.
fn record() -> CredentialRecord {
    let set = TokenSet::new("access").with_expires_in(SECOND * 3600);
    CredentialRecord::installed(LoginId(1), Generation::new(1), &set)
}

fn wait(record: &CredentialRecord, refused: Refused) -> Duration {
    let own = record.under.is_some();
    left_alone(record, Duration::ZERO, (Duration::MAX, own), refused, &Policy::default())
}

/// Refreshes whenever it may for an hour, with a pause of `every` between refusals.
fn refreshes(every: Duration, accepted: bool) -> usize {
    let mut record = record();
    let (mut passed, mut count) = (Duration::ZERO, 0);
    while passed < SECOND * 3600 {
        if wait(&record, refused(1, accepted)).is_zero() {
            charge(&mut record.refusals, refused(1, accepted));
            count += 1;
        }
        record = record.aged(every);
        passed += every;
    }
    count
}

#[test]
fn tokens_that_were_never_accepted_cost_at_most_thirty_refreshes_an_hour() {
    let counts: Vec<_> =
        [1, 2, 5, 10, 60, 120, 301, 601].map(|every| refreshes(SECOND * every, false)).into();
    assert_eq!(counts[0], 17);
    assert!(counts.iter().all(|count| *count <= 30), "{counts:?}");
}

#[test]
fn however_refusals_are_spread_thirty_an_hour_are_the_most() {
    // Refused as often as may be, then left in peace until all is forgotten.
    for burst in 1..12 {
        let mut record = record();
        let (mut passed, mut count) = (Duration::ZERO, 0);
        while passed < SECOND * 36_000 {
            for _ in 0..burst {
                let pause = wait(&record, refused(1, false));
                record = record.aged(pause);
                passed += pause;
                charge(&mut record.refusals, refused(1, false));
                count += 1;
            }
            record = record.aged(FUTILE_FORGOTTEN);
            passed += FUTILE_FORGOTTEN;
        }
        assert!(count <= 300, "{burst}: {count} in ten hours");
    }
}

#[test]
fn revoked_tokens_are_refreshed_five_times_at_once_and_then_once_a_minute() {
    assert!((60..=65).contains(&refreshes(SECOND, true)));
    let mut record = record();
    for _ in 0..5 {
        assert_eq!(wait(&record, refused(1, true)), Duration::ZERO);
        charge(&mut record.refusals, refused(1, true));
    }
    assert_eq!(wait(&record, refused(1, true)), SECOND * 60);
    assert_eq!(wait(&record.aged(SECOND * 59), refused(1, true)), SECOND);
    assert_eq!(wait(&record, refused(2, true)), Duration::ZERO, "another origin");
}

#[test]
fn an_origin_that_refuses_all_blocks_neither_another_nor_a_revocation_of_its_own() {
    let mut record = record();
    for _ in 0..9 {
        charge(&mut record.refusals, refused(1, false));
    }
    assert_eq!(wait(&record, refused(1, false)), SECOND * 300);
    assert_eq!(wait(&record, refused(2, false)), Duration::ZERO);
    assert_eq!(wait(&record, refused(1, true)), Duration::ZERO);
}

#[test]
fn a_new_token_that_was_never_accepted_is_left_alone_for_five_seconds() {
    let mut record = record();
    assert_eq!(
        wait(&record, refused(1, false)),
        Duration::ZERO,
        "installed, or refreshed by another process"
    );
    record.under = Some(Under { nonce: 1, number: 1, spent: Generation::ZERO });
    assert_eq!(wait(&record, refused(1, false)), SECOND * 5);
    let after = |age, held| left_alone(&record, age, (held, true), refused(1, false), &Policy::default());
    assert_eq!(after(SECOND * 3, SECOND * 3), SECOND * 2);
    assert_eq!(after(SECOND * 86_400, SECOND * 3), SECOND * 2, "the wall clock was set");
    assert_eq!(wait(&record, refused(1, true)), Duration::ZERO);
    record.tokens.as_mut().unwrap().expires_in = Some(SECOND * 4);
    assert_eq!(wait(&record, refused(1, false)), SECOND * 2, "half of its life");
}

#[test]
fn a_record_has_entries_for_few_origins_and_none_that_says_nothing() {
    let mut refusals = Vec::new();
    for name in 0..100 {
        charge(&mut refusals, refused(name, false));
    }
    assert_eq!(refusals.len(), MAX_ORIGINS);
    assert!(refusals.iter().any(|entry| entry.futile > 10), "the others share them");
    let mut later: Vec<_> = refusals.iter().map(|entry| entry.aged(FUTILE_FORGOTTEN)).collect();
    charge(&mut later, refused(100, true));
    assert_eq!(later.len(), 1);
}

#[test]
fn an_origin_of_which_nothing_counts_any_more_makes_nobody_wait() {
    let mut record = record();
    charge(&mut record.refusals, refused(1, true));
    record = record.aged(SECOND);
    assert_eq!(record.refusals[0].futile, 0);
    assert_eq!(wait(&record, refused(1, false)), Duration::ZERO);
    // What says nothing is dropped, and what is forgotten is not counted.
    let says_nothing = Refusals { origin: 7, ..Refusals::default() };
    let forgotten = Refusals { origin: 1, futile: 5, debt: SECOND, age: FUTILE_FORGOTTEN };
    let mut refusals = vec![says_nothing, forgotten];
    charge(&mut refusals, refused(1, false));
    assert_eq!((refusals.len(), refusals[0].futile), (1, 1));
}

#[test]
fn what_is_wanted_for_two_reasons_is_wanted_for_both() {
    let mut wanted = Wanted::refused(refused(1, false));
    wanted.and(Wanted::refused(refused(1, false)));
    wanted.and(Wanted::refused(refused(2, true)));
    assert_eq!((wanted.due, &*wanted.refused), (false, &[refused(1, false), refused(2, true)][..]));
    wanted.and(Wanted::DUE);
    assert!(wanted.due);
}
