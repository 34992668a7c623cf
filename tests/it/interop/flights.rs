//! Refreshes that the server grants: one for everybody, and nothing lost.

use http::StatusCode;
use tower::ServiceExt as _;
use tower_oauth_refresh::EventKind;
use tower_oauth_refresh_testkit::Gate;

use crate::harness::{EXPIRED, Foreign, KEY, LONG, all, crowd, noise, send, sha256, start, until, within};
use crate::oidc::Fault;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_requests_with_an_expired_token_need_one_refresh() {
    let foreign = Foreign::start("basic").await;
    foreign.install(EXPIRED).await;
    let answers = all(crowd(200, |n| send(foreign.client(), foreign.request(format!("{n}"))))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 200);
    let seen = foreign.server.counters().await;
    assert_eq!((seen.token_requests["refresh_token"], seen.refreshed), (1, 1));
    assert_eq!((seen.reuses, seen.challenges), (0, 0), "nobody sends what has expired");
}

#[tokio::test]
async fn twenty_generations_follow_one_another_without_reuse() {
    let foreign = Foreign::start("post").await;
    foreign.install(LONG).await;
    for generation in 1..=20 {
        foreign.clock.advance(LONG);
        let answers = all(crowd(3, |_| send(foreign.client(), foreign.request("again")))).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{generation}: {answers:?}");
        assert_eq!(foreign.refreshes().await, generation);
    }
    let seen = foreign.server.counters().await;
    assert_eq!((seen.refreshed, seen.reuses, seen.invalid_grants), (20, 0, 0));
    assert_eq!((seen.max_refreshes_at_once, seen.challenges), (1, 0));
}

#[tokio::test]
async fn a_revoked_access_token_is_healed_by_one_refresh_and_one_replay() {
    let foreign = Foreign::start("public").await;
    let login = foreign.install(LONG).await;
    foreign.server.revoke_access_token(&login.access_token).await;
    let body = noise(50_000);
    let answer = foreign.post(body.clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let echo = answer.echo();
    assert_eq!((echo["length"].as_u64(), echo["method"].as_str()), (Some(50_000), Some("POST")));
    assert_eq!(echo["sha256"].as_str(), Some(sha256(&body).as_str()));
    assert!(answer.was_replayed());
    let seen = foreign.server.counters().await;
    assert_eq!((seen.refreshed, seen.challenges, seen.reuses), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_refusals_that_come_after_the_refresh_need_no_other() {
    let foreign = Foreign::start("public").await;
    let login = foreign.install(LONG).await;
    foreign.server.revoke_access_token(&login.access_token).await;
    let gate = Gate::new();
    // Answers pass the gate before the layer sees them.
    let slow = || {
        let (client, gate) = (foreign.bare(), gate.clone());
        foreign.layered(client.then(move |answer| {
            let gate = gate.clone();
            async move {
                gate.hold().await;
                answer
            }
        }))
    };
    let stragglers = crowd(200, |n| send(slow(), foreign.request(format!("{n}"))));
    within(gate.arrivals(200)).await;
    assert!(foreign.post("healed at once").await.was_replayed());
    assert_eq!(foreign.refreshes().await, 1);
    gate.release();
    let answers = all(stragglers).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && answer.was_replayed()));
    let seen = foreign.server.counters().await;
    assert_eq!((seen.token_requests["refresh_token"], seen.challenges, seen.reuses), (1, 201, 0));
}

#[tokio::test]
async fn a_refresh_outlives_the_caller_that_began_it() {
    let foreign = Foreign::start("basic").await;
    foreign.install(EXPIRED).await;
    foreign.server.spoil_next_refresh(Fault::Hold).await;
    let first = start(send(foreign.client(), foreign.request("first")));
    foreign.server.held().await;
    let others = crowd(10, |_| send(foreign.client(), foreign.request("other")));
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    foreign.server.release().await;
    assert!(all(others).await.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(foreign.refreshes().await, 1);
}

#[tokio::test]
async fn a_refresh_outlives_all_its_callers_and_its_token_is_stored() {
    let foreign = Foreign::start("post").await;
    let login = foreign.install(EXPIRED).await;
    foreign.server.spoil_next_refresh(Fault::Hold).await;
    let mut callers = crowd(10, |_| send(foreign.client(), foreign.request("gone")));
    foreign.server.held().await;
    callers.shutdown().await;
    let mut events = foreign.coordinator.events();
    foreign.server.release().await;
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    let token = foreign.coordinator.token(KEY).await.unwrap();
    assert_ne!(token.expose_secret(), login.access_token);
    assert_eq!(foreign.post("later").await.status, StatusCode::OK);
    // What was stored is the new refresh token: the next refresh would be reuse otherwise.
    foreign.clock.advance(LONG);
    assert_eq!(foreign.post("much later").await.status, StatusCode::OK);
    let seen = foreign.server.counters().await;
    assert_eq!((seen.token_requests["refresh_token"], seen.refreshed, seen.reuses), (2, 2, 0));
}

#[tokio::test]
async fn the_server_understands_every_way_of_client_authentication() {
    for client in ["basic", "post", "public"] {
        let foreign = Foreign::start(client).await;
        foreign.install(EXPIRED).await;
        assert_eq!(foreign.post("hello").await.status, StatusCode::OK, "{client}");
        let seen = foreign.server.counters().await;
        assert_eq!((seen.token_requests["refresh_token"], seen.refreshed), (1, 1), "{client}");
    }
}
