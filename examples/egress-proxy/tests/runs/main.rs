//! The program as it runs, between servers and a caller that knows no more than HTTP/1.1.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also where its harness does"
)]

mod caller;
mod program;

use std::process::Command;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tower_oauth_refresh_testkit::{AuthServer, ResourceServer};

use self::caller::Caller;
use self::program::Program;

/// Answers with what it was sent: the headers in its own, the body as it comes.
async fn mirror() -> String {
    let answer = async |request: Request| -> Response {
        let seen: Vec<String> =
            request.headers().iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let path = request.uri().to_string();
        let mut response = Body::new(request.into_body()).into_response();
        for (name, value) in [
            ("x-seen", seen.join(" ")),
            ("x-path", path),
            ("x-hop", "1".into()),
            ("connection", "x-hop".into()),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let serving = async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() };
    tokio::runtime::Handle::current().spawn(serving);
    origin
}

#[tokio::test]
async fn any_program_gets_a_token_and_a_refusal_is_healed_behind_its_back() {
    let auth = AuthServer::start().await.unwrap();
    let api = ResourceServer::start(&auth).await.unwrap();
    let proxy = Program::start(&auth, &api.url(""), &api.url("")).await;
    let caller = Caller::of(&proxy);

    let answer = caller.send("GET /acme/things?page=2", &["authorization: Bearer stolen"], "").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains(r#""path":"/things","query":"page=2""#),
        "{answer}"
    );

    // The next process goes on with the login in the store. It did not make the token itself, and
    // so does not take it for too new to be refreshed.
    let proxy = proxy.again().await;
    let caller = Caller::of(&proxy);
    auth.revoke_all_access_tokens();
    let answer = caller.send("POST /acme/things", &[], "one of them").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""body_length":11"#), "{answer}");
    let (seen, refreshes) = (api.ledger().api_requests(), auth.ledger().refreshes());
    assert_eq!(seen.iter().map(|request| request.accepted).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(refreshes.len(), 2, "the first token, and the next");

    // Another credential of the same route, by header.
    let answer = caller.send("GET /acme/things", &["x-credential: globex"], "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let families: Vec<_> = api.ledger().api_requests().iter().filter_map(|request| request.family).collect();
    assert_eq!((families[1], families[0] == families[3]), (families[0], false), "{families:?}");
}

#[tokio::test]
async fn a_login_that_has_ended_is_the_proxys_trouble_and_is_said() {
    let auth = AuthServer::start().await.unwrap();
    let api = ResourceServer::start(&auth).await.unwrap();
    let proxy = Program::start(&auth, &api.url(""), &api.url("")).await;
    auth.revoke_all();
    let answer = Caller::of(&proxy).send("GET /acme/things", &[], "").await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("log in again"), "{answer}");
    assert!(api.ledger().api_requests().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn bodies_stream_both_ways_and_headers_of_the_connection_stay_on_it() {
    let auth = AuthServer::start().await.unwrap();
    let proxy = Program::start(&auth, &mirror().await, &mirror().await).await;
    let caller = Caller::of(&proxy);
    let head = "POST /acme/echo HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: x-private\r\nx-private: 1\r\n\
                x-public: 2\r\nte: trailers\r\nkeep-alive: timeout=5\r\n";
    let mut exchange = caller.begin(head).await;
    // Each piece comes back before the next one is sent: nobody collects it.
    for piece in ["first", "second", "third"] {
        exchange.chunk(piece).await;
        exchange.until(piece).await;
    }
    exchange.chunk("").await;
    let answer = exchange.until("\r\n0\r\n\r\n").await;
    let seen = answer.lines().find(|line| line.starts_with("x-seen")).unwrap();
    for there in ["x-public=", "authorization=\"Bearer "] {
        assert!(seen.contains(there), "{there}: {seen}");
    }
    for gone in ["x-private", "keep-alive", "te=", "x-credential"] {
        assert!(!seen.contains(gone), "{gone}: {seen}");
    }
    assert!(!answer.contains("x-hop"), "{answer}");
}

#[tokio::test]
async fn nothing_goes_where_no_route_leads_and_no_page_gets_through() {
    let auth = AuthServer::start().await.unwrap();
    let api = ResourceServer::start(&auth).await.unwrap();
    let proxy = Program::start(&auth, &api.url(""), &api.url("")).await;
    let caller = Caller::of(&proxy);
    for (line, header, status) in [
        ("GET /elsewhere/things", "x-a: b", 404),
        ("GET /acmebutnot/things", "x-a: b", 404),
        ("GET /acme/things", "x-credential: initech", 403),
        ("GET /globex/things", "x-credential: acme", 403),
        ("GET /acme/things", "origin: http://127.0.0.1:8080", 403),
        ("GET /acme/things", "sec-fetch-site: cross-site", 403),
        ("GET /acme/things", "user-agent: Mozilla/5.0 (Macintosh) Version/15.0 Safari/605.1.15", 403),
        ("GET /acme/things", "referer: https://page.example/", 403),
        ("GET http://127.0.0.1:1/acme/things", "x-a: b", 421),
        ("GET https://evil.example/acme/things", "x-a: b", 421),
        ("CONNECT evil.example:443", "x-a: b", 421),
    ] {
        let answer = caller.send(line, &[header], "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line} {header}: {answer}");
    }
    let answer = caller.send_to("rebound.example", "GET /acme/things").await;
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    assert!(api.ledger().api_requests().is_empty() && auth.ledger().refreshes().is_empty());
    let proxy = Program::start(&auth, &api.url("/"), &api.url("/")).await;
    let answer = Caller::of(&proxy).send("GET /acme/things", &[], "").await;
    assert!(answer.contains(r#""path":"/things""#), "an origin may end in a slash: {answer}");
    // A path that looks like a host is a path.
    let answer = caller.send("GET /acme//evil.example/x", &[], "").await;
    assert!(answer.contains(r#""path":"//evil.example/x""#), "{answer}");
}

#[test]
fn it_listens_on_loopback_only_and_sends_tokens_nowhere_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["secret", "acme", "globex"] {
        std::fs::write(dir.path().join(name), "nothing").unwrap();
    }
    let refused = |listen: &str, origin: &str| {
        let config = program::config(listen, dir.path(), "https://auth.example/token", origin, origin);
        let file = dir.path().join("egress.json");
        std::fs::write(&file, config).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_egress-proxy")).arg(file).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused("0.0.0.0:0", "https://api.example").contains("loopback only"));
    assert!(refused("127.0.0.1:0", "http://api.example").contains("plain http"));
    assert!(refused("127.0.0.1:0", "https://api.example/path").contains("nothing more"));
}
