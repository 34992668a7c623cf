//! What attacks on flights have found, brought back.

use crate::prove::faults::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "F05: a commit has as long as any call of the store",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine.rs",
        find: "limit.min(COMMIT_LIMIT),",
        replace: "limit,",
        caught_by: &[
            "coordinator/tests/hangs.rs::a_commit_call_that_never_answers_lets_no_neighbour_spend_the_token_again",
        ],
    },
    Fault {
        breaks: "F06: a stop between the machine's decision and the exchange does not count",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: "    let answer = coordinator.endpoint.refresh(grant, refresh_token, bound_key, now, exchange_limit);",
        replace: r#"    flight.say_later(EventKind::RefreshStarted);
    flight.say();
    let now = flight.now();
    let answer = coordinator.endpoint.refresh(grant, refresh_token, bound_key, now, exchange_limit);"#,
        caught_by: &["coordinator/tests/time.rs::nothing_is_sent_after_a_log_outlasted_the_lease"],
    },
    Fault {
        breaks: "F06: only a timer tells that an attempt comes too late",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: "        if is_late() {",
        replace: "        if false && is_late() {",
        caught_by: &[
            "endpoint/tests.rs::nothing_of_an_attempt_is_sent_after_its_limit_though_the_machine_was_suspended",
        ],
    },
    Fault {
        breaks: "F09: a process is dead once its first thread has ended",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/holder.rs",
        find: "matches!(self.state, b'Z' | b'X') && self.threads <= 1",
        replace: "matches!(self.state, b'Z' | b'X')",
        caught_by: &[
            "coordinator/holder.rs::a_process_whose_first_thread_ended_lives_until_the_last_one_has",
        ],
    },
    Fault {
        breaks: "F10: a mark that was written late is thrown away",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"                self.phase = Phase::Checking { attempt };
                Step::Load"#,
        replace: "                self.clear(now, lots, attempt, None, Err(too_slow()))",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_mark_that_was_written_late_is_looked_at_once_more_and_sent_under_while_young",
        ],
    },
    Fault {
        breaks: "F10: the time to send counts from before the load",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine.rs",
        find: "self.leased(now, lots, since, attempt, swapped)",
        replace: "self.leased(now, lots, self.began.unwrap_or(since), attempt, swapped)",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::the_time_to_send_counts_from_before_the_mark_was_written",
            "coordinator/tests/latency.rs::latency_of_the_store_leaves_four_fifths_of_the_refreshes_that_it_allows",
        ],
    },
    Fault {
        breaks: "F10: as many calls of the store at a time as there are flights",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/limiter.rs",
        find: "if running >= limit && !self.commit_is_late(now, limit) {",
        replace: "if running >= 1_000_000 {",
        caught_by: &[
            "coordinator/tests/latency.rs::latency_of_the_store_leaves_four_fifths_of_the_refreshes_that_it_allows",
        ],
    },
    Fault {
        breaks: "F11: the place of a runtime that stands still is given to nobody",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/gate.rs",
        find: r#"        self.places.add_permits(before - held.since.len());
"#,
        replace: r#"        let _ = before;
"#,
        caught_by: &[
            "coordinator/gate/tests.rs::a_place_whose_holder_stands_still_is_given_to_the_next",
            "coordinator/tests/waiting.rs::a_runtime_that_stands_still_keeps_no_place_from_other_credentials",
        ],
    },
    Fault {
        breaks: "F11: a login waits without limit for whoever is at it",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slot.rs",
        find: "timeout(TURN_LIMIT, turns.lock_owned()).await;",
        replace: "timeout(TURN_LIMIT * 60, turns.lock_owned()).await;",
        caught_by: &[
            "coordinator/tests/waiting.rs::a_login_that_stands_still_keeps_no_other_waiting_without_limit",
        ],
    },
    Fault {
        breaks: "F11: a caller's time limit stays on the runtime where it came",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/waiter.rs",
        find: "filter(|here| here.id() != runtime.id());",
        replace: "filter(|_| false);",
        caught_by: &[
            "coordinator/tests/waiting.rs::a_caller_who_moves_to_another_runtime_ends_by_his_own_deadline",
        ],
    },
    Fault {
        breaks: "F12: one account's long rate limit binds all",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/gate.rs",
        find: "400..=499 => now.until(until) <= SHORT_REST,",
        replace: "400..=499 => true,",
        caught_by: &[
            "coordinator/gate/tests.rs::a_long_rate_limit_binds_others_once_a_second_credential_heard_one",
            "coordinator/tests/many.rs::one_accounts_long_rate_limit_silences_no_other_and_that_of_two_accounts_all",
        ],
    },
    Fault {
        breaks: "F12: a conflict or a refusal of one account binds others",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/gate.rs",
        find: r#"            403 | 409 => return,
"#,
        replace: "",
        caught_by: &[
            "coordinator/gate/tests.rs::a_short_rate_limit_binds_all_and_a_conflict_or_a_refusal_nobody_else",
        ],
    },
    Fault {
        breaks: "F13: what was spent for refusals is not in the record",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: r#"        self.charged.iter().for_each(|refused| charge(&mut record.refusals, *refused));
"#,
        replace: "",
        caught_by: &[
            "service/tests/refusals.rs::an_api_that_always_refuses_costs_few_refreshes_for_any_number_of_processes",
        ],
    },
    Fault {
        breaks: "F13: after a minute without a refresh for a refusal all is forgotten",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/guard.rs",
        find: "const FUTILE_FORGOTTEN: Duration = Duration::from_secs(600);",
        replace: "const FUTILE_FORGOTTEN: Duration = Duration::from_secs(60);",
        caught_by: &["coordinator/guard/tests.rs::however_refusals_are_spread_thirty_an_hour_are_the_most"],
    },
    Fault {
        breaks: "F14: the boot clock counts from boot",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/clock.rs",
        find: "boot: CENTURY.saturating_add(boot_time())",
        replace: "boot: boot_time()",
        caught_by: &["clock.rs::a_boot_clock_can_tell_of_a_time_before_boot"],
    },
    Fault {
        breaks: "F14: a custom clock may count from zero",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/clock.rs",
        find: "Now { boot: CENTURY.saturating_add(now.boot), ..now }",
        replace: "now",
        caught_by: &[
            "coordinator/tests/clocks.rs::a_token_older_than_the_uptime_is_refreshed_ahead",
            "coordinator/tests/clocks.rs::a_dead_token_older_than_the_uptime_is_not_sent_after_the_wall_clock_was_set_back",
            "coordinator/tests/clocks.rs::no_clock_makes_a_process_send_a_dead_token_or_refuse_its_user",
        ],
    },
    Fault {
        breaks: "F16: the time of a flight counts from its begin, whatever it waited for",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine.rs",
        find: "self.tried.map_or(Duration::ZERO, |tried| now.since(tried));",
        replace: "self.flown(now);",
        caught_by: &[
            "coordinator/tests/trouble.rs::the_first_flight_after_a_crash_succeeds_with_any_exchange_limit",
            "coordinator/machine/tests/judge.rs::a_flight_that_waited_long_for_somebody_else_still_has_its_own_time",
        ],
    },
    Fault {
        breaks: "F16: any exchange limit is taken",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/builder.rs",
        find: "if !(EXCHANGE_LEAST..=EXCHANGE_MOST).contains(",
        replace: "if false && !(EXCHANGE_LEAST..=EXCHANGE_MOST).contains(",
        caught_by: &[
            "coordinator/tests/time.rs::an_exchange_limit_with_which_nothing_can_go_right_is_a_build_error",
        ],
    },
    Fault {
        breaks: "F16: no duration is too long for a timer",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/clock.rs",
        find: "tokio::time::Instant::now() + limit.min(Duration::from_secs(365 * 86_400))",
        replace: "tokio::time::Instant::now() + limit",
        caught_by: &["coordinator/tests/time.rs::no_duration_makes_a_coordinator_panic"],
    },
    Fault {
        breaks: "F21: any mark of one's own leaves a doubt",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: ".filter(|_| sent != Some(false));",
        replace: ".filter(|_| true);",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_mark_of_an_attempt_that_sent_nothing_leaves_no_doubt_in_the_next_flight",
            "coordinator/tests/fleet/unequal.rs::a_mark_under_which_nothing_was_sent_leaves_no_doubt_in_a_later_flight",
        ],
    },
    Fault {
        breaks: "F33: a store that is too slow is a time-out",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "        self.clear(now, lots, attempt, None, Err(too_slow()))",
        replace: "        self.clear(now, lots, attempt, None, Err(RefreshError::new(ErrorKind::TimedOut)))",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_store_too_slow_to_ever_send_is_given_up_and_the_mark_taken_back",
            "coordinator/tests/latency.rs::latency_beyond_the_time_to_send_ends_every_refresh_and_sends_none",
        ],
    },
    Fault {
        breaks: "F33: the mark stays in a store that is too slow",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "        self.clear(now, lots, attempt, None, Err(too_slow()))",
        replace: "        self.fail(too_slow())",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_store_too_slow_to_ever_send_is_given_up_and_the_mark_taken_back",
        ],
    },
    Fault {
        breaks: "F39: a full queue is an endpoint that is not available",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "TurnedAway::Full(until) => RefreshError::new(ErrorKind::TooManyWaiters)",
        replace: "TurnedAway::Full(until) => RefreshError::new(ErrorKind::Unavailable)",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::whoever_is_turned_away_is_told_why_and_until_when",
        ],
    },
    Fault {
        breaks: "F70: no request waits for a later attempt",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/waiter.rs",
        find: "next.is_some_and(|next| deadline(now.until(next)) < until)",
        replace: "next.is_some_and(|_| false)",
        caught_by: &["coordinator/tests/patience.rs::failures_that_lose_nothing_are_waited_through"],
    },
    Fault {
        breaks: "F70: attempts follow each other without a bound",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "rest.mul_f64(1.0 + unit / 4.0).max(Self::spaced(sent))",
        replace: "rest.mul_f64(1.0 + unit / 4.0).max(Self::spaced(sent).min(Duration::ZERO))",
        caught_by: &[
            "coordinator/tests/patience.rs::an_endpoint_that_is_down_gets_at_most_five_requests_in_ten_seconds",
        ],
    },
    Fault {
        breaks: "F23: a login that was replaced is reported as a logout",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/future/heal.rs",
        find: "return Err(RefreshError::new(ErrorKind::Aborted).into());",
        replace: "return Err(RefreshError::new(ErrorKind::LoggedOut).into());",
        caught_by: &[
            "service/tests/nonce.rs::a_request_that_waits_for_its_connection_never_carries_a_token_of_the_login_before",
        ],
    },
];
