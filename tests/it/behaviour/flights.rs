//! One refresh at a time, owned by nobody who could take it away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer as _, ServiceBuilder};
use tower_oauth_refresh::{CredentialKey, ErrorKind, EventKind, RefreshLayer, ReplayBody};
use tower_oauth_refresh_testkit::{Answer, Fault, Gate, Rotation, StoreFault};

use super::each_way;
use crate::harness::{
    EXPIRED, KEY, Way, World, all, crowd, kind, origin, send, start, try_send, until, within,
};

const HOUR: Duration = Duration::from_secs(3600);

each_way! {
    a_hundred_refusals_at_once_need_one_refresh_and_a_hundred_replays
    a_hundred_requests_with_an_expired_token_need_one_refresh
    the_caller_that_began_a_refresh_may_go_away
    all_callers_may_go_away_and_the_token_is_stored
    one_waiter_that_goes_away_disturbs_nobody
    a_panic_in_the_store_hangs_nobody_and_the_next_request_refreshes
    a_panic_in_the_client_hangs_nobody_and_the_next_request_refreshes
    whoever_is_woken_finds_the_new_token
    a_refresh_through_the_clients_one_permit_does_not_wait_for_itself
    two_coordinators_on_one_store_share_one_refresh
    a_caller_less_patient_than_the_server_fails_and_the_refresh_goes_on
    a_failed_early_refresh_leaves_the_valid_token_in_use
    five_hundred_requests_in_the_window_begin_one_early_refresh
    an_answer_lost_within_a_grace_window_is_made_good_by_one_more_try
    a_request_right_behind_a_failure_gets_that_failure
    one_credentials_trouble_does_not_delay_another
}

async fn a_hundred_refusals_at_once_need_one_refresh_and_a_hundred_replays(way: Way) {
    let world = World::start(way).await;
    world.install_revoked().await;
    let gate = world.auth.hold_before_commit();
    let requests = crowd(100, |id| send(world.client(), world.request(id)));
    within(gate.arrived()).await;
    within(world.auth.ledger().until(|verdict| verdict.api_unauthorized == 100)).await;
    gate.release();
    let answers = all(requests).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && answer.was_replayed()));
    assert_eq!(world.seen(), (1, 200));
    let verdict = world.auth.ledger().verdict();
    assert_eq!((verdict.replays, verdict.max_sends_of_one_request), (100, 2));
    world.assert_clean();
}

async fn a_hundred_requests_with_an_expired_token_need_one_refresh(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    let answers = all(crowd(100, |id| send(world.client(), world.request(id)))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && answer.report.is_none()));
    assert_eq!(world.seen(), (1, 100), "no request carries a token that has expired");
    world.assert_clean();
}

async fn the_caller_that_began_a_refresh_may_go_away(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    let gate = world.auth.hold_after_commit();
    let first = start(send(world.client(), world.request(0)));
    within(gate.arrived()).await;
    let others = crowd(10, |id| send(world.client(), world.request(1 + id)));
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.release();
    assert!(all(others).await.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(world.seen(), (1, 10));
    world.assert_clean();
}

async fn all_callers_may_go_away_and_the_token_is_stored(way: Way) {
    let world = World::start(way).await;
    let login = world.install_expired().await;
    let gate = world.auth.hold_after_commit();
    let mut callers = crowd(10, |id| send(world.client(), world.request(id)));
    within(gate.arrived()).await;
    callers.shutdown().await;
    let mut events = world.coordinator.events();
    gate.release();
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    assert_ne!(world.token().await.expose_secret(), login.access_token.expose_secret());
    // Another process would find it too, and refreshes with the new refresh token.
    let other = world.builder().build(world.bare()).unwrap();
    assert_eq!(other.status(KEY).await.unwrap().unwrap().generation.get(), 2);
    world.clock.advance(HOUR);
    within(other.token(KEY)).await.unwrap();
    assert_eq!(world.seen(), (2, 0));
    world.assert_clean();
}

async fn one_waiter_that_goes_away_disturbs_nobody(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    let gate = world.auth.hold_before_commit();
    let others = crowd(10, |id| send(world.client(), world.request(id)));
    within(gate.arrived()).await;
    let waiter = start(send(world.client(), world.request(99)));
    tokio::task::yield_now().await;
    waiter.abort();
    assert!(within(waiter).await.unwrap_err().is_cancelled(), "it does not wait for the refresh");
    gate.release();
    assert!(all(others).await.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(world.seen(), (1, 10));
    world.assert_clean();
}

async fn a_panic_in_the_store_hangs_nobody_and_the_next_request_refreshes(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    world.store.fault_load(StoreFault::panic());
    for answer in all(crowd(10, |id| try_send(world.client(), world.request(id)))).await {
        assert_eq!(kind(&answer.expect_err("no token")), ErrorKind::Store);
    }
    assert_eq!(world.seen(), (0, 0));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.get(99).await.status, StatusCode::OK);
    assert_eq!(world.seen(), (1, 1));
    world.assert_clean();
}

async fn a_panic_in_the_client_hangs_nobody_and_the_next_request_refreshes(way: Way) {
    let mut world = World::start(way).await;
    let panics = Arc::new(AtomicBool::new(true));
    let transport = ServiceBuilder::new()
        .map_request(move |request: Request<Full<Bytes>>| {
            assert!(!panics.swap(false, Ordering::SeqCst), "a scripted panic");
            request.map(ReplayBody::<Full<Bytes>>::plain)
        })
        .service(world.bare());
    world.coordinator = world.builder().build(transport).unwrap();
    world.install_expired().await;
    // Nobody knows whether the request had left, so that it is sent once more at once.
    for answer in all(crowd(10, |id| try_send(world.client(), world.request(id)))).await {
        assert_eq!(answer.expect("a token").status, StatusCode::OK);
    }
    assert_eq!(world.get(99).await.status, StatusCode::OK);
    assert_eq!(world.seen(), (1, 11));
    world.assert_clean();
}

async fn whoever_is_woken_finds_the_new_token(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    let tokens = all(crowd(50, |id| {
        let (client, request) = (world.client(), world.request(id));
        let coordinator = world.coordinator.clone();
        async move {
            assert_eq!(send(client, request).await.status, StatusCode::OK);
            coordinator.token(KEY).await.unwrap().expose_secret().to_owned()
        }
    }))
    .await;
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert!(world.auth.ledger().api_requests().iter().all(|request| request.generation == Some(2)));
    assert_eq!(world.seen(), (1, 50));
}

async fn a_refresh_through_the_clients_one_permit_does_not_wait_for_itself(way: Way) {
    let mut world = World::start(way).await;
    // One client with one permit, for the API and for the token endpoint.
    let permits = tower::limit::GlobalConcurrencyLimitLayer::new(1);
    let shared = permits.layer(world.bare());
    world.coordinator = world.builder().build(shared.clone()).unwrap();
    let client = || world.layer().layer(shared.clone());
    world.install_expired().await;
    let expired = all(crowd(20, |id| send(client(), world.request(id)))).await;
    assert!(expired.iter().all(|answer| answer.status == StatusCode::OK));
    world.install_revoked().await;
    let refused = all(crowd(20, |id| send(client(), world.request(20 + id)))).await;
    assert!(refused.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(world.seen().0, 2);
    world.assert_clean();
}

async fn two_coordinators_on_one_store_share_one_refresh(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    let other = world.builder().build(world.bare()).unwrap();
    let layer = RefreshLayer::new(other, KEY).origin(origin(&world.api));
    let gate = world.auth.hold_before_commit();
    let ours = crowd(10, |id| send(world.client(), world.request(id)));
    within(gate.arrived()).await;
    let theirs = crowd(10, |id| send(layer.layer(world.bare()), world.request(10 + id)));
    tokio::task::yield_now().await;
    gate.release();
    assert!(all(ours).await.iter().all(|answer| answer.status == StatusCode::OK));
    assert!(all(theirs).await.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(world.seen(), (1, 20));
    world.assert_clean();
}

async fn a_caller_less_patient_than_the_server_fails_and_the_refresh_goes_on(way: Way) {
    let limit = Duration::from_millis(20);
    let world = World::with(way, |auth| auth, |builder| builder.wait_limit(limit)).await;
    world.install_expired().await;
    let gate = world.auth.hold_after_commit();
    let error = try_send(world.client(), world.request(0)).await.expect_err("it waits no longer");
    assert_eq!(kind(&error), ErrorKind::TimedOut);
    within(gate.arrived()).await;
    let mut events = world.coordinator.events();
    gate.release();
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    assert_eq!(world.get(1).await.status, StatusCode::OK);
    assert_eq!(world.seen(), (1, 1));
    world.assert_clean();
}

async fn a_failed_early_refresh_leaves_the_valid_token_in_use(way: Way) {
    let world = World::start(way).await;
    world.install().await;
    world.auth.always(Fault::answer(Answer::new(StatusCode::SERVICE_UNAVAILABLE)));
    world.clock.advance(HOUR - Duration::from_secs(120));
    let mut events = world.coordinator.events();
    assert_eq!(world.get(0).await.status, StatusCode::OK);
    until(&mut events, |event| matches!(event, EventKind::Failed(_))).await;
    let (failed, _) = world.seen();
    let answers = all(crowd(50, |id| send(world.client(), world.request(1 + id)))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && answer.report.is_none()));
    assert_eq!(world.seen(), (failed, 51), "nobody asks again before the rest is over");

    world.auth.clear();
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.get(99).await.echo()["generation"], 1);
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    assert_eq!(world.get(100).await.echo()["generation"], 2);
    world.assert_clean();
}

async fn five_hundred_requests_in_the_window_begin_one_early_refresh(way: Way) {
    let world = World::start(way).await;
    world.install().await;
    world.clock.advance(HOUR - Duration::from_secs(120));
    let gate = world.auth.hold_before_commit();
    let early = all(crowd(500, |id| send(world.client(), world.request(id)))).await;
    assert!(early.iter().all(|answer| answer.echo()["generation"] == 1), "nobody waits for it");
    within(gate.arrived()).await;
    let mut events = world.coordinator.events();
    gate.release();
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    let late = all(crowd(50, |id| send(world.client(), world.request(500 + id)))).await;
    assert!(late.iter().all(|answer| answer.echo()["generation"] == 2));
    assert_eq!(world.seen(), (1, 550));
    world.assert_clean();
}

async fn an_answer_lost_within_a_grace_window_is_made_good_by_one_more_try(way: Way) {
    let grace = Rotation::Grace(Duration::from_secs(30));
    for fault in [Fault::drop_connection().after_commit(), Fault::cut_body_at(20), Fault::not_json()] {
        let world = World::with(way, |auth| auth.rotation(grace), |builder| builder).await;
        world.install_expired().await;
        let gate = Gate::new();
        world.auth.fault(fault.held_after_commit(&gate));
        let requests = crowd(20, |id| send(world.client(), world.request(id)));
        within(gate.arrived()).await;
        gate.release();
        assert!(all(requests).await.iter().all(|answer| answer.status == StatusCode::OK));
        assert_eq!(world.seen(), (2, 20));
        world.assert_clean();
    }
}

async fn a_request_right_behind_a_failure_gets_that_failure(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    world.auth.always(Fault::answer(Answer::oauth_error(StatusCode::BAD_REQUEST, "invalid_scope")));
    // The moment is short: many tries.
    for round in 1..=100 {
        for _ in 0..3 {
            let error = within(world.coordinator.token(KEY)).await.expect_err("no token");
            assert_eq!(error.kind(), ErrorKind::Configuration, "{round}");
        }
        assert_eq!(world.seen(), (round, 0));
        world.clock.advance(Duration::from_secs(60));
    }
    world.assert_clean();
}

async fn one_credentials_trouble_does_not_delay_another(way: Way) {
    let world = World::start(way).await;
    for key in ["stuck", "well"] {
        world.coordinator.install(key, world.auth.login().with_expires_in(EXPIRED)).await.unwrap();
    }
    let gate = world.auth.hold_before_commit();
    let layer = RefreshLayer::credential_from_extension(world.coordinator.clone());
    let client = layer.origin(origin(&world.api)).layer(world.bare());
    let request = |id, key: &str| {
        let mut request = world.request(id);
        request.extensions_mut().insert(CredentialKey::from(key));
        request
    };
    let stuck = start(send(client.clone(), request(0, "stuck")));
    within(gate.arrived()).await;
    assert_eq!(send(client.clone(), request(1, "well")).await.status, StatusCode::OK);
    assert!(!stuck.is_finished());
    gate.release();
    assert_eq!(within(stuck).await.unwrap().status, StatusCode::OK);
    let families: Vec<_> = world.auth.ledger().api_requests().iter().map(|sent| sent.family).collect();
    assert_ne!(families[0], families[1], "each has its own token");
    assert_eq!(world.seen(), (2, 2));
    world.assert_clean();
}
