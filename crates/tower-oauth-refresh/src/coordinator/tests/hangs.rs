//! A commit whose store call never answers.

use super::*;

/// Fails commits before the one that never answers.
struct Hangs {
    records: MemoryStore,
    /// Of this process: its login, the mark, and then commits.
    swaps: AtomicUsize,
    hangs_at: usize,
}

impl TokenStore for Hangs {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.records.load(key)
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        match self.swaps.fetch_add(1, Ordering::SeqCst) {
            at if at == self.hangs_at => Box::pin(std::future::pending()),
            at if at >= 2 && at < self.hangs_at => {
                Box::pin(async { Err(StoreError::unavailable("out of order")) })
            }
            _ => self.records.compare_and_swap(key, expected, new),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_call_that_never_answers_lets_no_neighbour_spend_the_token_again() {
    // The answer comes as late as it may.
    let late = SECOND * 99 / 10;
    for commit in 0..3 {
        let world = World::new();
        let records = world.store.records.clone();
        let store = Hangs { records: records.clone(), swaps: AtomicUsize::new(0), hangs_at: 2 + commit };
        let first =
            World::coordinator(&world.server, &world.store, &world.clock, |builder| builder.store(store));
        first.install("k", world.server.login(Duration::ZERO)).await.unwrap();
        world.server.script([Reply::held()]);
        let asked = tokio::spawn(async move { first.token("k").await });
        world.server.arrived.notified().await;
        let neighbour = world.neighbour();
        let other = tokio::spawn(async move { neighbour.token("k").await });
        tokio::time::sleep(late).await;
        world.server.released.0.add_permits(1);
        for told in [asked, other] {
            assert_eq!(told.await.unwrap().unwrap().expose_secret(), "access-2", "commit {commit} hangs");
        }
        assert_eq!(world.server.submissions(), 1, "commit {commit} hangs");
    }
}
