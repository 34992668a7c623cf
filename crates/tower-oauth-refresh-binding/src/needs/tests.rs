use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Request};
use http_body_util::Full;
use proptest::prelude::*;
use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};
use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet};

use super::*;

fn answer(status: u16, fields: &[&[u8]]) -> Response<()> {
    let mut answer = Response::builder().status(status).body(()).unwrap();
    for field in fields {
        answer.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_bytes(field).unwrap());
    }
    answer
}

fn needs(field: &str) -> Option<Needs> {
    let needs = Needs::of(&answer(401, &[field.as_bytes()]));
    assert_eq!(needs, Needs::of(&answer(403, &[field.as_bytes()])));
    needs
}

fn authentication(parameters: &str) -> (Vec<String>, Option<u64>) {
    let needs = needs(&format!(r#"Bearer error="insufficient_user_authentication"{parameters}"#)).unwrap();
    let Authentication { acr_values, max_age } = needs.authentication.unwrap();
    (acr_values, max_age.map(|age| age.as_secs()))
}

// 9728-01
#[test]
fn the_example_of_rfc_9728_5_1_leads_to_the_metadata() {
    let url = "https://resource.example.com/.well-known/oauth-protected-resource";
    let needs = needs(&format!(r#"Bearer resource_metadata="{url}""#)).unwrap();
    assert_eq!(needs, Needs { resource_metadata: Some(Uri::from_static(url)), ..Needs::default() });
}

// 9470-01
#[test]
fn the_examples_of_rfc_9470_3_name_the_login_that_is_wanted() {
    let level = r#", error_description="A different authentication level is required", acr_values="myACR""#;
    assert_eq!(authentication(level), (vec!["myACR".to_owned()], None));
    let recent = r#", error_description="More recent authentication is required", max_age="5""#;
    assert_eq!(authentication(recent), (vec![], Some(5)));
    assert_eq!(authentication(""), (vec![], None));
    assert_eq!(
        authentication(r#", acr_values="a  b", max_age=0"#),
        (vec!["a".to_owned(), "b".to_owned()], Some(0))
    );
}

// MCP-03, MCP-06
#[test]
fn too_little_scope_comes_with_the_scope_that_is_wanted_and_where_to_ask() {
    let field = r#"Bearer error="insufficient_scope", scope="files:read files:write",
        resource_metadata="https://mcp.example/.well-known/oauth-protected-resource""#;
    let needs = needs(&field.replace('\n', "")).unwrap();
    assert!(needs.insufficient_scope);
    assert_eq!(needs.scope.as_deref(), Some("files:read files:write"));
    assert_eq!(needs.resource_metadata.unwrap().host(), Some("mcp.example"));
}

// MCP-03
#[test]
fn a_first_refusal_may_name_the_scope_without_an_error() {
    let needs = needs(r#"Bearer scope="files:read", resource_metadata="https://mcp.example/m""#).unwrap();
    assert_eq!((needs.scope.as_deref(), needs.insufficient_scope), (Some("files:read"), false));
}

#[test]
fn of_several_challenges_each_adds_what_it_says_and_the_lack_of_scope_names_the_scope() {
    let fields: [&[u8]; 4] = [
        br#"Basic error="insufficient_user_authentication", scope="basic""#,
        br#"Bearer scope="other", DPoP error="insufficient_scope", scope="wanted", algs="ES256""#,
        br#"New resource_metadata="http://in.clear/", Newer resource_metadata="https://api.example/1""#,
        br#"Bearer resource_metadata="https://api.example/2""#,
    ];
    let needs = Needs::of(&answer(401, &fields)).unwrap();
    let expected = Needs {
        resource_metadata: Some(Uri::from_static("https://api.example/1")),
        scope: Some("wanted".to_owned()),
        insufficient_scope: true,
        authentication: None,
    };
    assert!(needs == expected, "{:?} {:?}", needs.scope, needs.resource_metadata);
}

#[test]
fn what_a_refresh_cures_and_what_is_no_refusal_needs_nothing() {
    for field in [r#"Bearer error="invalid_token""#, "Bearer", r#"DPoP error="use_dpop_nonce""#, "Basic", ""]
    {
        assert_eq!(needs(field), None, "{field}");
    }
    for status in [200, 400, 404, 407, 500] {
        assert_eq!(Needs::of(&answer(status, &[br#"Bearer error="insufficient_scope""#])), None, "{status}");
    }
    assert_eq!(Needs::of(&answer(401, &[])), None);
}

#[test]
fn what_cannot_be_right_is_left_out_and_the_rest_counts() {
    for url in
        ["http://api.example/", "/metadata", "", "https://a b/", "https://me@api.example/", "https://\u{e9}/"]
    {
        assert_eq!(needs(&format!(r#"Bearer resource_metadata="{url}""#)), None, "{url}");
    }
    for age in ["-1", "1.5", "", "+5", "4294967296", "99999999999999999999999", "5 "] {
        assert_eq!(
            authentication(&format!(r#", acr_values="a", max_age="{age}""#)),
            (vec!["a".to_owned()], None)
        );
    }
    for scope in ["", " ", "a\\\\b", "a\\\"b", "a\tb", "\u{e9}"] {
        let needs = needs(&format!(r#"Bearer error="insufficient_scope", scope="{scope}""#)).unwrap();
        assert!(needs.insufficient_scope && needs.scope.is_none(), "{scope:?}");
    }
    let long = format!(r#"Bearer error="insufficient_scope", scope="{}""#, "x".repeat(65_536));
    assert_eq!(needs(&long), None);
}

#[test]
fn debug_shows_no_word_of_the_server() {
    let field = r#"Bearer error="insufficient_user_authentication", acr_values="s3cr3t", scope="s3cr3t",
        resource_metadata="https://s3cr3t/""#;
    let shown = format!("{:?}", needs(&field.replace('\n', "")).unwrap());
    assert!(shown.contains("scope: true") && !shown.contains("s3cr3t"), "{shown}");
}

// 9470-01, MCP-06
#[tokio::test]
async fn through_the_layer_what_an_api_needs_arrives_and_nothing_is_refreshed() {
    for (status, error) in [(401, "insufficient_user_authentication"), (403, "insufficient_scope")] {
        let refreshes = Arc::new(AtomicU32::new(0));
        let token_endpoint = service_fn({
            let refreshes = refreshes.clone();
            move |_: Request<Full<Bytes>>| {
                refreshes.fetch_add(1, Ordering::Relaxed);
                async { Err::<Response<Full<Bytes>>, BoxError>("nobody is to refresh".into()) }
            }
        });
        let calls = Arc::new(AtomicU32::new(0));
        let api = service_fn({
            let calls = calls.clone();
            move |_: Request<ReplayBody<Full<Bytes>>>| {
                calls.fetch_add(1, Ordering::Relaxed);
                let answer = Response::builder().status(status);
                let answer = answer.header(WWW_AUTHENTICATE, format!(r#"Bearer error="{error}""#));
                async { answer.body(Full::<Bytes>::default()) }
            }
        });
        let endpoint = "https://as.example/token".parse().unwrap();
        let coordinator = RefreshCoordinator::builder(endpoint, ClientAuth::none("app"));
        let coordinator = coordinator.build(token_endpoint).unwrap();
        coordinator.install("acme", TokenSet::new("at").with_refresh_token("rt")).await.unwrap();
        let layer = RefreshLayer::new(coordinator, "acme").origin("https://api.example".parse().unwrap());
        let request = Request::get("https://api.example/").body(Full::<Bytes>::default()).unwrap();
        let response = ServiceBuilder::new().layer(layer).service(api).oneshot(request).await.unwrap();
        let needs = Needs::of(&response).unwrap();
        assert_eq!(
            (needs.insufficient_scope, needs.authentication.is_some()),
            (status == 403, status == 401)
        );
        assert_eq!((calls.load(Ordering::Relaxed), refreshes.load(Ordering::Relaxed)), (1, 0));
    }
}

/// Pieces of challenges, so that random fields get past the first comma.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"Bearer ",
        b"DPoP ",
        b"error=\"insufficient_scope\"",
        b"error=insufficient_user_authentication",
        b"scope=\"",
        b"acr_values=\"",
        b"max_age=",
        b"resource_metadata=\"",
        b"https://",
        b"http://",
        b"api.example/",
        b"\"",
        b", ",
        b"\\",
        b"9",
        b"\xff",
        b"\x80",
        b"\t",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_field_makes_it_panic_and_what_comes_out_is_fit_for_a_request(field in nearly()) {
        let Some(needs) = Needs::of(&answer(401, &[&field])) else { return Ok(()) };
        let fit = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        prop_assert!(needs.scope.is_none_or(|scope| scope.split(' ').all(fit)));
        prop_assert!(needs.resource_metadata.is_none_or(|uri| uri.scheme_str() == Some("https") && uri.host().is_some()));
        let authentication = needs.authentication.unwrap_or_default();
        prop_assert!(authentication.acr_values.iter().all(|value| fit(value)));
    }
}
