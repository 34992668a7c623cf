//! How logins end, here and everywhere, each rule broken alone.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "F90: access tokens are not revoked",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: r#"if let Some(token) = &tokens.access_token
"#,
        replace: r#"if let Some(token) = tokens.access_token.as_ref().filter(|_| false)
"#,
        caught_by: &["coordinator/tests/logouts.rs::a_logout_revokes_both_tokens_and_a_lone_access_token"],
    },
    Fault {
        breaks: "F90: a failed revocation forgets the token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "let unrevoked = if self.endpoint.revokes() { unrevoked } else { Vec::new() };",
        replace: "let unrevoked = if unrevoked.is_empty() { unrevoked } else { Vec::new() };",
        caught_by: &["coordinator/tests/logouts.rs::what_was_not_revoked_is_revoked_by_the_next_logout"],
    },
    Fault {
        breaks: "F90: what was not revoked is kept for ever",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: "if seen.age < UNREVOKED {",
        replace: "if seen.age < Duration::MAX {",
        caught_by: &[
            "coordinator/tests/logouts.rs::what_was_not_revoked_is_kept_for_a_week_and_gone_when_forgotten",
        ],
    },
    Fault {
        breaks: "F90: tokens that only memory has are not revoked",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: r#"        due.push(held.tokens.clone());
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/logouts.rs::the_tokens_in_memory_are_revoked_where_the_record_is_lost_or_set_back",
        ],
    },
    Fault {
        breaks: "F90: a forgotten login is revoked through its own flight",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: r#"    new.forgotten |= !revoke;
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/logouts.rs::a_login_that_is_forgotten_during_a_refresh_is_not_revoked",
        ],
    },
    Fault {
        breaks: "F90: an install waits for the flight of the login before",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/end.rs",
        find: r#"        drop(turn);
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/logouts.rs::an_install_does_not_wait_for_the_flight_of_the_login_before",
        ],
    },
    Fault {
        breaks: "F91: nobody listens to changes",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "self.store.changes().is_some()",
        replace: "self.store.changes().is_none()",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_login_ends_in_every_process_within_a_second",
            "coordinator/tests/logouts/everywhere.rs::a_verdict_of_the_server_ends_the_login_in_every_process",
            "coordinator/tests/logouts/everywhere.rs::another_login_replaces_the_token_in_every_process",
        ],
    },
    Fault {
        breaks: "F91: a client credential that was logged out has ended",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "if policy.grant == Grant::ClientCredentials { Verdict::Drop }",
        replace: "if policy.grant == Grant::ClientCredentials && false { Verdict::Drop }",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_client_credential_that_was_logged_out_is_asked_for_anew",
        ],
    },
    Fault {
        breaks: "F91: a logout elsewhere waits for the refresh under way",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "Verdict::End(error) if in_flight && !is_end(&error) =>",
        replace: "Verdict::End(_) if in_flight =>",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_logout_elsewhere_does_not_wait_for_a_refresh_under_way",
        ],
    },
    Fault {
        breaks: "F91: a look that finds no token does not wait for the flight",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "if slot.is_busy() { Look::Soon } else { Look::Done }",
        replace: "if slot.is_busy() && false { Look::Soon } else { Look::Done }",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_token_read_before_a_logout_and_published_after_it_is_dropped",
        ],
    },
    Fault {
        breaks: "F91: a flight is believed that read the store before a logout",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: r#"                state.epoch += 1;
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_flight_that_read_the_store_before_a_logout_is_not_believed",
        ],
    },
    Fault {
        breaks: "F91: a look ends a login that began meanwhile",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "if current.is_none_or(|current| current.login != held.login) {",
        replace: "if current.is_none() {",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_login_begun_during_the_look_is_not_ended_by_it",
        ],
    },
    Fault {
        breaks: "F91: a look that the store does not answer is the last",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "Err(_) => return Look::Later,",
        replace: "Err(_) => return Look::Done,",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_logout_is_looked_at_again_until_the_store_answers",
        ],
    },
    Fault {
        breaks: "F91: a change is looked at where no token is held",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: r#"        let Some(held) = slot.current.load().as_ref().map(|current| current.id()) else {
            return soon(slot);
        };
        let found = match self.load"#,
        replace: r#"        let held = slot.current.load().as_ref().map(|current| current.id());
        let _ = self.load(slot, Rank::New).await;
        let Some(held) = held else { return soon(slot) };
        let found = match self.load"#,
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_change_costs_one_load_in_each_process_that_holds_the_token",
        ],
    },
    Fault {
        breaks: "F91: each change of a burst is looked at",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "slot.filter(|slot| changed.is_news(slot))",
        replace: "slot.filter(|slot| changed.is_news(slot) || true)",
        caught_by: &["coordinator/tests/logouts/everywhere.rs::a_burst_of_changes_is_looked_at_once"],
    },
    Fault {
        breaks: "F91: a stream of changes that has ended is not asked for again",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: r#"            let _ = heard.await;
            sleep(pause).await;"#,
        replace: r#"            let _ = heard.await;
            std::future::pending::<()>().await;
            sleep(pause).await;"#,
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_stream_that_ends_or_panics_is_asked_for_again",
        ],
    },
    Fault {
        breaks: "F91: a store without changes is asked for them every second",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: r#"            pause = (pause * 2).min(SUBSCRIBE.1);
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_store_without_changes_any_more_is_asked_seldom",
        ],
    },
    Fault {
        breaks: "F91: the listener outlives a shutdown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "_ = ended.wait_for(|activity| activity.closed) => {}",
        replace: "_ = ended.wait_for(|_| false) => {}",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::nobody_listens_before_a_token_is_held_nor_after_the_end",
        ],
    },
    Fault {
        breaks: "F91: a listener whose runtime has ended counts",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "task.as_ref().is_some_and(|task| !task.is_finished())",
        replace: "task.is_some()",
        caught_by: &[
            "coordinator/tests/logouts/everywhere.rs::a_listener_whose_runtime_has_ended_is_started_again",
        ],
    },
    Fault {
        breaks: "a logout that the store did not take is forgotten with its slot",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slot.rs",
        find: "state.ended.is_some() || state.parked.is_some()",
        replace: "state.parked.is_some()",
        caught_by: &[
            "coordinator/tests/logouts.rs::a_logout_that_the_store_did_not_take_is_not_undone_by_other_credentials",
        ],
    },
    Fault {
        breaks: "a login is asked for outside of tokio",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login.rs",
        find: r#"        // The time limits of the store's calls are timers.
        runtime()?;
"#,
        replace: "",
        caught_by: &[
            "coordinator/tests/logouts.rs::a_login_that_is_asked_for_outside_of_tokio_is_an_error_and_no_panic",
        ],
    },
    Fault {
        breaks: "a lone access token that no header holds is a login that lives",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/begin.rs",
        find: "usable(tokens, tokens.age.saturating_add(seen.age)) && self.policy.can_send(tokens)",
        replace: "usable(tokens, tokens.age.saturating_add(seen.age))",
        caught_by: &[
            "coordinator/tests/logouts.rs::a_lone_access_token_that_no_header_holds_is_no_login_that_lives",
        ],
    },
];
