//! How logins end at this server: refused, lost, logged out; and that a new one begins.

use std::time::Duration;

use http::StatusCode;
use tower_oauth_refresh::{ErrorKind, EventKind, Logout};

use crate::harness::{EXPIRED, Foreign, KEY, LONG, all, crowd, kind, start, try_send, until, within};
use crate::oidc::Fault;

/// What each of `count` requests at once fails with.
async fn failures(foreign: &Foreign, count: usize) -> Vec<ErrorKind> {
    let answers = all(crowd(count, |_| try_send(foreign.client(), foreign.request("any")))).await;
    answers.into_iter().map(|answer| kind(&answer.expect_err("no token"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_grant_fails_everybody_once_and_is_not_asked_for_again() {
    let foreign = Foreign::start("basic").await;
    let login = foreign.install(EXPIRED).await;
    foreign.revoke_grant(&login.refresh_token).await;
    assert_eq!(failures(&foreign, 50).await, [ErrorKind::InvalidGrant; 50]);
    assert_eq!(foreign.refreshes().await, 1, "one failure for all");
    // Long enough for every pause there is.
    for _ in 0..5 {
        foreign.clock.advance(Duration::from_secs(600));
        assert_eq!(failures(&foreign, 5).await, [ErrorKind::InvalidGrant; 5]);
    }
    let seen = foreign.server.counters().await;
    assert_eq!((seen.token_requests["refresh_token"], seen.challenges), (1, 0), "nothing was sent");

    foreign.install(LONG).await;
    assert_eq!(foreign.post("back again").await.status, StatusCode::OK);
    foreign.clock.advance(LONG);
    assert_eq!(foreign.post("and refreshed").await.status, StatusCode::OK);
    assert_eq!(foreign.server.counters().await.refreshed, 1);
}

#[tokio::test]
async fn an_answer_lost_after_the_rotation_is_reported_as_such_after_one_more_try() {
    for fault in [Fault::Drop, Fault::CutAt(0), Fault::CutAt(20)] {
        let foreign = Foreign::start("post").await;
        foreign.install(EXPIRED).await;
        foreign.server.spoil_next_refresh(fault).await;
        assert_eq!(failures(&foreign, 10).await, [ErrorKind::LostRotation; 10], "{fault:?}");
        foreign.clock.advance(Duration::from_secs(600));
        assert_eq!(failures(&foreign, 1).await, [ErrorKind::LostRotation], "{fault:?}");
        let seen = foreign.server.counters().await;
        assert_eq!(seen.token_requests["refresh_token"], 2, "{fault:?}: one more try, and never again");
        assert_eq!((seen.answers_spoiled, seen.refreshed, seen.reuses), (1, 1, 1), "{fault:?}");
        assert_eq!(seen.max_refreshes_at_once, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn logout_revokes_the_newest_refresh_token_at_the_server() {
    let foreign = Foreign::start("basic").await;
    let login = foreign.install(EXPIRED).await;
    assert_eq!(foreign.post("refreshed").await.status, StatusCode::OK);
    let token = foreign.coordinator.token(KEY).await.unwrap();
    assert!(foreign.is_active(token.expose_secret()).await);

    assert_eq!(foreign.coordinator.logout(KEY).await.unwrap(), Logout::Revoked);
    assert!(!foreign.is_active(token.expose_secret()).await);
    let counted = foreign.refreshes().await;
    assert_eq!(failures(&foreign, 5).await, [ErrorKind::LoggedOut; 5]);
    assert_eq!(foreign.refreshes().await, counted, "nothing is sent for a login that has ended");
    let refused = foreign.server.refresh("basic", &login.refresh_token).await.unwrap();
    assert_eq!((refused.0, refused.1["error"].as_str()), (400, Some("invalid_grant")));
    // Refused because it is gone, not because it had been used: the grant ended with the logout.
    assert_eq!(foreign.server.counters().await.reuses, 0);
}

#[tokio::test]
async fn logout_ends_a_login_whose_refresh_token_was_never_used() {
    let foreign = Foreign::start("public").await;
    let login = foreign.install(LONG).await;
    assert!(foreign.is_active(&login.refresh_token).await);
    assert_eq!(foreign.coordinator.logout(KEY).await.unwrap(), Logout::Revoked);
    assert!(!foreign.is_active(&login.refresh_token).await && !foreign.is_active(&login.access_token).await);
    let refused = foreign.server.refresh("public", &login.refresh_token).await.unwrap();
    assert_eq!((refused.0, refused.1["error"].as_str()), (400, Some("invalid_grant")));
    assert_eq!(foreign.coordinator.logout(KEY).await.unwrap(), Logout::NothingStored);
}

#[tokio::test]
async fn a_refresh_that_a_logout_overtakes_is_given_back() {
    let foreign = Foreign::start("basic").await;
    foreign.install(EXPIRED).await;
    foreign.server.spoil_next_refresh(Fault::Hold).await;
    let late = start(try_send(foreign.client(), foreign.request("too late")));
    foreign.server.held().await;
    let mut events = foreign.coordinator.events();
    let coordinator = foreign.coordinator.clone();
    let logout = start(async move { coordinator.logout(KEY).await });
    until(&mut events, |event| matches!(event, EventKind::LoggedOut)).await;
    foreign.server.release().await;
    until(&mut events, |event| matches!(event, EventKind::Discarded)).await;
    assert_eq!(within(logout).await.unwrap().unwrap(), Logout::Revoked);
    within(late).await.unwrap().expect_err("no token for a login that has ended");
    assert_eq!(failures(&foreign, 1).await, [ErrorKind::LoggedOut]);
    let seen = foreign.server.counters().await;
    assert_eq!((seen.refreshed, seen.reuses), (1, 0));
    assert_eq!(seen.revocations, 1, "the grant has ended at the server too");
}
