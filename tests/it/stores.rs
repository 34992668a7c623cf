//! Stores that need a server.

mod postgres;
mod restart;
mod runtimes;
mod sound;

use tower_oauth_refresh::{RecordBody, StoreError, StoredKey, Swap, TokenStore, Version};

/// Where `cargo xtask test` says that the server is.
fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run `cargo xtask test`"))
}

/// Bytes under a new version.
fn body(bytes: &[u8]) -> RecordBody {
    let bits = u128::from(getrandom::u64().unwrap()) << 64 | u128::from(getrandom::u64().unwrap());
    RecordBody::new(Version::from_bits(bits), bytes.to_vec())
}

async fn insert(store: &impl TokenStore, key: &StoredKey) -> Version {
    let new = body(b"body");
    let swap = store.compare_and_swap(key, None, Some(&new)).await.unwrap();
    assert!(matches!(swap, Swap::Swapped), "{swap:?}");
    new.version()
}

async fn version(store: &impl TokenStore, key: &StoredKey) -> Option<Version> {
    store.load(key).await.unwrap().map(|record| record.body.version())
}

/// All that an error says, to whoever prints it in whichever way.
fn words(error: &StoreError) -> String {
    let source = std::error::Error::source(error).unwrap();
    format!("{error} {error:?} {source} {source:?}")
}

/// Counts up from `at` until somebody has reached `goal`, on whatever version is found, and says how often it
/// was the one to do so. `None` where the store failed: maybe it was.
async fn count_up(store: &impl TokenStore, key: &StoredKey, goal: u64) -> Vec<Option<u64>> {
    let mut won = Vec::new();
    loop {
        let Ok(found) = store.load(key).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let at =
            found.as_ref().map_or(0, |record| u64::from_be_bytes(record.body.bytes().try_into().unwrap()));
        if at >= goal {
            return won;
        }
        let old = found.map(|record| record.body.version());
        match store.compare_and_swap(key, old, Some(&body(&(at + 1).to_be_bytes()))).await {
            Ok(Swap::Swapped) => won.push(Some(at + 1)),
            Ok(Swap::Conflict(_)) => {}
            Err(error) => {
                assert!(!error.is_unreadable(), "{error:?}");
                won.push(None);
            }
        }
    }
}
