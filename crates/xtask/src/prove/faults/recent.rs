//! Rows that were fixed after the attacks.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "F27: a request gets the token whatever its `Host` says",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/layer.rs",
        find: "origin.agrees_with_host(headers).then_some(*id)",
        replace: "Some(*id).filter(|_| origin.agrees_with_host(headers) || true)",
        caught_by: &["service/tests/unmanaged.rs::a_host_that_contradicts_the_origin_gets_no_token"],
    },
    Fault {
        breaks: "F29: another scheme's error keeps a refused token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/challenge.rs",
        find: r#"challenges.iter().any(|challenge| error(challenge, &["invalid_token"]))"#,
        replace: "false",
        caught_by: &[
            "service/tests/challenges.rs::an_invalid_token_is_replaced_whatever_other_challenges_say",
        ],
    },
    Fault {
        breaks: "F38: missed events are not counted",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/events.rs",
        find: "self.missed = self.missed.saturating_add(more);",
        replace: "_ = more;",
        caught_by: &["coordinator/tests/reports.rs::a_slow_reader_of_events_is_told_how_many_it_missed"],
    },
    Fault {
        breaks: "F44: the trailers of a replay are not looked at",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/future.rs",
        find: r#"(Some(b"0"), Some(slot)) => slot.accepted(used, origin),"#,
        replace: r#"(Some(b"0"), Some(slot)) if !replayed => slot.accepted(used, origin),"#,
        caught_by: &["service/tests/challenges.rs::a_replay_accepted_in_its_trailers_counts_as_accepted"],
    },
    Fault {
        breaks: "F45: as many frames of a refused answer as it sends are read ahead",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/body/refused.rs",
        find: "const READ_AHEAD_FRAMES: usize = 1024;",
        replace: "const READ_AHEAD_FRAMES: usize = 1024 * 1024;",
        caught_by: &["body/tests.rs::reading_ahead_is_bounded_where_frames_carry_nothing"],
    },
    Fault {
        breaks: "F62: the log line of a failure has no cause",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/events.rs",
        find: "shown.ok().filter(|shown| !shown.is_empty())",
        replace: "shown.ok().filter(|_| false)",
        caught_by: &["coordinator/tests/reports.rs::the_log_line_of_a_failure_has_its_cause"],
    },
    Fault {
        breaks: "F64: tokens that can never be sent are installed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/begin.rs",
        find: "        Err(RefreshError::misuse(ErrorKind::UnusableTokens, misuse))",
        replace: r#"        _ = misuse;
        Ok(())"#,
        caught_by: &[
            "coordinator/tests/reports.rs::tokens_that_can_never_be_sent_are_not_installed_and_replace_nothing",
        ],
    },
    Fault {
        breaks: "F65: the log does not say why a request gets no token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/layer/unmanaged.rs",
        find: r#"            tracing::debug!(%reason, "a request gets no token");"#,
        replace: "            _ = reason;",
        caught_by: &["service/tests/unmanaged.rs::a_request_without_a_token_says_why_in_the_log"],
    },
    Fault {
        breaks: "F66: each spelling of an endpoint has logins of its own",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/origin.rs",
        find: "    let Ok(origin) = Origin::of(uri) else { return uri.to_string() };",
        replace: "    let Ok(origin) = Origin::of(uri).or(Err(())).and_then(|_| Err::<Origin, ()>(())) else { return uri.to_string() };",
        caught_by: &["coordinator/tests/reports.rs::an_endpoint_is_the_same_however_it_is_spelled"],
    },
    Fault {
        breaks: "F67: a refused token is left alone without a word",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "news.then(|| EventKind::LeftAlone(current.generation()))",
        replace: "news.then(|| EventKind::LeftAlone(current.generation())).filter(|_| false)",
        caught_by: &["coordinator/tests/reports.rs::a_refused_token_that_is_left_alone_is_logged_once"],
    },
    Fault {
        breaks: "F32: a change that the store tells at once is looked at without a pause",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/driver.rs",
        find: "const LEAST_PAUSE: Duration = Duration::from_millis(50);",
        replace: "const LEAST_PAUSE: Duration = Duration::from_millis(1);",
        caught_by: &[
            "coordinator/tests/trouble.rs::a_store_that_tells_of_a_change_whenever_asked_is_not_read_without_end",
        ],
    },
    Fault {
        breaks: "F34: a token served before it was stored is said each time",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "news = self.slot.current.load().as_ref().is_none_or(|known| known.id() != current.id());",
        replace: "news = true;",
        caught_by: &["coordinator/tests/trouble.rs::a_token_that_is_served_before_it_is_stored_is_said_once"],
    },
    Fault {
        breaks: "F36: a store that is down is asked as often as ever",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slot.rs",
        find: "(Duration::from_millis(500), Duration::from_secs(5))",
        replace: "(Duration::from_millis(500), Duration::from_millis(500))",
        caught_by: &[
            "coordinator/tests/trouble.rs::a_store_that_is_down_is_asked_more_rarely_the_longer_it_is",
        ],
    },
    Fault {
        breaks: "F40: an age goes by the wall clock",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/memory.rs",
        find: r#"        let now = self.clock.now().boot;
        let age ="#,
        replace: r#"        let now = self.clock.now().wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let age ="#,
        caught_by: &[
            "crates/tower-oauth-refresh-testkit/src/conformance/tests.rs::a_wall_clock_that_is_set_makes_no_record_older_or_younger",
        ],
    },
    Fault {
        breaks: "F46: no consent is asked for mTLS aliases",
        rows: &[],
        file: "crates/tower-oauth-refresh-binding/src/discovery.rs",
        find: "[Some(&used.token), used.revocation.as_ref(), mtls.token.as_ref(), mtls.revocation.as_ref()]",
        replace: "[Some(&used.token), used.revocation.as_ref(), mtls.token.as_ref().filter(|_| false)]",
        caught_by: &[
            "crates/tower-oauth-refresh-binding/src/discovery/tests.rs::a_client_with_a_certificate_needs_consent_to_the_aliases_too",
        ],
    },
    Fault {
        breaks: "F49: metadata of a server elsewhere names plain http",
        rows: &[],
        file: "crates/tower-oauth-refresh-binding/src/document.rs",
        find: "url(text).filter(|uri| may_name(issuer, uri))",
        replace: "url(text).filter(|uri| may_name(issuer, uri) || true)",
        caught_by: &[
            "crates/tower-oauth-refresh-binding/src/discovery/tests.rs::a_server_elsewhere_names_no_plain_http_on_this_machine",
        ],
    },
    Fault {
        breaks: "F47: an assertion does not say what it was dated by",
        rows: &[],
        file: "crates/tower-oauth-refresh-binding/src/assertion.rs",
        find: "Ok(ClientAssertion::new(jwt).with_extension(dated))",
        replace: r#"_ = dated;
        Ok(ClientAssertion::new(jwt))"#,
        caught_by: &[
            "crates/tower-oauth-refresh-binding/src/listen/tests.rs::logins_whose_assertions_take_long_to_sign_all_learn_the_time",
        ],
    },
    Fault {
        breaks: "F50: a proof does not learn the server's time",
        rows: &[],
        file: "crates/tower-oauth-refresh-binding/src/servers.rs",
        find: "        time.learn(&sent.dated, date, now)",
        replace: r#"        _ = (time, date, now);
        false"#,
        caught_by: &[
            "crates/tower-oauth-refresh-binding/src/dpop/tests.rs::with_a_clock_an_hour_off_each_server_refuses_one_proof_and_no_login_is_lost",
        ],
    },
    Fault {
        breaks: "F51: a preset gives the server no name",
        rows: &[],
        file: "crates/tower-oauth-refresh-providers/src/preset.rs",
        find: "            builder = builder.issuer(issuer);",
        replace: "            _ = issuer;",
        caught_by: &[
            "crates/tower-oauth-refresh-providers/tests/it/applied.rs::a_login_survives_that_the_token_endpoint_moves",
        ],
    },
    Fault {
        breaks: "F52: a tenant's revocation endpoint is dropped",
        rows: &[],
        file: "crates/tower-oauth-refresh-providers/src/preset.rs",
        find: "        let here = token_endpoint.to_string();",
        replace: "        let here = String::new();",
        caught_by: &[
            "crates/tower-oauth-refresh-providers/tests/it/applied.rs::a_revocation_endpoint_is_where_the_token_endpoint_is",
        ],
    },
    Fault {
        breaks: "a write of the file waits for nobody",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/pace.rs",
        find: "(last.calls, (last.took / PART).min(LONGEST).saturating_sub(since))",
        replace: "(last.calls, (last.took / PART).min(LONGEST).saturating_sub(since) * 0)",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/pace.rs::only_a_write_soon_after_another_waits_and_never_long",
        ],
    },
    Fault {
        breaks: "every call for a received set is given up after a second",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine.rs",
        find: " && !self.patient => limit.min",
        replace: " => limit.min",
        caught_by: &[
            "coordinator/tests/busy_stores.rs::a_store_that_answers_every_call_within_its_limit_loses_no_login",
            "coordinator/tests/busy_stores.rs::no_token_is_spent_twice_where_writers_wait_for_each_other",
        ],
    },
    Fault {
        breaks: "calls for received sets that hang leave no place to others",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/limiter.rs",
        find: "        self.commits_hang\n            && others_wait",
        replace: "        false\n            && others_wait",
        caught_by: &[
            "coordinator/limiter/tests.rs::received_sets_whose_calls_hang_leave_one_place_to_others",
        ],
    },
    Fault {
        breaks: "a call that hangs beside a quick one lowers the limit",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/limiter.rs",
        find: "        } else if took >= COMMIT_PATIENCE && *quick > granted.number {",
        replace: "        } else if false && *quick > granted.number {",
        caught_by: &["coordinator/limiter/tests.rs::a_call_that_hangs_beside_a_quick_one_lowers_no_limit"],
    },
    Fault {
        breaks: "an error stands for a login that another one replaced",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/listen.rs",
        find: "                state.standing = None;\n                slot.current",
        replace: "                slot.current",
        caught_by: &["coordinator/tests/another_login.rs::what_was_said_of_one_login_does_not_bind_the_next"],
    },
    Fault {
        breaks: "who waits for a connection while another login begins is logged out",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "standing.unwrap_or_else(|| RefreshError::new(ErrorKind::Aborted))\n        })",
        replace: "standing.unwrap_or_else(|| RefreshError::new(ErrorKind::LoggedOut))\n        })",
        caught_by: &[
            "coordinator/tests/another_login.rs::a_waiting_request_hears_of_no_logout_that_nobody_made",
            "coordinator/tests/another_login.rs::a_waiting_replay_hears_of_no_logout_that_nobody_made",
        ],
    },
    Fault {
        breaks: "an answer without an access token takes the valid one away",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: "kept.access_token.is_some() && !refused",
        replace: "kept.access_token.is_none() && refused",
        caught_by: &["coordinator/tests/ahead.rs::an_answer_without_an_access_token_displaces_no_valid_one"],
    },
    Fault {
        breaks: "a login that needs its user is kept at the start",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/begin.rs",
        find: "if needs_user && !serves {",
        replace: "if needs_user && serves {",
        caught_by: &["coordinator/tests/logins.rs::a_login_that_needs_its_user_is_asked_for_again"],
    },
    Fault {
        breaks: "an error says nothing of the answer",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "format!(\"http_{}\", status.as_u16())",
        replace: "String::new()",
        caught_by: &["coordinator/tests/reports.rs::an_error_says_what_the_token_endpoint_answered"],
    },
    Fault {
        breaks: "a failure that stands is said again",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "            && before.as_ref().is_none_or(|before| !error.repeats(&before.error))\n",
        replace: "",
        caught_by: &["coordinator/tests/reports.rs::a_failure_that_stands_is_an_event_once"],
    },
];
