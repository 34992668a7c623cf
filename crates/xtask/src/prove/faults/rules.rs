//! Rules of the engine, each broken alone, and mistakes that other clients have made.

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
            "coordinator/machine/tests/exchange.rs::the_time_to_send_counts_from_before_the_mark_was_written",
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
    Fault {
        breaks: "told before it is stored",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: r#"        self.phase = Phase::Committing { commit };
        Step::Swap {"#,
        replace: r#"        self.notes.push(Note::Tell(Outcome::Refreshed(commit.held())));
        self.phase = Phase::Committing { commit };
        Step::Swap {"#,
        caught_by: &["coordinator/machine/tests/commit.rs::a_received_set_is_stored_before_anybody_is_told"],
    },
    Fault {
        breaks: "a dead refresh token is known by its credential",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "self.dead.take_if(|dead| record.fingerprint() == Some(dead.fingerprint))",
        replace: "self.dead.take_if(|_| true)",
        caught_by: &["coordinator/machine/tests/judge.rs::another_login_is_news_whatever_its_generation"],
    },
    Fault {
        breaks: "publishes nothing before it wakes",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "                self.slot.publish(state, current.clone());",
        replace: "",
        caught_by: &["coordinator/tests/sharing.rs::whoever_wakes_finds_the_new_token_published"],
    },
    Fault {
        breaks: "no look at the generation before a refresh",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "if current.id() != used {",
        replace: "if false && current.id() != used {",
        caught_by: &["coordinator/tests/sharing.rs::a_late_refusal_of_an_older_generation_costs_no_refresh"],
    },
    Fault {
        breaks: "the outcome of an older login is believed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "if state.epoch == self.epoch || self.is_of_the_login_now(&outcome) {",
        replace: "if true || self.is_of_the_login_now(&outcome) {",
        caught_by: &[
            "coordinator/tests/life.rs::a_new_login_during_a_refresh_stays_and_the_old_result_is_revoked",
        ],
    },
    Fault {
        breaks: "a failure takes a valid token away",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"        if ends {
"#,
        replace: r#"        if ends || true {
"#,
        caught_by: &["coordinator/tests/time.rs::a_failed_early_refresh_keeps_the_valid_token_and_is_spaced"],
    },
    Fault {
        breaks: "every failure is forgotten at once",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "        state.standing = Some(Box::new((error.clone(), until)));",
        replace: "",
        caught_by: &["coordinator/tests/life.rs::a_dead_refresh_token_is_submitted_once_however_many_ask"],
    },
    Fault {
        breaks: "the storm guard is asleep",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "least.filter(|least| !least.is_zero())",
        replace: "least.filter(|_| false)",
        caught_by: &[
            "coordinator/tests/time.rs::an_api_that_refuses_every_token_does_not_burn_refresh_tokens",
        ],
    },
    Fault {
        breaks: "it is forgotten that an API has accepted a token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slot.rs",
        find: "self.accepted.bits(used.generation) & origin.bit() != 0",
        replace: "self.accepted.bits(used.generation) & origin.bit() == u64::MAX",
        caught_by: &[
            "coordinator/tests/time.rs::a_token_that_the_api_has_accepted_is_refreshed_at_once_however_new",
        ],
    },
    Fault {
        breaks: "a logout leaves no tombstone",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "_ => Change::Write(Box::new(new)),",
        replace: "_ => Change::Remove,",
        caught_by: &[
            "coordinator/tests/life.rs::a_refresh_that_lands_after_logout_is_revoked_and_not_stored",
        ],
    },
    Fault {
        breaks: "a logout removes the record under a foreign mark",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "removes: !awaited && landed",
        replace: "removes: landed",
        caught_by: &[],
    },
    Fault {
        breaks: "a logout does not revoke",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "&& self.endpoint.revoke(token, key(), limit).await",
        replace: "&& !token.is_empty()",
        caught_by: &["coordinator/tests/logouts.rs::a_logout_revokes_both_tokens_and_a_lone_access_token"],
    },
    Fault {
        breaks: "a logout leaves the access token alive",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "&& self.endpoint.revoke_access(token, key(), limit).await",
        replace: "&& !token.is_empty()",
        caught_by: &["coordinator/tests/logouts.rs::a_logout_revokes_both_tokens_and_a_lone_access_token"],
    },
    Fault {
        breaks: "a panic leaves its waiters alone",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"        if !self.ended {
            // The task panicked"#,
        replace: r#"        if false && !self.ended {
            // The task panicked"#,
        caught_by: &[],
    },
    Fault {
        breaks: "a caller keeps the timer of a runtime that he has left",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/waiter.rs",
        find: ".filter(|here| here.id() != runtime.id())",
        replace: ".filter(|_| false)",
        caught_by: &[
            "coordinator/tests/waiting.rs::a_caller_who_moves_to_another_runtime_ends_by_his_own_deadline",
        ],
    },
    Fault {
        breaks: "a caller waits without end",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/waiter.rs",
        find: "Ok(over) => over.map(|()| Err(RefreshError::new(ErrorKind::TimedOut))),",
        replace: "Ok(_) => Poll::Pending,",
        caught_by: &[
            "coordinator/tests/sharing.rs::a_caller_ends_by_its_own_deadline_and_the_refresh_goes_on",
        ],
    },
    Fault {
        breaks: "a flight begins under the lock that its end takes",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"        drop(state);
        let machine"#,
        replace: "        let machine",
        caught_by: &[],
    },
    Fault {
        breaks: "an early refresh without a runtime is the last one",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "ErrorKind::NoRuntime => current.set_ahead(Some(now)),",
        replace: "ErrorKind::NoRuntime => current.set_ahead(None),",
        caught_by: &[
            "coordinator/tests/cancellation.rs::an_early_refresh_is_not_forgotten_where_there_was_no_runtime_or_none_any_more",
        ],
    },
    Fault {
        breaks: "an early refresh that failed is tried again where it is turned off",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"(self.coordinator.policy.refresh_ahead || state.parked.is_some())
            && error"#,
        replace: "error",
        caught_by: &[],
    },
    Fault {
        breaks: "a look at what is kept fresh brings a login back that has ended",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/keep_fresh.rs",
        find: "if state.epoch != epoch {",
        replace: "if state.epoch < epoch {",
        caught_by: &[
            "coordinator/tests/fresh.rs::a_look_that_was_under_way_during_a_logout_does_not_bring_the_login_back",
        ],
    },
    Fault {
        breaks: "nobody is kept fresh once the runtime has ended",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/keep_fresh.rs",
        find: "task.is_finished()",
        replace: "task.is_finished() && every.is_zero()",
        caught_by: &[
            "coordinator/tests/many.rs::what_is_kept_fresh_goes_on_where_it_is_said_again_after_its_runtime_has_ended",
        ],
    },
    Fault {
        breaks: "the store has all the time it wants",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: "let answer = timeout(limit,",
        replace: "let answer = timeout(limit * 10_000,",
        caught_by: &["coordinator/tests/trouble.rs::a_store_that_never_answers_is_a_store_that_failed"],
    },
    Fault {
        breaks: "Retry-After is not kept",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify/retry_after.rs",
        find: "Some(wait.min(CAP))",
        replace: "None.filter(|_| wait > CAP)",
        caught_by: &["endpoint/classify/retry_after.rs::seconds_and_dates_are_read_and_cut_to_an_hour"],
    },
    Fault {
        breaks: "the header may be shown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/attach.rs",
        find: "value.set_sensitive(true)",
        replace: "value.set_sensitive(false)",
        caught_by: &["attach.rs::the_header_is_sensitive_and_an_illegal_token_is_no_panic"],
    },
    Fault {
        breaks: "any host gets the token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/layer.rs",
        find: "self.origins.iter().find(|(origin, _)| origin.matches(uri))",
        replace: "self.origins.iter().find(|(origin, _)| origin.matches(uri) || true)",
        caught_by: &["service/tests.rs::other_origins_and_callers_own_authorization_pass_through_untouched"],
    },
    Fault {
        breaks: "the token stands beside the caller's own header",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/service.rs",
        find: "origin.filter(|_| !request.headers().contains_key(AUTHORIZATION))",
        replace: "origin.filter(|_| !request.headers().contains_key(AUTHORIZATION) || true)",
        caught_by: &["service/tests.rs::other_origins_and_callers_own_authorization_pass_through_untouched"],
    },
    Fault {
        breaks: "another account repeats the request",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/future/heal.rs",
        find: "if token.id().login == used.login {",
        replace: "if token.id().login == used.login || true {",
        caught_by: &["service/tests.rs::a_request_of_one_login_is_not_sent_again_under_the_next"],
    },
    Fault {
        breaks: "a bound token goes out without its key",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/attach.rs",
        find: "if let Some(key) = self.bound_key {",
        replace: "if let Some(key) = self.bound_key.filter(|_| false) {",
        caught_by: &["service/tests/nonce.rs::the_token_goes_out_as_dpop_and_its_key_goes_along"],
    },
    Fault {
        breaks: "the key of a login is lost with its first refresh",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "tokens.bound_key = attempt.record.bound_key().cloned();",
        replace: "tokens.bound_key = None;",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::every_set_of_a_login_keeps_the_key_that_it_is_bound_to",
        ],
    },
    Fault {
        breaks: "a missing nonce is a refused token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/layer.rs",
        find: "            return Asks::Nonce;",
        replace: "            return Asks::Token;",
        caught_by: &["service/tests/nonce.rs::a_missing_nonce_costs_no_refresh_and_is_not_reported"],
    },
    Fault {
        breaks: "nonces are asked for without end",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/future/heal.rs",
        find: "Asks::Nonce if !nonce => nonce = true,",
        replace: "Asks::Nonce => nonce = true,",
        caught_by: &[
            "service/tests/nonce.rs::a_server_that_asks_for_nonces_without_end_gets_one_request_more",
        ],
    },
    Fault {
        breaks: "an answer is used whatever its type",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: r#"Verdict::Success(set) if set.token_type.eq_ignore_ascii_case("DPoP") != self.target.dpop => {"#,
        replace: r#"Verdict::Success(set) if false && set.token_type.eq_ignore_ascii_case("DPoP") != self.target.dpop => {"#,
        caught_by: &[
            "crates/tower-oauth-refresh-binding/tests/it/refusals.rs::a_bearer_token_is_not_taken_for_a_bound_one_and_its_refresh_token_is_kept",
        ],
    },
    Fault {
        breaks: "a verdict that the store has lost is kept to oneself",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "if record.mark.as_ref().is_none_or(|mark| self.own.wrote(mark) || had_its_life(mark)) {",
        replace: "if record.mark.as_ref().is_some_and(|mark| self.own.wrote(mark) || had_its_life(mark)) {",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_verdict_that_the_store_has_lost_or_did_not_take_is_written_again",
        ],
    },
    Fault {
        breaks: "jitter is drawn for every call",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: "hash_one((coordinator, key, generation))",
        replace: "hash_one((coordinator, key, generation, std::time::Instant::now()))",
        caught_by: &["coordinator/tests/time.rs::jitter_is_drawn_once_for_a_generation"],
    },
    Fault {
        breaks: "a token is good until its last second",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "    Duration::from_secs(30).min(lifetime / 20)",
        replace: "    Duration::ZERO.min(lifetime)",
        caught_by: &[
            "coordinator/policy/tests.rs::a_token_is_good_until_its_margin_begins_and_not_a_moment_longer",
        ],
    },
    Fault {
        breaks: "the same fixed key for another resource",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: r#"        for (name, value) in parameters {
            namespace"#,
        replace: r#"        for (name, value) in parameters.into_iter().take(0) {
            namespace"#,
        caught_by: &[
            "coordinator/tests/sharing.rs::coordinators_for_different_resources_never_share_a_token",
        ],
    },
];
