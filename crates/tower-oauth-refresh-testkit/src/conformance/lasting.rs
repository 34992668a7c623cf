//! What is left of a record when everybody was away, and when time has passed.

use std::time::Duration;

use tokio::time::sleep;
use tower_oauth_refresh::{RecordBody, StoredKey};

use super::age::{A_MOMENT, age, not_anew};
use super::space::{Checked, Space, body};

/// A process that ends drops its handles, and the next one opens others.
pub(super) async fn a_record_outlives_all_handles(space: &Space<'_>) -> Checked {
    let key = space.key()?;
    let mut current = space.handle().await.insert(&key).await?;
    for _ in 0..3 {
        let before = age_by_a_handle_of_its_own(space, &key, &current).await?;
        let store = space.handle().await;
        not_anew(before, age(&store, &key).await?, "dropping all handles")?;
        let next = body(b"next")?;
        store.accepts(&key, Some(current.version()), Some(&next)).await?;
        current = next;
    }
    let store = space.handle().await;
    store.accepts(&key, Some(current.version()), None).await?;
    drop(store);
    space.handle().await.holds(&key, None, "removed, and all handles dropped").await
}

/// A moment after it was opened, so that an age which counts from there is seen to grow.
async fn age_by_a_handle_of_its_own(
    space: &Space<'_>,
    key: &StoredKey,
    current: &RecordBody,
) -> Checked<Duration> {
    let store = space.handle().await;
    store.holds(key, Some(current), "after all handles were dropped").await?;
    sleep(A_MOMENT).await;
    age(&store, key).await
}

const HOUR: Duration = Duration::from_secs(3600);

/// A login lives for as long as its authorization server lets it. `later` moves the store's clock on.
pub(super) async fn records_do_not_expire(space: &Space<'_>, later: &impl AsyncFn(Duration)) -> Checked {
    let key = space.key()?;
    let record = space.handle().await.insert(&key).await?;
    let mut passed = Duration::ZERO;
    // From a cache's time to live to more than a year, which is the longest that most databases are set to.
    for hours in [1, 24, 31 * 24, 400 * 24] {
        later(HOUR * hours).await;
        passed += HOUR * hours;
        let store = space.handle().await;
        let when = format!("{} hours after it was written", passed.as_secs() / 3600);
        store.holds(&key, Some(&record), &when).await?;
        let age = age(&store, &key).await?;
        if age < passed - HOUR / 60 {
            return Err(format!("{when}, a record has the age {age:?}"));
        }
    }
    space.handle().await.accepts(&key, Some(record.version()), Some(&body(b"next")?)).await
}
