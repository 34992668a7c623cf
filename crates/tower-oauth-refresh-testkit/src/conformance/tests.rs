//! The reference store keeps every promise, and each broken store is found out for its own fault.

mod broken;
use tower_oauth_refresh::{MemoryStore, Sealed, SealingKey};

use super::*;

crate::store_conformance!(memory, async { MemoryStore::new() });
crate::store_conformance!(sealed, async { MemoryStore::new() }, |space| async {
    Sealed::new(space.clone(), SealingKey::new([7; 32]))
});

#[tokio::test]
async fn a_promise_that_is_not_there_is_not_kept() {
    let store = MemoryStore::new();
    let broken = check("it_makes_coffee", &async || store.clone()).await.unwrap_err();
    assert_eq!(broken.to_string(), "it makes coffee: there is no such promise");
}

#[tokio::test]
async fn nothing_is_left_behind_in_a_space_that_others_use() {
    let store = MemoryStore::new();
    assert_eq!(check_all(&async || store.clone()).await, []);
    assert!(format!("{store:?}").contains("records: 0"), "{store:?}");
}

/// Writes over the bytes beneath a sealed store.
async fn spoil(beneath: &MemoryStore, key: &StoredKey) {
    let found = beneath.load(key).await.unwrap().unwrap().body.version();
    let spoilt = RecordBody::new(Version::from_bits(found.to_bits() ^ 1), b"spoilt".to_vec());
    beneath.compare_and_swap(key, Some(found), Some(&spoilt)).await.unwrap();
}

#[tokio::test]
async fn a_damaged_sealed_record_can_be_replaced() {
    let beneath = MemoryStore::new();
    let open = async || Sealed::new(beneath.clone(), SealingKey::new([7; 32]));
    assert_eq!(check_damaged(&open, &async |key| spoil(&beneath, key).await).await, Ok(()));
}

/// Tells of damage without a version.
struct Nameless(Sealed<MemoryStore>);

impl TokenStore for Nameless {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async { self.0.load(key).await.map_err(StoreError::unreadable) })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.0.compare_and_swap(key, expected, new)
    }
}

#[tokio::test]
async fn a_store_that_does_not_name_its_damage_is_found_out() {
    let beneath = MemoryStore::new();
    let open = async || Nameless(Sealed::new(beneath.clone(), SealingKey::new([7; 32])));
    let broken = check_damaged(&open, &async |key| spoil(&beneath, key).await).await.unwrap_err();
    assert_eq!(broken.reason(), "a load of a damaged entry names no version");
}

#[tokio::test]
async fn a_store_that_hides_its_damage_is_found_out() {
    let beneath = MemoryStore::new();
    let broken =
        check_damaged(&async || beneath.clone(), &async |key| spoil(&beneath, key).await).await.unwrap_err();
    assert_eq!(broken.reason(), "a load of a damaged entry did not fail");
}
