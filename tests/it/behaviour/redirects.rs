//! Where a redirect leads, no token follows.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use tower::Layer as _;
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_oauth_refresh::ErrorKind;
use tower_oauth_refresh_testkit::{Answer, ApiRequest, AuthServer, Fault, ResourceServer};

use super::each_way;
use crate::harness::{Way, World, kind, origin, send, try_send};

each_way! {
    a_redirect_followed_above_the_layer_takes_no_token_to_another_origin
    a_redirect_followed_above_the_layer_takes_the_token_to_a_named_origin
    a_redirect_followed_below_the_layer_takes_no_token_to_another_origin
    a_redirect_not_followed_is_the_answer
    the_token_endpoint_is_not_followed_elsewhere
}

/// A redirect to a path of `api`.
fn redirect(api: &ResourceServer) -> Answer {
    let location = HeaderValue::from_str(&api.url("/elsewhere")).unwrap();
    Answer::new(StatusCode::FOUND).header(header::LOCATION, location)
}

/// What arrived where the redirect led.
fn arrived(world: &World) -> Vec<ApiRequest> {
    let mut requests = world.auth.ledger().api_requests();
    requests.retain(|request| request.path == "/elsewhere");
    requests
}

// MCP-04
async fn a_redirect_followed_above_the_layer_takes_no_token_to_another_origin(way: Way) {
    let world = World::start(way).await;
    let other = ResourceServer::start(&world.auth).await.unwrap();
    world.install_revoked().await;
    // The token is attached twice, by the replay too, before the redirect comes.
    world.api.fault(Fault::none());
    world.api.respond_next(redirect(&other));
    let got = send(FollowRedirectLayer::new().layer(world.client()), world.request(0)).await;
    assert_eq!((got.status, got.report.is_none()), (StatusCode::UNAUTHORIZED, true), "{got:?}");
    assert_eq!(arrived(&world).iter().map(|request| request.token).collect::<Vec<_>>(), [None]);
    assert_eq!(world.seen(), (1, 3), "a refusal by another origin is none of the layer's business");
}

async fn a_redirect_followed_above_the_layer_takes_the_token_to_a_named_origin(way: Way) {
    let world = World::start(way).await;
    let other = ResourceServer::start(&world.auth).await.unwrap();
    world.install().await;
    world.api.respond_next(redirect(&other));
    let client = world.layer().origin(origin(&other)).layer(world.bare());
    let got = send(FollowRedirectLayer::new().layer(client), world.request(0)).await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(arrived(&world)[0].accepted);
}

async fn a_redirect_followed_below_the_layer_takes_no_token_to_another_origin(way: Way) {
    let world = World::start(way).await;
    let other = ResourceServer::start(&world.auth).await.unwrap();
    world.install().await;
    let client = world.layer().layer(FollowRedirectLayer::new().layer(world.bare()));
    world.api.respond_next(redirect(&world.api));
    assert_eq!(send(client.clone(), world.request(0)).await.status, StatusCode::OK);
    assert!(arrived(&world)[0].accepted, "the same origin");

    world.api.always(Fault::answer(redirect(&other)));
    // The layer cannot know who refused, and heals in vain; once.
    for id in 1..5 {
        assert_eq!(send(client.clone(), world.request(id)).await.status, StatusCode::UNAUTHORIZED);
    }
    let strangers: Vec<_> = arrived(&world).into_iter().skip(1).map(|request| request.token).collect();
    assert_eq!(strangers, [None; 5]);
    assert_eq!(world.seen().0, 1);
}

async fn a_redirect_not_followed_is_the_answer(way: Way) {
    let world = World::start(way).await;
    world.install().await;
    world.api.respond_next(redirect(&world.api));
    let got = world.get(0).await;
    assert_eq!((got.status, got.report.is_none()), (StatusCode::FOUND, true));
    assert_eq!(world.seen(), (0, 1));
}

async fn the_token_endpoint_is_not_followed_elsewhere(way: Way) {
    let thief = AuthServer::start().await.unwrap();
    let location = HeaderValue::from_str(&thief.token_endpoint().to_string()).unwrap();
    for status in [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT, StatusCode::FOUND] {
        let world = World::start(way).await;
        world.install_expired().await;
        let away = Answer::new(status).header(header::LOCATION, location.clone());
        world.auth.fault(Fault::answer(away));
        for id in 0..5 {
            let error = try_send(world.client(), world.request(id)).await.expect_err("no token");
            assert_eq!(kind(&error), ErrorKind::Configuration, "{status}");
        }
        assert_eq!(world.seen(), (1, 0), "{status}: asked once, then left alone");
        // Nothing was erased: mended, it goes on.
        world.clock.advance(Duration::from_secs(60));
        assert_eq!(world.get(9).await.status, StatusCode::OK, "{status}");
        world.assert_clean();
    }
    assert_eq!(thief.ledger().verdict().token_requests, 0);
}
