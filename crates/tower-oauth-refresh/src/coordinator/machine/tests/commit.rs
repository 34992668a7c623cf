//! Making a received token set durable, whatever the store says.

use super::*;
use crate::secret::BoundKey;
use crate::store::record::{Doubt, Life, Under, Verdict};

#[test]
fn a_received_set_is_stored_before_anybody_is_told() {
    let mut play = Play::received();
    assert!(play.told.is_empty());
    let new = play.swap().1;
    assert_eq!((refresh(new), new.generation), (Some("refresh-6"), Generation::new(6)));
    assert!(new.mark.is_none() && new.rest.is_none() && new.doubt.is_none());
    assert_eq!(new.under.unwrap().spent, Generation::new(5));
    play.swapped();
    assert_eq!(access(play.refreshed()), "access-6");
}

#[test]
fn lifetimes_count_from_before_the_request_was_sent() {
    let mut play = Play::sent();
    let sent = play.now;
    play.passes(SECOND * 5).answered(Answer::Tokens(set("access-6", None))).passes(SECOND * 2);
    assert_eq!(play.swap().1.tokens.as_ref().unwrap().age, SECOND * 5);
    play.swapped();
    assert_eq!(play.refreshed().obtained, sent);
}

#[test]
fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let mut play = Play::sent();
    play.answered(Answer::Tokens(set("access-6", None)));
    assert_eq!(refresh(play.swap().1), Some("refresh-5"));
}

#[test]
fn a_refresh_token_beside_an_unusable_access_token_is_stored_and_the_flight_fails() {
    let mut play = Play::sent();
    play.answered(Answer::Unusable { refresh_token: Some("refresh-6".into()) });
    let new = play.swap().1;
    assert_eq!((refresh(new), new.failures), (Some("refresh-6"), 1));
    assert!(new.rest.is_some(), "the next attempt is not at once");
    play.swapped();
    assert_eq!(play.failed().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_refresh_token_that_was_retired_before_is_not_taken_back() {
    let mut record = expired();
    record.retired = Some(fingerprint("refresh-4"));
    let mut play = Play::knowing(5);
    play.loaded(snapshot(record)).swapped();
    play.answered(Answer::Tokens(set("access-6", Some("refresh-4"))));
    assert!(matches!(play.notes.as_slice(), [Note::RetiredTokenReturned]));
    assert_eq!(refresh(play.swap().1), Some("refresh-5"));
    assert_eq!(play.swap().1.retired, Some(fingerprint("refresh-4")));
}

#[test]
fn a_rotation_retires_the_spent_refresh_token() {
    assert_eq!(Play::received().swap().1.retired, Some(fingerprint("refresh-5")));
}

#[test]
fn a_smaller_scope_is_told_and_an_absent_one_changes_nothing() {
    for (known, granted, kept, told) in [
        (Some("b a"), None, Some("b a"), 0),
        (Some("b a"), Some("a b"), Some("a b"), 0),
        (Some("b a"), Some("a b c"), Some("a b c"), 0),
        (Some("b a"), Some("a"), Some("a"), 1),
        (Some("a"), Some("a"), Some("a"), 0),
        (Some("a"), Some("b"), Some("b"), 1),
        // Of what the login was given nothing is known, so that nothing is known to be less.
        (None, Some("a"), Some("a"), 0),
    ] {
        let mut record = expired();
        record.tokens.as_mut().unwrap().scope = known.map(str::to_owned);
        let mut play = Play::knowing(5);
        play.loaded(snapshot(record)).swapped();
        let answer = TokenSet { scope: granted.map(str::to_owned), ..set("access-6", None) };
        play.answered(Answer::Tokens(answer));
        assert_eq!(play.swap().1.tokens.as_ref().unwrap().scope.as_deref(), kept);
        assert_eq!(play.notes.len(), told, "{known:?} {granted:?}");
    }
}

/// 9449-02: no answer says it, and whoever loses it loses the login.
#[test]
fn every_set_of_a_login_keeps_the_key_that_it_is_bound_to() {
    let bound = |mut record: CredentialRecord| {
        record.tokens.as_mut().unwrap().bound_key = Some(BoundKey::new(*b"key"));
        record
    };
    let policy = Policy { dpop: true, ..Policy::default() };
    let has_key = |key: Option<&BoundKey>| key.is_some_and(|key| key.expose_secret() == b"key");
    for answer in [
        Answer::Tokens(set("access-6", Some("refresh-6"))),
        Answer::Tokens(set("access-6", None)),
        Answer::Unusable { refresh_token: Some("refresh-6".into()) },
    ] {
        let mut play = Play::with(policy, Some(Play::held(5)));
        play.loaded(snapshot(bound(expired()))).swapped();
        assert!(matches!(&play.step, Some(Step::Send { bound_key, .. }) if has_key(bound_key.as_ref())));
        play.answered(answer);
        assert!(has_key(play.swap().1.bound_key()));
    }
    let mut play = Play::with(policy, Some(Play::held(5)));
    play.loaded(snapshot(bound(expired()))).swapped();
    play.answered(Answer::Tokens(set("access-6", Some("refresh-6")))).conflict(None);
    assert!(matches!(&play.step, Some(Step::Revoke { bound_key, .. }) if has_key(bound_key.as_ref())));
}

// ===== conflicts =====

#[test]
fn a_set_for_a_login_that_has_ended_is_given_back() {
    let other = CredentialRecord { login: LoginId(2), ..fresh(6, "other") };
    let logged_out = CredentialRecord { life: Life::LoggedOut, tokens: None, ..expired() };
    for found in [None, Some(snapshot(other)), Some(snapshot(logged_out))] {
        let mut play = Play::received();
        play.conflict(found);
        assert!(
            matches!(&play.step, Some(Step::Revoke { refresh_token, .. }) if refresh_token.expose_secret() == "refresh-6")
        );
        play.revoked().looks();
        assert!(matches!(play.notes.as_slice(), [Note::Discarded]));
    }
}

#[test]
fn a_refresh_token_that_did_not_rotate_is_not_given_back_for_the_next_login_may_have_it_too() {
    let mut play = Play::sent();
    play.answered(Answer::Tokens(set("access-6", Some("refresh-5"))));
    play.conflict(Some(snapshot(CredentialRecord { login: LoginId(2), ..fresh(6, "refresh-5") })));
    play.looks();
}

#[test]
fn a_record_still_at_the_spent_generation_is_overwritten_whoever_marked_it() {
    let mut play = Play::received();
    let found = Snapshot { version: Version::from_bits(77), ..snapshot(marked(expired(), 7, 70)) };
    play.conflict(Some(found));
    let (expected, new) = play.swap();
    assert_eq!((expected, refresh(new)), (Some(77), Some("refresh-6")));
    assert!(new.mark.is_none());
    play.swapped();
    assert_eq!(play.refreshed().generation, Generation::new(6));
}

#[test]
fn a_hard_verdict_over_the_spent_token_is_overruled_by_the_set_that_was_got_for_it() {
    let verdict = Verdict {
        generation: Generation::new(5),
        fingerprint: fingerprint("refresh-5"),
        doubt: None,
        code: "invalid_grant".to_owned(),
    };
    let dead = CredentialRecord { life: Life::Dead(verdict), tokens: None, ..expired() };
    let mut play = Play::received();
    play.conflict(Some(snapshot(dead)));
    assert_eq!(play.swap().1.life, Life::Live);
    assert_eq!(refresh(play.swap().1), Some("refresh-6"));
}

#[test]
fn a_set_that_came_late_remembers_who_sent_the_same_refresh_token_meanwhile() {
    let theirs = marked(expired(), 7, 70);
    let doubt = Doubt { sent_at: SystemTime::UNIX_EPOCH, pid: 9 };
    let released = CredentialRecord { doubt: Some(doubt), ..expired() };
    let verdict = Verdict {
        generation: Generation::new(5),
        fingerprint: fingerprint("refresh-5"),
        doubt: Some(doubt),
        code: "invalid_grant".to_owned(),
    };
    let dead = CredentialRecord { life: Life::Dead(verdict), tokens: None, ..expired() };
    for (found, pid) in [(theirs, 1), (released, 9), (dead, 9)] {
        let mut play = Play::received();
        play.conflict(Some(snapshot(found)));
        assert_eq!(play.swap().1.doubt.map(|doubt| doubt.pid), Some(pid));
        // A write that is tried again says the same.
        play.swap_fails().waited().loaded(snapshot(expired()));
        assert_eq!(play.swap().1.doubt.map(|doubt| doubt.pid), Some(pid));
    }
    let mut play = Play::received();
    play.swap_fails().waited().loaded(snapshot(marked(expired(), ME, 3)));
    assert_eq!(play.swap().1.doubt, None, "nobody else was there");
}

fn sibling(number: u64) -> Snapshot {
    let under = Some(Under { nonce: 70, number, spent: Generation::new(5) });
    snapshot(CredentialRecord { under, marks: number, ..fresh(6, "refresh-6b") })
}

#[test]
fn of_two_sets_for_one_refresh_token_the_one_marked_later_wins() {
    let mut play = Play::received();
    assert_eq!(play.swap().1.under.unwrap().number, 1);
    play.conflict(Some(sibling(0)));
    let new = play.swap().1;
    assert_eq!((refresh(new), new.generation), (Some("refresh-6"), Generation::new(7)));

    for as_late_or_later in [1, 2] {
        let mut play = Play::received();
        play.conflict(Some(sibling(as_late_or_later)));
        assert_eq!(play.adopted().generation, Generation::new(6));
    }
}

#[test]
fn a_newer_generation_of_the_same_login_is_adopted_and_ours_is_never_revoked() {
    let mut play = Play::received();
    play.conflict(Some(snapshot(fresh(9, "refresh-9"))));
    assert_eq!(play.adopted().generation, Generation::new(9));
}

// ===== the store fails =====

#[test]
fn a_failed_write_is_tried_again_at_least_every_second_and_nothing_is_sent_again() {
    let mut play = Play::received();
    let ours = play.swap().1.clone();
    for _ in 0..20 {
        play.swap_fails();
        assert!(play.wait() <= SECOND);
        play.waited().loaded(snapshot(marked(expired(), ME, 99)));
    }
    assert_eq!(refresh(play.swap().1), refresh(&ours));
    play.swapped();
    assert_eq!(access(play.refreshed()), "access-6");
}

#[test]
fn a_write_that_succeeded_though_the_store_failed_is_recognised() {
    let mut play = Play::received();
    let written = play.swap().1.clone();
    play.swap_fails().waited().loaded(snapshot(written));
    assert_eq!(play.refreshed().generation, Generation::new(6));
}

#[test]
fn our_write_is_recognised_under_somebody_elses_mark() {
    let mut play = Play::received();
    let written = marked(play.swap().1.clone(), 7, 70);
    play.swap_fails().waited().loaded(snapshot(written));
    assert_eq!(play.refreshed().generation, Generation::new(6));
}

#[test]
fn our_write_is_recognised_at_whatever_generation_it_is_now() {
    let mut play = Play::received();
    let written = CredentialRecord { generation: Generation::new(9), ..play.swap().1.clone() };
    play.swap_fails().waited().loaded(snapshot(written));
    assert_eq!(play.refreshed().generation, Generation::new(9));
}

#[test]
fn callers_are_held_then_told_and_told_again_when_it_is_stored() {
    let mut play = Play::received();
    play.swap_fails();
    assert!(play.told.is_empty());
    for _ in 0..12 {
        play.waited().load_fails();
    }
    assert!(
        matches!(play.told.last(), Some(Outcome::Failed(error)) if error.kind() == ErrorKind::Unpersisted)
    );
    play.waited().loaded(snapshot(marked(expired(), ME, 99))).swapped();
    assert_eq!(access(play.refreshed()), "access-6");
}

#[test]
fn callers_get_the_unpersisted_token_where_that_was_asked_for() {
    let policy = Policy { serve_unpersisted: true, ..Policy::default() };
    let mut play = Play::with(policy, Some(Play::held(5)));
    play.loaded(snapshot(expired())).swapped().answered(Answer::Tokens(set("access-6", Some("refresh-6"))));
    play.swap_fails();
    for _ in 0..12 {
        play.waited().load_fails();
    }
    assert!(matches!(play.told.last(), Some(Outcome::Refreshed(held)) if access(held) == "access-6"));
    assert!(matches!(play.step, Some(Step::Wait(_))), "and the write goes on");
}

#[test]
fn an_unpersisted_token_is_told_at_the_generation_after_the_one_that_was_spent() {
    let policy = Policy { serve_unpersisted: true, ..Policy::default() };
    let mut play = Play::with(policy, Some(Play::held(5)));
    play.loaded(snapshot(expired())).swapped().answered(Answer::Tokens(set("access-6", Some("refresh-6"))));
    // Its write would now become the one after that; whether it does is not known.
    play.conflict(Some(sibling(0)));
    assert_eq!(play.swap().1.generation, Generation::new(7));
    play.passes(SECOND * 10).swap_fails();
    assert!(
        matches!(play.told.last(), Some(Outcome::Refreshed(held)) if held.generation == Generation::new(6))
    );
}

#[test]
fn a_token_that_comes_dead_is_stored_with_a_rest_that_grows() {
    for (failures, rest) in [(0, 1), (3, 8)] {
        let mut record = expired();
        record.failures = failures;
        let mut play = Play::knowing(5);
        play.loaded(snapshot(record)).swapped();
        let dead = set("access-6", Some("refresh-6")).with_expires_in(SECOND * 5);
        play.passes(SECOND * 6).answered(Answer::Tokens(dead));
        let stored = play.swap().1.clone();
        assert_eq!((refresh(&stored), stored.failures), (Some("refresh-6"), failures + 1));
        let used = stored.tokens.as_ref().unwrap().at_least.unwrap() - SECOND * 6;
        assert!(used >= SECOND * rest && used <= SECOND * rest * 5 / 4, "{used:?}");
        assert!(crate::coordinator::policy::usable(stored.tokens.as_ref().unwrap(), SECOND * 6));
    }
}

#[test]
fn the_token_in_use_is_stored_with_the_life_it_had() {
    let mut record = fresh(5, "refresh-5");
    record.tokens.as_mut().unwrap().access_token = Some("access-held".into());
    record.tokens.as_mut().unwrap().age = SECOND * 3500;
    let mut play = Play::knowing(5);
    play.loaded(snapshot(record)).passes(SECOND).swapped();
    play.answered(Answer::Tokens(TokenSet::new("access-held")));
    let tokens = play.swap().1.tokens.clone().unwrap();
    assert_eq!((tokens.expires_in, tokens.at_least), (Some(SECOND * 99), Some(SECOND * 99)));
    assert_eq!(refresh(play.swap().1), Some("refresh-5"));
}

#[test]
fn a_retired_refresh_token_beside_an_unusable_access_token_is_not_taken_back() {
    let mut record = expired();
    record.retired = Some(fingerprint("refresh-4"));
    let mut play = Play::knowing(5);
    play.loaded(snapshot(record)).swapped();
    play.answered(Answer::Unusable { refresh_token: Some("refresh-4".into()) });
    assert!(matches!(play.notes.as_slice(), [Note::RetiredTokenReturned]));
    assert_eq!(refresh(play.swap().1), Some("refresh-5"));
    assert_eq!(play.swap().1.retired, Some(fingerprint("refresh-4")));
}
