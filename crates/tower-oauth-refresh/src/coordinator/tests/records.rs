//! Records that other releases wrote, and records that cannot be read.

use super::*;
use crate::store::record::{CredentialRecord, Unknown};
use crate::store::{Sealed, SealingKey};

impl World {
    /// Writes over what is stored, whatever it is.
    async fn overwrite(&self, bits: u128, bytes: impl Into<Vec<u8>>) {
        let stored = self.coordinator.stored_key("k");
        let found = self.store.records.load(&stored).await.unwrap().map(|record| record.body.version());
        let body = RecordBody::new(Version::from_bits(bits), bytes.into());
        let swap = self.store.records.compare_and_swap(&stored, found, Some(&body)).await.unwrap();
        assert!(matches!(swap, Swap::Swapped));
    }

    /// As a newer release would have written it: with members of its own.
    async fn adorn(&self) {
        let mut record = self.stored().await.unwrap();
        record.unknown = Unknown::json(r#"{"other":"kept"}"#);
        record.tokens.as_mut().unwrap().unknown = Unknown::json(r#"{"set":"kept"}"#);
        self.overwrite(1, record.encode(Version::from_bits(1)).bytes()).await;
    }

    async fn members(&self) -> (String, String) {
        let CredentialRecord { unknown, tokens, .. } = self.stored().await.unwrap();
        (format!("{unknown:?}"), format!("{:?}", tokens.map(|tokens| tokens.unknown).unwrap_or_default()))
    }
}

const KEPT: &str = "Unknown(16 bytes)";
const KEPT_OF_SET: &str = "Unknown(14 bytes)";
const NONE: &str = "Unknown(0 bytes)";

#[tokio::test(start_paused = true)]
async fn a_refresh_keeps_the_members_of_the_login_and_not_of_the_spent_set() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.adorn().await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    assert!(world.stored().await.unwrap().mark.is_some());
    assert_eq!(world.members().await, (KEPT.into(), KEPT_OF_SET.into()), "under the mark");
    world.server.released.0.add_permits(1);
    caller.await.unwrap().unwrap();
    assert_eq!(world.members().await, (KEPT.into(), NONE.into()), "after the refresh");
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_keeps_all_members_and_a_dead_login_its_own() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.adorn().await;
    world.server.script([Reply::Status(401, r#"{"error":"invalid_client"}"#, None)]);
    world.token().await.unwrap_err();
    assert_eq!(world.members().await, (KEPT.into(), KEPT_OF_SET.into()));
    tokio::time::sleep(HOUR).await;
    world.server.script([Reply::Status(400, r#"{"error":"invalid_grant"}"#, None)]);
    assert!(world.token().await.unwrap_err().needs_login());
    assert_eq!(world.members().await, (KEPT.into(), NONE.into()));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_set_back_keeps_its_members() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.adorn().await;
    let old = world.stored().await.unwrap();
    world.token().await.unwrap();
    world.overwrite(2, old.encode(Version::from_bits(2)).bytes()).await;
    assert_eq!(world.refuse_late().await, "access-3");
    assert_eq!(world.members().await, (KEPT.into(), NONE.into()));
}

impl World {
    /// As a request that was refused when the token was no longer fresh.
    async fn refuse_late(&self) -> String {
        tokio::time::sleep(SECOND * 60).await;
        self.refuse().await.unwrap().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_in_hand_over_an_unreadable_record_is_kept_and_seldom_asks() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    let marked = world.stored().await.unwrap();
    world.overwrite(1, [1; 40]).await;
    let before = world.store.faults.loads.load(Ordering::SeqCst);
    world.server.released.0.add_permits(1);
    assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Unpersisted);
    tokio::time::sleep(HOUR * 24).await;
    let loads = world.store.faults.loads.load(Ordering::SeqCst) - before;
    assert!((1000..2000).contains(&loads), "{loads} loads in a day");
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::Unpersisted);
    // The key comes back.
    world.overwrite(2, marked.encode(Version::from_bits(2)).bytes()).await;
    tokio::time::sleep(SECOND * 61).await;
    assert_eq!(world.token().await.unwrap(), "access-3");
    assert_eq!(*world.server.submitted.lock().unwrap(), ["refresh-1", "refresh-2"]);
}

/// How a process of a deployment has its store.
type Deployed = fn(Flaky) -> Box<dyn FnOnce(Builder) -> Builder>;

fn key() -> SealingKey {
    SealingKey::new([7; 32])
}

/// Each reads what its neighbours write.
const ROLLOUT: [Deployed; 4] = [
    |store| Box::new(|builder| builder.store(store)),
    |store| {
        Box::new(|builder| builder.store(Sealed::new(store, key()).also_reads_unsealed().writes_unsealed()))
    },
    |store| Box::new(|builder| builder.store(Sealed::new(store, key()).also_reads_unsealed())),
    |store| Box::new(|builder| builder.store(Sealed::new(store, key()))),
];

impl World {
    fn deployed(&self, step: usize) -> Arc<RefreshCoordinator> {
        Self::coordinator(&self.server, &self.store, &self.clock, ROLLOUT[step](self.store.clone()))
    }
}

/// Both refresh in turn, one while the other is at it, and neither loses the login.
#[tokio::test(start_paused = true)]
async fn sealing_is_turned_on_and_off_under_running_processes() {
    for (before, after) in [(0, 1), (1, 2), (2, 3), (3, 2), (2, 1), (1, 0)] {
        let world = World::new();
        let (old, new) = (world.deployed(before), world.deployed(after));
        old.install("k", world.server.login(HOUR)).await.unwrap();
        if after == 3 || after == 0 {
            // The step before has lasted until every record was written once.
            tokio::time::sleep(HOUR).await;
            old.token("k").await.unwrap();
        }
        for turn in 0..6 {
            tokio::time::sleep(HOUR).await;
            let (first, second) = if turn % 2 == 0 { (&old, &new) } else { (&new, &old) };
            let (first, second) = tokio::join!(first.token("k"), second.token("k"));
            assert_eq!(
                first.unwrap().expose_secret(),
                second.unwrap().expose_secret(),
                "{before} to {after}"
            );
        }
        assert_eq!(world.server.submissions(), if after == 3 || after == 0 { 7 } else { 6 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_without_the_key_says_so_and_loses_nothing() {
    let world = World::new();
    let (old, new) = (world.deployed(0), world.deployed(2));
    old.install("k", world.server.login(HOUR)).await.unwrap();
    tokio::time::sleep(HOUR).await;
    new.token("k").await.unwrap();
    let error = old.token("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreadable);
    assert!(!error.is_transient() && !error.needs_login(), "the key is what is needed");
    let said = std::error::Error::source(&error).and_then(std::error::Error::source).unwrap().to_string();
    assert_eq!(said, "it is sealed, and the store was given no key to open it");
    tokio::time::sleep(HOUR).await;
    old.token("k").await.unwrap_err();
    assert_eq!(new.token("k").await.unwrap().expose_secret(), "access-3");
    assert_eq!(*world.server.submitted.lock().unwrap(), ["refresh-1", "refresh-2"]);
}
