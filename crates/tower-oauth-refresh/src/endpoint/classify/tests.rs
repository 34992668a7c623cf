use http::HeaderValue;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

const ARRIVED: SystemTime = SystemTime::UNIX_EPOCH;

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).expect("a status")
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(n, v)| (http::HeaderName::from_static(n), HeaderValue::from_str(v).expect("a value")))
        .collect()
}

/// The verdict in few words.
fn shown(verdict: &Verdict) -> String {
    let named = |word: &str, code: &Option<ErrorCode>| match code {
        Some(code) => format!("{word} {code}"),
        None => word.to_owned(),
    };
    match verdict {
        Verdict::Success(_) => "success".to_owned(),
        Verdict::UnusableSuccess { refresh_token: Some(_), .. } => "unusable, refresh token saved".to_owned(),
        Verdict::UnusableSuccess { .. } => "unusable".to_owned(),
        Verdict::Transient { in_doubt: true, .. } => "in doubt".to_owned(),
        Verdict::Transient { .. } => "transient".to_owned(),
        Verdict::GrantDead { code } => named("dead", code),
        Verdict::Configuration { cause } => format!("configuration: {cause}"),
        Verdict::NeedsUser { code } => named("user", code),
        Verdict::Refused { code, .. } => named("refused", code),
    }
}

fn of(number: u16, body: &Value) -> String {
    shown(&classify(
        status(number),
        &HeaderMap::new(),
        body.to_string().as_bytes(),
        ARRIVED,
        AnswerDialect::new(),
        &[],
    ))
}

fn of_bytes(number: u16, fields: &[(&'static str, &str)], body: &[u8]) -> String {
    shown(&classify(status(number), &headers(fields), body, ARRIVED, AnswerDialect::new(), &[]))
}

#[test]
fn a_2xx_with_tokens_is_a_success() {
    let tokens = json!({ "access_token": "at", "token_type": "bearer" });
    assert_eq!(of(200, &tokens), "success");
    assert_eq!(of(201, &tokens), "success", "one provider creates its tokens");
    assert_eq!(of(200, &json!({ "access_token": "at", "error": "" })), "success");
    assert_eq!(of(200, &json!({ "access_token": "at", "error": null })), "success");
    for error in [
        json!({ "code": "ok", "message": "", "log_id": "2026" }),
        json!({ "code": 0, "message": "fine" }),
        json!({ "code": "", "type": null }),
        json!("OK"),
        json!("success"),
    ] {
        assert_eq!(of(200, &json!({ "access_token": "at", "error": error })), "success", "{error}");
    }
    for error in [
        json!({ "code": "access_token_invalid", "message": "" }),
        json!({ "code": "", "type": "server_error" }),
        json!({ "message": "ok" }),
        json!({ "code": 7 }),
        json!([{ "code": "ok" }]),
        json!("not ok"),
    ] {
        assert_ne!(of(200, &json!({ "access_token": "at", "error": error })), "success", "{error}");
    }
    for number in [302, 400, 401, 403, 429, 500, 503] {
        assert_ne!(of(number, &tokens), "success", "{number}");
    }
}

#[test]
fn a_2xx_without_a_usable_access_token_saves_the_refresh_token() {
    assert_eq!(of(200, &json!({ "refresh_token": "rt" })), "unusable, refresh token saved");
    assert_eq!(
        of(200, &json!({ "access_token": "a\nb", "refresh_token": "rt" })),
        "unusable, refresh token saved"
    );
    let mac = json!({ "access_token": "at", "token_type": "mac", "refresh_token": "rt" });
    assert_eq!(of(200, &mac), "unusable, refresh token saved");
    assert_eq!(of(200, &json!({})), "unusable");
    assert_eq!(of_bytes(204, &[], b""), "unusable");
    assert_eq!(of_bytes(200, &[], br#"{"access_token":"at","refresh_to"#), "unusable", "cut off");
    assert_eq!(of_bytes(200, &[("content-type", "text/html")], b"<html>Sign in to the network"), "unusable");
}

#[test]
fn own_rules_see_the_answer_and_the_default_and_have_the_last_word() {
    let body = br#"{"message":"Invalid refresh token","access_token":"s3cr3t"}"#;
    let rules = |response: &TokenResponse<'_>, class: AnswerClass| {
        assert_eq!((response.status().as_u16(), class), (400, AnswerClass::Refused));
        assert_eq!(response.member("access_token"), None, "never a token");
        match response.member("message").as_deref() {
            Some("Invalid refresh token") => AnswerClass::GrantDead,
            _ => class,
        }
    };
    let verdict =
        classify(status(400), &HeaderMap::new(), body, ARRIVED, AnswerDialect::new(), &[Arc::new(rules)]);
    assert!(matches!(verdict, Verdict::GrantDead { code: None }), "{verdict:?}");
}

#[test]
fn own_rules_are_asked_in_order_and_each_sees_what_the_one_before_said() {
    let body = br#"{"message":"Invalid refresh token"}"#;
    let knows: Arc<Classifier> = Arc::new(|_, _| AnswerClass::GrantDead);
    let leaves: Arc<Classifier> = Arc::new(|_, class| class);
    let panics: Arc<Classifier> = Arc::new(|_, _| panic!("rules of a user"));
    let verdict = |rules: &[Arc<Classifier>]| {
        shown(&classify(status(400), &HeaderMap::new(), body, ARRIVED, AnswerDialect::new(), rules))
    };
    assert_eq!(verdict(&[knows.clone(), leaves.clone()]), "dead");
    assert_eq!(verdict(&[knows.clone(), panics.clone(), leaves.clone()]), "dead");
    assert_eq!(verdict(std::slice::from_ref(&panics)), "refused");
    let tokens = br#"{"access_token":"at","refresh_token":"rt"}"#;
    let verdict = classify(status(200), &HeaderMap::new(), tokens, ARRIVED, AnswerDialect::new(), &[panics]);
    assert!(matches!(verdict, Verdict::Success(set) if set.refresh_token.is_some()));
}

#[test]
fn an_answer_in_an_encoding_that_was_not_asked_for_is_named() {
    let gzip = [("content-encoding", "gzip")];
    let encoded = b"\x1f\x8b\x08\0";
    let named = "configuration: the answer is encoded, though that was not asked for";
    assert_eq!(of_bytes(400, &gzip, encoded), named);
    assert_eq!(of_bytes(401, &gzip, encoded), named);
    assert_eq!(of_bytes(200, &gzip, encoded), "unusable", "in doubt");
    assert_eq!(of_bytes(503, &gzip, encoded), "in doubt");
    assert_eq!(
        of_bytes(400, &gzip, br#"{"error":"invalid_grant"}"#),
        "dead invalid_grant",
        "decoded already"
    );
    assert_eq!(of_bytes(400, &[("content-encoding", "identity")], encoded), "refused");
}

#[test]
fn tokens_beside_an_error_are_not_believed_and_the_refresh_token_is_saved() {
    let both = |error: &str| json!({ "access_token": "at", "refresh_token": "rt", "error": error });
    for error in ["server_error", "invalid_client", "invalid_request", "Something odd"] {
        assert_eq!(of(200, &both(error)), "unusable, refresh token saved", "{error}");
    }
    assert_eq!(of(200, &both("invalid_grant")), "dead invalid_grant");
    assert_eq!(
        of(200, &json!({ "access_token": "at", "error": "invalid_client" })),
        "configuration: the client was refused (invalid_client)"
    );
}

#[test]
fn a_code_counts_under_any_status_the_server_itself_chose() {
    for number in [200, 400, 401, 403, 404, 409, 418, 500] {
        assert_eq!(of(number, &json!({ "error": "invalid_grant" })), "dead invalid_grant", "{number}");
        assert_eq!(
            of(number, &json!({ "error": { "code": "refresh_token_reused" } })),
            "dead refresh_token_reused"
        );
        assert_eq!(
            of(number, &json!({ "error": { "code": 7, "type": "login_required" } })),
            "user login_required"
        );
        let config = of(number, &json!({ "error": "invalid_client" }));
        assert_eq!(config, "configuration: the client was refused (invalid_client)", "{number}");
    }
}

// 8628-01, 8707-03
#[test]
fn every_known_code_has_its_class() {
    for (class, codes) in [
        (
            "dead",
            "invalid_grant bad_refresh_token invalid_refresh_token refresh_token_expired refresh_token_reused \
          refresh_token_revoked refresh_token_invalidated refresh_token_already_used refresh_token_not_found",
        ),
        (
            "configuration",
            "invalid_client unauthorized_client unsupported_grant_type invalid_scope invalid_target \
          incorrect_client_credentials use_dpop_nonce invalid_dpop_proof",
        ),
        ("user", "interaction_required login_required consent_required access_denied"),
        ("transient", "temporarily_unavailable server_error internal_failure slow_down"),
        ("refused", "invalid_request scope_not_granted invalid_token"),
    ] {
        for code in codes.split_whitespace() {
            let verdict = of(400, &json!({ "error": code }));
            assert!(verdict.starts_with(class), "{code}: {verdict}");
        }
    }
}

#[test]
fn what_stands_in_front_of_the_server_is_not_heard_about_the_grant() {
    for error in ["invalid_grant", "access_denied", "invalid_client"] {
        let body = json!({ "error": error });
        for number in [502, 503, 504] {
            assert_eq!(of(number, &body), "in doubt", "{number} {error}");
        }
        for number in [407, 408, 425, 429] {
            assert_eq!(of(number, &body), "transient", "{number} {error}");
        }
    }
}

#[test]
fn without_a_known_code_the_status_decides() {
    for (number, expected) in [
        (409, "in doubt"),
        (500, "in doubt"),
        (501, "in doubt"),
        (599, "in doubt"),
        (403, "transient"),
        (404, "configuration: not a token endpoint (404)"),
        (405, "configuration: not a token endpoint (405)"),
        (410, "configuration: not a token endpoint (410)"),
        (415, "configuration: not a token endpoint (415)"),
        (400, "refused"),
        (401, "refused"),
        (402, "refused"),
        (418, "refused"),
        (101, "refused"),
        (700, "refused"),
    ] {
        for body in [
            &b""[..],
            b"{}",
            b"null",
            b"[1]",
            b"Not now",
            br#"{"error":"Bad Request"}"#,
            br#"{"error":true}"#,
        ] {
            assert_eq!(of_bytes(number, &[], body), expected, "{number} {body:?}");
        }
    }
    assert_eq!(of(500, &json!({ "error": "invalid_request" })), "in doubt");
    assert_eq!(of(500, &json!({ "error": "server_error" })), "in doubt");
    assert_eq!(of(409, &json!({ "error": "slow_down" })), "in doubt");
    assert_eq!(of(403, &json!({ "error": "quota" })), "refused quota");
    assert_eq!(of(200, &json!({ "error": "Too many" })), "refused");
}

#[test]
fn a_login_page_of_the_network_never_ends_anything() {
    let page = [("content-type", "Text/HTML; charset=utf-8")];
    for number in [403, 404, 405, 407] {
        assert_eq!(of_bytes(number, &page, b"<html>error=invalid_grant</html>"), "transient", "{number}");
    }
    for number in [400, 401] {
        assert_eq!(of_bytes(number, &page, b"<html>error=invalid_grant</html>"), "refused", "{number}");
    }
}

#[test]
fn a_redirect_is_a_configuration_error_whatever_it_carries() {
    for number in [300, 301, 302, 303, 304, 307, 308] {
        let verdict = of(number, &json!({ "error": "invalid_grant", "access_token": "at" }));
        assert_eq!(verdict, "configuration: the token endpoint redirects");
    }
}

#[test]
fn a_401_may_say_its_code_in_a_challenge() {
    let challenge = [("www-authenticate", r#"Basic realm="x", Bearer error="invalid_client""#)];
    assert_eq!(of_bytes(401, &challenge, b""), "configuration: the client was refused (invalid_client)");
    assert_eq!(
        of_bytes(401, &challenge, br#"{"error":"Unauthorized"}"#),
        "configuration: the client was refused (invalid_client)"
    );
    assert_eq!(of_bytes(401, &challenge, br#"{"error":"invalid_grant"}"#), "dead invalid_grant");
    assert_eq!(of_bytes(400, &challenge, b""), "refused");
}

#[test]
fn a_form_may_carry_an_error() {
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    assert_eq!(of_bytes(200, &form, b"error=bad_refresh_token&error_uri=x"), "dead bad_refresh_token");
    assert_eq!(of_bytes(200, &form, b"access_token=at&token_type=bearer"), "success");
    assert_eq!(
        of_bytes(400, &[("content-type", "text/plain")], b"error=invalid_grant"),
        "dead invalid_grant"
    );
    assert_eq!(of_bytes(400, &[("content-type", "text/css")], b"error=invalid_grant"), "refused");
}

#[test]
fn the_server_s_wish_to_be_left_alone_comes_along() {
    let wish = |number, fields: &[_], body: &[u8]| match classify(
        status(number),
        &headers(fields),
        body,
        ARRIVED,
        AnswerDialect::new(),
        &[],
    ) {
        Verdict::Transient { retry_after, .. } | Verdict::Refused { retry_after, .. } => {
            retry_after.map(|wait| wait.as_secs())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(wish(429, &[("retry-after", "7")], b""), Some(7));
    assert_eq!(wish(503, &[("retry-after", "Thu, 01 Jan 1970 00:01:00 GMT")], b""), Some(60));
    assert_eq!(wish(400, &[("retry-after", "7")], b""), Some(7));
    assert_eq!(wish(503, &[("retry-after", "later")], b""), None);
    assert_eq!(wish(503, &[], b""), None);
}

#[test]
fn nothing_the_server_wrote_shows_in_debug_but_a_code() {
    let body = json!({
        "error": "invalid_grant", "error_description": "s3cr3t", "s3cr3t": 1,
        "access_token": "s3cr3t", "refresh_token": "s3cr3t",
    });
    let fields = headers(&[("www-authenticate", "Bearer error=\"s3cr3t s3cr3t\""), ("x-echo", "s3cr3t")]);
    for number in [200, 400, 401, 500, 503] {
        let body = body.to_string();
        let answer = Answer::parse(&fields, body.as_bytes(), AnswerDialect::new());
        let response = TokenResponse::new(status(number), &fields, &answer);
        let verdict = classify(status(number), &fields, body.as_bytes(), ARRIVED, AnswerDialect::new(), &[]);
        let all = format!("{answer:?} {response:?} {verdict:?}");
        assert!(all.contains("invalid_grant") && !all.contains("s3cr3t"), "{all}");
    }
    let echo = shown(&classify(
        status(400),
        &fields,
        br#"{"error":"rt-s3cr3t"}"#,
        ARRIVED,
        AnswerDialect::new(),
        &[],
    ));
    assert_eq!(echo, "refused", "a token in the place of the code");
}

#[test]
fn a_classifier_sees_everything_but_the_tokens() {
    let body = json!({
        "error": "invalid_grant", "error_description": "expired authorization code",
        "errors": [{ "errorType": "x" }], "access_token": "at", "refresh_token": "rt", "id_token": "id",
    });
    let fields = headers(&[("x-request-id", "1")]);
    let answer = Answer::parse(&fields, body.to_string().as_bytes(), AnswerDialect::new());
    let response = TokenResponse::new(status(400), &fields, &answer);
    assert_eq!(response.status(), 400);
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(response.error(), Some("invalid_grant"));
    assert_eq!(response.member("error_description").as_deref(), Some("expired authorization code"));
    assert_eq!(response.member("errors.0.errorType").as_deref(), Some("x"));
    for token in ["access_token", "refresh_token", "id_token"] {
        assert_eq!(response.member(token), None, "{token}");
    }
    assert_eq!(judge(&response), AnswerClass::GrantDead);
}

/// One documented answer of one provider, or several that only differ in wording.
#[derive(Deserialize)]
struct Row {
    provider: String,
    row: String,
    statuses: Vec<u16>,
    /// Objects, or a text for a body that is none.
    bodies: Vec<Value>,
    #[serde(default)]
    headers: std::collections::HashMap<String, String>,
}

impl Row {
    fn verdicts(&self) -> Vec<String> {
        let headers = HeaderMap::try_from(&self.headers).expect("header fields");
        let bytes = |body: &Value| body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        let bodies: Vec<_> = self.bodies.iter().map(bytes).collect();
        let each = |number: &u16| {
            let verdict = |body: &String| {
                shown(&classify(
                    status(*number),
                    &headers,
                    body.as_bytes(),
                    ARRIVED,
                    AnswerDialect::new(),
                    &[],
                ))
            };
            bodies.iter().map(verdict).collect::<Vec<_>>()
        };
        self.statuses.iter().flat_map(each).collect()
    }
}

fn rows(kind: &str) -> Vec<Row> {
    let all: Vec<Row> = serde_json::from_str(include_str!("../testdata/providers.json")).expect("the table");
    let rows: Vec<_> = all.into_iter().filter(|row| row.row == kind).collect();
    assert!(!rows.is_empty(), "{kind}");
    rows
}

/// Every different verdict on rows of a kind that is not the expected one.
fn exceptions(kind: &str, expected: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for row in rows(kind) {
        for verdict in row.verdicts() {
            let exception = (row.provider.clone(), verdict);
            if !expected(&exception.1) && !found.contains(&exception) {
                found.push(exception);
            }
        }
    }
    found
}

fn table(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(provider, verdict)| ((*provider).to_owned(), (*verdict).to_owned())).collect()
}

/// What each provider says of a dead refresh token. Those listed need to be known by name; the verdict they
/// get without that keeps the refresh token and asks again within limits.
#[test]
fn a_dead_refresh_token_is_recognised_but_for_these_providers() {
    let client_refused = "configuration: the client was refused (unauthorized_client)";
    assert_eq!(
        exceptions("dead", |verdict| verdict.starts_with("dead ")),
        table(&[
            ("HubSpot legacy", "refused"),
            ("Zoom", "refused invalid_request"),
            ("Dex", "refused invalid_request"),
            ("Supabase Auth", "refused"),
            ("Twitch", "refused"),
            ("X", "refused invalid_request"),
            ("LinkedIn, other wording", "refused invalid_request"),
            ("Reddit", "refused"),
            ("Strava", "refused"),
            ("Shopify, other wording", "refused invalid_request"),
            ("Fitbit", "refused"),
            ("Exact Online, other wording", client_refused),
            ("Withings", "refused"),
            ("Zoho", "refused invalid_code"),
            ("CyberSource", "in doubt"),
            ("Gitea", client_refused),
        ])
    );
}

/// The reason why a dead verdict is only believed after the store was read again.
#[test]
fn a_transient_failure_kills_no_grant_but_for_these_providers() {
    assert_eq!(
        exceptions("transient", |verdict| matches!(verdict, "transient" | "in doubt")),
        table(&[
            ("Salesforce", "dead invalid_grant"),
            ("Ory Hydra", "refused invalid_request"),
            ("Spotify", "dead invalid_grant"),
        ])
    );
    assert_eq!(
        exceptions("malformed request", |_| false),
        table(&[("Microsoft Entra ID", "dead invalid_grant"), ("Bitbucket Cloud", "dead invalid_grant")])
    );
}

#[test]
fn other_errors_keep_the_grant() {
    assert_eq!(
        exceptions("other", |_| false),
        table(&[
            ("Microsoft Entra ID", "user interaction_required"),
            ("Microsoft Entra ID", "user login_required"),
            ("Microsoft Entra ID", "user consent_required"),
            ("GitHub", "configuration: the client was refused (incorrect_client_credentials)"),
            ("Atlassian", "user access_denied"),
            ("Auth0", "transient"),
            ("Ory Hydra", "configuration: the client was refused (unauthorized_client)"),
            ("Ory Hydra", "refused scope_not_granted"),
            ("Ory Hydra", "refused token_inactive"),
            ("authentik", "configuration: the client was refused (invalid_scope)"),
            ("authentik", "transient"),
        ])
    );
}

/// Members of an answer that is nearly right.
fn members(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[ -~]{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!("invalid_grant")),
        Just(json!("bearer")),
        Just(json!({ "code": "server_error" })),
        Just(Value::Null),
    ];
    let member =
        (proptest::sample::select(names), value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    prop::collection::vec(member, 0..8).prop_map(|members| members.join(","))
}

/// Answers that are nearly right.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let members = members(&[
        "access_token",
        "refresh_token",
        "error",
        "token_type",
        "expires_in",
        "refresh_in",
        "scope",
        "x",
    ]);
    let object = members.prop_map(|members| format!("{{{members}}}").into_bytes());
    prop_oneof![3 => object, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic_and_every_success_can_be_sent(
        number in 100_u16..1000,
        fields in prop::collection::vec((0_usize..5, prop_oneof!["[ -~]{0,40}", Just("application/x-www-form-urlencoded".to_owned())]), 0..4),
        body in body(),
    ) {
        let names = ["content-type", "retry-after", "www-authenticate", "location", "x"];
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(names[*name], HeaderValue::from_str(value).expect("printable"));
        }
        let verdict = classify(status(number), &headers, &body, ARRIVED, AnswerDialect::new(), &[]);
        let _ = format!("{verdict:?} {}", shown(&verdict));
        if let Verdict::Success(tokens) = verdict {
            prop_assert!((200..300).contains(&number));
            let token = tokens.access_token.expose_secret();
            prop_assert!(!token.is_empty() && token.is_ascii());
            prop_assert!(HeaderValue::from_str(token).is_ok());
            prop_assert!(matches!(tokens.token_type.as_str(), "Bearer" | "DPoP"));
            prop_assert!(tokens.refresh_token.is_none_or(|token| !token.expose_secret().is_empty()));
            prop_assert!(tokens.expires_in.is_none_or(|lifetime| (1..=31_536_000).contains(&lifetime.as_secs())));
        }
    }

    #[test]
    fn a_refresh_token_in_a_success_is_never_lost(
        number in 200_u16..300,
        token in "[ -~]{1,40}|\\PC{1,40}",
        others in members(&["access_token", "error", "token_type", "expires_in", "refresh_in", "scope", "x"]),
    ) {
        let comma = if others.is_empty() { "" } else { "," };
        let body = format!("{{\"refresh_token\":{}{comma}{others}}}", Value::from(token.as_str()));
        let saved = match classify(status(number), &HeaderMap::new(), body.as_bytes(), ARRIVED, AnswerDialect::new(), &[]) {
            Verdict::Success(tokens) => tokens.refresh_token,
            Verdict::UnusableSuccess { refresh_token, .. } => refresh_token,
            // "The grant is dead" in so many words: nothing that came with it can be alive.
            Verdict::GrantDead { .. } => return Ok(()),
            other => return Err(TestCaseError::fail(shown(&other))),
        };
        let saved = saved.expect("a refresh token");
        prop_assert_eq!(saved.expose_secret(), token.as_str());
    }
}

#[test]
fn debug_of_an_answer_shows_its_status_and_code_and_no_token() {
    let body =
        br#"{"error":"invalid_grant","access_token":"s3cr3t","refresh_token":"s3cr3t","hint":"s3cr3t"}"#;
    let answer = Answer::parse(&HeaderMap::new(), body, AnswerDialect::new());
    let headers = headers(&[("set-cookie", "s3cr3t")]);
    let shown = format!("{:?}", TokenResponse::new(status(400), &headers, &answer));
    assert!(shown.contains("400") && shown.contains("invalid_grant"), "{shown}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
}
