//! Looking at a record: adopt, wait, give up, or take the lease.

use super::*;
use crate::coordinator::guard::{Refused, Wanted};
use crate::coordinator::origins::OriginId;
use crate::coordinator::policy::{POLL, SETTLE, SETTLE_AT_MOST};
use crate::grant::Grant;
use crate::secret::BoundKey;
use crate::store::record::{ClientPrint, Doubt, Life, Refusals, Rest, RestReason, Verdict};

#[test]
fn a_newer_generation_is_adopted_without_a_write() {
    let mut play = Play::knowing(5);
    play.loaded(snapshot(fresh(6, "refresh-6")));
    assert_eq!(play.adopted().generation, Generation::new(6));
}

#[test]
fn a_new_process_adopts_what_is_stored_and_counts_its_age_from_before_the_load() {
    let mut play = Play::new();
    let mut found = snapshot(fresh(5, "refresh-5"));
    found.record.tokens.as_mut().unwrap().age = SECOND * 100;
    found.age = SECOND * 10;
    let asked = play.now;
    play.passes(SECOND).loaded(found);
    assert_eq!(play.adopted().obtained, asked.before(SECOND * 110));
}

#[test]
fn the_generation_that_was_refused_is_not_adopted_though_it_looks_usable() {
    let mut play = Play::knowing(5);
    let mut refused = fresh(5, "refresh-5");
    refused.tokens.as_mut().unwrap().access_token = Some("access-held".into());
    play.loaded(snapshot(refused));
    assert!(play.swap().1.mark.is_some());
}

#[test]
fn a_refused_token_is_not_adopted_under_another_generation() {
    for due in [true, false] {
        let mut returned = fresh(6, "refresh-6");
        returned.tokens.as_mut().unwrap().access_token = Some("access-held".into());
        let mut play = Play::knowing(5);
        let refused = Refused { origin: OriginId { name: 1, place: 0 }, accepted: true };
        play.machine.want(if due { Wanted::DUE } else { Wanted::refused(refused) });
        play.loaded(snapshot(returned));
        if due {
            assert_eq!(play.adopted().generation, Generation::new(6));
        } else {
            play.swapped();
            assert_eq!(play.sends(), Some("refresh-6"));
        }
    }
}

#[test]
fn a_refresh_for_a_refused_token_is_counted_when_it_is_stored_and_not_before() {
    let refused = |name, accepted| Refused { origin: OriginId { name, place: 0 }, accepted };
    let mut record = fresh(5, "refresh-5");
    record.tokens.as_mut().unwrap().access_token = Some("access-held".into());
    let mut play = Play::knowing(5);
    let mut wanted = Wanted::refused(refused(1, false));
    wanted.and(Wanted::refused(refused(2, true)));
    play.machine.want(wanted.clone());
    play.loaded(snapshot(record.clone()));
    assert!(play.swap().1.refusals.is_empty());
    play.swapped().passes(SECOND).answered(Answer::Tokens(set("access-6", Some("refresh-6"))));
    let stored = play.swap().1.clone();
    let entry = |origin: u64| stored.refusals.iter().find(|entry| entry.origin == origin).copied().unwrap();
    assert_eq!((entry(1).futile, entry(1).debt), (1, Duration::ZERO));
    assert_eq!((entry(2).futile, entry(2).debt), (0, SECOND * 60));
    // Where a newer one is needed in any case, nothing is.
    let mut play = Play::knowing(5);
    wanted.and(Wanted::DUE);
    play.machine.want(wanted);
    play.loaded(snapshot(record)).swapped().answered(Answer::Tokens(set("access-6", None)));
    assert!(play.swap().1.refusals.is_empty());
}

#[test]
fn a_token_that_is_left_alone_is_kept_and_what_was_counted_is_not_lost() {
    let mut record = fresh(5, "refresh-5");
    record.tokens.as_mut().unwrap().access_token = Some("access-held".into());
    let refusals = Refusals { origin: 1, futile: 3, age: SECOND, debt: Duration::ZERO };
    record.refusals = vec![refusals];
    let mut play = Play::knowing(5);
    let refused = Refused { origin: OriginId { name: 1, place: 0 }, accepted: false };
    play.machine.want(Wanted::refused(refused));
    play.loaded(snapshot(record.clone()));
    let Some(Outcome::Kept(until)) = play.told.last() else { panic!("{:?}", play.told) };
    assert_eq!(play.now.until(*until), SECOND * 19);
    // Also not by a refresh for another reason, nor by a store that is set right.
    for known in [5, 6] {
        let mut play = Play::knowing(known);
        play.loaded(snapshot(record.clone()));
        assert_eq!(play.swap().1.refusals, [refusals]);
    }
}

#[test]
fn a_generation_that_the_store_has_had_twice_is_adopted_with_its_other_token() {
    let mut play = Play::knowing(5);
    play.loaded(snapshot(fresh(5, "refresh-5")));
    assert_eq!(access(play.adopted()), "access-new");
}

#[test]
fn an_adopted_token_that_is_expired_is_refreshed_with_the_adopted_refresh_token() {
    let mut play = Play::knowing(3);
    play.loaded(snapshot(expired())).swapped();
    assert_eq!(play.sends(), Some("refresh-5"));
}

#[test]
fn another_login_is_news_whatever_its_generation() {
    let mut play = Play::knowing(9);
    let mut other = fresh(2, "other");
    other.login = LoginId(77);
    play.loaded(snapshot(other));
    assert_eq!(play.adopted().login, LoginId(77));
}

#[test]
fn nothing_stored_means_log_in_and_nothing_is_sent() {
    let mut play = Play::new();
    play.event(Event::Loaded(Ok(None)));
    assert_eq!(play.failed().kind(), ErrorKind::NotInstalled);
    assert!(play.failed().needs_login());
}

#[test]
fn client_credentials_begin_by_themselves() {
    let policy = Policy { grant: Grant::ClientCredentials, ..Policy::default() };
    let mut play = Play::with(policy, None);
    play.event(Event::Loaded(Ok(None)));
    assert_eq!(play.swap().0, None, "only if there still is no record");
    play.swapped();
    assert_eq!(play.sends(), None);
    play.answered(Answer::Tokens(set("access", None))).swapped();
    assert_eq!(play.refreshed().generation, Generation::new(1));
}

#[test]
fn client_credentials_begin_anew_after_a_logout_and_after_a_verdict() {
    let verdict = Verdict {
        generation: Generation::new(5),
        fingerprint: fingerprint("refresh-5"),
        doubt: None,
        code: "invalid_grant".to_owned(),
    };
    for life in [Life::LoggedOut, Life::Dead(verdict)] {
        let policy = Policy { grant: Grant::ClientCredentials, ..Policy::default() };
        let mut play = Play::with(policy, None);
        let ended = CredentialRecord { life, ..marked(expired(), 7, 70) };
        play.loaded(snapshot(ended));
        let (expected, new) = play.swap();
        assert_eq!((expected, &new.life, new.login == LoginId(1)), (Some(1000), &Life::Live, false));
        play.swapped();
        assert_eq!(play.sends(), None);
        play.answered(Answer::Tokens(set("access", None))).swapped();
        assert_eq!(play.refreshed().generation, Generation::new(6));
    }
}

#[test]
fn without_a_refresh_token_nothing_is_sent() {
    let mut record = expired();
    record.tokens.as_mut().unwrap().refresh_token = None;
    let mut play = Play::knowing(5);
    play.loaded(snapshot(record));
    assert_eq!(play.failed().kind(), ErrorKind::NoRefreshToken);
}

#[test]
fn a_logged_out_credential_stays_so() {
    let mut record = expired();
    record.life = Life::LoggedOut;
    let mut play = Play::knowing(5);
    play.loaded(snapshot(record));
    assert_eq!(play.failed().kind(), ErrorKind::LoggedOut);
}

#[test]
fn a_stored_verdict_is_believed_without_asking() {
    for (doubt, kind) in [
        (None, ErrorKind::InvalidGrant),
        (Some(Doubt { sent_at: SystemTime::UNIX_EPOCH, pid: 1 }), ErrorKind::LostRotation),
    ] {
        let mut record = expired();
        let code = "invalid_grant".to_owned();
        let (generation, fingerprint) = (record.generation, fingerprint("refresh-5"));
        record.life = Life::Dead(Verdict { generation, fingerprint, doubt, code });
        let mut play = Play::knowing(5);
        play.loaded(snapshot(record));
        assert_eq!((play.failed().kind(), play.failed().code()), (kind, Some("invalid_grant")));
    }
}

/// A flight of a process that has heard that `refresh-5` is dead.
fn forewarned() -> Play {
    let dead = Some(Verdict {
        generation: Generation::new(5),
        fingerprint: fingerprint("refresh-5"),
        doubt: None,
        code: "invalid_grant".to_owned(),
    });
    Play::flown(Machine::new(Policy::default(), holder(ME), None, dead))
}

#[test]
fn a_refresh_token_known_to_be_dead_is_not_sent_while_somebody_else_is_asking_and_will_hear_it_there() {
    let mut play = forewarned();
    play.loaded(snapshot(marked(expired(), ME + 1, 70)));
    assert_eq!(play.failed().kind(), ErrorKind::InvalidGrant);
    let mut play = forewarned();
    play.loaded(snapshot(fresh(6, "refresh-6")));
    assert_eq!(play.adopted().generation, Generation::new(6));
}

/// Seed 30119313718076123: the store was set back and put right by another process, after the server had ended
/// the login. Whoever had heard it told its own callers and nobody else.
#[test]
fn a_verdict_that_the_store_has_lost_or_did_not_take_is_written_again() {
    for record in [expired(), marked(expired(), ME, OURS)] {
        let mut play = forewarned();
        play.loaded(snapshot(record));
        assert!(matches!(play.swap().1.life, Life::Dead(_)));
        play.swapped();
        assert_eq!(play.failed().kind(), ErrorKind::InvalidGrant);
    }
}

#[test]
fn a_verdict_is_written_over_a_foreign_mark_that_has_had_its_life() {
    for (age, written) in [(5, false), (12, true)] {
        let mut play = forewarned();
        let mut found = snapshot(marked(expired(), 7, 70));
        found.age = SECOND * age;
        play.loaded(found);
        if written {
            assert!(matches!(play.swap().1.life, Life::Dead(_)));
            play.swapped();
        }
        assert_eq!(play.failed().kind(), ErrorKind::InvalidGrant);
    }
}

#[test]
fn a_store_that_cannot_be_read_is_a_transient_failure_and_nothing_is_sent() {
    let mut play = Play::knowing(5);
    play.load_fails();
    assert_eq!(play.failed().kind(), ErrorKind::Store);
    assert!(play.failed().is_transient());
}

#[test]
fn a_rest_left_by_anybody_is_kept_by_everybody() {
    let mut record = expired();
    record.rest = Some(Rest {
        wait: SECOND * 60,
        reason: RestReason::Configuration,
        code: Some("invalid_client".into()),
        client: None,
    });
    let mut play = Play::knowing(5);
    let mut found = snapshot(record.clone());
    found.age = SECOND * 20;
    play.loaded(found);
    assert_eq!(
        (play.failed().kind(), play.failed().code()),
        (ErrorKind::Configuration, Some("invalid_client"))
    );
    assert_eq!(play.failed().rests_until(), Some(play.now.after(SECOND * 40)));

    let mut play = Play::knowing(5);
    let mut found = snapshot(record);
    found.age = SECOND * 60;
    play.loaded(found).swapped();
    assert_eq!(play.sends(), Some("refresh-5"));
}

#[test]
fn a_store_that_was_set_back_gets_the_newer_tokens_again_and_the_spent_one_is_not_sent() {
    let mut play = Play::knowing(7);
    play.loaded(snapshot(expired()));
    let (expected, new) = play.swap();
    assert_eq!(
        (expected, refresh(new), new.generation),
        (Some(1000), Some("refresh-held"), Generation::new(7))
    );
    assert!(matches!(play.notes.as_slice(), [Note::StoreRegressed]));
    play.swapped().looks();
    play.load_fails();

    let mut play = Play::knowing(7);
    play.loaded(snapshot(expired())).swap_fails();
    assert_eq!(play.failed().kind(), ErrorKind::Store);
}

// ===== foreign marks =====

fn foreign(age: Duration) -> Snapshot {
    Snapshot { age, ..snapshot(marked(expired(), 7, 70)) }
}

#[test]
fn a_foreign_mark_is_waited_out_for_the_exchange_limit_and_a_second_then_must_lie_still() {
    let mut play = Play::knowing(5);
    play.loaded(foreign(SECOND));
    assert_eq!(play.wait(), POLL, "looks often, for the holder may be done");
    play.waited().loaded(foreign(SECOND * 11 - Duration::from_millis(1)));
    assert_eq!(play.wait(), Duration::from_millis(1));
    play.waited().loaded(foreign(SECOND * 11));
    assert_eq!(play.wait(), SETTLE);
    play.waited().loaded(foreign(SECOND * 13)).swapped();
    assert_eq!(play.sends(), Some("refresh-5"));
    assert!(matches!(play.notes.as_slice(), [Note::Succeeded(_)]));
}

#[test]
fn what_the_holder_commits_meanwhile_is_adopted() {
    let mut play = Play::knowing(5);
    play.loaded(foreign(SECOND)).waited().loaded(snapshot(fresh(6, "refresh-6")));
    assert_eq!(play.adopted().generation, Generation::new(6));
}

#[test]
fn a_change_while_settling_starts_the_waiting_anew() {
    let mut play = Play::knowing(5);
    play.loaded(foreign(SECOND * 11)).waited();
    let mut changed = foreign(SECOND * 11);
    changed.version = Version::from_bits(1001);
    play.loaded(changed);
    assert_eq!(play.wait(), SETTLE);
}

#[test]
fn a_settling_that_overslept_says_nothing() {
    let mut play = Play::knowing(5);
    play.loaded(foreign(SECOND * 11)).passes(SETTLE_AT_MOST + SECOND).event(Event::Woke);
    play.loaded(foreign(SECOND * 20));
    assert_eq!(play.wait(), SETTLE);
}

#[test]
fn woken_early_by_a_change_elsewhere_it_settles_the_rest() {
    let mut play = Play::knowing(5);
    play.loaded(foreign(SECOND * 11)).passes(SECOND / 2).event(Event::Woke);
    play.loaded(foreign(SECOND * 11 + SECOND / 2));
    assert_eq!(play.wait(), SETTLE - SECOND / 2);
}

#[test]
fn a_holder_proven_dead_is_succeeded_at_once_and_leaves_doubt() {
    let mut play = Play::knowing(5);
    play.loaded(Snapshot { holder_dead: true, ..foreign(Duration::ZERO) });
    assert!(play.swap().1.doubt.is_some());
    play.swapped();
    assert!(matches!(play.notes.as_slice(), [Note::Succeeded(_)]));
}

#[test]
fn of_several_heirs_only_the_one_that_took_the_lease_says_so() {
    let mut play = Play::knowing(5);
    let dead = || Snapshot { holder_dead: true, ..foreign(Duration::ZERO) };
    play.loaded(dead()).conflict(Some(snapshot(expired()))).swapped();
    assert!(play.notes.is_empty(), "{:?}", play.notes);
    let mut play = Play::knowing(5);
    play.loaded(dead()).swap_fails().loaded(snapshot(expired())).swapped();
    assert!(play.notes.is_empty(), "it was released: {:?}", play.notes);
    let mut play = Play::knowing(5);
    play.loaded(dead()).swap_fails().loaded(snapshot(marked(expired(), ME, 3))).swapped();
    assert!(matches!(play.notes.as_slice(), [Note::Succeeded(_)]), "it had been written");
}

#[test]
fn a_mark_of_our_own_is_renewed_at_once_and_leaves_doubt() {
    let mut play = Play::knowing(5);
    play.loaded(snapshot(marked(expired(), ME, OURS)));
    let new = play.swap().1;
    assert!(new.doubt.is_some());
    assert_eq!((new.marks, new.mark.as_ref().unwrap().number), (2, 2), "numbered upwards");
}

#[test]
fn a_mark_with_our_names_that_we_did_not_write_is_somebody_elses() {
    // A fork, or a copy of this machine.
    let mut play = Play::knowing(5);
    play.loaded(snapshot(marked(expired(), ME, 70)));
    assert_eq!(play.wait(), POLL);
}

#[test]
fn a_mark_of_an_attempt_that_sent_nothing_leaves_no_doubt_in_the_next_flight() {
    let mut play = Play::knowing(5);
    play.loaded(snapshot(expired())).swap_fails().loaded(snapshot(expired()));
    let unsent = play.swap().1.clone();
    play.swap_fails();
    assert_eq!(play.failed().kind(), ErrorKind::Store);
    let own = play.machine.own().clone();
    let next = Machine::new(Policy::default(), holder(ME), None, None).remembering(own, ClientPrint(0));
    let mut play = Play::resumed(next);
    play.loaded(snapshot(unsent));
    assert!(play.swap().1.doubt.is_none());
}

#[test]
fn a_mark_lives_for_as_long_as_its_holder_said_and_never_less_than_our_own_would() {
    for (said, life) in [(None, 11), (Some(4), 11), (Some(61), 61), (Some(1_000_000), 3600)] {
        let found = |age| {
            let mut found = foreign(age);
            found.record.mark.as_mut().unwrap().life = said.map(Duration::from_secs);
            found
        };
        let mut play = Play::knowing(5);
        play.loaded(found(Duration::from_secs(life) - Duration::from_millis(1)));
        assert_eq!(play.wait(), Duration::from_millis(1), "{said:?}");
        play.waited().loaded(found(Duration::from_secs(life)));
        assert_eq!(play.wait(), SETTLE, "{said:?}");
        play.waited().loaded(found(Duration::from_secs(life) + SETTLE)).swapped();
        assert_eq!(play.sends(), Some("refresh-5"));
    }
}

#[test]
fn a_flight_that_waited_long_for_somebody_else_still_has_its_own_time() {
    let mut play = Play::knowing(5);
    let mut found = foreign(Duration::ZERO);
    found.record.mark.as_mut().unwrap().life = Some(SECOND * 200);
    play.loaded(found.clone()).passes(SECOND * 200).event(Event::Woke);
    play.loaded(Snapshot { age: SECOND * 200, ..found.clone() }).waited();
    play.loaded(Snapshot { age: SECOND * 202, ..found }).swapped();
    assert_eq!(play.sends(), Some("refresh-5"));
}

#[test]
fn a_refused_client_binds_only_those_who_show_the_same() {
    let mut found = snapshot(expired());
    let rest = |client| Rest { wait: SECOND * 60, reason: RestReason::Configuration, code: None, client };
    found.record.rest = Some(rest(Some(ClientPrint(ME as u16))));
    let mut play = Play::knowing(5);
    play.loaded(found.clone());
    assert_eq!(play.failed().kind(), ErrorKind::Configuration);
    found.record.rest = Some(rest(Some(ClientPrint(1))));
    let mut play = Play::knowing(5);
    play.loaded(found).swapped();
    assert_eq!(play.sends(), Some("refresh-5"));
}

#[test]
fn whoever_inherits_a_mark_reports_a_lost_rotation() {
    for found in
        [snapshot(marked(expired(), ME, OURS)), Snapshot { holder_dead: true, ..foreign(Duration::ZERO) }]
    {
        let mut play = Play::knowing(5);
        play.loaded(found).swapped();
        play.answered(Answer::GrantDead { code: "invalid_grant".to_owned() });
        let marked = play.machine_version();
        play.loaded(Snapshot { version: marked, ..snapshot(expired()) }).swapped();
        assert_eq!(play.failed().kind(), ErrorKind::LostRotation);
    }
}

#[test]
fn others_that_refresh_forever_without_success_are_not_waited_for_forever() {
    let mut play = Play::knowing(5);
    for _ in 0..1000 {
        if !matches!(play.step, Some(Step::Load)) {
            break;
        }
        play.loaded(foreign(SECOND));
        if matches!(play.step, Some(Step::Wait(_))) {
            play.waited();
        }
    }
    assert_eq!(play.failed().kind(), ErrorKind::TimedOut);
    assert!(play.failed().is_transient() && !play.failed().needs_login());

    let limit = Policy::default().flight_limit + Policy::default().mark_life();
    let mut play = Play::knowing(5);
    play.loaded(foreign(SECOND)).passes(limit).event(Event::Woke).loaded(foreign(SECOND));
    assert_eq!(play.wait(), POLL, "not yet");
    play.passes(Duration::from_millis(1)).event(Event::Woke).loaded(foreign(SECOND));
    assert_eq!(play.failed().kind(), ErrorKind::TimedOut);
}

impl Play {
    /// The version of our own mark.
    fn machine_version(&self) -> Version {
        let Phase::Rereading { attempt, .. } = &self.machine.phase else {
            panic!("{:?}", self.machine.phase);
        };
        attempt.version
    }
}

#[test]
fn a_bound_login_is_not_refreshed_without_its_proof() {
    for make in [expired, || fresh(5, "refresh-5")] {
        let mut keyed = make();
        keyed.tokens.as_mut().unwrap().bound_key = Some(BoundKey::new(*b"key"));
        let mut typed = make();
        typed.tokens.as_mut().unwrap().token_type = "dpop".to_owned();
        for record in [keyed, typed] {
            let mut play = Play::new();
            play.loaded(snapshot(record));
            let error = play.failed();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Configuration, Some("bound_token")));
        }
    }
}

#[test]
fn a_token_that_is_not_bound_is_refreshed_where_proofs_are_sent() {
    let mut play = Play::with(Policy { dpop: true, ..Policy::default() }, None);
    play.loaded(snapshot(fresh(5, "refresh-5"))).swapped();
    assert_eq!(play.sends(), Some("refresh-5"));
}

#[test]
fn a_bound_token_of_client_credentials_is_got_anew_where_none_are_sent() {
    let policy = Policy { grant: Grant::ClientCredentials, ..Policy::default() };
    let mut play = Play::with(policy, None);
    let mut bound = fresh(5, "refresh-5");
    bound.tokens.as_mut().unwrap().token_type = "DPoP".to_owned();
    play.loaded(snapshot(bound)).swapped();
    assert_eq!(play.sends(), None);
}
