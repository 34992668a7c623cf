//! Requests that get no token.

use http::header::HOST;

use super::*;

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
