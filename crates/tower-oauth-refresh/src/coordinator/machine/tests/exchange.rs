//! Marking, sending, and understanding the answer.

use super::*;
use crate::coordinator::policy::SEND_WINDOW;
use crate::grant::Grant;
use crate::store::record::{Doubt, Life, RestReason, Under};

const NOTHING: Answer = Answer::Unavailable {
    in_doubt: false,
    retry_after: None,
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: None,
};

fn dead() -> Answer {
    Answer::GrantDead { code: "invalid_grant".to_owned() }
}

#[test]
fn the_mark_is_written_before_the_request_leaves_and_says_who_and_with_what() {
    let mut play = Play::knowing(5);
    play.loaded(snapshot(expired()));
    let (expected, new) = play.swap();
    let mark = new.mark.as_ref().unwrap();
    assert_eq!(expected, Some(1000));
    assert_eq!((mark.holder.coordinator, mark.number), (ME, 1));
    assert_eq!(mark.fingerprint, Some(fingerprint("refresh-5")));
    assert!(new.doubt.is_none());
    assert_eq!(refresh(new), Some("refresh-5"), "the old token stays until there is a new one");
}

#[test]
fn an_inherited_mark_counts_as_a_failure_and_a_doubt_that_was_counted_before_does_not() {
    let doubt = Some(Doubt { sent_at: SystemTime::UNIX_EPOCH, pid: 7 });
    for (found, failures) in [
        (CredentialRecord { doubt, failures: 1, ..expired() }, 1),
        (marked(expired(), ME, OURS), 1),
        (expired(), 0),
    ] {
        let mut play = Play::knowing(5);
        play.loaded(snapshot(found));
        assert_eq!(play.swap().1.failures, failures);
    }
}

#[test]
fn the_time_to_send_counts_from_before_the_mark_was_written() {
    let mut play = Play::knowing(5);
    play.passes(SECOND * 20).loaded(snapshot(expired())).passes(SEND_WINDOW).swapped();
    assert_eq!(play.sends(), Some("refresh-5"), "just in time");

    let mut play = Play::knowing(5);
    play.loaded(snapshot(expired())).passes(SECOND * 20).called().passes(SEND_WINDOW).swapped();
    assert_eq!(play.sends(), Some("refresh-5"), "it had to wait for its turn");
}

#[test]
fn a_mark_that_was_written_late_is_looked_at_once_more_and_sent_under_while_young() {
    for (age, later, sends) in [(900, 100, true), (900, 101, false), (0, 1000, true), (0, 1001, false)] {
        let mut play = Play::knowing(5);
        play.late().looks();
        let found = play.found_own_mark(Duration::from_millis(age));
        play.passes(SECOND * 20).called().passes(Duration::from_millis(later)).loaded(found);
        if sends {
            assert_eq!(play.sends(), Some("refresh-5"));
        } else {
            let (_, again) = play.swap();
            assert_eq!(again.mark.as_ref().unwrap().number, 2, "under another mark");
            assert!(again.doubt.is_none() && again.failures == 0, "nothing was sent under the first");
        }
    }
}

#[test]
fn a_late_mark_that_somebody_has_succeeded_is_not_sent_under() {
    let mut play = Play::knowing(5);
    play.late().loaded(snapshot(fresh(6, "refresh-6")));
    assert_eq!(play.adopted().generation, Generation::new(6));

    let mut play = Play::knowing(5);
    play.late().loaded(snapshot(marked(expired(), 70, 70)));
    play.wait();
}

#[test]
fn a_store_too_slow_to_ever_send_is_given_up_and_the_mark_taken_back() {
    let mut play = Play::knowing(5);
    play.late();
    let mut marks = 1;
    while matches!(play.step, Some(Step::Load)) {
        let found = play.found_own_mark(SECOND * 3);
        play.loaded(found);
        marks += usize::from(play.swap().1.mark.is_some());
        play.passes(SECOND * 3).swapped();
    }
    assert_eq!(marks, 5);
    assert_eq!(play.failed().kind(), ErrorKind::Store);
    let source = std::error::Error::source(play.failed()).unwrap();
    assert_eq!(std::error::Error::source(source).unwrap().to_string(), "it takes too long to answer");
    assert!(play.failed().rests_until().is_none());
    let mut play = Play::knowing(5);
    play.late();
    for _ in 0..4 {
        let found = play.found_own_mark(SECOND * 3);
        play.loaded(found).passes(SECOND * 3);
        if play.swap().1.mark.is_some() {
            play.swapped();
        }
    }
    let found = play.found_own_mark(SECOND * 3);
    play.loaded(found);
    let (expected, new) = play.swap();
    assert!(expected.is_some() && new.mark.is_none() && new.rest.is_none() && new.failures == 0);
}

#[test]
fn a_place_is_held_from_before_the_mark_to_the_end_of_the_exchange() {
    let mut play = Play::knowing(5);
    assert!(!play.machine.holds_place());
    play.queues = true;
    play.loaded(snapshot(expired()));
    assert!(!play.machine.holds_place(), "it queues");
    play.event(Event::Entered);
    assert!(play.machine.holds_place());
    play.passes(SECOND * 2).swapped().looks();
    let found = play.found_own_mark(Duration::ZERO);
    play.loaded(found).answered(NOTHING);
    assert!(play.machine.holds_place(), "the pause before a retry is short");
    play.waited().swapped().answered(Answer::Tokens(set("access-6", None)));
    assert!(!play.machine.holds_place(), "a slow write takes no place at the endpoint");
}

#[test]
fn whoever_waits_under_a_foreign_mark_gives_his_place_back_and_queues_again() {
    let mut play = Play::knowing(5);
    play.loaded(snapshot(expired())).conflict(Some(snapshot(marked(expired(), 70, 70))));
    play.wait();
    assert!(!play.machine.holds_place());
    play.queues = true;
    play.waited().loaded(snapshot(CredentialRecord { marks: 2, ..expired() }));
    assert!(matches!(play.step, Some(Step::Enter)), "{:?}", play.step);
}

#[test]
fn a_queue_takes_none_of_the_time_of_a_flight() {
    let mut play = Play::knowing(5);
    play.queues = true;
    play.passes(SECOND * 100).called().loaded(snapshot(expired()));
    play.passes(SECOND * 100).called().event(Event::Entered);
    let aged = play.swap().1.tokens.as_ref().unwrap().age;
    assert_eq!(aged, SECOND * 7300, "nor is the record as old as it was read");
    play.passes(SECOND * 100).called().swapped();
    assert_eq!(play.sends(), Some("refresh-5"));
}

#[test]
fn whoever_is_turned_away_is_told_why_and_until_when() {
    for (full, kind) in [(true, ErrorKind::TooManyWaiters), (false, ErrorKind::Unavailable)] {
        let mut play = Play::knowing(5);
        play.queues = true;
        play.loaded(snapshot(expired()));
        let until = play.now.after(SECOND * 9);
        let why = if full { TurnedAway::Full(until) } else { TurnedAway::Rests(until) };
        play.event(Event::TurnedAway(why));
        assert_eq!((play.failed().kind(), play.failed().rests_until()), (kind, Some(until)));
    }
}

#[test]
fn store_calls_rank_by_what_hangs_on_them() {
    let mut play = Play::knowing(5);
    assert_eq!(play.machine.rank(), Rank::New);
    play.late();
    assert_eq!(play.machine.rank(), Rank::Begun);
    let found = play.found_own_mark(Duration::ZERO);
    play.loaded(found).answered(dead());
    assert_eq!(play.machine.rank(), Rank::Begun);
    let mut play = Play::received();
    assert_eq!(play.machine.rank(), Rank::Commit);
    play.swap_fails().waited().looks();
    assert_eq!(play.machine.rank(), Rank::Commit);
}

#[test]
fn a_lost_race_for_the_lease_starts_over() {
    let mut play = Play::knowing(5);
    play.loaded(snapshot(expired())).conflict(Some(snapshot(fresh(6, "refresh-6"))));
    assert_eq!(play.adopted().generation, Generation::new(6), "the conflict says what is there");

    let mut play = Play::knowing(5);
    play.loaded(snapshot(expired())).conflict(None);
    assert_eq!(play.failed().kind(), ErrorKind::NotInstalled);
}

#[test]
fn no_request_leaves_when_the_store_does_not_take_the_mark() {
    let mut play = Play::knowing(5);
    play.loaded(snapshot(expired())).swap_fails().looks();
    play.loaded(snapshot(expired())).swap_fails();
    assert_eq!(play.failed().kind(), ErrorKind::Store);

    let mut play = Play::knowing(5);
    play.loaded(snapshot(expired())).swap_fails().load_fails();
    assert_eq!(play.failed().kind(), ErrorKind::Store);
}

#[test]
fn a_mark_that_was_written_though_the_store_failed_is_recognised_and_leaves_no_doubt() {
    let mut play = Play::knowing(5);
    play.loaded(snapshot(expired()));
    let written = play.swap().1.clone();
    play.swap_fails().loaded(snapshot(written));
    assert!(play.swap().1.doubt.is_none());
    play.swapped();
    assert_eq!(play.sends(), Some("refresh-5"));
}

// ===== hard =====

#[test]
fn a_refusal_is_believed_after_reading_again_and_written_on_the_version_of_the_mark() {
    let under = Some(Under { nonce: 70, number: 3, spent: Generation::new(4) });
    let before = CredentialRecord { under, marks: 3, ..expired() };
    let mut play = Play::knowing(5);
    play.loaded(snapshot(before)).swapped().answered(dead()).looks();
    let version = play.mark_version();
    let marked = CredentialRecord { under, marks: 4, ..expired() };
    play.loaded(Snapshot { version, ..snapshot(marked) });
    let (expected, new) = play.swap();
    assert_eq!((new.under, new.marks), (under, 4), "whoever comes late with a set can still tell");
    assert_eq!(expected, Some(version.to_bits()));
    assert!(matches!(&new.life, Life::Dead(verdict) if verdict.fingerprint == fingerprint("refresh-5")));
    assert!(new.tokens.is_none() && new.mark.is_none());
    assert_eq!(new.generation, Generation::new(5));
    play.swapped();
    assert_eq!(play.failed().kind(), ErrorKind::InvalidGrant);
    assert!(
        matches!(play.notes.as_slice(), [Note::Condemned(verdict)] if verdict.fingerprint == fingerprint("refresh-5"))
    );
}

#[test]
fn a_refusal_after_losing_a_race_adopts_what_the_winner_stored() {
    let mut play = Play::sent();
    play.answered(dead()).loaded(snapshot(fresh(6, "refresh-6")));
    assert_eq!(play.adopted().generation, Generation::new(6));
    assert!(play.notes.is_empty(), "nothing was condemned");
}

#[test]
fn a_refusal_after_losing_a_race_goes_on_once_with_the_winners_refresh_token() {
    let mut newer = fresh(6, "refresh-6");
    newer.tokens.as_mut().unwrap().age = SECOND * 7200;
    let mut play = Play::sent();
    play.answered(dead()).loaded(snapshot(newer)).swapped();
    assert_eq!(play.sends(), Some("refresh-6"));
}

#[test]
fn a_verdict_that_comes_too_late_is_not_written_over_somebody_elses_record() {
    let mut play = Play::sent();
    play.answered(dead());
    let version = play.mark_version();
    play.loaded(Snapshot { version, ..snapshot(expired()) }).conflict(None).looks();
    play.loaded(snapshot(fresh(6, "refresh-6")));
    assert_eq!(play.adopted().generation, Generation::new(6));
}

#[test]
fn a_release_that_comes_too_late_is_not_written_over_somebody_elses_record() {
    let code = || Some("invalid_client".to_owned());
    for (answer, kind) in [
        (Answer::Refused { code: code(), retry_after: None }, ErrorKind::Refused),
        (Answer::Configuration { code: code() }, ErrorKind::Configuration),
        (Answer::NeedsUser { code: code() }, ErrorKind::NeedsUser),
    ] {
        let mut play = Play::knowing(5);
        play.loaded(snapshot(expired()));
        let Some(Step::Swap { version: ours, .. }) = play.step else { panic!("{:?}", play.step) };
        play.swapped().answered(answer);
        assert_eq!(play.swap().0, Some(ours.to_bits()));
        play.conflict(Some(snapshot(marked(expired(), 7, 70))));
        assert_eq!(play.failed().kind(), kind);
    }
}

#[test]
fn a_refusal_is_not_believed_while_the_store_cannot_be_read() {
    let mut play = Play::sent();
    play.answered(dead()).load_fails();
    assert_eq!(play.failed().kind(), ErrorKind::Store);
    assert!(matches!(play.notes.as_slice(), [Note::Condemned(_)]), "for the next flight, which reads again");
}

#[test]
fn a_verdict_that_the_store_does_not_take_holds_in_this_process() {
    let mut play = Play::sent();
    play.answered(dead());
    let version = play.mark_version();
    play.loaded(Snapshot { version, ..snapshot(expired()) }).swap_fails();
    assert_eq!(play.failed().kind(), ErrorKind::InvalidGrant);
    assert!(matches!(play.notes.as_slice(), [Note::Condemned(..)]));
}

#[test]
fn other_refusals_rest_and_erase_nothing() {
    let code = || Some("invalid_client".to_owned());
    for (answer, reason, kind) in [
        (Answer::Configuration { code: code() }, RestReason::Configuration, ErrorKind::Configuration),
        (Answer::NeedsUser { code: code() }, RestReason::NeedsUser, ErrorKind::NeedsUser),
        (Answer::Refused { code: code(), retry_after: None }, RestReason::Refused, ErrorKind::Refused),
    ] {
        let mut play = Play::sent();
        play.answered(answer);
        let new = play.swap().1.clone();
        assert_eq!(refresh(&new), Some("refresh-5"));
        assert!(new.mark.is_none() && new.life == Life::Live);
        assert_eq!(new.rest.unwrap().reason, reason);
        play.swapped();
        assert_eq!((play.failed().kind(), play.failed().code()), (kind, Some("invalid_client")));
        assert!(play.failed().rests_until().is_some());
    }
}

// ===== transient =====

#[test]
fn an_outage_is_retried_once_under_a_mark_of_its_own_then_all_rest() {
    let mut play = Play::sent();
    play.answered(NOTHING).waited();
    let (_, renewed) = play.swap();
    assert_eq!(renewed.mark.as_ref().unwrap().number, 2);
    play.swapped().answered(NOTHING);
    let (_, released) = play.swap();
    assert!(released.mark.is_none() && released.doubt.is_none());
    assert_eq!((released.failures, released.rest.as_ref().unwrap().reason), (1, RestReason::Unavailable));
    play.swapped();
    assert_eq!(play.failed().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_failing_series_is_not_retried_within_the_flight_and_rests_longer() {
    let mut record = expired();
    record.failures = 14;
    let mut play = Play::knowing(5);
    play.loaded(snapshot(record)).swapped().answered(NOTHING);
    let (_, released) = play.swap();
    assert_eq!(released.failures, 15);
    assert!(released.rest.as_ref().unwrap().wait >= SECOND * 30);
}

#[test]
fn the_sixth_submission_in_ten_seconds_is_put_off() {
    let sent = [4, 5, 6, 7].map(|ago| SECOND * ago).to_vec();
    let record = CredentialRecord { failures: 4, sent, ..expired() };
    let mut play = Play::knowing(5);
    play.loaded(snapshot(record)).swapped().answered(NOTHING);
    let (_, released) = play.swap();
    assert_eq!((released.sent[0], released.sent.len()), (Duration::ZERO, 5));
    assert_eq!(released.rest.as_ref().unwrap().wait, SECOND * 10 - released.sent[4]);
}

#[test]
fn the_retry_in_a_flight_counts_as_a_submission_too() {
    for (before, retried) in [(3, true), (4, false)] {
        for answer in [NOTHING, Answer::Lost, Answer::NotSent(None)] {
            let unsent = matches!(answer, Answer::NotSent(_));
            let record = CredentialRecord { sent: vec![SECOND; before], ..expired() };
            let mut play = Play::knowing(5);
            play.loaded(snapshot(record)).swapped().answered(answer);
            if unsent {
                play.swapped();
            }
            let over = match &play.step {
                Some(Step::Swap { new, .. }) => new.rest.is_some(),
                step => matches!(step, Some(Step::Done)),
            };
            assert_eq!(over, !retried, "{before}");
        }
    }
}

#[test]
fn a_flight_has_a_time_and_a_number_of_attempts() {
    let mut play = Play::knowing(5);
    let limit = Policy::default().flight_limit;
    assert!(!play.machine.exhausted(play.now));
    play.machine.tried = Some(play.now);
    assert!(!play.machine.exhausted(play.now.after(limit - Duration::from_millis(1))));
    assert!(play.machine.exhausted(play.now.after(limit)));
    play.machine.sends = crate::coordinator::policy::MAX_SENDS;
    assert!(play.machine.exhausted(play.now));
}

#[test]
fn what_a_process_remembers_is_forgotten_when_it_is_nothing() {
    let mut own = Own::default();
    assert!(own.is_empty());
    own.was_not_sent(Play::new().now);
    assert!(!own.is_empty());
}

#[test]
fn failures_are_forgotten_a_quarter_of_an_hour_after_the_last() {
    for (minutes, forgotten) in [(14, false), (15, true)] {
        let record = CredentialRecord { failures: 100, ..expired() };
        let mut play = Play::knowing(5);
        play.loaded(Snapshot { age: SECOND * 60 * minutes, ..snapshot(record) }).swapped().answered(NOTHING);
        if forgotten {
            play.waited().swapped().answered(NOTHING);
        }
        let (_, released) = play.swap();
        assert_eq!(released.failures, if forgotten { 1 } else { 101 });
        assert_eq!(released.rest.as_ref().unwrap().wait < SECOND, forgotten);
    }
}

#[test]
fn a_server_error_leaves_doubt_behind() {
    let mut play = Play::sent();
    let error = Answer::Unavailable {
        in_doubt: true,
        retry_after: None,
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: None,
    };
    play.answered(error.clone()).waited();
    assert!(play.swap().1.doubt.is_some());
    play.swapped().answered(error);
    assert!(play.swap().1.doubt.is_some());
}

#[test]
fn retry_after_is_kept_by_everybody_and_not_waited_for() {
    let mut play = Play::sent();
    play.answered(Answer::Unavailable {
        in_doubt: false,
        retry_after: Some(SECOND * 90),
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: None,
    });
    assert_eq!(play.swap().1.rest.as_ref().unwrap().wait, SECOND * 90);
    play.swapped();
    assert_eq!(play.failed().rests_until(), Some(play.now.after(SECOND * 90)));
}

#[test]
fn a_request_that_never_left_leaves_no_doubt() {
    let mut play = Play::sent();
    play.answered(Answer::NotSent(None)).swapped().waited().loaded(snapshot(expired())).swapped();
    play.answered(Answer::NotSent(None));
    assert!(play.swap().1.doubt.is_none());
}

#[test]
fn what_never_left_this_host_is_nobody_elses_trouble() {
    let mut play = Play::sent();
    play.answered(Answer::NotSent(None));
    let clean = |new: &CredentialRecord| new.mark.is_none() && new.rest.is_none() && new.failures == 0;
    assert!(clean(play.swap().1), "cleared before the retry, too");
    play.swapped().waited().loaded(snapshot(expired())).swapped().answered(Answer::NotSent(None));
    assert!(clean(play.swap().1));
    play.swapped();
    let until = play.failed().rests_until().unwrap();
    assert!(until.boot > play.now.boot);
    // The next flight of this process looks, and does not send before.
    let own = play.machine.own().clone();
    let next =
        || Machine::new(Policy::default(), holder(ME), None, None).remembering(own.clone(), ClientPrint(0));
    let mut again = Play::resumed(next());
    again.loaded(snapshot(expired()));
    assert_eq!(again.failed().rests_until(), Some(until));
    let mut again = Play::resumed(next());
    again.loaded(snapshot(fresh(6, "refresh-6")));
    assert_eq!(again.adopted().generation, Generation::new(6));
    let mut again = Play::resumed(next());
    again.passes(SECOND * 3).loaded(snapshot(expired())).swapped();
    assert_eq!(again.sends(), Some("refresh-5"));
}

#[test]
fn a_lost_answer_is_followed_by_the_same_token_at_once_and_only_once() {
    let mut play = Play::sent();
    play.answered(Answer::Lost);
    assert!(play.swap().1.doubt.is_some());
    play.swapped();
    assert_eq!(play.sends(), Some("refresh-5"));
    play.answered(Answer::Lost);
    assert_eq!(play.failed().kind(), ErrorKind::InDoubt, "and the mark stays in the record");
}

#[test]
fn a_refusal_after_a_lost_answer_is_reported_as_a_lost_rotation() {
    let mut play = Play::sent();
    play.answered(Answer::Lost).swapped().answered(dead());
    let version = play.mark_version();
    play.loaded(Snapshot { version, ..snapshot(expired()) }).swapped();
    assert_eq!(play.failed().kind(), ErrorKind::LostRotation);
}

#[test]
fn a_retry_whose_mark_lost_a_race_starts_over_and_one_that_the_store_refuses_does_not_leave() {
    let mut play = Play::sent();
    play.answered(Answer::Lost).conflict(Some(snapshot(fresh(6, "refresh-6"))));
    assert_eq!(play.adopted().generation, Generation::new(6));

    let mut play = Play::sent();
    play.answered(Answer::Lost).swap_fails();
    assert_eq!(play.failed().kind(), ErrorKind::Store);
}

#[test]
fn a_flight_sends_a_bounded_number_of_times_whatever_is_answered() {
    for answer in [Answer::Lost, NOTHING, Answer::NotSent(None), Answer::Unusable { refresh_token: None }] {
        let mut play = Play::knowing(5);
        let (mut sends, mut marked) = (0, false);
        loop {
            match play.step.as_ref().unwrap() {
                Step::Enter => panic!("the test's machine does not queue"),
                Step::Load => drop(play.loaded(snapshot(expired()))),
                Step::Swap { new, .. } => {
                    marked = new.mark.is_some();
                    play.swapped();
                }
                Step::Wait(_) => drop(play.waited()),
                Step::Send { .. } => {
                    sends += 1;
                    assert!(std::mem::take(&mut marked), "each has a mark of its own: {answer:?}");
                    play.answered(answer.clone());
                }
                Step::Revoke { .. } => panic!("nothing was received"),
                Step::Done => break,
            }
        }
        assert!((1..=3).contains(&sends), "{answer:?}: {sends}");
    }
}

impl Play {
    /// Up to a mark whose write took two seconds.
    fn late(&mut self) -> &mut Self {
        self.loaded(snapshot(expired())).passes(SECOND * 2).swapped()
    }

    /// What a load finds then.
    fn found_own_mark(&self, age: Duration) -> Snapshot {
        let Phase::Checking { attempt } = &self.machine.phase else {
            panic!("{:?}", self.machine.phase);
        };
        Snapshot { version: attempt.version, age, ..snapshot(attempt.record.clone()) }
    }

    fn mark_version(&self) -> Version {
        let Phase::Rereading { attempt, .. } = &self.machine.phase else {
            panic!("{:?}", self.machine.phase);
        };
        attempt.version
    }
}

#[test]
fn client_credentials_with_a_stray_refresh_token_are_never_condemned() {
    let policy = Policy { grant: Grant::ClientCredentials, ..Policy::default() };
    let mut play = Play::with(policy, None);
    play.loaded(snapshot(expired())).swapped();
    play.answered(dead());
    let version = play.mark_version();
    play.loaded(Snapshot { version, ..snapshot(expired()) });
    assert_eq!(play.swap().1.life, Life::Live);
    play.swapped();
    assert_eq!(play.failed().kind(), ErrorKind::Configuration);
}
