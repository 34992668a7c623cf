//! The examples: the rows F54 to F57 of `docs/failure-modes.md`.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "F54: a logout that its browser gives up leaves the session open",
        rows: &[],
        file: "examples/axum-bff/src/account.rs",
        find: r#"    if let Some(name) = cookie(&headers, SESSION) {
        backend.sessions.close(name);
    }
    let outcome = backend.coordinator.logout(session.key.clone()).await?;
"#,
        replace: r#"    let outcome = backend.coordinator.logout(session.key.clone()).await?;
    if let Some(name) = cookie(&headers, SESSION) {
        backend.sessions.close(name);
    }
"#,
        caught_by: &[
            "examples/axum-bff/src/account.rs::the_session_ends_though_its_browser_goes_away_during_the_logout",
        ],
    },
    Fault {
        breaks: "F54: a session in use never ends",
        rows: &[],
        file: "examples/axum-bff/src/session.rs",
        find: "now.since(self.begun) > LIFE || now.since",
        replace: "now.since",
        caught_by: &["examples/axum-bff/src/session.rs::a_session_ends_when_idle_and_after_a_day_in_use"],
    },
    Fault {
        breaks: "F54: a login that has begun is sealed under a key that nobody keeps",
        rows: &[],
        file: "examples/axum-bff/src/pending.rs",
        find: "let sealed = self.cipher.encrypt(&XNonce::from(nonce), text.as_slice());",
        replace: r#"let cipher = XChaCha20Poly1305::new(&random::<32>()?.into());
        let sealed = cipher.encrypt(&XNonce::from(nonce), text.as_slice());"#,
        caught_by: &["examples/axum-bff/src/pending.rs::no_number_of_other_logins_pushes_one_out"],
    },
    Fault {
        breaks: "F55: an origin with a slash at its end is put before a path",
        rows: &[],
        file: "examples/egress-proxy/src/proxy.rs",
        find: "route.origin.trim_end_matches('/').len();",
        replace: "route.origin.len();",
        caught_by: &[
            "examples/egress-proxy/tests/runs/main.rs::nothing_goes_where_no_route_leads_and_no_page_gets_through",
        ],
    },
    Fault {
        breaks: "F55: an old browser gets a GET request through",
        rows: &[],
        file: "examples/egress-proxy/src/caller.rs",
        find: r#"agent.starts_with(b"Mozilla/") || agent"#,
        replace: "agent",
        caught_by: &[
            "examples/egress-proxy/tests/runs/main.rs::nothing_goes_where_no_route_leads_and_no_page_gets_through",
        ],
    },
    Fault {
        breaks: "F56: a second login leaves the first one alive at the server",
        rows: &[],
        file: "examples/login-cli/src/account.rs",
        find: r#"                self.log_out().await
"#,
        replace: r#"                Ok(Logout::NothingStored)
"#,
        caught_by: &[
            "examples/login-cli/tests/runs/main.rs::a_second_login_ends_the_first_one_at_the_server",
        ],
    },
    Fault {
        breaks: "F56: each of two first runs decides where the key is",
        rows: &[],
        file: "examples/login-cli/src/key.rs",
        find: "Ok(decided(home)?.unwrap_or(place)),",
        replace: "Ok(place),",
        caught_by: &["examples/login-cli/src/key.rs::of_two_first_runs_one_decides_where_the_key_is"],
    },
    Fault {
        breaks: "F57: failures that are equal are a line each",
        rows: &[],
        file: "examples/quickstart/src/timeline.rs",
        find: "times.entry(error.to_string())",
        replace: r#"times.entry(format!("{error} ({})", times.len()))"#,
        caught_by: &["examples/quickstart/tests/runs.rs::failures_that_are_equal_are_one_line"],
    },
    Fault {
        breaks: "F57: an unknown option is said to need a value",
        rows: &[],
        file: "examples/quickstart/src/options.rs",
        find: "other => return Err(other.unexpected().into()),",
        replace: "_ => drop(arguments.value()?),",
        caught_by: &[
            "examples/quickstart/tests/runs.rs::a_wrong_option_is_named_with_what_is_wrong_about_it",
        ],
    },
];
