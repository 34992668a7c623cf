//! How old the store says a record is.
//!
//! An age counts from a moment within the call that wrote the record. One that is too large takes a lease from a holder
//! that is still at work, so these promises compare with the time that passed here, counted from before the write. Both
//! clocks run at the same speed, whatever they show. One that is too small by the step of a coarse clock is permitted,
//! one that starts anew is not.

use std::time::Duration;

use tokio::time::sleep;
use tower_oauth_refresh::{Now, Record, StoredKey, Swap};

use super::race::interruption;
use super::space::{Checked, Handle, Space, body, now, version};

/// "A few milliseconds": the coarsest clock that counts in milliseconds, and a little for one being slewed.
pub(super) const TOLERANCE: Duration = Duration::from_millis(10);
/// Well over the tolerance. Real time, since the clock is the store's and cannot be moved from here.
pub(super) const A_MOMENT: Duration = Duration::from_millis(40);
/// For stores that count in whole seconds, which makes an age too small and is permitted.
const LONGEST_STEP: Duration = Duration::from_millis(2500);

pub(super) async fn age(store: &Handle, key: &StoredKey) -> Checked<Duration> {
    store
        .load(key)
        .await?
        .map(|record| record.age)
        .ok_or_else(|| "a record that was written is absent".to_owned())
}

pub(super) fn at_most(age: Duration, written: Now, when: &str) -> Checked {
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

/// A caller went away in the middle of a swap: the record is as old as it was, or as young as the swap.
pub(super) async fn a_dropped_swap_leaves_the_age_of_what_is_there(space: &Space<'_>) -> Checked {
    let (store, other) = (space.handle().await, space.handle().await);
    for turn in 0..12 {
        let key = space.key()?;
        let old = store.insert(&key).await?;
        sleep(A_MOMENT).await;
        let (before, began) = (age(&other, &key).await?, now());
        let new = body(b"new, and longer than what was there before")?;
        let dropped = store.swap(&key, Some(old.version()), Some(&new));
        tokio::select! {
            biased;
            swap = dropped => drop(swap?),
            () = interruption(turn) => {}
        }
        let found = other.load(&key).await?.ok_or("a dropped swap removed the record")?;
        if found.body.version() == new.version() {
            at_most(found.age, began, "after a dropped swap that was carried out")?;
        } else {
            not_anew(before, found.age, "a dropped swap that was not carried out")?;
        }
    }
    Ok(())
}

pub(super) fn not_anew(before: Duration, after: Duration, what: &str) -> Checked {
    if after.saturating_add(TOLERANCE) >= before {
        return Ok(());
    }
    Err(format!("{what} took the age of a record from {before:?} to {after:?}"))
}
