//! What attacks on requests, answers and their classes have found, brought back.

use crate::prove::faults::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "F01: a replay is decided before it takes over, and takes a body that is gone for one at its end",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/replay/recording.rs",
        find: r#"        let mut state = self.replayable()?;
        state.first ="#,
        replace: r#"        drop(self.replayable()?);
        let mut state = self.state();
        state.ended |= state.source.is_none();
        state.first ="#,
        caught_by: &[
            "replay/tests/threads.rs::a_replay_taken_over_during_the_upload_never_ends_early_with_success",
        ],
    },
    Fault {
        breaks: "F01: a replay may be shorter than announced",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/replay/recording.rs",
        find: "let wrong = |length| self.replayed > length || (ended && self.replayed < length);",
        replace: "let wrong = |length| self.replayed > length && ended;",
        caught_by: &["replay/tests.rs::a_replay_of_another_length_than_announced_fails"],
    },
    Fault {
        breaks: "F03: an answer is read by a strict parser",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response/raw.rs",
        find: "        let keep_all = body.len() <= MAX_KEPT;",
        replace: r#"        let _: Value = serde_json::from_slice(body).ok()?;
        let keep_all = body.len() <= MAX_KEPT;"#,
        caught_by: &[
            "endpoint/tests/answers.rs::a_spoiled_byte_that_nobody_needs_changes_nothing",
            "endpoint/tests/answers.rs::whatever_stands_in_a_member_that_nobody_needs_changes_nothing",
            "endpoint/tests/answers.rs::what_stands_around_an_answer_changes_nothing",
            "endpoint/tests/answers.rs::an_answer_cut_off_behind_what_is_needed_counts_in_full",
            "endpoint/response/tests.rs::one_unreadable_byte_costs_no_token",
        ],
    },
    Fault {
        breaks: "F03, C66: a refresh token over 64 KiB is dropped",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response.rs",
        find: "Sole::One(Value::String(text)) if text.is_empty() => Ok(None),",
        replace: "Sole::One(Value::String(text)) if text.is_empty() || text.len() > MAX_ACCESS_TOKEN => Ok(None),",
        caught_by: &["endpoint/response/tests.rs::a_refresh_token_is_any_text_of_any_length"],
    },
    Fault {
        breaks: "F03: a token with a byte that cannot be read is taken for the one that was sent",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response/value.rs",
        find: "    if exact {",
        replace: "    if exact || true {",
        caught_by: &["endpoint/response/tests.rs::a_token_that_is_not_exactly_what_was_sent_is_none"],
    },
    Fault {
        breaks: "F03: behind damage a member of an inner object counts as one of the answer's own",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response/scan.rs",
        find: "let certain = self.repairs == 0;",
        replace: "let certain = true;",
        caught_by: &[
            "endpoint/response/tests.rs::what_belongs_to_an_inner_object_is_not_taken_for_the_answer_s_own",
        ],
    },
    Fault {
        breaks: "F08: rules that panic are not guarded against",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "foreign::call(|| rules(&response, class)).unwrap_or(class)",
        replace: "rules(&response, class)",
        caught_by: &[
            "endpoint/classify/tests.rs::own_rules_are_asked_in_order_and_each_sees_what_the_one_before_said",
            "coordinator/tests/panics.rs::what_nothing_depends_on_may_panic_each_time",
        ],
    },
    Fault {
        breaks: "F26: the token request asks for no encoding",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/request.rs",
        find: r#"    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
"#,
        replace: "",
        caught_by: &["endpoint/request.rs::basic_form_encodes_id_and_secret_and_keeps_them_out_of_the_body"],
    },
    Fault {
        breaks: "F26: an encoded refusal is a refusal without a reason",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "encoded && self.answer.is_unreadable()",
        replace: "encoded && false",
        caught_by: &["endpoint/classify/tests.rs::an_answer_in_an_encoding_that_was_not_asked_for_is_named"],
    },
    Fault {
        breaks: "F28: a host that became unreachable has heard nothing",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: "if let Some(kind @ (ConnectionRefused | AddrNotAvailable)) =",
        replace: "if let Some(kind @ (ConnectionRefused | AddrNotAvailable | io::ErrorKind::HostUnreachable)) =",
        caught_by: &["endpoint/transport.rs::only_errors_from_before_the_request_leave_no_doubt"],
    },
    Fault {
        breaks: "F37: `refresh_in: 1` is obeyed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "wish.max(tokens.expires_in.map_or(REFRESH_IN_MIN, |life| REFRESH_IN_MIN.min(life / 2)))",
        replace: "wish",
        caught_by: &["coordinator/policy/tests.rs::a_wish_to_be_asked_at_once_is_not_met"],
    },
    Fault {
        breaks: "F59: no error counts as from before the request",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: r#"    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(NotSent"#,
        replace: r#"    let mut next = Some(error).filter(|_| false);
    while let Some(error) = next {
        if let Some(NotSent"#,
        caught_by: &[
            "endpoint/tests/unsent.rs::a_name_that_has_no_address_has_sent_nothing",
            "endpoint/tests/unsent.rs::a_connection_that_is_refused_has_sent_nothing",
        ],
    },
    Fault {
        breaks: "F59: an error of the DNS counts as sent",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: "if io.is_none() && error.to_string() == NO_CONNECTION {",
        replace: "if false && io.is_none() && error.to_string() == NO_CONNECTION {",
        caught_by: &["endpoint/tests/unsent.rs::a_name_that_has_no_address_has_sent_nothing"],
    },
    Fault {
        breaks: "F59: a connection that ends after the request has sent nothing",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: r#"or_else(|| error.source());
    }
    Unsent::InDoubt"#,
        replace: r#"or_else(|| error.source());
    }
    Unsent::Certain(None)"#,
        caught_by: &[
            "endpoint/tests/unsent.rs::a_connection_that_ends_after_the_request_leaves_doubt",
            "endpoint/transport.rs::only_errors_from_before_the_request_leave_no_doubt",
        ],
    },
    Fault {
        breaks: "F25: the deadline of a gRPC call does not count while it waits for a token",
        rows: &[],
        file: "crates/tower-oauth-refresh-tonic/src/call.rs",
        find: "timer: deadline.map(sleep) }",
        replace: "timer: deadline.filter(|_| false).map(sleep) }",
        caught_by: &[
            "crates/tower-oauth-refresh-tonic/tests/server/main.rs::the_deadline_of_a_call_ends_its_wait_for_a_token",
        ],
    },
    Fault {
        breaks: "F59: reqwest does not tell what was not sent",
        rows: &[],
        file: "crates/tower-oauth-refresh-reqwest/src/transport.rs",
        find: "if error.is_connect() || error.is_builder() {",
        replace: "if error.is_builder() {",
        caught_by: &[
            "crates/tower-oauth-refresh-reqwest/src/tests.rs::the_transport_tells_what_was_not_sent_from_what_may_have_arrived",
        ],
    },
    Fault {
        breaks: "F03: a text that lacks its end takes the next member into it",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response/bounds.rs",
        find: r#"        if text.get(space(text, end)) == Some(&b':') {
            return Err(Damage::Broken);
        }
    }"#,
        replace: "    }",
        caught_by: &[
            "endpoint/tests/answers.rs::no_damage_makes_another_token_of_the_one_that_was_sent",
            "endpoint/tests/answers.rs::a_spoiled_byte_that_nobody_needs_changes_nothing",
        ],
    },
];
