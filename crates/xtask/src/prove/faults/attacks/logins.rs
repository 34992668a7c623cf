//! What attacks on panics, runtimes, logins and shutdowns have found, brought back.

use crate::prove::faults::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "F02: a transport that panics before it is called may have sent something",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: "Err(Panicked) => Err(Unsent::Certain(None)),",
        replace: "Err(Panicked) => Err(Unsent::InDoubt),",
        caught_by: &["endpoint/tests.rs::a_transport_that_panics_before_it_is_called_has_sent_nothing"],
    },
    Fault {
        breaks: "F02: a transport that panics after it was called has sent nothing",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: "heard.answer().ok_or_else(|| failure.unwrap_or(Unsent::InDoubt))",
        replace: "heard.answer().ok_or_else(|| failure.unwrap_or(Unsent::Certain(None)))",
        caught_by: &["coordinator/tests/cancellation.rs::a_transport_that_panics_is_an_answer_that_was_lost"],
    },
    Fault {
        breaks: "F02, F11: a flight that goes with its runtime does not know that it holds a set",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "        self.in_hand = Some(commit.clone());\n",
        replace: "",
        caught_by: &[
            "coordinator/tests/runtimes/parked.rs::a_set_whose_runtime_ended_is_stored_for_the_next_caller",
        ],
    },
    Fault {
        breaks: "F02: the drop of what other code made takes its output along",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/foreign.rs",
        find: r#"        let _ = call(|| drop(future));
        polled"#,
        replace: r#"        drop(future);
        polled"#,
        caught_by: &[
            "coordinator/tests/panics.rs::a_refresh_survives_every_panic_of_other_code",
            "coordinator/tests/panics.rs::what_nothing_depends_on_may_panic_each_time",
        ],
    },
    Fault {
        breaks: "F02: a write of a login or a logout during which the store panicked counts as done",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/rewrite.rs",
        find: "                    maybe_replaced = Some((old, version, error));",
        replace: "                    return Ok(Written { old, unreadable: false, new, version: Some(lots.version) });",
        caught_by: &[
            "coordinator/tests/panics.rs::a_login_survives_every_panic_of_other_code",
            "coordinator/tests/panics.rs::a_logout_that_said_so_is_over_whatever_panicked",
        ],
    },
    Fault {
        breaks: "F02: whoever writes the log is not guarded against",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: "let _ = foreign::call(|| kind.log(&slot.key));",
        replace: "kind.log(&slot.key);",
        caught_by: &["coordinator/tests/panics.rs::what_nothing_depends_on_may_panic_each_time"],
    },
    Fault {
        breaks: "F02, F11: a token set goes with its runtime",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "                self.slot.state().parked = Some(Box::new(Parked { commit, active }));",
        replace: "                drop(Parked { commit, active });",
        caught_by: &[
            "coordinator/tests/runtimes/parked.rs::a_set_whose_runtime_ended_is_stored_for_the_next_caller",
            "coordinator/tests/runtimes/parked.rs::a_set_outlives_any_number_of_runtimes",
            "coordinator/tests/runtimes/parked.rs::a_set_whose_runtime_ended_is_revoked_with_its_login",
            "coordinator/tests/runtimes/parked.rs::a_set_that_is_not_stored_is_under_way_for_a_shutdown",
            "coordinator/tests/runtimes/parked.rs::a_credential_with_a_set_that_is_not_stored_makes_no_room_for_others",
            "coordinator/tests/runtimes.rs::a_refresh_survives_its_runtime_at_every_step",
            "coordinator/tests/runtimes.rs::a_refresh_after_an_outage_survives_its_runtime_at_every_step",
            "coordinator/tests/runtimes.rs::a_refresh_that_is_not_stored_at_once_survives_its_runtime_at_every_step",
        ],
    },
    Fault {
        breaks: "F02, F11: a login or a logout does not begin with the set of an ended runtime",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: "        self.resume(slot);\n",
        replace: "",
        caught_by: &[
            "coordinator/tests/runtimes/parked.rs::a_set_whose_runtime_ended_is_revoked_with_its_login",
            "coordinator/tests/runtimes/parked.rs::a_new_login_gives_back_a_set_of_the_one_before",
        ],
    },
    Fault {
        breaks: "F02, F11: a set of an ended runtime is stored although its login ended here",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "if self.ended == Some(commit.login) {",
        replace: "if false {",
        caught_by: &[
            "coordinator/tests/runtimes/parked.rs::a_login_that_ended_here_does_not_come_back_with_a_set_of_an_ended_runtime",
        ],
    },
    Fault {
        breaks: "F02, F11: a set of an ended runtime is not under way for a shutdown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "Some(Box::new(Parked { commit, active }))",
        replace: "Some(Box::new(Parked { commit, active: Active(tokio::sync::watch::Sender::default(), active.1) }))",
        caught_by: &[
            "coordinator/tests/runtimes/parked.rs::a_set_that_is_not_stored_is_under_way_for_a_shutdown",
        ],
    },
    Fault {
        breaks: "F02, F11: a set of an ended runtime is not stored during a shutdown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "Some(parked) => (Some(parked.commit), Some(parked.active)),",
        replace: "Some(parked) => (Some(parked.commit), self.enter()),",
        caught_by: &[
            "coordinator/tests/runtimes/parked.rs::a_set_that_is_not_stored_is_under_way_for_a_shutdown",
        ],
    },
    Fault {
        breaks: "F02, F11: a credential with a set of an ended runtime is put out",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slot.rs",
        find: "state.ended.is_some() || state.parked.is_some()",
        replace: "state.ended.is_some()",
        caught_by: &[
            "coordinator/tests/runtimes/parked.rs::a_credential_with_a_set_that_is_not_stored_makes_no_room_for_others",
        ],
    },
    Fault {
        breaks: "F04: a flight queues for the endpoint during a shutdown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: "        () = coordinator.closing() => Err(TurnedAway::ShutDown),",
        replace: "        () = std::future::pending::<()>() => Err(TurnedAway::ShutDown),",
        caught_by: &[
            "coordinator/tests/shutdown.rs::a_flight_that_queues_for_the_endpoint_ends_with_the_shutdown",
        ],
    },
    Fault {
        breaks: "F04: a flight waits for another process during a shutdown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: r#"            () = self.closing(), if !holds_set && !self.is_closed() => {}
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/shutdown.rs::a_flight_that_waits_for_another_process_ends_with_the_shutdown",
        ],
    },
    Fault {
        breaks: "F04: what has its mark is sent during a shutdown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"        if self.closed {
            return self.clear(now, lots, attempt, None, Err(RefreshError::new(ErrorKind::ShutDown)));
        }
        self.sends += 1;"#,
        replace: "        self.sends += 1;",
        caught_by: &[
            "coordinator/tests/shutdown.rs::after_any_number_of_turns_a_shutdown_lets_nothing_be_sent_and_leaves_no_trace",
        ],
    },
    Fault {
        breaks: "F04: a mark under which nothing was sent stays after a shutdown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"            return self.clear(now, lots, attempt, None, Err(RefreshError::new(ErrorKind::ShutDown)));
        }
        self.sends += 1;"#,
        replace: r#"            return self.fail(RefreshError::new(ErrorKind::ShutDown));
        }
        self.sends += 1;"#,
        caught_by: &[
            "coordinator/tests/shutdown.rs::after_any_number_of_turns_a_shutdown_lets_nothing_be_sent_and_leaves_no_trace",
        ],
    },
    Fault {
        breaks: "F04: a shutdown waits for no login",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: "|activity: &Activity| activity.flights == 0 && activity.logins == 0;",
        replace: "|activity: &Activity| activity.flights == 0;",
        caught_by: &["coordinator/tests/shutdown.rs::a_shutdown_waits_for_a_login_and_a_logout"],
    },
    Fault {
        breaks: "F11, F20: a valid token needs a runtime",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: "        let header = self.header(&key.into());\n        Ok(AccessToken",
        replace: "        runtime()?;\n        let header = self.header(&key.into());\n        Ok(AccessToken",
        caught_by: &["coordinator/tests/runtimes/executors.rs::a_valid_token_needs_no_runtime"],
    },
    Fault {
        breaks: "F11, F20: to join a flight outside of tokio panics",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "        let runtime = driver::runtime()?;",
        replace: "        let runtime = Handle::current();",
        caught_by: &["coordinator/tests/runtimes/executors.rs::a_refresh_without_a_runtime_fails_at_once"],
    },
    Fault {
        breaks: "F11, F20: to wait for a flight outside of tokio panics",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/waiter.rs",
        find: "let here = driver::runtime().ok()",
        replace: "let here = Some(Handle::current())",
        caught_by: &[
            "coordinator/tests/runtimes/executors.rs::a_refresh_begun_on_a_runtime_that_runs_is_heard_of_elsewhere",
        ],
    },
    Fault {
        breaks: "F11, F20: a flight that goes with its runtime tells nobody",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"            self.tell(Outcome::Failed(RefreshError::new(ErrorKind::Aborted)), true);
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/runtimes/executors.rs::a_request_first_polled_on_a_runtime_that_ended_ends_on_another",
        ],
    },
    Fault {
        breaks: "F15: a logout that failed in the store is forgotten",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "over.filter(|_| written.is_err()).map(Box::new);",
        replace: "over.filter(|_| false).map(Box::new);",
        caught_by: &["coordinator/tests/logouts.rs::a_logout_that_the_store_did_not_take_is_not_undone"],
    },
    Fault {
        breaks: "F15: a logout that failed in the store is never written",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "            return self.end(lots, &seen);",
        replace: "            return self.fail(RefreshError::new(ErrorKind::LoggedOut));",
        caught_by: &["coordinator/tests/logouts.rs::a_logout_that_the_store_did_not_take_is_not_undone"],
    },
    Fault {
        breaks: "F20: a replay outside of tokio starts a timer",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/future/heal.rs",
        find: "    if runtime().is_ok() {",
        replace: "    if runtime().is_ok() || true {",
        caught_by: &["service/tests.rs::a_refused_request_is_replayed_outside_of_tokio_too"],
    },
    Fault {
        breaks: "F58: each start begins a login",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/begin.rs",
        find: "if refreshes || serves { None } else { no(ErrorKind::NoRefreshToken) }",
        replace: "if (refreshes || serves) && false { None } else { no(ErrorKind::NoRefreshToken) }",
        caught_by: &[
            "coordinator/tests/logouts.rs::a_second_start_keeps_the_refresh_token_that_the_first_got",
        ],
    },
    Fault {
        breaks: "F58: a refresh token that the stored verdict condemns is installed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/begin.rs",
        find: "refused = self.verdict_on(slot, seen, &tokens);",
        replace: "refused = self.verdict_on(slot, seen, &tokens).filter(|_| false);",
        caught_by: &[
            "coordinator/tests/logouts.rs::a_refused_refresh_token_is_submitted_once_however_often_a_program_starts",
        ],
    },
    Fault {
        breaks: "F58: of two logins at once the later replaces the other",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/begin.rs",
        find: "if refused.is_some() || self.why_not(slot, Some(seen)).is_none() {",
        replace: "if refused.is_some() {",
        caught_by: &[
            "coordinator/tests/logouts.rs::of_many_logins_at_once_one_begins_and_the_others_get_theirs_back",
        ],
    },
    Fault {
        breaks: "F61: a shutdown outside of tokio starts a timer",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: r#"        if runtime().is_err() {
            return is_idle"#,
        replace: r#"        if false {
            return is_idle"#,
        caught_by: &["coordinator/tests/shutdown.rs::a_shutdown_needs_no_runtime"],
    },
    Fault {
        breaks: "F02, F11: a set of an ended runtime is not given back where another login is stored",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "let ours = found.filter(|seen| seen.snapshot.record.login == commit.login);",
        replace: "let ours = found.filter(|_| true);",
        caught_by: &["coordinator/tests/runtimes/parked.rs::a_new_login_gives_back_a_set_of_the_one_before"],
    },
    Fault {
        breaks: "F11, F20: a login or a logout that goes with its runtime stays under way",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: r#"            let done = task.await;
            drop(active);
            done"#,
        replace: r#"            let active = std::mem::ManuallyDrop::new(active);
            let done = task.await;
            drop(std::mem::ManuallyDrop::into_inner(active));
            done"#,
        caught_by: &[
            "coordinator/tests/runtimes.rs::a_login_survives_its_runtime_at_every_step",
            "coordinator/tests/runtimes.rs::a_logout_can_be_had_again_whatever_its_runtime_did",
        ],
    },
];
