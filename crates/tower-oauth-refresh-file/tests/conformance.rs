//! The file store keeps the promises of every store, in the clear and sealed.

use std::sync::Arc;

use tower_oauth_refresh::SealingKey;
use tower_oauth_refresh_file::FileStore;
use tower_oauth_refresh_testkit::conformance::check_lasting;
use tower_oauth_refresh_testkit::{ManualClock, store_conformance};

store_conformance!(file, async { tempfile::tempdir().unwrap() }, |dir| async {
    FileStore::open(dir.path().join("credentials")).unwrap()
});

store_conformance!(sealed_file, async { tempfile::tempdir().unwrap() }, |dir| async {
    FileStore::sealed(dir.path().join("credentials"), SealingKey::new([7; 32])).unwrap()
});

#[tokio::test]
async fn records_do_not_expire() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
    let open =
        async || FileStore::open(dir.path().join("credentials")).unwrap().with_clock(Arc::new(clock.clone()));
    assert_eq!(check_lasting(&open, &async |passed| clock.advance(passed)).await, Ok(()));
}
