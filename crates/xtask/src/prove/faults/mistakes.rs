//! Mistakes around a refresh, most of which other clients have made.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
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
        caught_by: &[
            "coordinator/tests/life.rs::a_login_in_another_process_lifts_the_verdict_within_a_second",
        ],
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
            "coordinator/tests/life.rs::a_failure_of_the_old_login_says_nothing_of_the_new_one",
            "coordinator/tests/logouts/everywhere.rs::a_flight_that_read_the_store_before_a_logout_is_not_believed",
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
        find: "            state.standing = Some(Standing::new(error.clone(), now, now.until(until)));",
        replace: "",
        caught_by: &[
            "coordinator/tests/trouble.rs::a_store_that_is_down_is_asked_more_rarely_the_longer_it_is",
        ],
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
            "coordinator/tests/life.rs::a_logout_leaves_a_tombstone_for_the_process_that_is_refreshing",
        ],
    },
    Fault {
        breaks: "a logout removes the record under a foreign mark",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "removes: !awaited && landed",
        replace: "removes: landed",
        caught_by: &[
            "coordinator/tests/logouts.rs::what_is_left_under_a_foreign_mark_goes_with_a_logout_a_week_later",
        ],
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
        breaks: "a flight that is dropped leaves its waiters alone",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"        if !self.ended {
            // The task panicked"#,
        replace: r#"        if false && !self.ended {
            // The task panicked"#,
        caught_by: &[
            "coordinator/tests/cancellation.rs::a_runtime_that_goes_away_takes_no_waiter_with_it_and_the_record_says_in_doubt",
        ],
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
        caught_by: &[
            "coordinator/tests/cancellation.rs::on_a_runtime_that_has_ended_there_is_an_error_and_no_hang",
        ],
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
        caught_by: &[
            "coordinator/tests/time.rs::where_refreshing_ahead_is_off_a_failed_refresh_brings_no_other",
        ],
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
        breaks: "F30: a missing nonce, or a refused proof, is a refused token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/layer.rs",
        find: "            return Asks::Proof;",
        replace: "            return Asks::Token;",
        caught_by: &[
            "service/tests/nonce.rs::a_missing_nonce_costs_no_refresh_and_is_not_reported",
            "service/tests/challenges.rs::a_proof_that_is_refused_costs_no_refresh",
        ],
    },
    Fault {
        breaks: "nonces are asked for without end",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/future/heal.rs",
        find: "Asks::Proof if !proof => proof = true,",
        replace: "Asks::Proof => proof = true,",
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
            "endpoint/tests.rs::a_token_of_another_type_than_expected_is_not_used_and_its_refresh_token_is_kept",
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
