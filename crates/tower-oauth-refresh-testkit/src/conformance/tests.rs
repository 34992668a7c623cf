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
