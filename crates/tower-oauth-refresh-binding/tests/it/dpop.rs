//! What goes well.

use std::collections::HashSet;

use futures_util::future::join_all;
use http::StatusCode;
use tower_oauth_refresh::{EventKind, Generation, Logout, RefreshReport, ReplayOutcome};
use tower_oauth_refresh_binding::DpopKey;
use tower_oauth_refresh_testkit::TokenHash;

use crate::world::World;

#[tokio::test]
async fn two_hundred_requests_at_expiry_with_nonces_on_both_sides_are_one_refresh_and_all_succeed() {
    let world = World::public().await;
    world.log_in().await;
    world.demand_nonces();
    world.let_tokens_expire();

    let ids: Vec<_> = (0..200).map(|number| format!("r-{number}")).collect();
    let answers = join_all(ids.iter().map(|id| world.post(id, format!("the body of {id}")))).await;
    for answer in answers {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
    let verdict = world.ledger().verdict();
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert_eq!((verdict.refreshes_committed, verdict.refreshes), (1, 2), "one, and one for its nonce");
    assert_eq!(verdict.proofs, verdict.token_requests + verdict.api_requests);
    assert!(verdict.nonce_challenges > 1, "{verdict:#?}");
    assert_eq!(verdict.api_requests + 1, 200 + verdict.nonce_challenges);
    assert_eq!(verdict.api_unauthorized + 1, verdict.nonce_challenges, "for nothing but nonces");

    // 9449-09: known by now, and good until the server wants another.
    let before = verdict.nonce_challenges;
    assert_eq!(world.post("later", "").await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.ledger().verdict().nonce_challenges, before);
}

/// 9449-08, 7523-04
#[tokio::test]
async fn a_nonce_at_the_token_endpoint_takes_a_new_proof_and_a_new_assertion_and_is_no_failure() {
    let key = DpopKey::generate().unwrap();
    let world = World::confidential(key.clone()).await;
    let login = world.auth.login_bound_to(key.thumbprint());
    world.coordinator.install("acme", login).await.unwrap();
    world.auth.demand_nonce();
    world.let_tokens_expire();
    world.coordinator.token("acme").await.unwrap();

    let sent = world.ledger().refreshes();
    let errors: Vec<_> = sent.iter().map(|request| request.error.as_deref()).collect();
    assert_eq!(errors, [Some("use_dpop_nonce"), None]);
    let assertions: HashSet<_> = sent.iter().map(|request| request.assertion.unwrap()).collect();
    assert_eq!(assertions.len(), 2);
    let proofs: Vec<_> = sent.iter().map(|request| request.proof.clone().unwrap()).collect();
    assert_ne!(proofs[0].jti, proofs[1].jti);
    assert!(proofs[0].nonce.is_none() && proofs[1].nonce.is_some());
    let verdict = world.ledger().verdict();
    assert!(verdict.is_clean(), "{verdict:#?}");

    let told: Vec<_> = world.told().into_iter().map(|event| event.kind).collect();
    assert!(
        matches!(
            told[..],
            [EventKind::Installed(_), EventKind::RefreshStarted, EventKind::Refreshed(Generation { .. })]
        ),
        "{told:?}"
    );
}

/// 9449-11, 9449-04, 9449-07
#[tokio::test]
async fn a_token_refused_after_a_nonce_is_healed_still_and_each_send_has_a_proof_of_its_own() {
    let world = World::public().await;
    let login = world.log_in().await;
    world.demand_nonces();
    world.auth.revoke_access_token(&login.access_token);

    let answer = world.post("r-1", "tea").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let report = answer.extensions().get::<RefreshReport>().unwrap();
    assert!(matches!(report.outcome, ReplayOutcome::Replayed(_)), "{report:?}");

    let sends = world.ledger().sends_of("r-1");
    let demanded: Vec<_> = sends.iter().map(|send| (send.nonce_demanded, send.accepted)).collect();
    assert_eq!(demanded, [(true, false), (false, false), (false, true)]);
    let old = Some(TokenHash::from(&login.access_token));
    assert!(sends[0].token == old && sends[1].token == old && sends[2].token != old);
    let verdict = world.ledger().verdict();
    assert!(verdict.is_clean(), "`ath` and all the rest: {verdict:#?}");
    assert_eq!(verdict.refreshes_committed, 1);
}

#[tokio::test]
async fn the_key_of_a_login_outlives_its_refreshes_and_signs_its_revocation() {
    let world = World::public().await;
    world.log_in().await;
    for number in 0..3 {
        world.let_tokens_expire();
        assert_eq!(world.post(&format!("r-{number}"), "").await.unwrap().status(), StatusCode::OK);
    }
    let logout = world.coordinator.logout("acme").await.unwrap();
    assert!(matches!(logout, Logout::Revoked), "{logout:?}");

    let ledger = world.ledger();
    let mut keys: HashSet<_> = ledger.refreshes().into_iter().filter_map(|it| it.proof?.key).collect();
    keys.extend(ledger.api_requests().into_iter().filter_map(|it| it.proof?.key));
    keys.extend(ledger.revocations().into_iter().map(|it| it.proof.unwrap().key.unwrap()));
    assert_eq!(keys.len(), 1);
    let verdict = ledger.verdict();
    assert_eq!((verdict.refreshes_committed, verdict.is_clean()), (3, true), "{verdict:#?}");
}

#[tokio::test]
async fn each_new_login_has_its_own_key() {
    let world = World::public().await;
    for id in ["r-1", "r-2"] {
        world.log_in().await;
        assert_eq!(world.post(id, "").await.unwrap().status(), StatusCode::OK);
    }
    let keys: HashSet<_> = world.ledger().api_requests().into_iter().filter_map(|it| it.proof?.key).collect();
    assert_eq!(keys.len(), 2);
}
