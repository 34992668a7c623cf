//! Tokens that are bound to a key (RFC 9449); both servers want their nonce in every proof.

use std::collections::HashSet;

use http::StatusCode;
use serde_json::json;
use tower_oauth_refresh::{ClientAuth, ErrorKind, Logout, RefreshCoordinator, TokenSet};
use tower_oauth_refresh_binding::{Dpop, DpopKey};

use super::{Network, Program, boxed, log_in, network, post_form, provider};
use crate::harness::{EXPIRED, KEY, LONG, all, crowd, send};
use crate::oidc::{Proof, Provider, TokenRequest};

/// A public client, each of whose logins has a key of its own.
pub(super) fn public(server: &Provider) -> Program {
    let (dpop, network, ready) = (Dpop::per_login(), network(), &server.ready);
    let builder =
        RefreshCoordinator::builder(ready.token_endpoint.parse().unwrap(), ClientAuth::none("dpop"))
            .revocation_endpoint(ready.revocation_endpoint.parse().unwrap())
            .parameter("resource", ready.resource.as_str())
            .dpop();
    let endpoint = boxed(dpop.endpoint(network.clone()));
    Program::new(builder, endpoint, boxed(dpop.client(network)), &ready.echo)
}

/// Logs in with a new key.
pub(super) async fn bound_login(server: &Provider) -> TokenSet {
    let key = DpopKey::generate().unwrap();
    log_in(server, "dpop", &server.ready.token_endpoint, &signing(&key))
        .await
        .with_bound_key(key.bound_key().unwrap())
}

/// The network of whoever has this key.
fn signing(key: &DpopKey) -> Network {
    boxed(Dpop::new(key.clone()).endpoint(network()))
}

/// What was asked of the token endpoint from the `first` request on, by status and error.
fn answers(requests: &[TokenRequest]) -> Vec<(u16, Option<&str>)> {
    requests.iter().map(|request| (request.status, request.error.as_deref())).collect()
}

fn proofs(requests: &[TokenRequest]) -> Vec<&Proof> {
    requests.iter().map(|request| request.proof.as_ref().expect("a proof")).collect()
}

// 9449-01, 9449-04, 9449-08, 9449-11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_requests_at_the_expiry_of_a_bound_token_need_one_refresh_and_a_proof_each() {
    let server = provider(json!({})).await;
    let program = public(&server);
    let login = bound_login(&server).await;
    program.install(&login, EXPIRED).await;
    let answers_before = server.token_requests().await.len();

    let requests = crowd(200, |n| send(program.client.clone(), program.request(format!("{n}"))));
    let got = all(requests).await;
    assert_eq!(got.iter().filter(|answer| answer.status == StatusCode::OK).count(), 200, "{got:?}");

    let seen = server.counters().await;
    assert_eq!((seen.refreshed, seen.reuses, seen.max_refreshes_at_once), (1, 0, 1));
    let asked = server.token_requests().await.split_off(answers_before);
    assert_eq!(answers(&asked), [(400, Some("use_dpop_nonce")), (200, None)]);
    let [first, second] = proofs(&asked)[..] else { panic!("{asked:?}") };
    assert!(first.jti != second.jti && first.key == second.key);
    assert!(first.nonce.is_none() && second.nonce.is_some());

    assert_eq!(seen.proofs_refused, 0, "each was about its request, and none was sent twice");
    assert!((1..=200).contains(&seen.proofs_demanded_again), "{seen:?}");
    assert_eq!(seen.api_requests, 200 + seen.proofs_demanded_again);
    assert_eq!(seen.challenges, seen.proofs_demanded_again, "nobody sent the token that had expired");
}

#[tokio::test]
async fn a_bound_login_keeps_its_key_through_every_rotation_and_ends_with_its_logout() {
    let server = provider(json!({})).await;
    let program = public(&server);
    let login = bound_login(&server).await;
    program.install(&login, LONG).await;
    for generation in 1..=5 {
        server.forget_nonces().await;
        assert_eq!(program.post_later().await.status, StatusCode::OK, "{generation}");
        assert_eq!(server.counters().await.refreshed, generation);
    }
    let seen = server.counters().await;
    assert_eq!((seen.reuses, seen.proofs_refused, seen.proofs_demanded_again), (0, 0, 5));

    let access_token = program.access_token().await;
    assert!(server.is_active(&access_token).await);
    assert_eq!(program.coordinator.logout(KEY).await.unwrap(), Logout::Revoked);
    assert!(!server.is_active(&access_token).await);
    let asked = server.token_requests().await;
    assert_eq!(asked.last().unwrap().path, "/token/revocation");
    let keys: HashSet<_> = proofs(&asked).iter().map(|proof| proof.key.as_str()).collect();
    let jtis: HashSet<_> = proofs(&asked).iter().map(|proof| proof.jti.as_str()).collect();
    assert_eq!((keys.len(), jtis.len()), (1, asked.len()), "one key for all, and no proof twice");
    for request in asked.iter().filter(|request| request.path == "/token") {
        assert_eq!(request.resource, [server.ready.resource.as_str()], "{request:?}");
    }
}

#[tokio::test]
async fn tokens_that_are_bound_to_a_key_are_of_no_use_to_whoever_has_another_or_none() {
    let server = provider(json!({})).await;
    let login = bound_login(&server).await;
    let refresh_token = login.refresh_token.as_ref().unwrap().expose_secret();
    let form = format!("grant_type=refresh_token&client_id=dpop&refresh_token={refresh_token}");
    for thief in [network(), signing(&DpopKey::generate().unwrap())] {
        let (status, answer) = post_form(&server.ready.token_endpoint, &thief, &form).await;
        assert_eq!((status, answer["error"].as_str()), (400, Some("invalid_grant")));
    }
    let access_token = login.access_token.expose_secret();
    assert_eq!(server.call_api(access_token, b"stolen").await.status(), StatusCode::UNAUTHORIZED);

    let program = public(&server);
    let other = DpopKey::generate().unwrap().bound_key().unwrap();
    program.install(&login.clone().with_bound_key(other), LONG).await;
    let answer = program.post("with another key").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.failure(), Some(ErrorKind::InvalidGrant), "a lost key is a lost login");

    program.install(&login, LONG).await;
    assert_eq!(program.post("with its own").await.status, StatusCode::OK, "and nothing else was lost");
    assert_eq!(server.counters().await.reuses, 0);
}
