use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn headers(fields: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(field.as_bytes()).expect(field));
    }
    headers
}

fn parse(fields: &[&str]) -> Challenges {
    Challenges::parse(&headers(fields))
}

/// `scheme[name=value; ...]` of every challenge.
fn shown(fields: &[&str]) -> String {
    let show = |c: &Challenge| {
        let params: Vec<_> = c.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}[{}]", c.scheme, params.join("; "))
    };
    parse(fields).iter().map(show).collect::<Vec<_>>().join(" ")
}

#[test]
fn several_challenges_read_the_same_from_one_field_or_from_many() {
    let all = "basic[realm=a, b] bearer[error=invalid_token] dpop[algs=ES256]";
    let one = r#"Basic realm="a, b", Bearer error="invalid_token", DPoP algs="ES256""#;
    assert_eq!(shown(&[one]), all);
    assert_eq!(
        shown(&[r#"Basic realm="a, b""#, r#"Bearer error="invalid_token""#, r#"DPoP algs="ES256""#]),
        all
    );
    assert_eq!(
        shown(&[r#"Basic realm="a, b", Bearer error="invalid_token""#, "", r#"DPoP algs="ES256""#]),
        all
    );
}

#[test]
fn the_grammar_is_followed() {
    for (field, expected) in [
        ("", ""),
        (" , ,\t,", ""),
        ("Bearer", "bearer[]"),
        ("bEaReR ERROR=invalid_token", "bearer[error=invalid_token]"),
        ("Bearer error = \t\"invalid_token\" ,\tscope=a", "bearer[error=invalid_token; scope=a]"),
        (r#",, Bearer realm="x",,  ,error="y",,"#, "bearer[realm=x; error=y]"),
        (r#"Bearer realm="say \"hi\", \\ \a""#, r#"bearer[realm=say "hi", \ a]"#),
        (r#"Bearer realm="""#, "bearer[realm=]"),
        ("Negotiate YWJj==", "negotiate[]"),
        ("Bearer realm=", "bearer[]"),
        ("Negotiate a/b+c~, Bearer error=e", "negotiate[] bearer[error=e]"),
        ("Bearer, Basic realm=x", "bearer[] basic[realm=x]"),
        ("Bearer , realm=x", "bearer[realm=x]"),
        ("NewAuth abc, Other", "newauth[] other[]"),
        ("X-Odd.Scheme~1 p=1", "x-odd.scheme~1[p=1]"),
        ("Bearer realm=\"käse\"", "bearer[realm=käse]"),
    ] {
        assert_eq!(shown(&[field]), expected, "{field}");
    }
}

#[test]
fn a_field_that_breaks_the_grammar_adds_no_challenge() {
    for field in [
        r#"OAuth "Facebook Platform" "invalid_token" "Session has expired""#,
        r#"Bearer realm="x" error="y""#,
        r#"Bearer realm="x"#,
        r#"Bearer realm="x\"#,
        r#"Bearer error="invalid_token", error="insufficient_scope""#,
        "Bearer error=a, ERROR=b",
        "Bearer error_description=The token expired",
        "Bearer scope=https://x/y",
        "Negotiate abc==, realm=x",
        "error=invalid_token",
        "= x",
        "Bearer =x",
        "\"Bearer\"",
        "Bearer abc=d=",
        "Bärer error=x",
    ] {
        assert!(parse(&[field]).is_empty(), "{field}: {}", shown(&[field]));
        assert!(shown(&[field, "Basic realm=ok"]).ends_with("basic[realm=ok]"), "{field}");
    }
}

#[test]
fn a_field_beyond_eight_kibibytes_is_not_read_and_one_at_the_limit_is() {
    let sized = |len: usize| format!("Bearer realm=\"{}\"", "x".repeat(len - 15));
    assert!(!parse(&[&sized(MAX_FIELD)]).is_empty());
    assert!(parse(&[&sized(MAX_FIELD + 1)]).is_empty());
    let huge = sized(64 * 1024);
    assert!(parse(&[&huge]).is_empty());
    assert_eq!(shown(&[&sized(MAX_FIELD + 1), "Basic realm=x"]), "basic[realm=x]");
}

#[test]
fn a_server_that_repeats_itself_is_read_up_to_a_limit() {
    let many = vec!["Bearer"; 1000];
    assert_eq!(parse(&many).iter().count(), MAX_CHALLENGES);
    let long = format!("Bearer realm=\"{}\"", "x".repeat(8000));
    assert_eq!(parse(&vec![long.as_str(); 100]).iter().count(), MAX_TOTAL / long.len());
    let params =
        |n: usize| format!("Bearer {}", (0..n).map(|i| format!("p{i}=1")).collect::<Vec<_>>().join(","));
    assert!(!parse(&[&params(32)]).is_empty());
    assert!(parse(&[&params(33)]).is_empty());
    let in_one = |n: usize| vec!["Bearer"; n].join(", ");
    assert_eq!(parse(&[&in_one(MAX_CHALLENGES)]).into_iter().count(), MAX_CHALLENGES);
    assert!(parse(&[&in_one(MAX_CHALLENGES + 1)]).is_empty());
    assert_eq!((&parse(&[&in_one(3)])).into_iter().count(), 3);
}

#[test]
fn bytes_that_are_no_text_do_not_hide_the_error() {
    let mut headers = HeaderMap::new();
    let field =
        HeaderValue::from_bytes(b"Bearer realm=\"\xff\xfe\", error=\"invalid_token\"").expect("obs-text");
    headers.insert(WWW_AUTHENTICATE, field);
    let challenges = Challenges::parse(&headers);
    assert_eq!(challenges.iter().find_map(|c| c.param("Error")), Some("invalid_token"));
}

#[test]
fn debug_shows_the_error_code_and_nothing_the_server_could_have_echoed() {
    let echo =
        r#"s3cr3t-scheme s3cr3t-name="s3cr3t-value", error="invalid_token", Bearer error="s3cr3t text""#;
    let shown = format!("{:?}", parse(&[echo]));
    assert!(shown.contains("invalid_token"), "{shown}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn a_401_is_a_challenge_unless_a_newer_token_could_not_help() {
    let refused = |fields: &[&str]| is_challenge(StatusCode::UNAUTHORIZED, &headers(fields), "Bearer");
    for fields in [
        &[][..],
        &["Bearer"],
        &["Negotiate"],
        &[r#"Bearer error="invalid_token""#],
        &[r#"Bearer error="unheard_of""#],
        &[r#"OAuth "Facebook Platform" "insufficient_scope" "...""#],
        &[r#"Bearer realm="insufficient_scope", error_description="insufficient_scope""#],
    ] {
        assert!(refused(fields), "{fields:?}");
    }
    for error in [
        "insufficient_scope",
        "insufficient_user_authentication",
        "use_dpop_nonce",
        "invalid_dpop_proof",
        "insufficient_claims",
        "invalid_request",
    ] {
        assert!(!refused(&[&format!("Bearer error=\"{error}\"")]), "{error}");
        assert!(!refused(&["Basic realm=x", &format!("DPoP algs=ES256, BEARER ERROR = {error}")]), "{error}");
    }
}

#[test]
fn no_other_status_is_a_challenge_whatever_it_says() {
    let headers = headers(&[r#"Bearer error="invalid_token""#]);
    for status in [200, 204, 302, 400, 403, 404, 407, 419, 429, 500, 503] {
        let status = StatusCode::from_u16(status).expect("a status");
        assert!(!is_challenge(status, &headers, "Bearer"), "{status}");
    }
}

#[test]
fn a_grpc_call_refused_before_it_began_is_a_challenge() {
    let grpc = |status: u16, content_type: &str, grpc_status: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().expect("a value"));
        headers.insert("grpc-status", grpc_status.parse().expect("a value"));
        is_challenge(StatusCode::from_u16(status).expect("a status"), &headers, "Bearer")
    };
    for content_type in ["application/grpc", "application/grpc+proto", "Application/gRPC-web+proto"] {
        assert!(grpc(200, content_type, "16"), "{content_type}");
    }
    assert!(!grpc(200, "application/grpc", "7"), "permission denied is no challenge");
    assert!(!grpc(200, "application/grpc", "0"));
    assert!(!grpc(200, "application/grpc", "160"));
    assert!(!grpc(200, "application/json", "16"), "not gRPC");
    assert!(!grpc(200, "app", "16"));
    assert!(!grpc(403, "application/grpc", "16"));
    assert!(grpc(401, "application/grpc", "0"), "a gateway in front speaks HTTP");
    let mut bare = HeaderMap::new();
    bare.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    assert!(!is_challenge(StatusCode::OK, &bare, "Bearer"), "the status follows in trailers");
}

/// Pieces the grammar is made of, so that random fields get deep into it.
fn piece() -> impl Strategy<Value = String> {
    const FIXED: &[&str] =
        &["Bearer", " ", ",", "=", "\"", "\\", "error", "realm", "invalid_token", "==", "\t", "DPoP", "é"];
    prop_oneof![proptest::sample::select(FIXED).prop_map(str::to_owned), "[ -~]{0,4}"]
}

/// Writes a challenge the way a careful server would.
fn written(challenge: &Challenge) -> String {
    let quote = |value: &str| value.replace('\\', r"\\").replace('"', r#"\""#);
    let params: Vec<_> = challenge.params.iter().map(|(n, v)| format!("{n}=\"{}\"", quote(v))).collect();
    format!("{} {}", challenge.scheme, params.join(", "))
}

proptest! {
    #[test]
    fn no_field_makes_the_parser_panic(fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4)) {
        let mut headers = HeaderMap::new();
        for value in fields.iter().filter_map(|field| HeaderValue::from_bytes(field).ok()) {
            headers.append(WWW_AUTHENTICATE, value);
        }
        let _ = format!("{:?}", Challenges::parse(&headers));
    }

    #[test]
    fn whatever_is_read_can_be_written_and_read_again(pieces in prop::collection::vec(piece(), 0..24)) {
        let Ok(value) = HeaderValue::from_bytes(pieces.concat().as_bytes()) else { return Ok(()) };
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, value);
        let mut first = Challenges::parse(&headers);
        for challenge in &mut first.0 {
            challenge.token68 = false;
        }
        let fields: Vec<_> = first.iter().map(written).collect();
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        prop_assert_eq!(parse(&fields), first);
    }
}
