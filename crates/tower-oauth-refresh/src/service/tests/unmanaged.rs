//! Requests that get no token, and what the log says about them.

use http::header::HOST;

use super::*;
use crate::tests::captured_log::CapturedLog;

fn to_host(uri: &str, host: &'static str) -> Request<Full<Bytes>> {
    let mut request = post(uri, "");
    request.headers_mut().insert(HOST, HeaderValue::from_static(host));
    request
}

async fn layer() -> RefreshLayer {
    RefreshLayer::new(coordinator().await, "k").relative_requests_to("https://api.example".parse().unwrap())
}

#[tokio::test]
async fn a_host_that_contradicts_the_origin_gets_no_token() {
    let world = Arc::<World>::default();
    let client = layer().await.layer(world.api());
    for uri in [URI, "/relative"] {
        for host in [
            "evil.example",
            "api.example.evil.example",
            "api.example:8443",
            "u@api.example",
            "",
            "a b",
            "api.example/x",
        ] {
            client.clone().oneshot(to_host(uri, host)).await.unwrap();
        }
        let mut twice = to_host(uri, "api.example");
        twice.headers_mut().append(HOST, HeaderValue::from_static("evil.example"));
        client.clone().oneshot(twice).await.unwrap();
    }
    assert_eq!(world.tokens(), vec![""; 16]);
}

#[tokio::test]
async fn a_host_that_names_the_origin_changes_nothing() {
    let world = Arc::<World>::default();
    let client = layer().await.layer(world.api());
    for uri in [URI, "/relative"] {
        for host in ["api.example", "API.example:443", "api.example.", "api.example:"] {
            client.clone().oneshot(to_host(uri, host)).await.unwrap();
        }
    }
    assert_eq!(world.tokens(), vec!["Bearer at-1"; 8]);
}

#[tokio::test]
async fn a_request_without_a_token_says_why_in_the_log() {
    let world = Arc::<World>::default();
    let client = RefreshLayer::new(coordinator().await, "k")
        .origin("http://127.0.0.1:8080".parse().unwrap())
        .origin("https://api.example".parse().unwrap())
        .layer(world.api());
    let mut own = post(URI, "");
    let mut basic = HeaderValue::from_static("Basic s3cr3t");
    basic.set_sensitive(true);
    own.headers_mut().insert(AUTHORIZATION, basic);
    for (request, why) in [
        (post("http://localhost:8080/s3cr3t?s3cr3t", ""), "http://localhost:8080"),
        (post("http://api.example/s3cr3t", ""), "plain http"),
        (post("/s3cr3t", ""), "relative_requests_to"),
        (post("https://s3cr3t@api.example/", ""), "user name"),
        (to_host(URI, "s3cr3t.example"), "Host"),
        (own, "Authorization"),
    ] {
        let (log, _guard) = CapturedLog::listen();
        client.clone().oneshot(request).await.unwrap();
        let line = log.line("no token");
        assert!(line.starts_with("DEBUG") && line.contains(why), "{why}: {line}");
        assert!(!line.contains("s3cr3t"), "{line}");
    }
    let (log, _guard) = CapturedLog::listen();
    client.oneshot(post(URI, "")).await.unwrap();
    assert!(log.lines().is_empty(), "it has a token: {:?}", log.lines());
}

#[tokio::test]
async fn a_layer_without_an_origin_says_so_at_its_first_request() {
    let world = Arc::<World>::default();
    let layer = RefreshLayer::new(coordinator().await, "k").body_limit(1);
    let (log, _guard) = CapturedLog::listen();
    for _ in 0..3 {
        layer.clone().layer(world.api()).oneshot(post(URI, "")).await.unwrap();
    }
    assert!(log.line("WARN").contains("names no origin"), "once");
    assert_eq!(world.tokens(), ["", "", ""]);
}
