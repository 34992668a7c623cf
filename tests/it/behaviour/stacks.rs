//! The layer among tower's others: nothing deadlocks, nothing is sent unready, time limits mean what they say.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{Layer as _, ServiceBuilder, service_fn};
use tower_oauth_refresh::{ClientAuth, EventKind, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet};
use tower_oauth_refresh_testkit::Fault;

use super::each_way;
use crate::harness::{
    BoxError, EXPIRED, Got, KEY, Way, World, all, crowd, full, send, start, try_send, until, within,
};

each_way! {
    one_permit_below_the_layer_is_enough
    a_buffer_below_the_layer_and_another_above_lose_nothing
    a_client_that_sheds_load_still_gets_its_replay
    a_time_limit_above_the_layer_cuts_the_caller_and_not_the_refresh
    a_time_limit_above_the_layer_covers_the_replay
}

fn all_ok(answers: &[Got]) -> bool {
    answers.iter().all(|answer| answer.status == StatusCode::OK)
}

async fn one_permit_below_the_layer_is_enough(way: Way) {
    let world = World::start(way).await;
    let below = ServiceBuilder::new().concurrency_limit(1).service(world.bare());
    let client = world.layer().layer(below);
    world.install_expired().await;
    assert!(all_ok(&all(crowd(30, |id| send(client.clone(), world.request(id)))).await));
    world.install_revoked().await;
    assert!(all_ok(&all(crowd(30, |id| send(client.clone(), world.request(30 + id)))).await));
    assert_eq!(world.seen().0, 2);
    world.assert_clean();
}

async fn a_buffer_below_the_layer_and_another_above_lose_nothing(way: Way) {
    let world = World::start(way).await;
    let below = ServiceBuilder::new().buffer(2).concurrency_limit(1).service(world.bare());
    let client = ServiceBuilder::new().buffer(2).layer(world.layer()).service(below);
    world.install_expired().await;
    assert!(all_ok(&all(crowd(30, |id| send(client.clone(), world.request(id)))).await));
    world.install_revoked().await;
    assert!(all_ok(&all(crowd(30, |id| send(client.clone(), world.request(30 + id)))).await));
    assert_eq!(world.seen().0, 2);
    world.assert_clean();
}

async fn a_client_that_sheds_load_still_gets_its_replay(way: Way) {
    let world = World::start(way).await;
    let below = ServiceBuilder::new().load_shed().concurrency_limit(1).service(world.bare());
    let client = world.layer().layer(below);
    world.install_revoked().await;
    assert!(send(client.clone(), world.request(0)).await.was_replayed());
    world.install_expired().await;
    assert_eq!(send(client.clone(), world.request(1)).await.status, StatusCode::OK);
    // More than there is room for: its own error for those it sheds.
    let gate = world.api.hold_before_check();
    let first = start(send(client.clone(), world.request(2)));
    within(gate.arrived()).await;
    let error = try_send(client.clone(), world.request(3)).await.expect_err("no room");
    assert!(error.is::<tower::load_shed::error::Overloaded>(), "{error:?}");
    gate.release();
    assert_eq!(within(first).await.unwrap().status, StatusCode::OK);
    world.assert_clean();
}

async fn a_time_limit_above_the_layer_cuts_the_caller_and_not_the_refresh(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    let gate = world.auth.hold_after_commit();
    let impatient = ServiceBuilder::new().timeout(Duration::from_millis(20)).service(world.client());
    let error = try_send(impatient, world.request(0)).await.expect_err("too late");
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error:?}");
    within(gate.arrived()).await;
    let mut events = world.coordinator.events();
    gate.release();
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    assert_eq!(world.get(1).await.status, StatusCode::OK);
    assert_eq!(world.seen(), (1, 1));
    world.assert_clean();
}

async fn a_time_limit_above_the_layer_covers_the_replay(way: Way) {
    let world = World::start(way).await;
    world.install_revoked().await;
    // The refusal passes, the replay is held.
    world.api.fault(Fault::none());
    let gate = world.api.hold_after_check();
    let impatient = ServiceBuilder::new().timeout(Duration::from_millis(500)).service(world.client());
    let error = try_send(impatient, world.request(0)).await.expect_err("too late");
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error:?}");
    gate.release();
    assert_eq!(world.get(1).await.status, StatusCode::OK);
    assert_eq!(world.seen().0, 1);
    world.assert_clean();
}

/// A coordinator whose token endpoint grants everything at once, with an expired or a refused token.
async fn generous(life: Duration) -> Arc<RefreshCoordinator> {
    let grant = |_: Request<Full<Bytes>>| async {
        let answer = r#"{"access_token":"new","token_type":"Bearer","expires_in":3600}"#;
        let json = Response::builder().header(header::CONTENT_TYPE, "application/json");
        Ok::<_, BoxError>(json.body(full(answer)).unwrap())
    };
    let endpoint = "https://auth.example/token".parse().unwrap();
    let coordinator =
        RefreshCoordinator::builder(endpoint, ClientAuth::none("app")).build(service_fn(grant)).unwrap();
    let old = TokenSet::new("old").with_refresh_token("refresh").with_expires_in(life);
    coordinator.install(KEY, old).await.unwrap();
    coordinator
}

/// An API that takes its time and accepts the new token only.
async fn strict(
    pause: Duration,
    request: Request<ReplayBody<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::time::sleep(pause).await;
    let good = request.headers()[header::AUTHORIZATION] == "Bearer new";
    let mut answer = Response::new(full("answer"));
    *answer.status_mut() = if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    Ok(answer)
}

async fn healed_in(life: Duration, pause: Duration, limit: Duration) -> (StatusCode, Duration) {
    let layer = RefreshLayer::new(generous(life).await, KEY).origin("https://api.example".parse().unwrap());
    let api = service_fn(move |request| strict(pause, request));
    let client = ServiceBuilder::new().layer(layer).timeout(limit).service(api);
    let began = tokio::time::Instant::now();
    let got = send(client, Request::get("https://api.example/").body(full("")).unwrap()).await;
    (got.status, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn neither_a_refresh_nor_a_replay_adds_a_pause_of_its_own() {
    for life in [EXPIRED, Duration::from_secs(3600)] {
        let (status, took) = healed_in(life, Duration::ZERO, Duration::from_secs(1)).await;
        // A sleep of nothing still takes the clock's next tick, once for each of two sends.
        assert_eq!(status, StatusCode::OK);
        assert!(took <= Duration::from_millis(2), "{life:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_below_the_layer_begins_anew_for_the_replay() {
    let (pause, limit) = (Duration::from_millis(900), Duration::from_secs(1));
    let (status, took) = healed_in(Duration::from_secs(3600), pause, limit).await;
    assert_eq!(status, StatusCode::OK);
    assert!(took >= 2 * pause && took < 2 * limit, "{took:?}");
}

#[tokio::test]
async fn a_request_to_another_origin_passes_untouched() {
    let layer =
        RefreshLayer::new(generous(EXPIRED).await, KEY).origin("https://api.example".parse().unwrap());
    let api = service_fn(|request: Request<ReplayBody<Full<Bytes>>>| async move {
        let mut answer = Response::new(full(""));
        *answer.headers_mut() = request.headers().clone();
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        Ok::<_, Infallible>(answer)
    });
    let request = Request::get("https://other.example/").header("x-mine", "1").body(full("")).unwrap();
    let got = send(layer.layer(api), request).await;
    assert_eq!((got.status, got.report.is_none()), (StatusCode::UNAUTHORIZED, true));
    assert_eq!(got.headers.len(), 1, "what the service below saw: {:?}", got.headers);
}
