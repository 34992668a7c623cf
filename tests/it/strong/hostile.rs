//! Servers that answer with what no server should: nonces that are none, and demands without an end.

use http::StatusCode;
use serde_json::json;
use tower_oauth_refresh::ErrorKind;

use super::dpop::{bound_login, public};
use super::{Program, provider};
use crate::harness::{EXPIRED, KEY, LONG, try_send};
use crate::oidc::{Provider, Side};

/// More than anybody may ask for.
const MANY: usize = 10;

/// A demand for another nonce, which is these bytes.
fn demand(side: Side, nonce: &[u8]) -> Vec<u8> {
    let (status, challenge, body) = match side {
        Side::Authorization => ("400 Bad Request", "", r#"{"error":"use_dpop_nonce"}"#),
        Side::Resource => ("401 Unauthorized", "WWW-Authenticate: DPoP error=\"use_dpop_nonce\"\r\n", ""),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{challenge}DPoP-Nonce: ",
        body.len()
    );
    [head.as_bytes(), nonce, b"\r\n\r\n", body.as_bytes()].concat()
}

/// What a nonce cannot be, and whether HTTP forbids it as well, so that there is no answer at all.
fn none() -> Vec<(Vec<u8>, bool)> {
    vec![
        (vec![b'n'; 64 * 1024], false),
        (b"two words".to_vec(), false),
        (b"tab\there".to_vec(), false),
        (b"\xc3\xa9\xff".to_vec(), false),
        (b"bell\x07".to_vec(), true),
        (b"nul\0".to_vec(), true),
        (b"one\rtwo".to_vec(), true),
    ]
}

fn shown(nonce: &[u8]) -> String {
    format!("{} bytes: {}", nonce.len(), nonce.escape_ascii().take(40).map(char::from).collect::<String>())
}

/// The servers are themselves again, and the login is as good as before.
async fn lives(server: &Provider, program: &Program) {
    for side in [Side::Authorization, Side::Resource] {
        server.answer_raw(side, &[]).await;
    }
    program.clock.advance(LONG);
    assert_eq!(program.post("as if nothing had been").await.status, StatusCode::OK);
    let seen = server.counters().await;
    assert_eq!((seen.reuses, seen.invalid_grants, seen.proofs_refused), (0, 0, 0));
}

#[tokio::test]
async fn a_token_endpoint_with_nonces_that_are_none_is_asked_twice_and_nothing_is_lost() {
    let server = provider(json!({})).await;
    let program = public(&server);
    let login = bound_login(&server).await;
    program.install(&login, LONG).await;
    for (nonce, broken) in none() {
        program.clock.advance(LONG);
        server.answer_raw(Side::Authorization, &vec![demand(Side::Authorization, &nonce); MANY]).await;
        let error = program.coordinator.token(KEY).await.unwrap_err();
        let expected = if broken {
            (ErrorKind::InDoubt, Some("no_answer"))
        } else {
            (ErrorKind::Configuration, Some("use_dpop_nonce"))
        };
        assert_eq!((error.kind(), error.code()), expected, "{}", shown(&nonce));
        assert_eq!(server.raw_left(Side::Authorization).await, MANY - 2, "{}", shown(&nonce));
        lives(&server, &program).await;
    }
}

#[tokio::test]
async fn an_api_with_nonces_that_are_none_is_asked_twice_at_most_and_no_refresh_comes_of_it() {
    let server = provider(json!({})).await;
    let program = public(&server);
    program.install(&bound_login(&server).await, LONG).await;
    for (nonce, broken) in none() {
        let refreshed = server.counters().await.refreshed;
        server.answer_raw(Side::Resource, &vec![demand(Side::Resource, &nonce); MANY]).await;
        let answer = try_send(program.client.clone(), program.request("tea")).await;
        assert_eq!(answer.is_err(), broken, "{}: {answer:?}", shown(&nonce));
        assert!(answer.is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED) != broken);
        let asked = if broken { 1 } else { 2 };
        assert_eq!(server.raw_left(Side::Resource).await, MANY - asked, "{}", shown(&nonce));
        assert_eq!(server.counters().await.refreshed, refreshed);
        lives(&server, &program).await;
    }
}

#[tokio::test]
async fn demands_for_ever_new_nonces_end_after_the_second() {
    let server = provider(json!({})).await;
    let program = public(&server);
    program.install(&bound_login(&server).await, EXPIRED).await;
    let demands =
        |side| (0..MANY).map(move |n| demand(side, format!("nonce-{n}").as_bytes())).collect::<Vec<_>>();

    server.answer_raw(Side::Authorization, &demands(Side::Authorization)).await;
    let error = program.coordinator.token(KEY).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Configuration, Some("use_dpop_nonce")));
    assert_eq!(server.raw_left(Side::Authorization).await, MANY - 2);
    lives(&server, &program).await;

    server.answer_raw(Side::Resource, &demands(Side::Resource)).await;
    assert_eq!(program.post("tea").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.raw_left(Side::Resource).await, MANY - 2);
    lives(&server, &program).await;
}
