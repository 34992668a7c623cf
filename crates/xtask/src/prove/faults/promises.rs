//! Promises of `docs/reliability.md` that no row of the failure modes breaks.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "a store that was set back has its spent refresh token sent",
        rows: &["I3"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "known.login == record.login && record.generation < known.generation;",
        replace: "known.login != record.login && record.generation < known.generation;",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_store_that_was_set_back_gets_the_newer_tokens_again_and_the_spent_one_is_not_sent",
        ],
    },
    Fault {
        breaks: "a refresh token that was spent before is taken back from an answer",
        rows: &["I3"],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "if record.retired.is_some() && new.as_ref().map(of) == record.retired {",
        replace: "if record.retired.is_none() && new.as_ref().map(of) == record.retired {",
        caught_by: &[
            "coordinator/machine/tests/commit.rs::a_refresh_token_that_was_retired_before_is_not_taken_back",
            "coordinator/machine/tests/commit.rs::a_retired_refresh_token_beside_an_unusable_access_token_is_not_taken_back",
        ],
    },
    Fault {
        breaks: "a replay has no body",
        rows: &["I5"],
        file: "crates/tower-oauth-refresh/src/replay.rs",
        find: "(Source::Whole(bytes.clone()), Handle::Whole(bytes)),",
        replace: "(Source::Whole(Bytes::new()), Handle::Whole(bytes)),",
        caught_by: &[
            "service/tests.rs::a_refused_request_is_sent_once_more_with_a_new_token_and_the_same_body",
        ],
    },
    Fault {
        breaks: "a token may go to any machine in clear",
        rows: &["I9"],
        file: "crates/tower-oauth-refresh/src/origin.rs",
        find: "secure || is_loopback(host))",
        replace: "secure || is_loopback(host) || true)",
        caught_by: &["origin.rs::plain_http_is_for_loopback_only"],
    },
    Fault {
        breaks: "a host that only ends like the named one gets the token",
        rows: &["I9"],
        file: "crates/tower-oauth-refresh/src/origin.rs",
        find: "port == self.port && host.eq_ignore_ascii_case(&self.host))",
        replace: "port == self.port && host.to_ascii_lowercase().ends_with(&*self.host))",
        caught_by: &["origin.rs::another_scheme_host_port_or_user_is_another_origin"],
    },
    Fault {
        breaks: "an answer of any size is read",
        rows: &["I15"],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: "let room = ANSWER_LIMIT - heard.body.len();",
        replace: "let room = usize::MAX - heard.body.len();",
        caught_by: &["endpoint/transport.rs::an_answer_over_a_mebibyte_is_not_read_to_its_end"],
    },
    Fault {
        breaks: "a port that is too large panics",
        rows: &["I18"],
        file: "crates/tower-oauth-refresh/src/origin.rs",
        find: "        _ => authority.port_u16()?,",
        replace: "        _ => after_host.trim_start_matches(':').parse().unwrap(),",
        caught_by: &["origin.rs::no_text_makes_it_panic_and_an_origin_keeps_its_promises"],
    },
    Fault {
        breaks: "the core has a feature",
        rows: &["I16"],
        file: "crates/tower-oauth-refresh/Cargo.toml",
        find: "[dev-dependencies]",
        replace: "[features]\nfast = []\n\n[dev-dependencies]",
        caught_by: &["tests/it/tidy.rs::the_core_has_no_features"],
    },
];
