//! Rows of "One flight": many callers, one refresh, which is nobody's.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "B1: each caller has a flight of its own",
        rows: &["I1"],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "if let Some(flight) = &mut state.flight {",
        replace: "if let Some(flight) = state.flight.as_mut().filter(|_| false) {",
        caught_by: &["coordinator/tests/sharing.rs::a_thousand_callers_share_one_refresh"],
    },
    Fault {
        breaks: "B2: an exchange that nobody waits for any more is given up",
        rows: &["I7"],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: r#"            flight.say();
            answer.await"#,
        replace: r#"            flight.say();
            tokio::select! {
                answer = answer => answer,
                () = async {
                    while flight.slot.state().flight.as_ref().is_some_and(|waiters| waiters.count() > 0) {
                        sleep(Duration::from_millis(1)).await;
                    }
                } => Answer::Lost,
            }"#,
        caught_by: &[
            "coordinator/tests/cancellation.rs::dropping_the_first_caller_changes_nothing_for_the_others",
            "coordinator/tests/cancellation.rs::dropping_every_caller_still_stores_the_new_token",
            "coordinator/tests/sharing.rs::a_caller_ends_by_its_own_deadline_and_the_refresh_goes_on",
        ],
    },
    Fault {
        breaks: "B3: a flight ends at its next step once nobody waits",
        rows: &["I7"],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: "        flight.machine.want(slot.wanted());",
        replace: r#"        if slot.state().flight.as_ref().is_some_and(|waiters| waiters.count() == 0) {
            return flight.note(failed(RefreshError::new(ErrorKind::Aborted)), true);
        }
        flight.machine.want(slot.wanted());"#,
        caught_by: &[
            "coordinator/tests/cancellation.rs::a_caller_dropped_after_any_number_of_polls_loses_nothing",
            "coordinator/tests/cancellation.rs::dropping_every_caller_still_stores_the_new_token",
        ],
    },
    Fault {
        breaks: "B4: a store that panics ends the flight",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: "let answer = timeout(limit, guarded(call)).await;",
        replace: "let answer = timeout(limit, async { Ok::<_, foreign::Panicked>(call.await) }).await;",
        caught_by: &[
            "coordinator/tests/cancellation.rs::a_store_that_panics_is_a_store_that_failed_and_the_next_refresh_succeeds",
        ],
    },
    Fault {
        breaks: "B4: what a transport that panics was given counts as not sent",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: "        let answer = match guarded(call).await.ok()? {",
        replace: r#"        let answer = match match guarded(call).await {
            Ok(answer) => answer,
            Err(_) => return Some(Unsent::Certain(None)),
        } {"#,
        caught_by: &["coordinator/tests/cancellation.rs::a_transport_that_panics_is_an_answer_that_was_lost"],
    },
    Fault {
        breaks: "B6: a token endpoint behind its own layer waits for itself",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "if driver::flies(self, &slot.key) {",
        replace: "if false && driver::flies(self, &slot.key) {",
        caught_by: &[
            "coordinator/tests/cancellation.rs::a_token_endpoint_behind_its_own_layer_is_an_error_and_no_deadlock",
        ],
    },
    Fault {
        breaks: "B8: one exchange is under way at a time, of all credentials",
        rows: &["I12"],
        file: "crates/tower-oauth-refresh/src/coordinator/builder.rs",
        find: "            exchanges: 100,",
        replace: "            exchanges: 1,",
        caught_by: &["coordinator/tests/sharing.rs::one_credential_that_hangs_does_not_delay_another"],
    },
    Fault {
        breaks: "B9: the scope is left out of the key in the store",
        rows: &["I17"],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: "        for (name, value) in parameters {\n            namespace",
        replace: "        for (name, value) in parameters.into_iter().filter(|(name, _)| name != \"scope\") {\n            namespace",
        caught_by: &[
            "coordinator/tests/sharing.rs::coordinators_for_different_resources_never_share_a_token",
        ],
    },
    Fault {
        breaks: "B9: the resource is left out of the key in the store",
        rows: &["I17"],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: "        for (name, value) in parameters {\n            namespace",
        replace: "        for (name, value) in parameters.into_iter().filter(|(name, _)| name != \"resource\") {\n            namespace",
        caught_by: &[
            "coordinator/tests/sharing.rs::coordinators_for_different_resources_never_share_a_token",
        ],
    },
    Fault {
        breaks: "B10: the mark of another client in this process does not count",
        rows: &["I1"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "let Some(mark) = &record.mark else {",
        replace: "let Some(mark) = record.mark.as_ref().filter(|_| false) else {",
        caught_by: &["coordinator/tests/sharing.rs::two_coordinators_on_one_store_still_refresh_once"],
    },
    Fault {
        breaks: "B11: a caller waits for longer than it wanted to",
        rows: &["I6"],
        file: "crates/tower-oauth-refresh/src/coordinator/waiter.rs",
        find: "timer.set(Some(sleep_until(until)));",
        replace: "timer.set(Some(sleep_until(until + std::time::Duration::from_secs(1))));",
        caught_by: &[
            "coordinator/tests/sharing.rs::a_caller_ends_by_its_own_deadline_and_the_refresh_goes_on",
        ],
    },
    Fault {
        breaks: "B12: an early refresh that failed takes the valid token along",
        rows: &["I13"],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"        let ends = error.needs_login()
"#,
        replace: r#"        let ends = (error.needs_login() || error.is_transient())
"#,
        caught_by: &["coordinator/tests/time.rs::a_failed_early_refresh_keeps_the_valid_token_and_is_spaced"],
    },
    Fault {
        breaks: "B12: an early refresh that failed is tried again by every request",
        rows: &["I11"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"        let wait = retry_after.map_or(own, |server| server.max(own));
        let rest = Rest { wait, reason: RestReason::Unavailable, code: Some(code), client: None };"#,
        replace: r#"        let wait = (retry_after.map_or(own, |server| server.max(own))) / 1_000_000;
        let rest = Rest { wait, reason: RestReason::Unavailable, code: Some(code), client: None };"#,
        caught_by: &["coordinator/tests/time.rs::a_failed_early_refresh_keeps_the_valid_token_and_is_spaced"],
    },
    Fault {
        breaks: "B13: every request in the window begins a flight",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"        current.set_ahead(None);
        match self.join(slot, state, now, Wanted::DUE) {"#,
        replace: r#"        let mut state = state;
        state.flight = None;
        match self.join(slot, state, now, Wanted::DUE) {"#,
        caught_by: &[
            "coordinator/tests/time.rs::a_token_is_refreshed_ahead_in_the_background_once_and_nobody_waits",
        ],
    },
    Fault {
        breaks: "RB-04: a failure is for one waiter alone",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "        if let Some(waiters) = waiters {",
        replace: "        if let Some(waiters) = waiters.filter(|_| told.is_ok()) {",
        caught_by: &["coordinator/tests/sharing.rs::a_failure_is_shared_exactly_like_a_success"],
    },
    Fault {
        breaks: "RB-06: readers of a valid token wait for the early refresh",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "                self.refresh_ahead(slot, now);",
        replace: r#"                if let Ok(waiter) = self.join(slot, slot.state(), now, Wanted::DUE) {
                    return Token::Wait(waiter);
                }"#,
        caught_by: &[
            "coordinator/tests/time.rs::the_endpoint_hanging_delays_nobody_while_the_token_is_valid",
        ],
    },
    Fault {
        breaks: "RB-14: a flight that is over can still be joined",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "        if over {\n            state.flight = None;",
        replace: "        if over && told.is_err() {\n            state.flight = None;",
        caught_by: &["coordinator/tests/sharing.rs::the_channel_exists_only_while_a_flight_does"],
    },
    Fault {
        breaks: "RB-14: a flight that has told its waiters of a failed write cannot be joined, though it goes on",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "        if over {\n            state.flight = None;",
        replace: "        if over || told.is_err() {\n            state.flight = None;",
        caught_by: &["coordinator/tests/sharing.rs::the_channel_exists_only_while_a_flight_does"],
    },
    Fault {
        breaks: "RB-16: a flight whose runtime has ended tells nobody",
        rows: &["I6"],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "            self.tell(Outcome::Failed(RefreshError::new(ErrorKind::Aborted)), true);",
        replace: "",
        caught_by: &[
            "coordinator/tests/cancellation.rs::a_runtime_that_goes_away_takes_no_waiter_with_it_and_the_record_says_in_doubt",
        ],
    },
    Fault {
        breaks: "RB-19: there is a panic outside of a runtime",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: "Handle::try_current().map_err(|_| RefreshError::new(ErrorKind::NoRuntime))",
        replace: "Ok(Handle::current())",
        caught_by: &["coordinator/tests/cancellation.rs::outside_a_runtime_there_is_an_error_and_no_panic"],
    },
    Fault {
        breaks: "RB-19: a flight on a runtime that has ended is still there for others to join",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "            self.tell(Outcome::Failed(RefreshError::new(ErrorKind::Aborted)), true);",
        replace: "            self.tell(Outcome::Failed(RefreshError::new(ErrorKind::Store)), false);",
        caught_by: &[
            "coordinator/tests/cancellation.rs::on_a_runtime_that_has_ended_there_is_an_error_and_no_hang",
        ],
    },
];
