//! Clocks and lifetimes, each rule broken alone.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "D11: the margin does not shrink with the lifetime",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "Duration::from_secs(30).min(lifetime / 20)",
        replace: "Duration::from_secs(30).max(lifetime / 20)",
        caught_by: &[
            "coordinator/tests/time.rs::tokens_shorter_than_every_margin_are_not_refreshed_for_every_request",
        ],
    },
    Fault {
        breaks: "D12: a lifetime that is a text is not read",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response.rs",
        find: "text.parse().ok().or_else(|| text.parse().ok().and_then(whole))",
        replace: "text.parse().ok().filter(|_| false)",
        caught_by: &["endpoint/response/tests.rs::lifetimes_come_in_many_forms"],
    },
    Fault {
        breaks: "D12: a zero is a lifetime",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response.rs",
        find: "(1..ABSOLUTE).contains(seconds)",
        replace: "(0..ABSOLUTE).contains(seconds)",
        caught_by: &["endpoint/response/tests.rs::lifetimes_come_in_many_forms"],
    },
    Fault {
        breaks: "D12: a token of unknown lifetime has expired",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: r#"    let life = expires_in?;
    Some(life.saturating_sub"#,
        replace: r#"    let life = expires_in.unwrap_or_default();
    Some(life.saturating_sub"#,
        caught_by: &["coordinator/tests/time.rs::a_token_of_unknown_lifetime_is_used_until_it_is_refused"],
    },
    Fault {
        breaks: "D13: a deadline has passed when both clocks say so",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/clock.rs",
        find: "self.wall >= deadline.wall || self.boot >= deadline.boot",
        replace: "self.wall >= deadline.wall && self.boot >= deadline.boot",
        caught_by: &["clock.rs::a_deadline_has_passed_when_either_clock_says_so"],
    },
    Fault {
        breaks: "D14: only the wall clock counts",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/clock.rs",
        find: "self.wall >= deadline.wall || self.boot >= deadline.boot",
        replace: "self.wall >= deadline.wall",
        caught_by: &["coordinator/tests/time.rs::a_wall_clock_set_back_does_not_keep_a_dead_token_alive"],
    },
    Fault {
        breaks: "D14: a lifetime counts from what the wall clock was before it was set",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/commit.rs",
        find: r#"            obtained: sent,
            received: now,"#,
        replace: r#"            obtained: self.known.as_ref().map_or(sent, |known| Now::new(known.obtained.wall, sent.boot)),
            received: now,"#,
        caught_by: &["coordinator/tests/time.rs::a_wall_clock_set_forward_costs_one_refresh_and_no_loop"],
    },
    Fault {
        breaks: "D16: jitter is drawn for each request",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slot.rs",
        find: r#"        millis(now.boot) >= self.ahead.load(Ordering::Relaxed)
"#,
        replace: r#"        let drawn = self.looked.fetch_add(7919, Ordering::Relaxed) % 150_000;
        millis(now.boot).saturating_add(drawn) >= self.ahead.load(Ordering::Relaxed)
"#,
        caught_by: &[
            "coordinator/tests/time.rs::the_early_refresh_is_due_from_one_moment_on_for_all_requests",
        ],
    },
    Fault {
        breaks: "D16: all processes refresh ahead at the same moment",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: "hash_one((coordinator, key, generation))",
        replace: "hash_one((key, generation))",
        caught_by: &["coordinator/tests/time.rs::jitter_is_drawn_once_for_a_generation"],
    },
    Fault {
        breaks: "RB-54: a stored lifetime begins anew when it is loaded",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/seen.rs",
        find: "obtained: self.at.before(age),",
        replace: "obtained: self.at,",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::a_new_process_adopts_what_is_stored_and_counts_its_age_from_before_the_load",
        ],
    },
    Fault {
        breaks: "RB-55: an access token without a refresh token is not served",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slot.rs",
        find: r#"        let Held { login, generation, tokens, obtained } = held;
"#,
        replace: r#"        let Held { login, generation, tokens, obtained } = held;
        tokens.refresh_token.as_ref()?;
"#,
        caught_by: &[
            "coordinator/tests/life.rs::an_access_token_without_a_refresh_token_is_served_for_as_long_as_it_lives",
        ],
    },
    Fault {
        breaks: "RB-55: a refresh is tried without a refresh token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "if record.refresh_token().is_none() && self.policy.grant == Grant::RefreshToken {",
        replace: "if false {",
        caught_by: &["coordinator/machine/tests/judge.rs::without_a_refresh_token_nothing_is_sent"],
    },
    Fault {
        breaks: "RB-57: a token that is found expired is adopted",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/seen.rs",
        find: "policy::usable(tokens, age.saturating_add(now.since(self.at))).then_some(held)",
        replace: "Some(held)",
        caught_by: &[
            "coordinator/machine/tests/judge.rs::an_adopted_token_that_is_expired_is_refreshed_with_the_adopted_refresh_token",
        ],
    },
    Fault {
        breaks: "D17: the pause between attempts overflows",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "failures.saturating_sub(1).min(20)",
        replace: "failures.saturating_sub(1)",
        caught_by: &["coordinator/tests/time.rs::rests_saturate_after_any_number_of_failures"],
    },
    Fault {
        breaks: "D18: an expired token is sent while the endpoint is down",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/slot.rs",
        find: "self.current.load_full().filter(|current| current.is_usable(now))",
        replace: "self.current.load_full().filter(|current| current.is_usable(now) || current.is_ahead_due(now) || true)",
        caught_by: &["coordinator/tests/time.rs::a_failed_early_refresh_keeps_the_valid_token_and_is_spaced"],
    },
];
