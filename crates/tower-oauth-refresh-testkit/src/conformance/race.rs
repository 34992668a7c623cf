//! Many at once, and those who go away in the middle.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tower_oauth_refresh::{Record, RecordBody, StoredKey, Swap, Version};

use super::space::{Checked, Handle, Space, body, same};

const RACERS: usize = 16;
/// A store that compares and then writes is right by luck now and then, hardly so often.
const ROUNDS: usize = 8;

pub(super) async fn of_many_swaps_from_one_version_exactly_one_succeeds(space: &Space<'_>) -> Checked {
    let (handles, key) = ([space.handle().await, space.handle().await], space.key()?);
    let [store, _] = &handles;
    let mut current = store.insert(&key).await?;
    for _ in 0..ROUNDS {
        let (winner, _) = race(&handles, &key, Some(current.version()), bodies()?).await?;
        current = winner.ok_or("a swap removed the record")?;
    }
    Ok(())
}

pub(super) async fn of_many_inserts_of_one_key_exactly_one_succeeds(space: &Space<'_>) -> Checked {
    let handles = [space.handle().await, space.handle().await];
    for _ in 0..ROUNDS {
        race(&handles, &space.key()?, None, bodies()?).await?;
    }
    Ok(())
}

pub(super) async fn of_a_racing_swap_and_removal_exactly_one_succeeds(space: &Space<'_>) -> Checked {
    let handles = [space.handle().await, space.handle().await];
    let [store, _] = &handles;
    for _ in 0..ROUNDS {
        let key = space.key()?;
        let first = store.insert(&key).await?;
        race(&handles, &key, Some(first.version()), bodies_and_removals()?).await?;
    }
    Ok(())
}

/// Until all racers are home, the winner's is the only write there was.
pub(super) async fn conflicts_in_a_race_hand_over_the_winners_record(space: &Space<'_>) -> Checked {
    let handles = [space.handle().await, space.handle().await];
    let [store, _] = &handles;
    for round in 0..ROUNDS {
        let key = space.key()?;
        let expected = if round % 2 == 0 { None } else { Some(store.insert(&key).await?.version()) };
        let new = if expected.is_none() { bodies()? } else { bodies_and_removals()? };
        let (winner, conflicts) = race(&handles, &key, expected, new).await?;
        for handed in &conflicts {
            let checked = same(handed.as_ref(), winner.as_ref());
            checked.map_err(|reason| format!("a conflict in a race hands over {reason}"))?;
        }
    }
    Ok(())
}

fn bodies_and_removals() -> Checked<Vec<Option<RecordBody>>> {
    let mut new = bodies()?;
    for removal in new.iter_mut().skip(1).step_by(2) {
        *removal = None;
    }
    Ok(new)
}

fn bodies() -> Checked<Vec<Option<RecordBody>>> {
    (0..RACERS).map(|racer| body(racer.to_string().as_bytes()).map(Some)).collect()
}

/// What the winner of a race wrote, and what the others were handed.
type Raced = (Option<RecordBody>, Vec<Option<Record>>);

/// All at once from one version: one swaps, the others conflict, and the record is the one's.
async fn race(
    handles: &[Handle; 2],
    key: &StoredKey,
    expected: Option<Version>,
    new: Vec<Option<RecordBody>>,
) -> Checked<Raced> {
    let mut racers = JoinSet::new();
    // On a busy machine the first would be home before the last has left.
    let start = Arc::new(Barrier::new(new.len()));
    for (new, store) in new.into_iter().zip(handles.iter().cycle()) {
        let (store, key, start) = (store.clone(), key.clone(), Arc::clone(&start));
        racers.spawn(async move {
            start.wait().await;
            (store.swap(&key, expected, new.as_ref()).await, new)
        });
    }
    let (mut winners, mut conflicts) = (Vec::new(), Vec::new());
    while let Some(racer) = racers.join_next().await {
        let (swap, new) = racer.map_err(|error| format!("a racing swap panicked: {error}"))?;
        match swap.map_err(|reason| format!("in a race, {reason}"))? {
            Swap::Swapped => winners.push(new),
            Swap::Conflict(handed) => conflicts.push(handed),
        }
    }
    let [winner] = <[_; 1]>::try_from(winners).map_err(|winners| {
        format!("{} of {RACERS} racing from one version were told that they swapped", winners.len())
    })?;
    let [_, other] = handles;
    let after = same(other.load(key).await?.as_ref(), winner.as_ref());
    after.map_err(|reason| format!("the record is not the winner's: {reason}"))?;
    Ok((winner, conflicts))
}

pub(super) async fn a_dropped_swap_leaves_the_old_record_or_the_new(space: &Space<'_>) -> Checked {
    let (store, other, key) = (space.handle().await, space.handle().await, space.key()?);
    let mut old = store.insert(&key).await?;
    for turn in 0..12 {
        let new = body(b"new, and longer than what was there before")?;
        let dropped = store.swap(&key, Some(old.version()), Some(&new));
        tokio::select! {
            biased;
            swap = dropped => drop(swap?),
            () = interruption(turn) => {}
        }
        old = settled(&other, &key, old, new)
            .await
            .map_err(|reason| format!("after a dropped swap, {reason}"))?;
    }
    Ok(())
}

/// First after a number of polls, which cuts between awaits; then after real milliseconds, which cuts into
/// I/O that nobody here can hold.
pub(super) async fn interruption(turn: u32) {
    match turn.checked_sub(6) {
        None => {
            for _ in 0..turn {
                tokio::task::yield_now().await;
            }
        }
        Some(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds.into())).await,
    }
}

/// Old or new, now and when a write that began has been finished in the background: a swap from what was
/// found works, or conflicts with the new.
async fn settled(store: &Handle, key: &StoredKey, old: RecordBody, new: RecordBody) -> Checked<RecordBody> {
    let found = store.load(key).await?;
    let (is_new, is_old) = (same(found.as_ref(), Some(&new)), same(found.as_ref(), Some(&old)));
    let current = match (is_new, is_old) {
        (Ok(()), _) => new.clone(),
        (_, Ok(())) => old,
        (Err(reason), Err(_)) => return Err(format!("the record is neither the old nor the new: {reason}")),
    };
    let next = body(b"next")?;
    match store.swap(key, Some(current.version()), Some(&next)).await? {
        Swap::Swapped => Ok(next),
        Swap::Conflict(found) => {
            same(found.as_ref(), Some(&new))?;
            store.accepts(key, Some(new.version()), Some(&next)).await?;
            Ok(next)
        }
    }
}
