//! The file store keeps the promises of every store, in the clear and sealed.

use tower_oauth_refresh::SealingKey;
use tower_oauth_refresh_file::FileStore;
use tower_oauth_refresh_testkit::store_conformance;

store_conformance!(file, async { tempfile::tempdir().unwrap() }, |dir| async {
    FileStore::open(dir.path().join("credentials")).unwrap()
});

store_conformance!(sealed_file, async { tempfile::tempdir().unwrap() }, |dir| async {
    FileStore::sealed(dir.path().join("credentials"), SealingKey::new([7; 32])).unwrap()
});
