//! What is kept fresh, while its login ends, begins or is told of again.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

impl World {
    /// Until a look has read the record, and not yet heard what was read.
    async fn look(&self, every: Duration) {
        self.store.faults.late.store(true, Ordering::SeqCst);
        self.coordinator.keep_fresh("k", every).unwrap();
        self.store.faults.has_read.notified().await;
    }

    async fn end_look(&self) {
        self.store.faults.may_answer.notify_one();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_was_under_way_during_a_logout_does_not_bring_the_login_back() {
    let world = World::new();
    world.install(DAY * 365).await;
    tokio::time::sleep(DAY * 30).await;
    world.look(DAY * 30).await;
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
    world.end_look().await;
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_eq!(world.server.submissions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_was_under_way_during_an_install_does_not_bring_the_former_login_back() {
    let world = World::new();
    world.install(DAY * 365).await;
    tokio::time::sleep(DAY * 30).await;
    world.look(DAY * 30).await;
    let refresh_token = world.server.login(HOUR).refresh_token.unwrap();
    world.coordinator.install("k", TokenSet::from_refresh_token(refresh_token)).await.unwrap();
    world.server.script([Reply::held()]);
    world.end_look().await;
    let caller = world.ask();
    world.server.arrived.notified().await;
    world.server.released.0.add_permits(1);
    assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "access-3");
}

#[tokio::test(start_paused = true)]
async fn a_look_forgets_no_verdict_that_the_store_did_not_take() {
    let world = World::new();
    world.install(DAY * 365).await;
    tokio::time::sleep(DAY * 30).await;
    let dead = Reply::Status(400, r#"{"error":"invalid_grant"}"#, None);
    world.server.script([Reply::Held(Box::new(dead))]);
    let (refused, ()) = tokio::join!(world.refuse(), async {
        world.server.arrived.notified().await;
        world.store.faults.full.store(usize::MAX, Ordering::SeqCst);
        world.server.released.0.add_permits(1);
    });
    assert!(refused.unwrap().unwrap_err().needs_login());
    world.coordinator.keep_fresh("k", DAY * 30).unwrap();
    for _ in 0..100 {
        tokio::time::sleep(HOUR).await;
        assert!(world.token().await.unwrap_err().needs_login());
    }
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_again_during_a_look_that_finds_no_login_is_kept_fresh() {
    let world = World::new();
    world.look(DAY * 30).await;
    world.install(DAY * 365).await;
    world.coordinator.keep_fresh("k", DAY * 30).unwrap();
    world.end_look().await;
    tokio::time::sleep(DAY * 30).await;
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_time_counts_from_when_it_is_told() {
    // While it sleeps, and in the middle of a look.
    for looking in [false, true] {
        let world = World::new();
        world.install(DAY * 365).await;
        world.look(DAY * 360).await;
        if !looking {
            world.end_look().await;
        }
        world.coordinator.keep_fresh("k", DAY * 30).unwrap();
        world.end_look().await;
        tokio::time::sleep(DAY * 29).await;
        assert_eq!(world.server.submissions(), 1, "{looking}");
        assert_eq!(world.coordinator.roster.looks(), 1);
    }
}
