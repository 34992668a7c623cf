//! Entries that cannot be read.

use tower_oauth_refresh::{RecordBody, StoreError, StoredKey, Swap, Version};

use super::space::{Checked, Handle, Space, body, version};

/// A damaged entry is told of, stays, and is replaced and removed only from the version it is told under.
pub(super) async fn damaged_entries_can_be_replaced(
    space: &Space<'_>,
    damage: &impl AsyncFn(&StoredKey),
) -> Checked {
    let store = space.handle().await;
    let (key, neighbour) = (space.key()?, space.key()?);
    let beside = store.insert(&neighbour).await?;
    let mut stored = store.insert(&key).await?;
    for new in [Some(body(b"second")?), Some(body(b"third")?), None] {
        damage(&key).await;
        let damaged = told(store.try_load(&key).await.map(drop), "a load of a damaged entry")?;
        let other = body(b"other")?;
        for expected in [None, Some(stored.version()), Some(version()?)] {
            if expected != Some(damaged) {
                refuses(&store, &key, expected, &other, damaged).await?;
            }
        }
        let again = told(store.try_load(&key).await.map(drop), "a second load of a damaged entry")?;
        if again != damaged {
            return Err(format!("the version of a damaged entry went from {damaged:?} to {again:?}"));
        }
        store.accepts(&key, Some(damaged), new.as_ref()).await?;
        store.holds(&key, new.as_ref(), "after the damage was replaced").await?;
        store.holds(&neighbour, Some(&beside), "beside the damage").await?;
        stored = new.unwrap_or(stored);
    }
    Ok(())
}

async fn refuses(
    store: &Handle,
    key: &StoredKey,
    expected: Option<Version>,
    new: &RecordBody,
    damaged: Version,
) -> Checked {
    let swapped = match store.try_swap(key, expected, Some(new)).await {
        Ok(Swap::Swapped) => return Err(format!("a damaged entry was replaced from {expected:?}")),
        Ok(Swap::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    };
    let told = told(swapped, "a swap onto a damaged entry")?;
    if told == damaged { Ok(()) } else { Err(format!("a swap says {told:?}, a load {damaged:?}")) }
}

/// The version that the store told the damage under.
fn told(result: Result<(), StoreError>, what: &str) -> Checked<Version> {
    match result {
        Ok(()) => Err(format!("{what} did not fail")),
        Err(error) if !error.is_unreadable() => Err(format!("{what} is not unreadable: {error}")),
        Err(error) => error.version().ok_or_else(|| format!("{what} names no version")),
    }
}
