//! Rows of "Rotation and the store": a refresh token that works once, and a record that others write, too.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "A5: a late release is written over the record that is there by then",
        rows: &["I4"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine.rs",
        find: "            (Phase::Releasing { then }, Event::Swapped(_)) => match then {",
        replace: r#"            (Phase::Releasing { then }, Event::Swapped(Ok(Swapped::Conflict(Some(found))))) => {
                self.phase = Phase::Releasing { then };
                let new = CredentialRecord { mark: None, ..found.record };
                Step::Swap { expected: Some(found.version), version: lots.version, new }
            }
            (Phase::Releasing { then }, Event::Swapped(_)) => match then {"#,
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_release_that_comes_too_late_is_not_written_over_somebody_elses_record",
        ],
    },
    Fault {
        breaks: "A5: a late verdict is written over the record that is there by then",
        rows: &["I4"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine.rs",
        find: "            (Phase::Condemning { verdict }, Event::Swapped(swapped)) => self.condemned(verdict, swapped),",
        replace: r#"            (Phase::Condemning { verdict }, Event::Swapped(Ok(Swapped::Conflict(_)))) => {
                self.phase = Phase::Condemning { verdict };
                Step::Swap { expected: None, version: lots.version, new: CredentialRecord::empty(LoginId(0), crate::generation::Generation::ZERO) }
            }
            (Phase::Condemning { verdict }, Event::Swapped(swapped)) => self.condemned(verdict, swapped),"#,
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_verdict_that_comes_too_late_is_not_written_over_somebody_elses_record",
        ],
    },
    Fault {
        breaks: "A6: a wait that ran out is no passing failure",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/error.rs",
        find: "Unavailable | InDoubt | Refused | Store | Unpersisted | TimedOut | TooManyWaiters | Aborted",
        replace: "Unavailable | InDoubt | Refused | Store | Unpersisted | TooManyWaiters | Aborted",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::others_that_refresh_forever_without_success_are_not_waited_for_forever",
        ],
    },
    Fault {
        breaks: "A6: others are waited for without end",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "if self.flown(now) > self.policy.flight_limit.saturating_add(self.policy.foreign_mark_life(mark))",
        replace: "if self.flown(now) == std::time::Duration::MAX",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::others_that_refresh_forever_without_success_are_not_waited_for_forever",
        ],
    },
    Fault {
        breaks: "A7: the mark of a dead process is waited out",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: r#"            && !seen.snapshot.holder_dead
"#,
        replace: "",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_holder_proven_dead_is_succeeded_at_once_and_leaves_doubt",
        ],
    },
    Fault {
        breaks: "A7: a foreign mark is never too old",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "if !alive.is_zero() {",
        replace: "if !alive.is_zero() || true {",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_foreign_mark_is_waited_out_for_the_exchange_limit_and_a_second_then_must_lie_still",
        ],
    },
    Fault {
        breaks: "A8: a received set is dropped where somebody wrote in between",
        rows: &["I2"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "if unmoved || older_sibling {",
        replace: "if older_sibling && !unmoved {",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_record_still_at_the_spent_generation_is_overwritten_whoever_marked_it",
        ],
    },
    Fault {
        breaks: "A9: a refresh under way writes over a logout",
        rows: &["I10"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "if seen.snapshot.record.life == Life::LoggedOut {",
        replace: "if false {",
        caught_by: &[
            "coordinator/tests/life.rs::a_refresh_that_lands_after_logout_is_revoked_and_not_stored",
        ],
    },
    Fault {
        breaks: "A10: what lands for a former login is left alive",
        rows: &["I10", "I17"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "let ours = found.filter(|seen| seen.snapshot.record.login == commit.login);",
        replace: "let ours = found;",
        caught_by: &[
            "coordinator/tests/life.rs::a_new_login_during_a_refresh_stays_and_the_old_result_is_revoked",
        ],
    },
    Fault {
        breaks: "A11: the mark does not say which refresh token is in flight",
        rows: &["I14"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "            fingerprint: record.fingerprint(),\n            life:",
        replace: "            fingerprint: None,\n            life:",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::the_mark_is_written_before_the_request_leaves_and_says_who_and_with_what",
        ],
    },
    Fault {
        breaks: "A11: the request leaves without a mark",
        rows: &["I14"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"        self.phase = Phase::Leasing { attempt };
        Step::Swap { expected, version: lots.version, new: record }"#,
        replace: r#"        let _ = expected;
        self.send(now, lots, attempt)"#,
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::the_mark_is_written_before_the_request_leaves_and_says_who_and_with_what",
        ],
    },
    Fault {
        breaks: "A11: nobody knows what the dead holder of a mark may have sent",
        rows: &["I14"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: ".filter(|_| sent != Some(false));",
        replace: ".filter(|_| sent == Some(true));",
        caught_by: &["coordinator/machine/tests/judge.rs::whoever_inherits_a_mark_reports_a_lost_rotation"],
    },
    Fault {
        breaks: "A12: a set that could not be stored is forgotten",
        rows: &["I2"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine.rs",
        find: "(Phase::Holding { commit }, Event::Woke) => self.reload(commit),",
        replace: "(Phase::Holding { .. }, Event::Woke) => self.look(),",
        caught_by: &[
            "coordinator/tests/trouble.rs::a_set_that_cannot_be_stored_is_kept_and_written_when_the_store_returns",
            "coordinator/machine/tests/commit.rs::a_failed_write_is_tried_again_at_least_every_second_and_nothing_is_sent_again",
        ],
    },
    Fault {
        breaks: "A12: callers do not hear that the set is not stored",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "let outcome = if self.policy.serve_unpersisted && usable {",
        replace: "let outcome = if usable {",
        caught_by: &[
            "coordinator/tests/trouble.rs::a_set_that_cannot_be_stored_is_kept_and_written_when_the_store_returns",
        ],
    },
    Fault {
        breaks: "A13: the refresh token is spent though the store takes no write",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"                if self.store_failures > 1 || self.sends > 0 {
                    return self.fail(store_error(error));"#,
        replace: r#"                if self.store_failures > 1 || self.sends > 0 {
                    let _ = error;
                    return self.send(now, lots, attempt);"#,
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::no_request_leaves_when_the_store_does_not_take_the_mark",
        ],
    },
    Fault {
        breaks: "A13: a store that cannot be read holds no login",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: r#"                self.settling = None;
                self.fail(store_error(error))"#,
        replace: r#"                let Some(known) = self.known.clone() else { return self.fail(store_error(error)) };
                let mut record = CredentialRecord::empty(known.login, known.generation);
                record.tokens = Some(known.tokens);
                self.place = true;
                let _ = self.mark(now, lots, Lease { expected: None, record, doubt: None, at: now });
                self.step(now, lots, super::Event::Swapped(Ok(super::Swapped::Done)))"#,
        caught_by: &[
            "coordinator/tests/trouble.rs::nothing_is_sent_while_the_store_is_down_and_all_is_well_when_it_returns",
        ],
    },
    Fault {
        breaks: "A15: an answer without a refresh token erases the one that is kept",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/record.rs",
        find: "set.refresh_token.as_ref().or(kept_token).cloned()",
        replace: "set.refresh_token.as_ref().or(kept_token.filter(|_| false)).cloned()",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::an_answer_without_a_refresh_token_keeps_the_old_one",
        ],
    },
    Fault {
        breaks: "A16: what the process has is refreshed, whatever the store has",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "if self.is_news(record)",
        replace: "if false && self.is_news(record)",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_newer_generation_is_adopted_without_a_write",
            "coordinator/tests/life.rs::a_new_process_picks_the_credential_up_from_the_store",
        ],
    },
    Fault {
        breaks: "A17: a token is refreshed ahead from its first second on",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "Some(life.saturating_sub(margin + window.mul_f64(0.5 + unit / 2.0)))",
        replace: "Some(window.mul_f64(unit / 2.0).saturating_sub(margin + window))",
        caught_by: &[
            "coordinator/tests/time.rs::a_token_is_refreshed_ahead_in_the_background_once_and_nobody_waits",
        ],
    },
    Fault {
        breaks: "A17: refreshing ahead cannot be turned off",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slot.rs",
        find: ".filter(|_| policy.refresh_ahead)",
        replace: "",
        caught_by: &["coordinator/tests/time.rs::refreshing_ahead_can_be_turned_off"],
    },
    Fault {
        breaks: "RB-21: the new refresh token of an answer is ignored",
        rows: &["I2", "I3"],
        file: "crates/tower-oauth-refresh/src/store/record.rs",
        find: "set.refresh_token.as_ref().or(kept_token).cloned()",
        replace: "kept_token.or(set.refresh_token.as_ref()).cloned()",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_received_set_is_stored_before_anybody_is_told",
            "coordinator/machine/tests/commit.rs::a_rotation_retires_the_spent_refresh_token",
        ],
    },
    Fault {
        breaks: "RB-21: the spent refresh token is not known as such",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "retired: if rotated.is_some() { spent_token } else { attempt.record.retired },",
        replace: "retired: attempt.record.retired,",
        caught_by: &["coordinator/machine/tests/commit.rs::a_rotation_retires_the_spent_refresh_token"],
    },
    Fault {
        breaks: "RB-25: waiters are told of tokens before these are stored",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "        let base = attempt.record.aged(now.since(attempt.written));",
        replace: r#"        self.notes.push(Note::Tell(Outcome::Refreshed(commit.held())));
        let base = attempt.record.aged(now.since(attempt.written));"#,
        caught_by: &["coordinator/machine/tests/commit.rs::a_received_set_is_stored_before_anybody_is_told"],
    },
    Fault {
        breaks: "RB-25: of a success that reports an error the refresh token is dropped",
        rows: &["I2"],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "status.is_success() && response.holds_refresh_token() {",
        replace: "false && response.holds_refresh_token() {",
        caught_by: &["endpoint/classify/tests.rs::a_refresh_token_in_a_success_is_never_lost"],
    },
    Fault {
        breaks: "RB-29: what a token is for stands in its key without a mark between the parts",
        rows: &["I17"],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: r#"format!(" {}={}", encode(name), encode(value))"#,
        replace: r#"format!("{}={}", encode(name), encode(value))"#,
        caught_by: &[
            "coordinator/tests/sharing.rs::coordinators_for_different_resources_never_share_a_token",
        ],
    },
    Fault {
        breaks: "RB-29: what a token is for stands in its key as it is",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: r#"format!(" {}={}", encode(name), encode(value))"#,
        replace: r#"format!(" {name}={value}")"#,
        caught_by: &[
            "coordinator/tests/sharing.rs::coordinators_for_different_resources_never_share_a_token",
        ],
    },
    Fault {
        breaks: "RB-30: a lost answer is followed by the same token again and again",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "if self.doubts == 1 && self.may_retry(now, &attempt) {",
        replace: "if self.doubts <= 100 {",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_flight_sends_a_bounded_number_of_times_whatever_is_answered",
        ],
    },
    Fault {
        breaks: "RB-30: a retry goes out under the old mark",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"        record.mark = None;
        self.mark(now, lots, Lease { expected: Some(attempt.version), record, at: now, doubt })"#,
        replace: r#"        record.doubt = doubt;
        self.send(now, lots, Attempt { record, ..attempt })"#,
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_flight_sends_a_bounded_number_of_times_whatever_is_answered",
        ],
    },
];
