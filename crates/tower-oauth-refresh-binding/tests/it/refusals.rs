//! What goes wrong, and what is left then.

use std::error::Error as _;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use tower_oauth_refresh::{ErrorKind, NotReplayable, RefreshReport, ReplayOutcome, TokenSet};
use tower_oauth_refresh_binding::DpopError;
use tower_oauth_refresh_testkit::{Answer, Fault};

use crate::world::World;

const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

fn refresh_token(login: &TokenSet) -> &tower_oauth_refresh::RefreshToken {
    login.refresh_token.as_ref().unwrap()
}

#[tokio::test]
async fn a_token_endpoint_that_never_has_enough_nonces_is_asked_twice_and_nothing_is_lost() {
    let world = World::public().await;
    let login = world.log_in().await;
    world.let_tokens_expire();
    let demand = Answer::oauth_error(StatusCode::BAD_REQUEST, "use_dpop_nonce");
    world.auth.always(Fault::answer(demand.header(NONCE, HeaderValue::from_static("another"))));

    let error = world.coordinator.token("acme").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Configuration, Some("use_dpop_nonce")));
    let nonces: Vec<_> =
        world.ledger().refreshes().into_iter().map(|request| request.proof.unwrap().nonce).collect();
    assert_eq!(nonces, [None, Some("another".to_owned())]);

    assert!(world.auth.accepts(refresh_token(&login)));
    world.auth.clear();
    world.clock.advance(Duration::from_secs(120));
    assert_eq!(world.post("r-1", "").await.unwrap().status(), StatusCode::OK);
    assert!(world.ledger().verdict().is_clean(), "{:#?}", world.ledger().verdict());
}

#[tokio::test]
async fn an_api_that_never_has_enough_nonces_is_asked_twice_and_no_refresh_comes_of_it() {
    let world = World::public().await;
    world.log_in().await;
    let challenge = HeaderValue::from_static(r#"DPoP error="use_dpop_nonce""#);
    let demand = Answer::bare_unauthorized().header(header::WWW_AUTHENTICATE, challenge);
    world.api.always(Fault::answer(demand.header(NONCE, HeaderValue::from_static("another"))));

    assert_eq!(world.post("r-1", "tea").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let verdict = world.ledger().verdict();
    assert_eq!((verdict.api_requests, verdict.token_requests), (2, 0));
    world.api.clear();
    assert_eq!(world.post("r-2", "tea").await.unwrap().status(), StatusCode::OK);
    assert!(world.ledger().verdict().is_clean());
}

#[tokio::test]
async fn nonces_that_are_none_are_not_sent_and_do_no_harm() {
    let world = World::public().await;
    world.log_in().await;
    let long = "n".repeat(64 * 1024);
    for nonce in [b"\x09\xff".as_slice(), b"two words", long.as_bytes()] {
        let busy = Answer::new(StatusCode::OK).header(NONCE, HeaderValue::from_bytes(nonce).unwrap());
        world.api.respond_next(busy);
        assert_eq!(world.post("r-1", "").await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(world.post("r-2", "").await.unwrap().status(), StatusCode::OK);
    let sent = world.ledger().api_requests();
    assert!(sent.len() == 4 && sent.iter().all(|request| request.proof.as_ref().unwrap().nonce.is_none()));
}

/// 9449-03, 9449-05
#[tokio::test]
async fn a_bearer_token_is_not_taken_for_a_bound_one_and_its_refresh_token_is_kept() {
    let world = World::public().await;
    let login = world.log_in().await;
    world.let_tokens_expire();
    world.auth.always(Fault::merge(serde_json::json!({ "token_type": "Bearer" })));
    world.post("r-1", "").await.unwrap_err();

    world.auth.clear();
    world.clock.advance(Duration::from_secs(120));
    assert_eq!(world.post("r-2", "").await.unwrap().status(), StatusCode::OK);
    assert!(!world.auth.accepts(refresh_token(&login)), "it was spent");
    let verdict = world.ledger().verdict();
    assert!(verdict.is_clean() && verdict.reuse_detections == 0, "{verdict:#?}");
    assert_eq!(verdict.superseded_submitted, 0, "what went with the bearer token was taken");
    assert_eq!(verdict.api_requests, 1, "the bearer token never was");
}

/// 9449-02
#[tokio::test]
async fn a_lost_key_is_a_clear_error_and_nothing_is_sent() {
    let world = World::public().await;
    let mut login = world.log_in().await;
    login.bound_key = None;
    world.coordinator.install("acme", login.clone()).await.unwrap();
    let error = world.post("r-1", "").await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&DpopError::NoKey), "{error:?}");

    world.let_tokens_expire();
    let error = world.coordinator.token("acme").await.unwrap_err();
    let source = error.source().and_then(|source| source.downcast_ref());
    assert_eq!((error.kind(), source), (ErrorKind::Unavailable, Some(&DpopError::NoKey)), "{error:?}");
    let verdict = world.ledger().verdict();
    assert_eq!((verdict.api_requests, verdict.token_requests), (0, 0));
    assert!(world.sent.lock().unwrap().is_empty() && world.auth.accepts(refresh_token(&login)));
}

#[tokio::test]
async fn a_body_that_cannot_be_sent_again_is_not_and_says_so() {
    let world = World::public().await;
    world.log_in().await;
    world.demand_nonces();
    let answer = world.post("r-1", vec![b'x'; 100 * 1024]).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let report = answer.extensions().get::<RefreshReport>().unwrap();
    assert!(matches!(report.outcome, ReplayOutcome::NotReplayable(NotReplayable::TooLarge)), "{report:?}");
    let verdict = world.ledger().verdict();
    assert_eq!((verdict.api_requests, verdict.token_requests), (1, 0));
    // The nonce is known now, so that whoever sends it again gets through.
    assert_eq!(world.post("r-2", vec![b'x'; 100 * 1024]).await.unwrap().status(), StatusCode::OK);
}
