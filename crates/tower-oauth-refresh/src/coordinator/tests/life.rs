//! Installed, refreshed, refused, logged out.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_installed_token_is_served_without_asking_anybody() {
    let world = World::new();
    world.install(HOUR).await;
    let calls = world.store.faults.loads.load(Ordering::SeqCst);
    for _ in 0..100 {
        assert_eq!(world.token().await.unwrap(), "access-1");
    }
    assert_eq!(world.server.submissions(), 0);
    assert_eq!(world.store.faults.loads.load(Ordering::SeqCst), calls);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_alone_is_enough_to_begin() {
    let world = World::new();
    let refresh_token = world.server.login(HOUR).refresh_token.unwrap();
    world.coordinator.install("k", TokenSet::from_refresh_token(refresh_token)).await.unwrap();
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_new_process_picks_the_credential_up_from_the_store() {
    let world = World::new();
    world.install(HOUR).await;
    assert_eq!(world.neighbour().token("k").await.unwrap().expose_secret(), "access-1");
    assert_eq!(world.server.submissions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_refresh_token_is_submitted_once_however_many_ask() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Status(400, r#"{"error":"invalid_grant"}"#, None)]);
    for _ in 0..1000 {
        let error = world.token().await.unwrap_err();
        assert!(error.needs_login());
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidGrant, Some("invalid_grant")));
        tokio::time::sleep(SECOND / 10).await;
    }
    assert_eq!(world.server.submissions(), 1);
    assert!(world.stored().await.unwrap().tokens.is_none());
    world.install(HOUR).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_dead_login_is_not_served_another_second_though_its_access_token_would_still_work() {
    let world = World::new();
    world.install(HOUR).await;
    world.server.script([Reply::Status(400, r#"{"error":"invalid_grant"}"#, None)]);
    assert!(world.refuse().await.unwrap().unwrap_err().needs_login());
    assert!(world.token().await.unwrap_err().needs_login());
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_stays_in_use_where_only_the_user_can_get_another_one() {
    let needs_user = Reply::Status(400, r#"{"error":"interaction_required"}"#, None);
    let alone = TokenSet::new("access-1").with_expires_in(HOUR);
    for (set, kind) in [(None, ErrorKind::NeedsUser), (Some(alone), ErrorKind::NoRefreshToken)] {
        let world = World::new();
        let set = set.unwrap_or_else(|| world.server.login(HOUR));
        world.coordinator.install("k", set).await.unwrap();
        world.server.script([needs_user.clone()]);
        assert_eq!(world.refuse().await.unwrap().unwrap_err().kind(), kind);
        assert_eq!(world.token().await.unwrap(), "access-1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_in_another_process_lifts_the_verdict_within_a_second() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Status(400, r#"{"error":"invalid_grant"}"#, None)]);
    world.token().await.unwrap_err();
    world.neighbour().install("k", world.server.login(HOUR)).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn the_same_refresh_token_installed_again_lifts_the_verdict() {
    let world = World::new();
    let set = world.server.login(Duration::ZERO);
    world.coordinator.install("k", set.clone()).await.unwrap();
    world.server.script([Reply::Status(400, r#"{"error":"invalid_grant"}"#, None)]);
    world.token().await.unwrap_err();
    world.coordinator.install("k", set).await.unwrap();
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn logout_revokes_the_newest_refresh_token_and_leaves_nothing() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.token().await.unwrap();
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
    assert_eq!(*world.server.revoked.lock().unwrap(), ["refresh-2"]);
    assert!(world.token().await.unwrap_err().needs_login());
    assert!(world.stored().await.is_none());
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::NothingStored);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_lands_after_logout_is_revoked_and_not_stored() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    let logout = tokio::spawn({
        let coordinator = world.coordinator.clone();
        async move { coordinator.logout("k").await }
    });
    tokio::task::yield_now().await;
    world.server.released.0.add_permits(1);
    logout.await.unwrap().unwrap();
    assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::LoggedOut);
    assert!(world.server.revoked.lock().unwrap().contains(&"refresh-2".to_owned()));
    assert!(world.stored().await.is_none_or(|record| record.tokens.is_none()));
    assert!(world.token().await.unwrap_err().needs_login());
}

#[tokio::test(start_paused = true)]
async fn a_logout_leaves_a_tombstone_for_the_process_that_is_refreshing() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let neighbour = world.neighbour();
    let refreshing = tokio::spawn(async move { neighbour.token("k").await });
    world.server.arrived.notified().await;
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::NotRevoked);
    let left = world.stored().await.unwrap();
    assert_eq!(left.life, Life::LoggedOut);
    assert!(left.mark.is_some() && left.tokens.is_none());
    world.server.released.0.add_permits(1);
    assert_eq!(refreshing.await.unwrap().unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_eq!(world.server.revoked.lock().unwrap().as_slice(), ["refresh-1", "refresh-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_login_during_a_refresh_stays_and_the_old_result_is_revoked() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    let other = TokenSet::new("access-other").with_refresh_token("refresh-other").with_expires_in(HOUR);
    world.coordinator.install("k", other).await.unwrap();
    world.server.released.0.add_permits(1);
    assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "access-other");
    assert_eq!(world.token().await.unwrap(), "access-other");
    assert_eq!(*world.server.revoked.lock().unwrap(), ["refresh-2"]);
    assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-other"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_old_login_says_nothing_of_the_new_one() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let refused = Reply::Status(401, r#"{"error":"invalid_client"}"#, None);
    world.server.script([Reply::Held(Box::new(refused))]);
    let waiting = world.ask();
    world.server.arrived.notified().await;
    world.install(HOUR).await;
    world.server.released.0.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().expose_secret(), "access-2");
    // And when the new one is refused, nothing forbids to refresh it.
    assert_eq!(world.refuse().await.unwrap().unwrap(), "access-3");
}

#[tokio::test(start_paused = true)]
async fn a_flight_whose_login_was_replaced_by_an_expired_one_goes_on_with_that_one() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let waiting = world.ask();
    world.server.arrived.notified().await;
    world.install(Duration::ZERO).await;
    world.server.released.0.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().expose_secret(), "access-3");
    assert_eq!(world.token().await.unwrap(), "access-3");
    assert_eq!(*world.server.submitted.lock().unwrap(), ["refresh-1", "refresh-2"]);
}

#[tokio::test(start_paused = true)]
async fn forget_leaves_the_server_alone() {
    let world = World::new();
    world.install(HOUR).await;
    world.coordinator.forget("k").await.unwrap();
    assert!(world.server.revoked.lock().unwrap().is_empty());
    assert!(world.token().await.unwrap_err().needs_login());
}

#[tokio::test(start_paused = true)]
async fn generations_grow_across_logins() {
    let world = World::new();
    for expected in 1..5 {
        world.install(HOUR).await;
        let status = world.coordinator.status("k").await.unwrap().unwrap();
        assert_eq!(status.generation, Generation::new(expected));
        assert!(status.error.is_none() && status.in_doubt.is_none() && status.expires_at.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_the_flight_and_lets_no_other_start() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.coordinator.install("valid", world.server.login(HOUR)).await.unwrap();
    world.server.newest.lock().unwrap().clone_from(&"refresh-1".to_owned());
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    assert!(!world.coordinator.shutdown(SECOND).await, "it is still under way");
    world.server.released.0.add_permits(1);
    assert!(world.coordinator.shutdown(SECOND).await);
    caller.await.unwrap().unwrap();
    world.coordinator.token("valid").await.unwrap();
    world.coordinator.install("expired", world.server.login(Duration::ZERO)).await.unwrap();
    assert_eq!(world.coordinator.token("expired").await.unwrap_err().kind(), ErrorKind::ShutDown);
}

#[tokio::test(start_paused = true)]
async fn client_credentials_need_no_login() {
    let world = World::new();
    let service = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        use http_body_util::BodyExt as _;
        let body = request.into_body().collect().await?.to_bytes();
        assert!(body.starts_with(b"grant_type=client_credentials"));
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(r#"{"access_token":"mine","expires_in":60}"#)))
    });
    let uri = http::Uri::from_static("https://as.example/token");
    let coordinator = RefreshCoordinator::builder(uri, ClientAuth::basic("c", "s"))
        .grant(Grant::ClientCredentials)
        .clock(world.clock.clone())
        .build(service)
        .unwrap();
    assert_eq!(coordinator.token("any").await.unwrap().expose_secret(), "mine");
}

// MCP-05
#[tokio::test(start_paused = true)]
async fn an_access_token_without_a_refresh_token_is_served_for_as_long_as_it_lives() {
    let world = World::new();
    world.coordinator.install("k", TokenSet::new("alone").with_expires_in(HOUR)).await.unwrap();
    assert_eq!(world.token().await.unwrap(), "alone");
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::NoRefreshToken);
    assert_eq!(world.server.submissions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_bound_to_a_key_is_never_sent_as_if_it_were_not() {
    let world = World::new();
    let mut set = world.server.login(HOUR);
    set.token_type = "DPoP".to_owned();
    let refused = world.coordinator.install("k", set.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::UnusableTokens);
    // A process that is set up for it may have stored it.
    let (server, store, clock) = (&world.server, &world.store, &world.clock);
    let other = World::coordinator(server, store, clock, |builder| builder.dpop());
    other.install("k", set).await.unwrap();
    for _ in 0..100 {
        assert_eq!(world.token().await.unwrap_err().code(), Some("bound_token"));
        tokio::time::sleep(SECOND / 10).await;
    }
    assert_eq!(world.server.submissions(), 0);
}

#[tokio::test]
async fn logins_take_turns_and_the_last_leaves_nothing_behind() {
    let slot = Slot::new("k".into());
    let first = slot.turn().await.unwrap();
    let mut second = std::pin::pin!(slot.turn());
    assert!(second.as_mut().now_or_never().is_none());
    drop(first);
    let second = second.await;
    assert!(slot.turn().now_or_never().is_none());
    drop(second);
    assert!(slot.state().turns.is_none());
}

#[tokio::test(start_paused = true)]
async fn tokens_that_can_never_be_sent_are_refused_with_the_reason() {
    let world = World::new();
    let mut other_type = TokenSet::new("access");
    other_type.token_type = "mac".to_owned();
    for (set, reason) in [
        (TokenSet::new(""), "the access token is empty"),
        (TokenSet::new("line\nbreak"), "a character that no header can hold"),
        (other_type, "not of the type Bearer"),
    ] {
        let error = world.coordinator.install("k", set).await.unwrap_err();
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(error.kind() == ErrorKind::UnusableTokens && why.contains(reason), "{why}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_process_that_is_not_there_is_proven_dead_and_this_one_is_not() {
    let world = World::new();
    let me = &world.coordinator.me;
    let gone = Holder { pid: i32::MAX as u32, started: 5, coordinator: 9, ..me.clone() };
    assert!(world.coordinator.proves_dead(&gone));
    assert!(!world.coordinator.proves_dead(&Holder { coordinator: 9, ..me.clone() }));
}
