//! Logins that end, and begin, while others wait for them.

use std::time::Duration;

use http::StatusCode;
use tower_oauth_refresh::{ErrorKind, EventKind, Logout};
use tower_oauth_refresh_testkit::{Fault, StoreFault};

use super::each_way;
use crate::harness::{EXPIRED, KEY, Way, World, all, crowd, kind, start, try_send, until, within};

each_way! {
    whoever_waits_when_a_login_ends_is_told_so
    whoever_waits_when_a_login_begins_gets_its_token
    a_dead_login_is_asked_for_once_and_a_new_one_works
    an_answer_lost_on_a_strict_server_is_told_from_a_revocation
    a_token_set_that_the_store_refuses_is_neither_lost_nor_asked_for_again
}

async fn whoever_waits_when_a_login_ends_is_told_so(way: Way) {
    let world = World::start(way).await;
    let login = world.install_expired().await;
    let gate = world.auth.hold_after_commit();
    let waiting = crowd(10, |id| try_send(world.client(), world.request(id)));
    within(gate.arrived()).await;
    let mut events = world.coordinator.events();
    let coordinator = world.coordinator.clone();
    let logout = start(async move { coordinator.logout(KEY).await });
    until(&mut events, |event| matches!(event, EventKind::LoggedOut)).await;
    gate.release();
    assert_eq!(within(logout).await.unwrap().unwrap(), Logout::Revoked);
    for answer in all(waiting).await {
        assert_eq!(kind(&answer.expect_err("the login has ended")), ErrorKind::LoggedOut);
    }
    let family = world.auth.family_of(login.access_token.expose_secret());
    assert!(world.auth.ledger().revocations().iter().all(|revocation| revocation.family == family));
    let (refreshes, requests) = world.seen();
    assert_eq!((refreshes, requests), (1, 0));
    world.assert_clean();
}

async fn whoever_waits_when_a_login_begins_gets_its_token(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    let gate = world.auth.hold_after_commit();
    let waiting = crowd(10, |id| try_send(world.client(), world.request(id)));
    within(gate.arrived()).await;
    let next = world.auth.login();
    let family = world.auth.family_of(next.access_token.expose_secret());
    world.coordinator.install(KEY, next.with_expires_in(EXPIRED)).await.unwrap();
    gate.release();
    for answer in all(waiting).await {
        assert_eq!(answer.expect("a token of the new login").status, StatusCode::OK);
    }
    assert!(world.auth.ledger().api_requests().iter().all(|request| request.family == family));
    assert_eq!(world.seen(), (2, 10));
    assert_eq!(world.auth.ledger().revocations().len(), 1, "the old login's set is given back");
    world.assert_clean();
}

async fn a_dead_login_is_asked_for_once_and_a_new_one_works(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    world.auth.revoke_all();
    for _ in 0..5 {
        for answer in all(crowd(20, |id| try_send(world.client(), world.request(id)))).await {
            assert_eq!(kind(&answer.expect_err("dead")), ErrorKind::InvalidGrant);
        }
        world.clock.advance(Duration::from_secs(3600));
    }
    // Another coordinator reads it from the store.
    let other = world.builder().build(world.bare()).unwrap();
    assert_eq!(within(other.token(KEY)).await.unwrap_err().kind(), ErrorKind::InvalidGrant);
    assert_eq!(world.seen(), (1, 0));
    world.install().await;
    assert_eq!(world.get(0).await.status, StatusCode::OK);
    // A verdict is looked at once a second.
    world.clock.advance(Duration::from_secs(1));
    within(other.token(KEY)).await.expect("it finds the new login");
    assert_eq!(world.seen(), (1, 1));
}

async fn an_answer_lost_on_a_strict_server_is_told_from_a_revocation(way: Way) {
    for fault in [Fault::drop_connection().after_commit(), Fault::cut_body_at(10), Fault::not_json()] {
        let world = World::start(way).await;
        world.install_expired().await;
        world.auth.fault(fault);
        for _ in 0..3 {
            for answer in all(crowd(10, |id| try_send(world.client(), world.request(id)))).await {
                assert_eq!(kind(&answer.expect_err("lost")), ErrorKind::LostRotation);
            }
            world.clock.advance(Duration::from_secs(60));
        }
        assert_eq!(world.seen(), (2, 0), "sent twice, and never again");
        assert!(world.auth.ledger().verdict().is_clean());
    }
}

async fn a_token_set_that_the_store_refuses_is_neither_lost_nor_asked_for_again(way: Way) {
    let world = World::start(way).await;
    world.install_expired().await;
    // The mark is written; what came back fails twice, the second time although it was written.
    world.store.fault_swap(StoreFault::none());
    world.store.fault_swap(StoreFault::fail());
    world.store.fault_swap(StoreFault::fail_after_write());
    let answers = all(crowd(10, |id| try_send(world.client(), world.request(id)))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().status == StatusCode::OK));
    assert_eq!(world.seen(), (1, 10));
    world.assert_clean();
}
