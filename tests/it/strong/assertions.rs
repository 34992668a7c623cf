//! Clients that sign who they are (`private_key_jwt`: RFC 7523 §2.2, OpenID Connect Core §9).

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::{ServiceExt as _, service_fn};
use tower_oauth_refresh::{Builder, Logout, ReplayBody, TokenSet};
use tower_oauth_refresh_binding::{AssertionSigner, Dpop, DpopKey, Metadata, SigningKey};

use super::{Network, Outgoing, Program, boxed, network, post_form, provider};
use crate::harness::{EXPIRED, KEY, LONG};
use crate::oidc::{Assertion, Provider, TokenRequest};

const ES256: &str = include_str!("../../../crates/tower-oauth-refresh-binding/src/testdata/es256.pem");
const PS256: &str = include_str!("../../../crates/tower-oauth-refresh-binding/src/testdata/ps256.pem");
const ED25519: &str = include_str!("../../../crates/tower-oauth-refresh-binding/src/testdata/ed25519.pem");

/// By their ids; a login in the tests' own way takes the first.
fn keys() -> Value {
    json!({ "a": ES256, "b": PS256, "c": ED25519 })
}

fn es256() -> SigningKey {
    SigningKey::es256_pem(ES256).unwrap().key_id("a")
}

/// A coordinator's builder for the server and this signer's client.
async fn builder(server: &Provider, signer: &AssertionSigner) -> Builder {
    let metadata = Metadata::discover(&server.ready.issuer, network()).await.unwrap();
    assert!(metadata.takes_auth_method("private_key_jwt"));
    metadata.builder(signer.client_auth("assertion")).parameter("resource", server.ready.resource.as_str())
}

async fn log_in(server: &Provider) -> TokenSet {
    TokenSet::from_response(&server.mint("assertion").await).unwrap()
}

fn assertions(requests: &[TokenRequest]) -> Vec<&Assertion> {
    requests.iter().map(|request| request.assertion.as_ref().expect("an assertion")).collect()
}

// FAPI-02, FAPI-03
#[tokio::test]
async fn every_request_has_an_assertion_of_its_own_whichever_key_signs_it() {
    let server = provider(keys()).await;
    let signer = AssertionSigner::new(&*server.ready.issuer, es256());
    let builder = builder(&server, &signer).await;
    let endpoint = boxed(signer.listen(network()));
    let program = Program::new(builder, endpoint, network(), &server.ready.echo);
    program.install(&log_in(&server).await, LONG).await;
    let signing = [
        es256(),
        SigningKey::ps256_pem(PS256).unwrap().key_id("b"),
        SigningKey::ed25519_pem(ED25519).unwrap().key_id("c"),
        es256(),
    ];
    for key in signing {
        signer.replace(key);
        assert_eq!(program.post_later().await.status, StatusCode::OK);
    }
    let access_token = program.access_token().await;
    assert!(server.is_active(&access_token).await);
    assert_eq!(program.coordinator.logout(KEY).await.unwrap(), Logout::Revoked);
    assert!(!server.is_active(&access_token).await);

    // Behind the login, which was not ours.
    let asked = server.token_requests().await.split_off(1);
    let signed: Vec<_> = assertions(&asked).iter().map(|assertion| assertion.alg.as_str()).collect();
    assert_eq!(signed, ["ES256", "PS256", "EdDSA", "ES256", "ES256", "ES256"]);
    assert!(assertions(&asked).iter().all(|assertion| assertion.aud == server.ready.issuer));
    let jtis: HashSet<_> = assertions(&asked).iter().map(|assertion| assertion.jti.as_str()).collect();
    assert_eq!(jtis.len(), 6);
    assert!(asked.iter().all(|request| request.status == 200), "{asked:#?}");
    let (refreshes, revocations) = asked.split_at(4);
    assert!(revocations.iter().all(|request| request.path == "/token/revocation"), "{asked:#?}");
    assert!(
        refreshes.iter().all(|request| request.resource == [server.ready.resource.as_str()]),
        "{asked:#?}"
    );
}

#[tokio::test]
async fn the_retry_for_a_nonce_has_an_assertion_of_its_own_as_well() {
    let server = provider(keys()).await;
    let signer = AssertionSigner::new(&*server.ready.issuer, es256());
    let dpop = Dpop::new(DpopKey::generate().unwrap());
    let builder = builder(&server, &signer).await.dpop();
    let endpoint = boxed(signer.listen(dpop.endpoint(network())));
    let api = boxed(dpop.client(network()));
    let program = Program::new(builder, endpoint, api, &server.ready.echo);
    program.install(&log_in(&server).await, EXPIRED).await;
    assert_eq!(program.post("bound from now on").await.status, StatusCode::OK);
    assert_eq!(program.post_later().await.status, StatusCode::OK);

    let asked = server.token_requests().await.split_off(1);
    let answered: Vec<_> = asked.iter().map(|request| (request.status, request.error.as_deref())).collect();
    assert_eq!(answered, [(400, Some("use_dpop_nonce")), (200, None), (200, None)]);
    let jtis: HashSet<_> = assertions(&asked).iter().map(|assertion| assertion.jti.as_str()).collect();
    assert_eq!(jtis.len(), 3);
    assert_eq!(server.counters().await.refreshed, 2);
}

#[tokio::test]
async fn an_assertion_that_was_seen_on_its_way_is_of_no_use() {
    let server = provider(keys()).await;
    let signer = AssertionSigner::new(&*server.ready.issuer, es256());
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let builder = builder(&server, &signer).await;
    let program = Program::new(builder, overheard(&seen), network(), &server.ready.echo);
    program.install(&log_in(&server).await, EXPIRED).await;
    assert_eq!(program.post("refreshed").await.status, StatusCode::OK);

    let form = seen.lock().unwrap().pop().unwrap();
    let (status, answer) = post_form(&server.ready.token_endpoint, &network(), &form).await;
    assert_eq!((status, answer["error"].as_str()), (401, Some("invalid_client")));
    // Nothing has come of it: the refresh token in that form was spent, and would have ended the login.
    assert_eq!(program.post_later().await.status, StatusCode::OK);
    assert_eq!(server.counters().await.reuses, 0);
}

/// A network that writes down what is sent.
fn overheard(seen: &Arc<Mutex<Vec<String>>>) -> Network {
    let seen = Arc::clone(seen);
    boxed(service_fn(move |request: Outgoing| {
        let seen = Arc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            seen.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
            network().oneshot(Outgoing::from_parts(parts, ReplayBody::from(body))).await
        }
    }))
}
