//! Against the keychain of this machine, which somebody has to unlock:
//! `cargo test -p tower-oauth-refresh-keyring --features platform -- --ignored`.
#![cfg(feature = "platform")]

use tower_oauth_refresh_keyring::{KeyringKey, platform_store};

const SERVICE: &str = "tower-oauth-refresh tests";

#[tokio::test]
#[ignore = "needs an unlocked keychain"]
async fn the_keychain_of_this_machine_keeps_the_key() {
    let user = format!("process {}", std::process::id());
    let created = KeyringKey::open_or_create(SERVICE, &user).await.unwrap();
    let found = KeyringKey::open_or_create(SERVICE, &user).await.unwrap();
    assert_eq!(created.expose_secret(), found.expose_secret());
    let entry = tokio::task::spawn_blocking(move || platform_store().unwrap().build(SERVICE, &user, None));
    entry.await.unwrap().unwrap().delete_credential().unwrap();
}
