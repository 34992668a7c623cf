//! A received token set whose runtime ended before it was stored.

use super::trial::runtime;
use super::*;

/// The server has rotated, the store has not taken it, and the runtime is gone.
fn parked(adjust: impl FnOnce(Builder) -> Builder) -> World {
    runtime().block_on(async {
        let world = World::with(adjust);
        world.install(Duration::ZERO).await;
        world.server.script([Reply::held()]);
        drop(world.ask());
        world.server.arrived.notified().await;
        world.store.faults.full.store(1, Ordering::SeqCst);
        world.server.released.0.add_permits(1);
        tokio::time::sleep(SECOND / 10).await;
        assert_eq!(world.store.faults.full.load(Ordering::SeqCst), 0);
        world
    })
}

#[test]
fn a_set_whose_runtime_ended_is_stored_for_the_next_caller() {
    let world = parked(|builder| builder);
    runtime().block_on(async {
        assert_eq!(world.token().await.unwrap(), "access-2");
        assert_eq!(world.stored_refresh_token().await.unwrap(), "refresh-2");
    });
    assert_eq!(world.server.submissions(), 1);
}

#[test]
fn a_set_outlives_any_number_of_runtimes() {
    let world = parked(|builder| builder);
    for _ in 0..3 {
        runtime().block_on(async {
            world.store.faults.full.store(1, Ordering::SeqCst);
            drop(world.ask());
            tokio::time::sleep(SECOND / 10).await;
        });
    }
    runtime().block_on(async {
        assert_eq!(world.token().await.unwrap(), "access-2");
    });
    assert_eq!(world.server.submissions(), 1);
}

#[test]
fn a_set_whose_runtime_ended_is_revoked_with_its_login() {
    let world = parked(|builder| builder);
    runtime().block_on(async {
        assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
        assert!(world.token().await.is_err());
    });
    assert!(world.server.revoked.lock().unwrap().contains(&"refresh-2".to_owned()));
}

#[test]
fn a_login_that_ended_here_does_not_come_back_with_a_set_of_an_ended_runtime() {
    let world = parked(|builder| builder);
    runtime().block_on(async {
        world.store.faults.down.store(true, Ordering::SeqCst);
        assert_eq!(world.coordinator.logout("k").await.unwrap_err().kind(), ErrorKind::Store);
    });
    runtime().block_on(async {
        world.store.faults.down.store(false, Ordering::SeqCst);
        for _ in 0..3 {
            tokio::time::sleep(SECOND * 10).await;
            assert!(world.token().await.is_err());
        }
    });
    assert!(world.server.revoked.lock().unwrap().contains(&"refresh-2".to_owned()));
}

#[test]
fn a_new_login_gives_back_a_set_of_the_one_before() {
    let world = parked(|builder| builder);
    runtime().block_on(async {
        // The new login is stored first.
        world.store.faults.full.store(1, Ordering::SeqCst);
        world.install(HOUR).await;
        assert_eq!(world.token().await.unwrap(), "access-3");
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.stored_refresh_token().await.unwrap(), "refresh-3");
    });
    assert!(world.server.revoked.lock().unwrap().contains(&"refresh-2".to_owned()));
}

#[test]
fn a_set_that_is_not_stored_is_under_way_for_a_shutdown() {
    let world = parked(|builder| builder);
    runtime().block_on(async {
        assert!(!world.coordinator.shutdown(SECOND).await);
        assert_eq!(world.token().await.unwrap(), "access-2");
        assert!(world.coordinator.shutdown(SECOND).await);
    });
}

#[test]
fn a_credential_with_a_set_that_is_not_stored_makes_no_room_for_others() {
    let world = parked(|builder| builder.room(1));
    runtime().block_on(async {
        for other in 0..1000 {
            drop(world.coordinator.slot(&format!("{other}").into()));
        }
        assert_eq!(world.token().await.unwrap(), "access-2");
    });
    assert_eq!(world.server.submissions(), 1);
}
