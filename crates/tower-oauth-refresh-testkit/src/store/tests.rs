use tower_oauth_refresh::MemoryStore;

use super::*;
use crate::test_client::spawn;

fn store() -> (FaultyStore<MemoryStore>, StoredKey) {
    (FaultyStore::new(MemoryStore::new()), StoredKey::from("acme"))
}

fn body(version: u128) -> RecordBody {
    RecordBody::new(Version::from_bits(version), vec![7])
}

async fn stored(store: &FaultyStore<MemoryStore>, key: &StoredKey) -> Option<Version> {
    store.inner().load(key).await.unwrap().map(|record| record.body.version())
}

#[tokio::test]
async fn without_faults_every_call_passes_and_is_counted() {
    let (store, key) = store();
    assert!(matches!(store.compare_and_swap(&key, None, Some(&body(1))).await, Ok(Swap::Swapped)));
    assert!(matches!(store.compare_and_swap(&key, None, Some(&body(2))).await, Ok(Swap::Conflict(Some(_)))));
    assert_eq!(store.load(&key).await.unwrap().unwrap().body.version(), Version::from_bits(1));
    assert_eq!((store.loads(), store.swaps(), store.written()), (1, 2, 1));
}

#[tokio::test]
async fn a_failed_swap_wrote_nothing_or_everything_as_scripted() {
    let (store, key) = store();
    store.fault_swap(StoreFault::fail());
    store.fault_swap(StoreFault::fail_after_write());
    assert!(!store.compare_and_swap(&key, None, Some(&body(1))).await.unwrap_err().is_unreadable());
    assert_eq!(stored(&store, &key).await, None);
    assert!(store.compare_and_swap(&key, None, Some(&body(2))).await.is_err());
    assert_eq!(stored(&store, &key).await, Some(Version::from_bits(2)));
    assert_eq!((store.swaps(), store.written()), (2, 1));
}

#[tokio::test]
async fn a_store_that_is_down_comes_back_when_cleared() {
    let (store, key) = store();
    store.fail_everything();
    for _ in 0..3 {
        assert!(store.load(&key).await.is_err());
        assert!(store.compare_and_swap(&key, None, Some(&body(1))).await.is_err());
    }
    store.clear();
    assert!(store.load(&key).await.unwrap().is_none());
}

#[tokio::test]
async fn a_gate_holds_a_swap_before_or_after_it_is_written() {
    for (after, seen) in [(false, None), (true, Some(Version::from_bits(1)))] {
        let (store, key) = store();
        let gate = Gate::new();
        let fault = if after { StoreFault::hold_after(&gate) } else { StoreFault::hold_before(&gate) };
        store.fault_swap(fault);
        let held = spawn({
            let (store, key) = (store.clone(), key.clone());
            async move { store.compare_and_swap(&key, None, Some(&body(1))).await }
        });
        gate.arrived().await;
        assert_eq!(stored(&store, &key).await, seen);
        gate.release();
        assert!(matches!(held.await.unwrap(), Ok(Swap::Swapped)));
    }
}

#[tokio::test]
async fn a_panic_reaches_the_task_that_called_and_the_store_survives_it() {
    let (store, key) = store();
    store.fault_load(StoreFault::panic());
    let call = spawn({
        let (store, key) = (store.clone(), key.clone());
        async move { store.load(&key).await }
    });
    assert!(call.await.unwrap_err().is_panic());
    assert!(store.load(&key).await.is_ok());
    assert_eq!(store.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_delay_takes_paused_time() {
    let (store, key) = store();
    store.always_load(StoreFault::delay(Duration::from_secs(5)));
    let start = tokio::time::Instant::now();
    store.load(&key).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}
