//! How an account is removed: from a coordinator's keys to rows, and back.
#![cfg(feature = "sqlite")]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::service_fn;
use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, TokenSet};
use tower_oauth_refresh_sql::SqliteStore;

#[tokio::test]
async fn removing_the_stored_keys_of_an_account_removes_its_credentials_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("credentials.db")).await.unwrap();
    let nobody = service_fn(async |_: Request<Full<Bytes>>| -> std::io::Result<Response<Full<Bytes>>> {
        Err(std::io::Error::other("nothing is to be sent"))
    });
    let at = |client: &str| {
        let auth = ClientAuth::basic(client, "secret".to_owned());
        let builder = RefreshCoordinator::builder("https://as.example/token".parse().unwrap(), auth);
        builder.store(store.clone()).build(nobody).unwrap()
    };
    let (ours, other) = (at("ours"), at("other"));
    let login = serde_json::json!({ "access_token": "a", "token_type": "Bearer", "refresh_token": "r" });
    for key in ["42/github", "42/google", "421/github"] {
        for coordinator in [&ours, &other] {
            coordinator.install(key, TokenSet::from_response(&login).unwrap()).await.unwrap();
        }
    }
    let account = ours.stored_key("42/");
    let listed = store.keys_with_prefix(account.as_str(), None, 10).await.unwrap();
    assert_eq!(listed, [ours.stored_key("42/github"), ours.stored_key("42/google")]);
    assert_eq!(store.remove_prefix(account.as_str()).await.unwrap(), 2);
    assert!(ours.status("42/github").await.unwrap().is_none());
    assert!(ours.status("421/github").await.unwrap().is_some());
    assert!(other.status("42/github").await.unwrap().is_some());
}
