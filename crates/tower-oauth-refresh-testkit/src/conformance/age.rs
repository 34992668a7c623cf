//! How old the store says a record is.
//!
//! An age that is too small makes a successor wait, and is permitted. One that is too large takes a lease
//! from a holder that is still at work, so these promises compare with the time that passed here, counted
//! from before the write. Both clocks run at the same speed, whatever they show.

use std::time::Duration;

use tokio::time::sleep;
use tower_oauth_refresh::{Now, Record, StoredKey, Swap};

use super::space::{Checked, Handle, Space, body, now, version};

/// "A few milliseconds": the coarsest clock that counts in milliseconds, and a little for one being slewed.
const TOLERANCE: Duration = Duration::from_millis(10);
/// Well over the tolerance. Real time, since the clock is the store's and cannot be moved from here.
const A_MOMENT: Duration = Duration::from_millis(40);
/// For stores that count in whole seconds, which makes an age too small and is permitted.
const LONGEST_STEP: Duration = Duration::from_millis(2500);

async fn age(store: &Handle, key: &StoredKey) -> Checked<Duration> {
    store
        .load(key)
        .await?
        .map(|record| record.age)
        .ok_or_else(|| "a record that was written is absent".to_owned())
}

fn at_most(age: Duration, written: Now, when: &str) -> Checked {
    let passed = now().since(written);
    if age <= passed.saturating_add(TOLERANCE) {
        return Ok(());
    }
    Err(format!("{when}, the age is {age:?}, and {passed:?} have passed since before it was written"))
}

pub(super) async fn the_age_of_a_new_record_is_near_zero(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let before = now();
    store.insert(&key).await?;
    at_most(age(&store, &key).await?, before, "just written")?;
    at_most(age(&space.handle().await, &key).await?, before, "just written, through another handle")
}

pub(super) async fn an_age_grows_with_time(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let written = now();
    store.insert(&key).await?;
    let mut last = age(&store, &key).await?;
    let first = last;
    loop {
        sleep(A_MOMENT).await;
        let later = age(&store, &key).await?;
        if later < last {
            return Err(format!("an age went back from {last:?} to {later:?}"));
        }
        last = later;
        let waited = now().since(written);
        // More than jitter: half of what has passed.
        if last.saturating_sub(first) >= A_MOMENT / 2 {
            return Ok(());
        }
        if waited >= LONGEST_STEP {
            return Err(format!("an age grew by {:?} in {waited:?}", last.saturating_sub(first)));
        }
    }
}

pub(super) async fn an_age_is_never_larger_than_the_time_since_the_write(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let written = now();
    let record = store.insert(&key).await?;
    for _ in 0..3 {
        sleep(A_MOMENT / 2).await;
        at_most(age(&store, &key).await?, written, "a little later")?;
        let late = body(b"late")?;
        let handed =
            store.refuses(&key, Some(version()?), Some(&late), "a swap from a wrong version").await?;
        at_most(handed.map(|record| record.age).unwrap_or_default(), written, "in a conflict")?;
    }
    let aged = age(&store, &key).await?;
    store.accepts(&key, Some(record.version()), None).await?;
    let again = now();
    store.insert(&key).await?;
    at_most(age(&store, &key).await?, again, &format!("removed at {aged:?} and written anew"))
}

pub(super) async fn a_swap_resets_the_age(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let mut current = store.insert(&key).await?;
    for _ in 0..2 {
        sleep(A_MOMENT).await;
        let (before, next) = (now(), body(b"next")?);
        store.accepts(&key, Some(current.version()), Some(&next)).await?;
        at_most(age(&store, &key).await?, before, "after a swap")?;
        let handed = store.swap(&key, Some(current.version()), None).await?;
        if let Swap::Conflict(Some(Record { age, .. })) = handed {
            at_most(age, before, "after a swap, in a conflict")?;
        }
        current = next;
    }
    Ok(())
}

/// Or whoever is refused keeps the lease of a dead holder alive.
pub(super) async fn a_failed_swap_leaves_the_age_alone(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    store.insert(&key).await?;
    sleep(A_MOMENT).await;
    let before = age(&store, &key).await?;
    let late = body(b"late")?;
    store.refuses(&key, Some(version()?), Some(&late), "a swap from a wrong version").await?;
    store.refuses(&key, Some(version()?), None, "a removal from a wrong version").await?;
    let after = age(&store, &key).await?;
    if after < before {
        return Err(format!("refused swaps took the age from {before:?} to {after:?}"));
    }
    Ok(())
}
