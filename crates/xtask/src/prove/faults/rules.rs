//! Rules of a refresh, each broken alone.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "rule 1: the retry goes out under the old mark",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"            return self.renew(now, lots, attempt);
        }
        let wait"#,
        replace: r#"            return self.send(now, lots, attempt);
        }
        let wait"#,
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_lost_answer_is_followed_by_the_same_token_at_once_and_only_once",
        ],
    },
    Fault {
        breaks: "rule 1: sends though the mark lost its race",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "Ok(Swapped::Conflict(found)) => self.looked(now, lots, since, Ok(found)),",
        replace: "Ok(Swapped::Conflict(_)) => self.send(now, lots, attempt),",
        caught_by: &["coordinator/machine/tests/exchange.rs::a_lost_race_for_the_lease_starts_over"],
    },
    Fault {
        breaks: "rule 1: sends though the store did not take the mark",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"                self.store_failures += 1;
                if self.store_failures > 1 || self.sends > 0 {"#,
        replace: r#"                self.store_failures += 1;
                if self.store_failures == 1 {
                    return self.send(now, lots, attempt);
                }
                if self.store_failures > 1 || self.sends > 0 {"#,
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::no_request_leaves_when_the_store_does_not_take_the_mark",
        ],
    },
    Fault {
        breaks: "rule 2: sends however late",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "if now.since(since) <= SEND_WINDOW =>",
        replace: "if now.since(since) <= SEND_WINDOW * 1000 =>",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_mark_that_was_written_late_is_looked_at_once_more_and_sent_under_while_young",
        ],
    },
    Fault {
        breaks: "rule 2: sends under a mark however old",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "if age <= SEND_WINDOW {",
        replace: "if age <= SEND_WINDOW * 1000 {",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_mark_that_was_written_late_is_looked_at_once_more_and_sent_under_while_young",
        ],
    },
    Fault {
        breaks: "rule 3: takes a foreign mark at once",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: r#"if !ours
            && !seen.snapshot.holder_dead"#,
        replace: r#"if false
            && !seen.snapshot.holder_dead"#,
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_foreign_mark_is_waited_out_for_the_exchange_limit_and_a_second_then_must_lie_still",
        ],
    },
    Fault {
        breaks: "rule 3: a lease shorter than the exchange",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "        self.exchange_limit.saturating_add(MARK_MARGIN)",
        replace: "        self.exchange_limit / 5",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_foreign_mark_is_waited_out_for_the_exchange_limit_and_a_second_then_must_lie_still",
        ],
    },
    Fault {
        breaks: "rule 3: does not settle",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: r#"            _ => {
                self.settling = Some((version, now));
                Some(SETTLE)
            }"#,
        replace: "            _ => None,",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_foreign_mark_is_waited_out_for_the_exchange_limit_and_a_second_then_must_lie_still",
        ],
    },
    Fault {
        breaks: "rule 3: settles on a record that changed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: ".filter(|(settled, _)| *settled == version)",
        replace: ".filter(|_| true)",
        caught_by: &["coordinator/machine/tests/judge.rs::a_change_while_settling_starts_the_waiting_anew"],
    },
    Fault {
        breaks: "rule 3: oversleeping does not matter",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "Some(lay) if lay <= SETTLE_AT_MOST => None",
        replace: "Some(_) => None",
        caught_by: &["coordinator/machine/tests/judge.rs::a_settling_that_overslept_says_nothing"],
    },
    Fault {
        breaks: "rule 3: inherits a mark without a doubt",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "let doubt = record.doubt.or(theirs);",
        replace: "let doubt = record.doubt.or(theirs.filter(|_| false));",
        caught_by: &["coordinator/machine/tests/judge.rs::whoever_inherits_a_mark_reports_a_lost_rotation"],
    },
    Fault {
        breaks: "rule 4: keeps a set of an ended login",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "let Some(refresh_token) = commit.rotated.filter(|_| revoke) else {",
        replace: "let Some(refresh_token) = commit.rotated.filter(|_| revoke && false) else {",
        caught_by: &["coordinator/machine/tests/commit.rs::a_set_for_a_login_that_has_ended_is_given_back"],
    },
    Fault {
        breaks: "rule 4: gives back a set of a login that was only forgotten",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "return self.give_back(commit, !seen.snapshot.record.forgotten);",
        replace: "return self.give_back(commit, true);",
        caught_by: &[
            "coordinator/tests/logouts.rs::a_login_that_is_forgotten_during_a_refresh_is_not_revoked",
        ],
    },
    Fault {
        breaks: "rule 4: drops its set for a foreign mark",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "let unmoved = record.generation == commit.under.spent;",
        replace: "let unmoved = record.generation == commit.under.spent && record.mark.is_none();",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_record_still_at_the_spent_generation_is_overwritten_whoever_marked_it",
        ],
    },
    Fault {
        breaks: "rule 4: a verdict is not overruled",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "let unmoved = record.generation == commit.under.spent;",
        replace: "let unmoved = record.generation == commit.under.spent && record.life == Life::Live;",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_hard_verdict_over_the_spent_token_is_overruled_by_the_set_that_was_got_for_it",
        ],
    },
    Fault {
        breaks: "rule 4: the later sibling gives way",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "under.number < commit.under.number",
        replace: "under.number > commit.under.number",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::of_two_sets_for_one_refresh_token_the_one_marked_later_wins",
        ],
    },
    Fault {
        breaks: "rule 4: does not recognise its own write",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "record.under.is_some_and(|under| under.nonce == commit.under.nonce)",
        replace: "false && record.under.is_some_and(|under| under.nonce == commit.under.nonce)",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_write_that_succeeded_though_the_store_failed_is_recognised",
        ],
    },
    Fault {
        breaks: "rule 4: a set that cannot be stored is dropped",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: r#"        self.phase = Phase::Holding { commit };
        Step::Wait(pause)"#,
        replace: r#"        let _ = commit;
        self.fail(RefreshError::new(ErrorKind::Store))"#,
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_failed_write_is_tried_again_at_least_every_second_and_nothing_is_sent_again",
        ],
    },
    Fault {
        breaks: "rule 4: a late set forgets who sent the same token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "let doubt = commit.doubt.or_else(|| meddling(&commit, &seen, now));",
        replace: "let doubt = commit.doubt.or_else(|| meddling(&commit, &seen, now)).filter(|_| false);",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_set_that_came_late_remembers_who_sent_the_same_refresh_token_meanwhile",
        ],
    },
    Fault {
        breaks: "rule 5: no reading again before a verdict",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "if seen.snapshot.version != attempt.version {",
        replace: "if false {",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_refusal_after_losing_a_race_adopts_what_the_winner_stored",
        ],
    },
    Fault {
        breaks: "rule 5: the verdict is written over anything",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"Ok(Swapped::Conflict(_)) => self.look(),
            // Where the store"#,
        replace: r#"Ok(Swapped::Conflict(_)) => self.fail(verdict),
            // Where the store"#,
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_verdict_that_comes_too_late_is_not_written_over_somebody_elses_record",
        ],
    },
    Fault {
        breaks: "rule 5: a verdict lifts nothing on install",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/begin.rs",
        find: r#"let before = state.standing.take();
        state.dead = None;
"#,
        replace: r#"let before = None::<()>;
"#,
        caught_by: &["coordinator/tests/life.rs::the_same_refresh_token_installed_again_lifts_the_verdict"],
    },
    Fault {
        breaks: "rule 6: adopts what is expired",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/seen.rs",
        find: "policy::usable(tokens, age.saturating_add(now.since(self.at))).then_some(held)",
        replace: r#"{
            let _ = now;
            Some(held)
        }"#,
        caught_by: &[
            "coordinator/machine/tests/judge.rs::an_adopted_token_that_is_expired_is_refreshed_with_the_adopted_refresh_token",
        ],
    },
    Fault {
        breaks: "rule 7: the mark is not released",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"        record.mark = None;
        record.rest = rest;"#,
        replace: "        record.rest = rest;",
        caught_by: &["coordinator/machine/tests/exchange.rs::other_refusals_rest_and_erase_nothing"],
    },
    Fault {
        breaks: "rule 7: no rest is left",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "        record.rest = rest;",
        replace: "        let _ = rest;",
        caught_by: &["coordinator/machine/tests/exchange.rs::other_refusals_rest_and_erase_nothing"],
    },
    Fault {
        breaks: "rule 9: the set back store is believed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "if self.regressed(record) {",
        replace: "if false && self.regressed(record) {",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_store_that_was_set_back_gets_the_newer_tokens_again_and_the_spent_one_is_not_sent",
        ],
    },
];
