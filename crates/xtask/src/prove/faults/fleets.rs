//! Processes that differ, fail and restart, each rule broken alone.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "F80: the grant is no part of the name in the store",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: "if grant == Grant::ClientCredentials {",
        replace: "if false {",
        caught_by: &[
            "coordinator/tests/fleet/unequal.rs::a_machine_and_a_user_of_one_client_and_key_never_get_each_others_token",
        ],
    },
    Fault {
        breaks: "F80: a parameter can look like a grant",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: r#"namespace.push_str(" client_credentials");"#,
        replace: r#"namespace.push_str(" client_credentials=");"#,
        caught_by: &["coordinator/tests/fleet/unequal.rs::no_parameter_makes_two_grants_meet"],
    },
    Fault {
        breaks: "F81: a mark lives for as long as its reader takes",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "said.max(self.mark_life())",
        replace: "said.min(self.mark_life()).max(self.mark_life())",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_mark_lives_for_as_long_as_its_holder_said_and_never_less_than_our_own_would",
            "coordinator/tests/fleet/unequal.rs::two_exchange_limits_in_one_fleet_spend_no_token_twice",
        ],
    },
    Fault {
        breaks: "F82: a mark with our names is ours",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "let ours = sent.is_some();",
        replace: "let ours = sent.is_some() || mark.holder == self.me;",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_mark_with_our_names_that_we_did_not_write_is_somebody_elses",
            "coordinator/tests/fleet/unequal.rs::a_process_and_its_copy_never_send_one_token_twice",
        ],
    },
    Fault {
        breaks: "F82: a logout takes a copy's mark for its own",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "let own = |mark: &Mark| slot.state().own.as_ref().is_some_and(|own| own.wrote(mark));",
        replace: "let own = |mark: &Mark| mark.holder == self.me();",
        caught_by: &[
            "coordinator/tests/fleet/unequal.rs::a_logout_of_a_copy_says_that_the_other_may_have_a_newer_token",
        ],
    },
    Fault {
        breaks: "F83: a record that is away once is let go",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/keep_fresh.rs",
        find: "Look::Away(after) if kept.away < AWAY_LOOKS =>",
        replace: "Look::Away(after) if kept.away > AWAY_LOOKS =>",
        caught_by: &[
            "coordinator/tests/fresh.rs::a_record_that_is_away_for_a_while_is_kept_fresh_when_it_is_back",
        ],
    },
    Fault {
        breaks: "F83: what is let go of is not said",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/keep_fresh.rs",
        find: r#"            coordinator.emit(&coordinator.slot(&key), EventKind::LetGo);
"#,
        replace: "",
        caught_by: &["coordinator/tests/fresh.rs::what_is_let_go_of_is_said"],
    },
    Fault {
        breaks: "F83: any interval is taken",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/keep_fresh.rs",
        find: "if every < LEAST {",
        replace: "if every.is_zero() {",
        caught_by: &["coordinator/tests/fresh.rs::less_than_a_minute_is_refused_and_no_length_is_too_long"],
    },
    Fault {
        breaks: "F83: a look at another time leaves the former",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/keep_fresh.rs",
        find: r#"        self.numbered += 1;
"#,
        replace: "",
        caught_by: &["coordinator/tests/fresh.rs::telling_another_time_leaves_one_look_for_each"],
    },
    Fault {
        breaks: "F84: the token in use loses its expiry when it is returned",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "kept.filter(|(kept, _)| kept.same_access_token(tokens))",
        replace: "kept.filter(|_| false)",
        caught_by: &["coordinator/policy/tests.rs::the_token_in_use_keeps_its_expiry_and_its_whole_life"],
    },
    Fault {
        breaks: "F84: a refused token is news under another generation",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "known.generation < record.generation && self.wanted.due",
        replace: "known.generation < record.generation",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_refused_token_is_not_adopted_under_another_generation",
        ],
    },
    Fault {
        breaks: "F85: a process that cannot send makes all rest",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"        self.own.rest(until, None, error.clone());
        self.clear(now, lots, attempt, None, Err(error))"#,
        replace: r#"        self.own.rest(until, None, error);
        let rest = Rest { wait: now.until(until).max(Duration::from_secs(1)), reason: RestReason::Unavailable, code: None, client: None };
        self.release(now, lots, attempt, rest)"#,
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::what_never_left_this_host_is_nobody_elses_trouble",
            "coordinator/tests/fleet/sick.rs::hosts_that_cannot_send_delay_no_healthy_one",
        ],
    },
    Fault {
        breaks: "F85: a process that cannot send does not look at the store",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "state.own.as_ref().is_some_and(|own| own.rests()) && now.until(until) > RECHECK",
        replace: "false",
        caught_by: &[
            "coordinator/tests/fleet/sick.rs::a_host_that_has_long_failed_to_send_serves_what_another_has_just_stored",
        ],
    },
    Fault {
        breaks: "F85: a refused client makes all rest",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "rest.client.is_none_or(|client| client == self.client)",
        replace: "rest.client.is_none_or(|_| true)",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_refused_client_binds_only_those_who_show_the_same",
            "coordinator/tests/fleet/sick.rs::a_wrong_secret_binds_only_those_who_have_it",
        ],
    },
    Fault {
        breaks: "F85: a refused secret binds after it was replaced",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/own.rs",
        find: "rest.client.is_none_or(|client| client == self.client)",
        replace: "rest.client.is_none_or(|_| true)",
        caught_by: &[
            "coordinator/tests/fleet/sick.rs::a_secret_that_is_replaced_while_running_counts_within_two_seconds",
        ],
    },
    Fault {
        breaks: "F86: a token that was accepted is as young as any other",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/guard.rs",
        find: r#"    if refused.accepted {
        let debt"#,
        replace: r#"    if false {
        let debt"#,
        caught_by: &[
            "service/tests/refusals.rs::a_revocation_a_second_after_a_refresh_is_healed_in_one_request",
            "coordinator/tests/time.rs::a_token_that_the_api_has_accepted_is_refreshed_at_once_however_new",
        ],
    },
    Fault {
        breaks: "F86: revocations are healed without end",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/guard.rs",
        find: "debt.saturating_add(REVOKED_COST).saturating_sub(REVOKED_CREDIT)",
        replace: "debt.saturating_sub(debt)",
        caught_by: &["service/tests/refusals.rs::five_revocations_at_once_are_healed_and_then_one_a_minute"],
    },
    Fault {
        breaks: "F86: the budget ends with the process",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/record/wire.rs",
        find: "refusals: record.refusals.iter().map(RefusalsWire::of).collect(),",
        replace: "refusals: Vec::new(),",
        caught_by: &[
            "service/tests/refusals.rs::processes_that_live_for_one_request_refresh_no_more_than_one_that_stays",
        ],
    },
    Fault {
        breaks: "F86: all origins have one budget",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/guard.rs",
        find: ".position(|entry| entry.origin == name)",
        replace: ".position(|_| true)",
        caught_by: &[
            "service/tests/refusals.rs::an_api_that_refuses_all_takes_nothing_from_another",
            "coordinator/guard/tests.rs::an_origin_that_refuses_all_blocks_neither_another_nor_a_revocation_of_its_own",
        ],
    },
    Fault {
        breaks: "F86: while the guard blocks, the store is not looked at",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "now.until(until).min(REFUSED_RECHECK)",
        replace: "now.until(until)",
        caught_by: &[
            "coordinator/tests/time.rs::a_refused_token_that_is_left_alone_is_replaced_as_soon_as_the_store_has_another",
            "coordinator/tests/time.rs::while_a_refused_token_is_left_alone_the_store_is_looked_at_once_a_second",
        ],
    },
    Fault {
        breaks: "F86: another token of the same generation is no news",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: r#"                known.generation <= record.generation
"#,
        replace: r#"                known.generation < record.generation
"#,
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_generation_that_the_store_has_had_twice_is_adopted_with_its_other_token",
        ],
    },
    Fault {
        breaks: "F88: client credentials have ended with a logout or a verdict",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "if self.policy.grant == Grant::ClientCredentials && record.life != Life::Live {",
        replace: "if false {",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::client_credentials_begin_anew_after_a_logout_and_after_a_verdict",
            "coordinator/tests/fleet/unequal.rs::client_credentials_go_on_after_a_logout_while_another_process_refreshes",
        ],
    },
    Fault {
        breaks: "F88: a stray refresh token of client credentials is condemned",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "attempt.record.fingerprint().filter(|_| self.policy.grant == Grant::RefreshToken)",
        replace: "attempt.record.fingerprint()",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::client_credentials_with_a_stray_refresh_token_are_never_condemned",
        ],
    },
    Fault {
        breaks: "F89: a token that comes dead is not used",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "if usable <= took.saturating_add(USED_AT_LEAST) {",
        replace: "if false {",
        caught_by: &["service/tests/refusals.rs::tokens_that_come_dead_are_refreshed_ever_more_seldom"],
    },
    Fault {
        breaks: "F89: the rest after dead tokens does not grow",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "if commit.useless {",
        replace: "if false {",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_token_that_comes_dead_is_stored_with_a_rest_that_grows",
        ],
    },
    Fault {
        breaks: "F92: sealing cannot be turned on over records that nobody sealed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/sealed.rs",
        find: "Some((&UNSEALED, _)) if self.reads_unsealed =>",
        replace: "Some((&UNSEALED, _)) if !self.seals =>",
        caught_by: &["coordinator/tests/records.rs::sealing_is_turned_on_and_off_under_running_processes"],
    },
    Fault {
        breaks: "F92: a sealed record is called damaged where there is no key",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/record/envelope.rs",
        find: "Some(..=0x1f) =>",
        replace: "Some(0x1f) =>",
        caught_by: &["coordinator/tests/records.rs::a_process_without_the_key_says_so_and_loses_nothing"],
    },
    Fault {
        breaks: "F92: an unreadable record under a set in hand is looked at every second",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "times => doubled(COMMIT_RETRY, times, UNREADABLE_RETRY),",
        replace: "times => doubled(COMMIT_RETRY, times.min(1), UNREADABLE_RETRY),",
        caught_by: &[
            "coordinator/tests/records.rs::a_set_in_hand_over_an_unreadable_record_is_kept_and_seldom_asks",
        ],
    },
    Fault {
        breaks: "F92: a refresh drops members of a newer release",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: r#"        record.unknown = base.unknown.clone();
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/records.rs::a_refresh_keeps_the_members_of_the_login_and_not_of_the_spent_set",
        ],
    },
    Fault {
        breaks: "F92: a verdict drops members of a newer release",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"            unknown: record.unknown.clone(),
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/records.rs::a_failed_refresh_keeps_all_members_and_a_dead_login_its_own",
        ],
    },
    Fault {
        breaks: "F92: a record that is put back loses members of a newer release",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: r#"        record.unknown = seen.snapshot.record.unknown.clone();
"#,
        replace: "",
        caught_by: &["coordinator/tests/records.rs::a_record_that_was_set_back_keeps_its_members"],
    },
    Fault {
        breaks: "F92: a record of a newer release is called damaged",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/record/envelope.rs",
        find: "Some(newer) if newer > FORMAT => {",
        replace: "Some(newer) if newer > FORMAT && newer < FORMAT => {",
        caught_by: &["store/record/tests/damage.rs::a_newer_release_is_told_from_damage_whatever_it_writes"],
    },
    Fault {
        breaks: "F92: records that nobody sealed are read by all",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/sealed.rs",
        find: "Some((&UNSEALED, _)) => return Err(Unopened::Unsealed),",
        replace: "Some((&UNSEALED, _)) => return Ok(bytes.to_vec()),",
        caught_by: &["store/sealed/tests.rs::unsealed_records_are_read_only_where_that_is_asked_for"],
    },
    Fault {
        breaks: "F93: the checksum is not compared",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/record/envelope.rs",
        find: "(*told == sum(content)).then_some(content)",
        replace: "(*told != [0; 32]).then_some(content)",
        caught_by: &[
            "store/record/tests/damage.rs::a_record_with_any_bit_flipped_cannot_be_read",
            "store/record/tests/damage.rs::a_record_with_any_byte_taken_out_or_put_in_cannot_be_read",
        ],
    },
    Fault {
        breaks: "F93: the format may be spelled with a leading zero",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/record/envelope.rs",
        find: "Some(FORMAT) if digits == FORMAT.to_string().as_bytes() => {}",
        replace: "Some(FORMAT) => {}",
        caught_by: &[
            "store/record/tests/damage.rs::a_record_with_any_byte_taken_out_or_put_in_cannot_be_read",
        ],
    },
    Fault {
        breaks: "F95: a conflict with the version just written says that there is nothing",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: r#"record.body.version() == version) =>
            {
                Ok(Swapped::Done)"#,
        replace: r#"record.body.version() == version) =>
            {
                Ok(Swapped::Conflict(None))"#,
        caught_by: &[
            "coordinator/tests/trouble.rs::a_conflict_with_the_version_just_written_is_a_write_that_succeeded",
        ],
    },
    Fault {
        breaks: "F98: a classifier replaces the layer's own rules",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/layer.rs",
        find: "classifier(&parts, refuses));",
        replace: "classifier(&parts, refuses && false));",
        caught_by: &["service/tests.rs::a_classifier_that_adds_an_answer_keeps_the_others"],
    },
    Fault {
        breaks: "F98: a classifier beside a provider's is not given its class",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "foreign::call(|| rules(&response, class)).unwrap_or(class)",
        replace: "foreign::call(|| rules(&response, judge(&response))).unwrap_or(class)",
        caught_by: &[
            "crates/tower-oauth-refresh-providers/tests/it/applied.rs::own_rules_and_parameters_beside_a_preset_keep_what_it_knows",
        ],
    },
    Fault {
        breaks: "F98: a parameter named again is sent twice",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/builder.rs",
        find: "parameters.retain(|(name, _)| *name != parameter.0);",
        replace: "let _ = &parameters;",
        caught_by: &[
            "coordinator/tests/sharing.rs::a_parameter_named_again_is_replaced_and_only_resources_repeat",
        ],
    },
    Fault {
        breaks: "F98: what needs a login is unknown to a gRPC client",
        rows: &[],
        file: "crates/tower-oauth-refresh-tonic/src/call.rs",
        find: "_ if found.needs_login() => Code::Unauthenticated,",
        replace: "_ if found.needs_login() => Code::Unknown,",
        caught_by: &[
            "crates/tower-oauth-refresh-tonic/tests/server/main.rs::a_call_without_a_usable_token_is_not_made_and_says_why",
        ],
    },
    Fault {
        breaks: "F98: a transient failure is final for a gRPC client",
        rows: &[],
        file: "crates/tower-oauth-refresh-tonic/src/call.rs",
        find: "_ if found.is_transient() => Code::Unavailable,",
        replace: "_ if found.is_transient() => Code::Unknown,",
        caught_by: &[
            "crates/tower-oauth-refresh-tonic/tests/server/main.rs::a_passing_failure_of_the_token_endpoint_is_unavailable",
        ],
    },
    Fault {
        breaks: "F98: a misuse of the coordinator is unknown to a gRPC client",
        rows: &[],
        file: "crates/tower-oauth-refresh-tonic/src/call.rs",
        find: "_ => Code::FailedPrecondition,",
        replace: "_ => Code::Unknown,",
        caught_by: &[
            "crates/tower-oauth-refresh-tonic/tests/server/main.rs::a_call_that_the_coordinator_cannot_serve_is_a_failed_precondition",
        ],
    },
    Fault {
        breaks: "F98: the lifetime of an installed set counts from its install",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/token.rs",
        find: "(set, now.duration_since(received_at).unwrap_or_default())",
        replace: "(set, now.duration_since(now).unwrap_or_default())",
        caught_by: &["coordinator/tests/logouts.rs::lifetimes_of_an_installed_set_count_from_when_it_came"],
    },
    Fault {
        breaks: "F99: all store calls begin at once",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/limiter.rs",
        find: "if running >= limit && !self.commit_is_late(now, limit) {",
        replace: "if running >= 1_000_000 {",
        caught_by: &[
            "coordinator/tests/latency.rs::latency_fails_nobody_when_all_ask_for_valid_tokens_after_a_restart",
        ],
    },
    Fault {
        breaks: "F100: what is below a missing drive counts as created",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/disk.rs",
        find: "let above = dir.parent().ok_or(ErrorKind::NotFound)?;",
        replace: "let Some(above) = dir.parent() else { return Ok(()) };",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::where_nothing_is_above_a_missing_directory_it_is_not_created",
        ],
    },
    Fault {
        breaks: "a thread that cannot be started keeps the turn of the file store",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/turns.rs",
        find: r#"            drop(begun(&round));
"#,
        replace: r#"            std::mem::forget(round);
"#,
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/turns.rs::where_no_thread_can_be_started_a_call_fails_and_no_other",
        ],
    },
];
