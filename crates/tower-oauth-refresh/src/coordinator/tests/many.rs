//! Many credentials in one process.

use super::*;

impl World {
    async fn install_many(&self, count: usize, lifetime: Duration) {
        for number in 0..count {
            let set = TokenSet::new(format!("access-of-{number}"))
                .with_refresh_token(format!("refresh-of-{number}"))
                .with_expires_in(lifetime);
            self.coordinator.install(format!("{number}"), set).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_was_put_out_of_memory_comes_back_from_the_store_without_a_refresh() {
    let world = World::with(|builder| builder.room(64));
    world.install_many(1000, HOUR).await;
    assert!(world.coordinator.slots.len() <= 64);
    for number in 0..1000 {
        let token = world.coordinator.token(format!("{number}")).await.unwrap();
        assert_eq!(token.expose_secret(), format!("access-of-{number}"));
        assert!(world.coordinator.slots.len() <= 64 + 1);
    }
    assert_eq!(world.server.submissions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_credential_in_flight_is_not_lost_however_many_others_come() {
    let world = World::with(|builder| builder.room(64));
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    caller.abort();
    world.install_many(1000, HOUR).await;
    let others: Vec<_> = (0..10).map(|_| world.ask()).collect();
    world.server.released.0.add_permits(1);
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().expose_secret(), "access-2");
    }
    assert_eq!(world.server.submissions(), 1);
}
