use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use proptest::prelude::*;
use serde_json::json;
use tower::service_fn;
use tower_oauth_refresh::{BoxFuture, MemoryStore, TokenSet};

use super::*;

const ISSUER: &str = "https://as.example";

/// What was asked for, in order.
type Asked = Arc<Mutex<Vec<Uri>>>;

/// Asks a server that gives this answer everywhere, and says where it was asked.
fn discover(
    issuer: &str,
    answer: impl Fn(&Uri) -> Response<String>,
) -> (Result<Metadata, MetadataError>, Vec<String>) {
    let asked = Asked::default();
    let transport = service_fn(|request: Request<Bytes>| {
        assert_eq!((request.method().as_str(), request.body().len()), ("GET", 0));
        assert_eq!(request.headers()["accept"], "application/json");
        asked.lock().unwrap().push(request.uri().clone());
        let answer = answer(request.uri()).map(Full::<Bytes>::from);
        async { Ok::<_, BoxError>(answer) }
    });
    let metadata = Metadata::discover(issuer, transport).now_or_never().unwrap();
    let asked = asked.lock().unwrap().iter().map(Uri::to_string).collect();
    (metadata, asked)
}

fn status(status: u16) -> Response<String> {
    Response::builder().status(status).body(String::new()).unwrap()
}

/// A right document with these members instead of or beside its own; `null` takes one out.
fn document(members: &Value) -> Value {
    let mut all = json!({ "issuer": ISSUER, "token_endpoint": "https://as.example/token" });
    for (name, value) in members.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

fn read(members: &Value) -> Result<Metadata, MetadataError> {
    let document = document(members).to_string();
    discover(ISSUER, |_| Response::new(document.clone())).0
}

fn refused(members: &Value) -> String {
    read(members).expect_err("no metadata to be used").to_string()
}

// 8414-01
#[test]
fn an_issuer_with_a_path_has_three_places_and_one_without_has_two() {
    for issuer in ["https://as.example/a/b", "https://as.example/a/b/"] {
        let expected = [
            "https://as.example/.well-known/oauth-authorization-server/a/b",
            "https://as.example/.well-known/openid-configuration/a/b",
            "https://as.example/a/b/.well-known/openid-configuration",
        ];
        assert_eq!(discover(issuer, |_| status(404)).1, expected, "{issuer}");
    }
    for issuer in ["https://as.example:8443", "https://as.example:8443/"] {
        let expected = [
            "https://as.example:8443/.well-known/oauth-authorization-server",
            "https://as.example:8443/.well-known/openid-configuration",
        ];
        assert_eq!(discover(issuer, |_| status(404)).1, expected, "{issuer}");
    }
}

#[test]
fn the_first_place_that_is_right_is_the_last_that_is_asked() {
    let issuer = "https://as.example/a";
    let right = document(&json!({ "issuer": issuer })).to_string();
    let other = document(&json!({ "issuer": ISSUER })).to_string();
    // A server that has a page for everything, one that is out of order, and one that ignores the path.
    let wrong = [Response::new("<html>".to_owned()), status(503), status(302), Response::new(other)];
    for wrong in wrong {
        let (metadata, asked) = discover(issuer, |uri| {
            if uri.path().starts_with("/a/") { Response::new(right.clone()) } else { wrong.clone() }
        });
        assert_eq!(metadata.unwrap().issuer(), issuer);
        assert_eq!(asked.len(), 3);
    }
    assert_eq!(discover(issuer, |_| Response::new(right.clone())).1.len(), 1);
}

#[test]
fn the_error_is_what_the_first_place_says_that_is_more_than_404() {
    for code in [500, 429, 403] {
        let (metadata, _) =
            discover(ISSUER, |uri| status(if uri.path().contains("openid") { code } else { 404 }));
        assert!(matches!(metadata, Err(MetadataError::Status(said)) if said == code), "{metadata:?}");
    }
    let (metadata, _) = discover(ISSUER, |uri| status(if uri.path().contains("openid") { 404 } else { 503 }));
    assert_eq!(
        metadata.unwrap_err().to_string(),
        "there is no metadata, the server answered 503 Service Unavailable"
    );
    assert!(matches!(discover(ISSUER, |_| status(404)).0, Err(MetadataError::Status(StatusCode::NOT_FOUND))));
}

// 9700-07
#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Response::builder().status(302).header("location", "https://evil.example/metadata");
    let elsewhere = elsewhere.body(document(&json!({})).to_string()).unwrap();
    let (metadata, asked) = discover(ISSUER, |_| elsewhere.clone());
    assert!(matches!(metadata, Err(MetadataError::Status(StatusCode::FOUND))), "{metadata:?}");
    assert!(asked.iter().all(|uri| uri.starts_with("https://as.example/.well-known/")), "{asked:?}");
}

#[test]
fn a_server_that_cannot_be_reached_is_asked_once() {
    let asked = AtomicU32::new(0);
    let transport = service_fn(|_: Request<Bytes>| {
        asked.fetch_add(1, Ordering::Relaxed);
        async { Err::<Response<Full<Bytes>>, _>("no such host") }
    });
    // A task may do it.
    let answer: BoxFuture<'_, _> = Box::pin(Metadata::discover(ISSUER, transport));
    let error = answer.now_or_never().unwrap().unwrap_err();
    assert!(matches!(&error, MetadataError::Unreachable(source) if source.to_string() == "no such host"));
    assert_eq!(asked.into_inner(), 1);
}

#[test]
fn an_answer_that_breaks_off_is_no_metadata() {
    let begun = document(&json!({})).to_string();
    let transport = service_fn(|_: Request<Bytes>| {
        let frames = [Ok(Frame::data(Bytes::from(begun.clone()))), Err("connection reset")];
        async { Ok::<_, BoxError>(Response::new(StreamBody::new(futures_util::stream::iter(frames)))) }
    });
    let error = Metadata::discover(ISSUER, transport).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the server of the metadata gave no whole answer");
}

// 8414-02, FAPI-05, MCP-07
#[test]
fn another_issuer_by_as_little_as_a_letter_is_refused() {
    for (other, slash) in [
        ("https://as.example/", true),
        ("https://AS.example", false),
        ("HTTPS://as.example", false),
        ("https://as.example:443", false),
        ("https://as.example.", false),
        ("https://as.example//", false),
        ("https://as.exampl%65", false),
        ("https://evil.example/?https://as.example", false),
        ("", false),
    ] {
        let error = read(&json!({ "issuer": other })).expect_err(other);
        assert!(
            matches!(error, MetadataError::Foreign { what: "issuer", slash: said } if said == slash),
            "{other}"
        );
        assert!(!error.to_string().contains("example"), "{error}");
    }
    assert_eq!(
        refused(&json!({ "issuer": "https://as.example/" })),
        "the metadata is about another issuer, by its slash at the end alone"
    );
    assert_eq!(refused(&json!({ "issuer": null })), "the metadata's issuer is missing");
    assert_eq!(refused(&json!({ "issuer": [ISSUER] })), "the metadata's issuer is no text");
}

#[test]
fn an_issuer_that_may_be_none_is_not_asked() {
    let [long, longest] = [2030, 65_536].map(|length| format!("https://as.example/{}", "a".repeat(length)));
    for issuer in [
        "http://as.example",
        "as.example",
        "",
        "https://as.example?tenant=1",
        "https://as.example/?",
        "https://as.example#x",
        "https://me@as.example",
        "https://as.example/\u{e9}",
        "https://as.example/a b",
        "https://as.example/\n",
        "ftp://as.example",
        &long,
        &longest,
    ] {
        let (metadata, asked) = discover(issuer, |_| panic!("nobody is to be asked"));
        assert!(matches!(metadata, Err(MetadataError::InvalidUrl)), "{issuer:?}");
        assert!(asked.is_empty());
    }
}

#[test]
fn an_issuer_on_this_machine_may_be_plain_http() {
    let issuer = "http://127.0.0.1:9000";
    let document = json!({ "issuer": issuer, "token_endpoint": "http://127.0.0.1:9000/token" }).to_string();
    discover(issuer, |_| Response::new(document.clone())).0.unwrap();
}

// 21-01
#[test]
fn a_server_elsewhere_names_no_plain_http_on_this_machine() {
    for bad in ["http://127.0.0.1:9000/token", "http://localhost/token", "http://[::1]:9000/token"] {
        let refusal = |member| format!("the metadata's {member} is no https URL");
        assert_eq!(refused(&json!({ "token_endpoint": bad })), refusal("token_endpoint"));
        assert_eq!(refused(&json!({ "revocation_endpoint": bad })), refusal("revocation_endpoint"));
        let aliases = json!({ "mtls_endpoint_aliases": { "token_endpoint": bad } });
        assert_eq!(refused(&aliases), refusal("token_endpoint"));
    }
}

// 21-01, MCP-07
#[test]
fn an_endpoint_in_clear_or_malformed_is_refused_by_name() {
    let long = format!("https://as.example/{}", "a".repeat(65_536));
    for bad in
        ["http://as.example/token", "/token", "", "https://as.example/\u{0}", "https://u@as.example/", &long]
    {
        assert_eq!(
            refused(&json!({ "token_endpoint": bad })),
            "the metadata's token_endpoint is no https URL"
        );
        let aliases = json!({ "mtls_endpoint_aliases": { "introspection_endpoint": bad } });
        assert_eq!(refused(&aliases), "the metadata's introspection_endpoint is no https URL");
    }
    assert_eq!(refused(&json!({ "token_endpoint": null })), "the metadata's token_endpoint is missing");
}

#[test]
fn members_of_the_wrong_type_are_refused_by_name() {
    let long = "x".repeat(65_536);
    let many = vec!["x"; 2000];
    for (members, complaint) in [
        (json!({ "token_endpoint": 1 }), "token_endpoint is no text"),
        (json!({ "revocation_endpoint": {} }), "revocation_endpoint is no text"),
        (json!({ "mtls_endpoint_aliases": [] }), "mtls_endpoint_aliases is no object"),
        (
            json!({ "token_endpoint_auth_methods_supported": "none" }),
            "token_endpoint_auth_methods_supported is no list",
        ),
        (json!({ "dpop_signing_alg_values_supported": [1] }), "has an entry that is no short text"),
        (json!({ "dpop_signing_alg_values_supported": [long] }), "has an entry that is no short text"),
        (json!({ "dpop_signing_alg_values_supported": ["a\nb"] }), "has an entry that is no short text"),
        (json!({ "dpop_signing_alg_values_supported": many }), "has too many entries"),
    ] {
        let refused = refused(&members);
        assert!(refused.ends_with(complaint), "{refused}");
    }
}

#[test]
fn what_is_no_object_with_each_member_once_is_no_metadata() {
    let twice = format!(r#"{{"issuer": "{ISSUER}", "issuer": "https://evil.example"}}"#);
    let deep = "[".repeat(100_000);
    for text in ["", "[]", "null", "<html>", "{", "{}x", &twice, &deep, "\u{feff}"] {
        let (metadata, _) = discover(ISSUER, |_| Response::new(text.to_owned()));
        let found = metadata.expect_err("no metadata");
        assert!(matches!(found, MetadataError::NotJson), "{text:.40}: {found}");
    }
    let (metadata, _) = discover(ISSUER, |_| Response::new("{}".to_owned()));
    assert_eq!(metadata.unwrap_err().to_string(), "the metadata's issuer is missing");
}

#[test]
fn over_a_mebibyte_nothing_is_read() {
    let right = document(&json!({})).to_string();
    for (over, understood) in [(0, true), (1, false)] {
        let text = format!("{right}{}", " ".repeat(1024 * 1024 - right.len() + over));
        let (metadata, _) = discover(ISSUER, |_| Response::new(text.clone()));
        assert_eq!(metadata.is_ok(), understood);
        assert!(understood || matches!(metadata, Err(MetadataError::TooLong)));
    }
}

// 8414-03
#[test]
fn a_server_that_names_no_method_takes_the_secret_by_basic() {
    let method =
        |members: &Value| read(members).unwrap().secret_auth("id", "secret").map(|auth| format!("{auth:?}"));
    let supported = |methods: &[&str]| json!({ "token_endpoint_auth_methods_supported": methods });
    let basic = Some(r#"ClientAuth { method: "basic", client_id: "id" }"#.to_owned());
    let post = Some(r#"ClientAuth { method: "post", client_id: "id" }"#.to_owned());
    assert_eq!(method(&json!({})), basic);
    assert_eq!(method(&supported(&["client_secret_post", "client_secret_basic"])), basic);
    assert_eq!(method(&supported(&["private_key_jwt", "client_secret_post"])), post);
    assert_eq!(method(&supported(&["private_key_jwt"])), None);
    assert_eq!(method(&supported(&[])), None);
    let metadata = read(&supported(&["private_key_jwt"])).unwrap();
    assert!(
        metadata.takes_auth_method("private_key_jwt") && !metadata.takes_auth_method("client_secret_basic")
    );
}

// 8705-01, FAPI-04
#[test]
fn with_a_certificate_the_aliases_count_as_far_as_there_are_any() {
    let metadata = read(&json!({
        "revocation_endpoint": "https://as.example/revoke",
        "introspection_endpoint": "https://as.example/introspect",
        "dpop_signing_alg_values_supported": ["ES256"],
        "mtls_endpoint_aliases": {
            "token_endpoint": "https://mtls.as.example/token",
            "introspection_endpoint": "https://mtls.as.example/introspect",
            "parfait_endpoint": 7,
        },
    }))
    .unwrap();
    assert_eq!(metadata.token_endpoint(), "https://as.example/token");
    assert_eq!(metadata.dpop_algorithms(), ["ES256"]);
    let metadata = metadata.for_mtls();
    assert_eq!(metadata.token_endpoint(), "https://mtls.as.example/token");
    assert_eq!(metadata.revocation_endpoint().unwrap(), "https://as.example/revoke");
    assert_eq!(metadata.introspection_endpoint().unwrap(), "https://mtls.as.example/introspect");
    let plain = read(&json!({})).unwrap();
    assert_eq!(plain.clone().for_mtls(), plain);
}

// 8414-05
#[test]
fn refresh_tokens_go_to_another_host_with_consent_only() {
    let known = read(&json!({ "revocation_endpoint": "https://as.example/revoke" })).unwrap().origins();
    assert_eq!(known, ["https://as.example".parse::<Origin>().unwrap()]);
    let stays = read(&json!({ "token_endpoint": "https://AS.example:443/v2/token" })).unwrap();
    stays.within(&known).expect("another path, another spelling");
    for (member, to) in [
        ("token_endpoint", "https://evil.example/token"),
        ("token_endpoint", "https://as.example:8443/token"),
        ("revocation_endpoint", "https://evil.example/revoke"),
    ] {
        let metadata = read(&json!({ member: to })).unwrap();
        let moved = metadata.clone().within(&known).expect_err(to);
        assert_eq!(moved.to(), [Origin::of(&to.parse().unwrap()).unwrap()]);
        assert!(moved.to_string().ends_with(&moved.to()[0].to_string()), "{moved}");
        assert_eq!(moved.consent(), metadata);
    }
}

// 8414-05, 8705-01
#[test]
fn a_client_with_a_certificate_needs_consent_to_the_aliases_too() {
    let known = read(&json!({})).unwrap().origins();
    for member in [TOKEN, REVOCATION] {
        let moved = json!({ "mtls_endpoint_aliases": { member: "https://evil.example/" } });
        let metadata = read(&moved).unwrap();
        let evil: Origin = "https://evil.example".parse().unwrap();
        assert_eq!(metadata.clone().within(&known).expect_err(member).to(), std::slice::from_ref(&evil));
        assert_eq!(metadata.clone().for_mtls().within(&known).expect_err(member).to(), [evil]);
        metadata.clone().within(&metadata.origins()).unwrap().for_mtls().within(&metadata.origins()).unwrap();
    }
    let unused = json!({ "mtls_endpoint_aliases": { INTROSPECTION: "https://elsewhere.example/" } });
    read(&unused).unwrap().within(&known).expect("no refresh token goes there");
}

// 8414-05
#[tokio::test]
async fn a_login_of_one_token_endpoint_is_unknown_at_another() {
    let store = MemoryStore::new();
    let nobody =
        service_fn(|_: Request<Bytes>| async { Err::<Response<Full<Bytes>>, _>("nobody is to be asked") });
    let coordinator = |endpoint: &str| {
        let metadata = read(&json!({ "token_endpoint": endpoint })).unwrap();
        metadata.builder(ClientAuth::none("app")).store(store.clone()).build(nobody).unwrap()
    };
    let expired = TokenSet::new("at").with_refresh_token("rt").with_expires_in(std::time::Duration::ZERO);
    coordinator("https://as.example/token").install("acme", expired).await.unwrap();
    let error = coordinator("https://evil.example/token").token("acme").await.unwrap_err();
    assert_eq!(error.kind(), tower_oauth_refresh::ErrorKind::NotInstalled);
}

#[tokio::test]
async fn a_builder_has_the_token_and_the_revocation_endpoint() {
    let asked = Asked::default();
    let transport = service_fn({
        let asked = asked.clone();
        move |request: Request<Bytes>| {
            asked.lock().unwrap().push(request.uri().clone());
            let answer = r#"{"access_token": "at-2", "refresh_token": "rt-2", "expires_in": 3600}"#;
            async move { Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(answer))) }
        }
    });
    let metadata = read(&json!({ "revocation_endpoint": "https://as.example/revoke" })).unwrap();
    let coordinator = metadata.builder(ClientAuth::none("app")).build(transport).unwrap();
    let expired = TokenSet::new("at").with_refresh_token("rt").with_expires_in(std::time::Duration::ZERO);
    coordinator.install("acme", expired).await.unwrap();
    coordinator.token("acme").await.unwrap();
    coordinator.logout("acme").await.unwrap();
    let asked: Vec<_> = asked.lock().unwrap().iter().map(Uri::to_string).collect();
    let revoke = "https://as.example/revoke";
    assert_eq!(
        asked,
        ["https://as.example/token", revoke, revoke],
        "the refresh token, then the access token"
    );
}

/// Values that nearly belong into a document.
fn nearly() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(
        &[
            ISSUER,
            "https://",
            "http://",
            "localhost",
            "as.example",
            "/token",
            "?",
            "#",
            "@",
            ":",
            "443",
            "[::1]",
            "\u{0}",
            "\u{e9}",
            "client_secret_post",
            " ",
        ][..],
    );
    let text = prop::collection::vec(text, 0..6).prop_map(|pieces| Value::String(pieces.concat()));
    let leaf = prop_oneof![8 => text, 1 => Just(Value::Null), 1 => any::<i64>().prop_map(Value::from)];
    leaf.prop_recursive(2, 8, 4, |inner| {
        let name = prop::sample::select(&[TOKEN, REVOCATION, INTROSPECTION][..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_makes_it_panic_and_what_is_taken_keeps_its_promises(
        (member, value) in (prop::sample::select(&MEMBERS[..]), nearly()),
        cut in prop::option::weighted(0.1, 0..400_usize),
    ) {
        let mut text = document(&json!({ member: value })).to_string().into_bytes();
        text.truncate(cut.unwrap_or(usize::MAX));
        let Ok(metadata) = Metadata::read(ISSUER, &text) else { return Ok(()) };
        prop_assert_eq!(metadata.issuer(), ISSUER);
        for metadata in [metadata.clone(), metadata.for_mtls()] {
            let endpoints = [Some(metadata.token_endpoint()), metadata.revocation_endpoint(), metadata.introspection_endpoint()];
            prop_assert!(endpoints.into_iter().flatten().all(|endpoint| endpoint.scheme_str() == Some("https") && Origin::of(endpoint).is_ok()));
            let origins = metadata.origins();
            let mtls = metadata.clone().for_mtls().origins();
            prop_assert!(mtls.iter().all(|origin| origins.contains(origin)), "{mtls:?} beyond {origins:?}");
            prop_assert!(!origins.is_empty() && metadata.within(&origins).is_ok());
        }
    }
}

const MEMBERS: [&str; 7] =
    ["issuer", TOKEN, REVOCATION, INTROSPECTION, "mtls_endpoint_aliases", AUTH_METHODS, DPOP_ALGORITHMS];
