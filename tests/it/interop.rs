//! Against a server that others wrote.
//!
//! The tests of this file use a plain HTTP client and none of our code: they pin down what the server does,
//! so that a test of the modules below that fails against it fails because of us.

mod endings;
mod flights;

use std::time::Duration;

use http::{StatusCode, header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::oidc::{Fault, Format, Provider};

const LONG: Duration = Duration::from_secs(600);

/// The status, the OAuth error and the refresh token of an answer.
fn told(answer: &(u16, Value)) -> (u16, Option<&str>, Option<&str>) {
    (answer.0, answer.1["error"].as_str(), answer.1["refresh_token"].as_str())
}

#[tokio::test]
async fn a_refresh_rotates_and_reuse_revokes_the_grant() {
    let server = Provider::start(Format::Opaque, LONG).await;
    for client in ["basic", "post", "public"] {
        let login = server.mint(client).await;
        let first = server.refresh(client, &login.refresh_token).await.unwrap();
        let (200, None, Some(successor)) = told(&first) else { panic!("{client}: {first:?}") };
        assert_ne!(successor, login.refresh_token);
        let access_token = first.1["access_token"].as_str().unwrap();
        assert_eq!(server.call_api(access_token, b"").await.status(), StatusCode::OK);

        let reused = server.refresh(client, &login.refresh_token).await.unwrap();
        assert_eq!(told(&reused), (400, Some("invalid_grant"), None));
        let innocent = server.refresh(client, successor).await.unwrap();
        assert_eq!(told(&innocent), (400, Some("invalid_grant"), None), "the whole family is revoked");
        assert_eq!(server.call_api(access_token, b"").await.status(), StatusCode::UNAUTHORIZED);
    }
    let counters = server.counters().await;
    assert_eq!(counters.token_requests["authorization_code"], 3);
    assert_eq!(counters.token_requests["refresh_token"], 9);
    assert_eq!((counters.refreshed, counters.invalid_grants, counters.reuses), (3, 6, 3));
    assert_eq!((counters.max_refreshes_at_once, counters.challenges), (1, 3));
}

#[tokio::test]
async fn two_refreshes_at_once_end_the_login() {
    let server = Provider::start(Format::Opaque, LONG).await;
    let login = server.mint("public").await;
    server.spoil_next_refresh(Fault::Hold).await;
    let winner = server.refresh("public", &login.refresh_token);
    let loser = async {
        server.held().await;
        let answer = server.refresh("public", &login.refresh_token).await.unwrap();
        server.release().await;
        answer
    };
    let (winner, loser) = tokio::join!(winner, loser);
    assert_eq!(told(&loser), (400, Some("invalid_grant"), None));
    let winner = winner.unwrap();
    let (200, None, Some(successor)) = told(&winner) else { panic!("{winner:?}") };
    let next = server.refresh("public", successor).await.unwrap();
    assert_eq!(told(&next), (400, Some("invalid_grant"), None));
    assert_eq!(server.counters().await.max_refreshes_at_once, 2);
}

#[tokio::test]
async fn an_answer_lost_or_cut_after_the_commit_spends_the_refresh_token() {
    let server = Provider::start(Format::Opaque, LONG).await;
    for fault in [Fault::Drop, Fault::CutAt(0), Fault::CutAt(20)] {
        let login = server.mint("post").await;
        server.spoil_next_refresh(fault).await;
        assert_eq!(server.refresh("post", &login.refresh_token).await, None, "{fault:?}");
        let again = server.refresh("post", &login.refresh_token).await.unwrap();
        assert_eq!(told(&again), (400, Some("invalid_grant"), None), "{fault:?}");
    }
    let counters = server.counters().await;
    assert_eq!((counters.answers_spoiled, counters.refreshed, counters.reuses), (3, 3, 3));
}

#[tokio::test]
async fn a_refused_access_token_is_challenged_and_its_refresh_token_lives_on() {
    let server = Provider::start(Format::Jwt, LONG).await;
    let login = server.mint("public").await;
    assert_eq!((login.expires_in, login.scope.as_str()), (LONG.as_secs(), "api:read api:write"));
    let echo = server.call_api(&login.access_token, b"ping").await;
    let echo: Value = serde_json::from_slice(echo.body()).unwrap();
    let digest: String = Sha256::digest(b"ping").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((echo["length"].as_u64(), echo["sha256"].as_str()), (Some(4), Some(digest.as_str())));

    server.revoke_access_token(&login.access_token).await;
    let refused = server.call_api(&login.access_token, b"ping").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""), "{challenge}");

    let healed = server.refresh("public", &login.refresh_token).await.unwrap();
    let access_token = healed.1["access_token"].as_str().unwrap();
    assert_eq!(server.call_api(access_token, b"ping").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn revocation_ends_the_grant_and_introspection_says_so() {
    let server = Provider::start(Format::Opaque, LONG).await;
    let login = server.mint("basic").await;
    let active = async |token: &str| {
        let answer =
            server.post_form(&server.ready.introspection_endpoint, "basic", &[("token", token)]).await;
        answer.unwrap().1["active"].as_bool().unwrap()
    };
    assert!(active(&login.access_token).await && active(&login.refresh_token).await);
    let form = [("token", login.refresh_token.as_str()), ("token_type_hint", "refresh_token")];
    let revoked = server.post_form(&server.ready.revocation_endpoint, "basic", &form).await.unwrap();
    assert_eq!(revoked.0, 200);
    assert!(!active(&login.access_token).await && !active(&login.refresh_token).await);
}
