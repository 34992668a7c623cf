//! What attacks beyond the list have found, each brought back alone.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "of an answer that is cut off nothing counts",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response.rs",
        find: "let raw = Raw::json(body, dialect).or_else(form)",
        replace: "let raw = Raw::json(body, dialect).filter(|raw| raw.whole).or_else(form)",
        caught_by: &[
            "endpoint/response/tests.rs::of_an_answer_that_is_cut_off_the_tokens_that_are_whole_count",
        ],
    },
    Fault {
        breaks: "an answer that breaks off is lost",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: "let tells = self.ended || body",
        replace: "let tells = self.ended || false && body",
        caught_by: &["endpoint/transport.rs::of_an_answer_that_breaks_off_what_came_is_kept"],
    },
    Fault {
        breaks: "an answer with a byte order mark that breaks off is lost",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: r#"self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body)"#,
        replace: r#"self.body.strip_prefix(b"\xef\xbb\xbe").unwrap_or(&self.body)"#,
        caught_by: &["endpoint/transport.rs::of_an_answer_that_breaks_off_what_came_is_kept"],
    },
    Fault {
        breaks: "members of an appended document count",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response/scan.rs",
        find: "        !appended && next_member",
        replace: "        (!appended || appended) && next_member",
        caught_by: &["endpoint/tests/answers.rs::what_stands_around_an_answer_changes_nothing"],
    },
    Fault {
        breaks: "a notice before the object loses the answer",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response.rs",
        find: "Raw::json(body, dialect).or_else(form).or_else(behind)",
        replace: "Raw::json(body, dialect).or_else(form).or_else(|| behind().filter(|_| false))",
        caught_by: &["endpoint/tests/answers.rs::what_stands_around_an_answer_changes_nothing"],
    },
    Fault {
        breaks: "behind damage, the error of an inner object counts beside an access token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response/raw.rs",
        find: r#""error" if !member.certain && matches!"#,
        replace: r#""error" if false && matches!"#,
        caught_by: &[
            "endpoint/response/tests.rs::what_belongs_to_an_inner_object_is_not_taken_for_the_answer_s_own",
        ],
    },
    Fault {
        breaks: "a panic of the request's body allows a replay",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/replay/recording.rs",
        find: "self.state.lock().map_err(|_| NotReplayable::BodyFailed)?",
        replace: "self.state()",
        caught_by: &[
            "service/tests/panics.rs::a_request_body_that_panics_fails_its_request_only_and_is_not_replayed",
        ],
    },
    Fault {
        breaks: "a waker that panics keeps those behind it waiting",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/waiter.rs",
        find: "let waker = foreign::contained(cx.waker());",
        replace: "let waker = cx.waker().clone();",
        caught_by: &["service/tests/panics.rs::a_request_whose_waker_panics_keeps_no_other_waiting"],
    },
    Fault {
        breaks: "callers that meet start a flight each",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "if let Some(flight) = &mut state.flight {",
        replace: "if let Some(flight) = state.flight.as_mut().filter(|_| false) {",
        caught_by: &[
            "coordinator/tests/threads.rs::threads_that_meet_at_an_expired_or_refused_token_refresh_it_once",
        ],
    },
    Fault {
        breaks: "a shutdown that outlives its runtime panics",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: "foreign::guarded(tokio::time::timeout(limit, activity.wait_for(is_idle))).await;",
        replace: "Ok::<_, foreign::Panicked>(tokio::time::timeout(limit, activity.wait_for(is_idle)).await);",
        caught_by: &["coordinator/tests/runtimes/executors.rs::a_shutdown_that_outlives_its_runtime_ends"],
    },
    Fault {
        breaks: "a slot is put out while it is held",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slots.rs",
        find: "let held = Arc::strong_count(slot) > 1 || slot.must_stay();",
        replace: "let held = slot.must_stay();",
        caught_by: &[
            "coordinator/tests/threads.rs::threads_that_hold_a_slot_hold_the_same_however_many_are_put_out",
        ],
    },
    Fault {
        breaks: "an installed access token that no header holds is adopted",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: r#"            && self.policy.can_send(&held.tokens)
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/logins.rs::an_installed_access_token_that_no_header_holds_is_refreshed",
        ],
    },
    Fault {
        breaks: "the refresh token before the one spent is taken back beside an unusable access token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "match self.unless_retired(&attempt.record, Some(new)).or(spent) {",
        replace: "match Some(new).or(spent) {",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_retired_refresh_token_beside_an_unusable_access_token_is_not_taken_back",
        ],
    },
    Fault {
        breaks: "a refusal is forgotten where the store fails after it",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"                self.notes.extend(verdict.map(Note::Condemned));
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/trouble.rs::a_refusal_after_which_the_store_fails_is_neither_sent_again_nor_in_doubt",
        ],
    },
    Fault {
        breaks: "what a conflict tells is not believed, and a store whose loads are late is written to without end",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine.rs",
        find: r#"            (Phase::Restoring, Event::Swapped(Ok(Swapped::Conflict(found)))) => {
                self.looked(now, lots, since, Ok(found))
            }"#,
        replace: r#"            (Phase::Restoring, Event::Swapped(Ok(Swapped::Conflict(_)))) => {
                self.restores = 0;
                self.look()
            }"#,
        caught_by: &["coordinator/tests/trouble.rs::a_store_whose_loads_are_late_is_not_asked_without_end"],
    },
    Fault {
        breaks: "a clock that panics ends the care for all",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/keep_fresh.rs",
        find: "let Ok(now) = foreign::call(|| coordinator.clock.now()) else { return Some(NAP) };",
        replace: "let Ok(now) = foreign::call(|| coordinator.clock.now()) else { return None };",
        caught_by: &["coordinator/tests/fresh.rs::a_clock_that_panics_once_ends_no_care"],
    },
    Fault {
        breaks: "a refused token that is left alone forgets our own marks",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine.rs",
        find: "matches!(outcome, Outcome::Refreshed(_) | Outcome::Adopted(_))",
        replace: "!matches!(outcome, Outcome::Failed(_))",
        caught_by: &[
            "coordinator/tests/trouble.rs::an_origin_that_is_left_alone_makes_no_mark_of_ours_a_foreign_one",
        ],
    },
    Fault {
        breaks: "an exchange is measured by the wall clock",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "(now.boot.saturating_sub(sent.boot), attempt.record.failures)",
        replace: "(now.since(sent), attempt.record.failures)",
        caught_by: &[
            "coordinator/tests/clocks.rs::a_wall_clock_that_jumps_during_an_exchange_gives_no_token_a_longer_life",
        ],
    },
    Fault {
        breaks: "a waker that panics unwinds who gives up the turn at the store",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/limiter.rs",
        find: "if let Ok(Err(_)) = foreign::call(|| queued.tell.send(granted)) {",
        replace: "if queued.tell.send(granted).is_err() {",
        caught_by: &["coordinator/limiter/tests.rs::a_waker_that_panics_reaches_nobody_whose_call_has_ended"],
    },
    Fault {
        breaks: "F48: an answer that is late brings an older nonce back",
        rows: &[],
        file: "crates/tower-oauth-refresh-binding/src/servers.rs",
        find: "self.sent.fetch_add(1, Ordering::Relaxed) + 1;",
        replace: "self.sent.fetch_add(0, Ordering::Relaxed) + 1;",
        caught_by: &[
            "crates/tower-oauth-refresh-binding/src/dpop/tests.rs::a_late_answer_brings_no_older_nonce_back",
            "crates/tower-oauth-refresh-binding/src/servers.rs::the_nonce_of_the_request_sent_last_counts_in_whatever_order_answers_come",
        ],
    },
    Fault {
        breaks: "F50: a success is read to its end before it is passed on",
        rows: &[],
        file: "crates/tower-oauth-refresh-binding/src/listen.rs",
        find: "if !matches!(parts.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {",
        replace: "if parts.status.is_informational() {",
        caught_by: &[
            "crates/tower-oauth-refresh-binding/src/listen/tests.rs::of_a_success_that_breaks_off_what_came_passes",
        ],
    },
    Fault {
        breaks: "F53: Strava's rule asks for a member that no answer has",
        rows: &[],
        file: "crates/tower-oauth-refresh-providers/src/table.rs",
        find: r#"("errors.0.resource", Condition::Is("RefreshToken"))"#,
        replace: r#"("errors.1.resource", Condition::Is("RefreshToken"))"#,
        caught_by: &[
            "crates/tower-oauth-refresh-providers/tests/it/replayed.rs::every_failure_ends_in_the_outcome_its_row_says",
        ],
    },
    Fault {
        breaks: "F78: a fact loses its source, and the changelog goes on counting it",
        rows: &[],
        file: "crates/tower-oauth-refresh-providers/providers.json",
        find: r#"{"value": "https://www.strava.com/api/v3/oauth/token", "source": "S1"}"#,
        replace: r#"{"value": "https://www.strava.com/api/v3/oauth/token", "source": "M"}"#,
        caught_by: &[
            "crates/tower-oauth-refresh-providers/tests/it/facts.rs::the_changelog_counts_the_facts_and_those_without_a_source",
        ],
    },
    Fault {
        breaks: "the revocation endpoint of a preset is taken wherever the token endpoint is",
        rows: &[],
        file: "crates/tower-oauth-refresh-providers/src/preset.rs",
        find: "if is_one_for_all && self.is_at(token_endpoint) != Some(false) {",
        replace: "if is_one_for_all {",
        caught_by: &[
            "crates/tower-oauth-refresh-providers/tests/it/applied.rs::no_token_of_another_server_is_sent_to_the_one_that_a_preset_names",
        ],
    },
    Fault {
        breaks: "F43: what is left under a foreign mark stays for ever",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "foreign && old_age.is_some_and(|age| age < UNREVOKED);",
        replace: "foreign && old_age.is_some();",
        caught_by: &[
            "coordinator/tests/logouts.rs::what_is_left_under_a_foreign_mark_goes_with_a_logout_a_week_later",
        ],
    },
    Fault {
        breaks: "a refusal without a reason does not count the requests sent before",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"let own = Policy::refused_rest(attempt.record.failures.saturating_add(1), lots.unit)
                    .max(Policy::spaced(&attempt.sent_ago(now)));"#,
        replace: "let own = Policy::refused_rest(attempt.record.failures.saturating_add(1), lots.unit);",
        caught_by: &[
            "coordinator/tests/patience.rs::no_mix_of_failures_makes_a_sixth_request_in_ten_seconds",
        ],
    },
    Fault {
        breaks: "an answer without an access token is not counted among the requests sent",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "record.sent.clone_from(&base.sent);",
        replace: "record.sent.clear();",
        caught_by: &[
            "coordinator/tests/patience.rs::an_answer_without_an_access_token_counts_among_the_five_requests",
        ],
    },
    Fault {
        breaks: "where no timer runs, the end of a rest is looked for in a circle",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/waiter.rs",
        find: "Err(error) if again.rests && error.kind() != ErrorKind::Aborted => {}",
        replace: "Err(_) if again.rests => {}",
        caught_by: &[
            "coordinator/tests/waiting.rs::where_no_timer_runs_a_rest_is_not_waited_for_in_a_circle",
        ],
    },
];
