//! How a login ends and begins where the server or the store is in the way.

use super::*;

impl World {
    fn log_out(&self) -> tokio::task::JoinHandle<Result<Logout, RefreshError>> {
        let coordinator = self.coordinator.clone();
        tokio::spawn(async move { coordinator.logout("k").await })
    }

    fn revoked(&self) -> Vec<String> {
        self.server.revoked.lock().unwrap().clone()
    }

    fn swaps(&self) -> usize {
        self.store.faults.swaps.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_confirm_has_not_revoked() {
    let world = World::new();
    world.install(HOUR).await;
    world.server.keeps.store(true, Ordering::SeqCst);
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::NotRevoked);
    let left = world.stored().await.unwrap();
    assert!(left.life == Life::LoggedOut && left.tokens.is_none(), "here the login is over all the same");
}

#[tokio::test(start_paused = true)]
async fn a_logout_waits_for_the_flight_under_way_and_is_sure_of_what_that_gave_back() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    let logout = world.log_out();
    // The exchange may take ten seconds.
    tokio::time::sleep(Duration::from_millis(9500)).await;
    assert!(!logout.is_finished());
    world.server.released.0.add_permits(1);
    assert_eq!(logout.await.unwrap().unwrap(), Logout::Revoked);
    assert_eq!(world.revoked(), ["refresh-2", "refresh-1"]);
    assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::LoggedOut);
    assert!(world.stored().await.is_none());
}

#[test]
fn a_logout_under_a_mark_of_which_nobody_gave_anything_back_is_not_sure() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ends = runtime();
    let world = ends.block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Silent]);
        drop(world.ask());
        world.server.arrived.notified().await;
        world
    });
    drop(ends);
    runtime().block_on(async {
        let left = world.stored().await.unwrap();
        assert!(left.mark.is_some() && left.doubt.is_none());
        assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::NotRevoked);
        assert_eq!(world.revoked(), ["refresh-1"]);
    });
}

#[tokio::test(start_paused = true)]
async fn a_logout_after_an_answer_that_nobody_understood_is_not_sure() {
    let world = World::with(|builder| builder.wait_limit(SECOND / 2));
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Status(500, "", None), Reply::Status(500, "", None)]);
    world.token().await.unwrap_err();
    let left = world.stored().await.unwrap();
    assert!(left.mark.is_none() && left.doubt.is_some());
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::NotRevoked);
    assert_eq!(world.revoked(), ["refresh-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_login_is_written_again_where_the_store_failed_at_most_twice() {
    let world = World::new();
    world.install(HOUR).await;
    for (failures, taken) in [(1, true), (2, true), (3, false)] {
        let before = world.swaps();
        world.store.faults.full.store(failures, Ordering::SeqCst);
        let set = world.server.login(HOUR);
        let told = world.coordinator.install("k", set).await.map_err(|error| error.kind());
        assert_eq!(told.err(), (!taken).then_some(ErrorKind::Store), "{failures}");
        assert_eq!(world.swaps() - before, failures + usize::from(taken));
    }
    assert_eq!(world.stored_refresh_token().await.as_deref(), Some("refresh-3"));
}

#[tokio::test(start_paused = true)]
async fn a_first_login_whose_write_failed_is_not_written_again_for_it_may_have_ended_since() {
    let world = World::new();
    world.store.faults.full.store(1, Ordering::SeqCst);
    let told = world.coordinator.install("k", world.server.login(HOUR)).await;
    assert_eq!(told.unwrap_err().kind(), ErrorKind::Store);
    assert!(world.stored().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn generations_go_on_where_the_store_has_lost_the_record() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.token().await.unwrap();
    let stored = world.coordinator.stored_key("k");
    let lost = world.store.records.load(&stored).await.unwrap().unwrap();
    world.store.records.compare_and_swap(&stored, Some(lost.body.version()), None).await.unwrap();
    let installed = world.coordinator.install("k", world.server.login(HOUR)).await.unwrap();
    assert_eq!(installed, Generation::new(3));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_always_loses_its_race_is_given_up() {
    let world = World::new();
    world.install(HOUR).await;
    let before = world.swaps();
    world.store.faults.races.store(true, Ordering::SeqCst);
    assert_eq!(world.coordinator.logout("k").await.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(world.swaps() - before, 20);
    assert!(world.revoked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn debug_tells_the_endpoint_and_how_many_credentials_and_no_token() {
    let world = World::new();
    world.install(HOUR).await;
    let shown = format!("{:?}", world.coordinator);
    assert!(shown.contains("as.example") && shown.contains("credentials: 1"), "{shown}");
    assert!(!shown.contains("access-1") && !shown.contains("refresh-1"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn an_installed_access_token_that_no_header_holds_is_refreshed() {
    let world = World::new();
    let mut set = world.server.login(HOUR);
    set.access_token = "from a file\n".into();
    world.coordinator.install("k", set).await.unwrap();
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_needs_its_user_is_asked_for_again() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Status(400, r#"{"error":"interaction_required"}"#, None)]);
    assert!(world.token().await.unwrap_err().needs_login());
    let again = world.server.login(HOUR);
    let login = world.coordinator.login_if_needed("k", |why| async move {
        assert_eq!(why.kind(), ErrorKind::NeedsUser);
        Ok(again)
    });
    assert!(matches!(login.await.unwrap(), Login::Begun(_)));
    assert_eq!(world.token().await.unwrap(), "access-2");
}
