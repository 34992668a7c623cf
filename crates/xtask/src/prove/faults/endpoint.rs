//! What an answer of the token endpoint means, each rule broken alone.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "C12: a redirect of the token endpoint is read like any answer",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "if status.is_redirection() {",
        replace: "if false {",
        caught_by: &["endpoint/classify/tests.rs::a_redirect_is_a_configuration_error_whatever_it_carries"],
    },
    Fault {
        breaks: "D1: a code in a gateway's page counts",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "502..=504 => Some(true),",
        replace: "599 => Some(true),",
        caught_by: &[
            "endpoint/classify/tests.rs::what_stands_in_front_of_the_server_is_not_heard_about_the_grant",
        ],
    },
    Fault {
        breaks: "D1: a network's login page ends the login",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "404 | 405 | 410 | 415 if response.is_page() => AnswerClass::Transient { in_doubt: false },",
        replace: "404 | 405 | 410 | 415 if response.is_page() => AnswerClass::GrantDead,",
        caught_by: &["endpoint/classify/tests.rs::a_login_page_of_the_network_never_ends_anything"],
    },
    Fault {
        breaks: "D2: a classifier is asked and not believed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "foreign::call(|| rules(&response, class)).unwrap_or(class)",
        replace: "foreign::call(|| rules(&response, class)).map_or(class, |_| class)",
        caught_by: &[
            "endpoint/classify/tests.rs::own_rules_see_the_answer_and_the_default_and_have_the_last_word",
        ],
    },
    Fault {
        breaks: "D3: a dead refresh token is tried again after a rest",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"        self.notes.push(Note::Condemned(verdict.clone()));
        self.condemn(lots, attempt.version, &attempt.record, verdict)"#,
        replace: r#"        let wait = Duration::from_secs(1);
        let rest = Rest { wait, reason: RestReason::Refused, code: Some(verdict.code), client: None };
        self.release(now, lots, attempt, rest)"#,
        caught_by: &["coordinator/tests/life.rs::a_dead_refresh_token_is_submitted_once_however_many_ask"],
    },
    Fault {
        breaks: "D3: a verdict stands for an hour whatever is in the store",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"                RECHECK
            } else {
                Standing::length"#,
        replace: r#"                RECHECK * 3600
            } else {
                Standing::length"#,
        caught_by: &[
            "coordinator/tests/life.rs::a_login_in_another_process_lifts_the_verdict_within_a_second",
        ],
    },
    Fault {
        breaks: "D4: a wrong client secret ends the login",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "Answer::Configuration { code } => self.client_refused(now, lots, attempt, code),",
        replace: r#"Answer::Configuration { code } => {
                self.phase = Phase::Rereading { attempt, code: code.unwrap_or_default() };
                Step::Load
            }"#,
        caught_by: &["coordinator/tests/trouble.rs::a_misconfigured_client_fails_fast_and_erases_nothing"],
    },
    Fault {
        breaks: "D5: after a lost answer the token is sent again and again",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "if self.doubts == 1 && self.may_retry(now, &attempt) {",
        replace: "if !self.exhausted(now) {",
        caught_by: &[
            "coordinator/machine/tests/exchange.rs::a_lost_answer_is_followed_by_the_same_token_at_once_and_only_once",
        ],
    },
    Fault {
        breaks: "D5: a lost answer leaves no doubt",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"        attempt.record.doubt.get_or_insert(ours);
"#,
        replace: r#"        let _ = (attempt, ours);
"#,
        caught_by: &[
            "coordinator/tests/trouble.rs::a_lost_answer_on_a_strict_server_is_reported_as_a_lost_rotation",
        ],
    },
    Fault {
        breaks: "D6: a connection that was reset counts as never made",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/transport.rs",
        find: "Some(kind @ (ConnectionRefused | AddrNotAvailable))",
        replace: "Some(kind @ (ConnectionRefused | AddrNotAvailable | io::ErrorKind::ConnectionReset))",
        caught_by: &["endpoint/transport.rs::only_errors_from_before_the_request_leave_no_doubt"],
    },
    Fault {
        breaks: "D6: a request that never left is in doubt",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: "Answer::NotSent(cause) => self.not_sent(now, lots, attempt, cause),",
        replace: r#"Answer::NotSent(_) => self.doubt(now, lots, attempt, "no_answer"),"#,
        caught_by: &["coordinator/machine/tests/exchange.rs::a_request_that_never_left_leaves_no_doubt"],
    },
    Fault {
        breaks: "D7: the refresh token beside an unusable access token is lost",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "(Err(Unusable { refresh_token, .. }), _) => Self::UnusableSuccess { refresh_token },",
        replace: "(Err(_), _) => Self::UnusableSuccess { refresh_token: None },",
        caught_by: &[
            "endpoint/classify/tests.rs::a_2xx_without_a_usable_access_token_saves_the_refresh_token",
        ],
    },
    Fault {
        breaks: "D7: an answer that cannot be read is a panic",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/response.rs",
        find: "raw.map_or_else(Self::unreadable, |raw| Self::from_raw(raw, dialect))",
        replace: "Self::from_raw(raw.unwrap(), dialect)",
        caught_by: &["endpoint/response/tests.rs::what_cannot_be_read_is_no_answer_and_no_panic"],
    },
    Fault {
        breaks: "D8: tokens beside an error are believed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "(Ok(tokens), Some(_)) => Self::UnusableSuccess { refresh_token: tokens.refresh_token },",
        replace: "(Ok(tokens), Some(_)) => Self::Success(tokens),",
        caught_by: &[
            "endpoint/classify/tests.rs::tokens_beside_an_error_are_not_believed_and_the_refresh_token_is_saved",
        ],
    },
    Fault {
        breaks: "D8: only a 200 is a success",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify.rs",
        find: "if status.is_success() && !response.reports_error() {",
        replace: "if status == StatusCode::OK && !response.reports_error() {",
        caught_by: &["endpoint/classify/tests.rs::a_2xx_with_tokens_is_a_success"],
    },
    Fault {
        breaks: "D10: Retry-After is read as seconds only",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify/retry_after.rs",
        find: "let until = httpdate::parse_http_date(text).ok()?;",
        replace: "let until = httpdate::parse_http_date(text).ok().filter(|_| false)?;",
        caught_by: &[
            "endpoint/classify/retry_after.rs::seconds_and_dates_are_read_and_cut_to_an_hour",
            "coordinator/tests/time.rs::retry_after_is_kept_in_both_forms",
        ],
    },
    Fault {
        breaks: "D10: Retry-After is obeyed for a year",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify/retry_after.rs",
        find: "Some(wait.min(CAP))",
        replace: "Some(wait)",
        caught_by: &["endpoint/classify/retry_after.rs::seconds_and_dates_are_read_and_cut_to_an_hour"],
    },
    Fault {
        breaks: "D10: Retry-After is read and not obeyed",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/exchange.rs",
        find: r#"        let wait = retry_after.map_or(own, |server| server.max(own));
        let rest = Rest { wait, reason: RestReason::Unavailable"#,
        replace: r#"        let wait = own;
        let rest = Rest { wait, reason: RestReason::Unavailable"#,
        caught_by: &["coordinator/tests/time.rs::retry_after_is_kept_in_both_forms"],
    },
    Fault {
        breaks: "D10: a failure takes a valid token away",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"        if ends {
"#,
        replace: r#"        if ends || error.retry_at().is_some() {
"#,
        caught_by: &["coordinator/tests/time.rs::while_retry_after_lasts_a_valid_token_is_served"],
    },
    Fault {
        breaks: "D19: the rest after a refusal does not grow",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/policy.rs",
        find: "doubled(Duration::from_secs(1), failures, Duration::from_secs(300))",
        replace: "doubled(Duration::from_secs(1), failures.min(1), Duration::from_secs(300))",
        caught_by: &[
            "coordinator/tests/time.rs::a_refusal_without_a_reason_costs_five_submissions_in_ten_seconds_and_thirty_in_an_hour",
        ],
    },
    Fault {
        breaks: "RB-44: a failure answers for all requests to come",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"            && !now.reached(standing.until)
        {
            return Err(standing"#,
        replace: r#"            && (!now.reached(standing.until) || true)
        {
            return Err(standing"#,
        caught_by: &[
            "coordinator/tests/trouble.rs::a_silent_endpoint_ends_with_the_time_limits_and_heals_when_it_speaks_again",
        ],
    },
    Fault {
        breaks: "RB-46: a new login begins with the verdict of the one before",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/begin.rs",
        find: r#"                if let Some(tokens) = &mut record.tokens {
                    tokens.age"#,
        replace: r#"                if let Some(seen) = seen {
                    record.life = seen.record.life.clone();
                }
                if let Some(tokens) = &mut record.tokens {
                    tokens.age"#,
        caught_by: &["coordinator/tests/life.rs::the_same_refresh_token_installed_again_lifts_the_verdict"],
    },
    Fault {
        breaks: "RB-46: another login counts by its generation",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: r#"        known.login != record.login
            || if same"#,
        replace: r#"        false
            || if same"#,
        caught_by: &["coordinator/machine/tests/judge.rs::another_login_is_news_whatever_its_generation"],
    },
    Fault {
        breaks: "F87: a date in Retry-After is measured by the local clock",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint/classify/retry_after.rs",
        find: "let wait = sent.and_then(|sent| until.duration_since(sent).ok());",
        replace: "let wait = sent.and_then(|_| None::<Duration>);",
        caught_by: &["endpoint/classify/retry_after.rs::a_date_counts_from_the_date_of_the_answer"],
    },
];
