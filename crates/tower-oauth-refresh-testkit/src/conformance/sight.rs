//! Who sees what, and when: handles share nothing but the records.

use std::future::poll_fn;
use std::time::Duration;

use tokio::time::timeout;
use tower_oauth_refresh::{BoxStream, KeyDigest, RecordBody, StoredKey, Swap};

use super::space::{Checked, Handle, Space, body};

/// How often a promise about what is seen is tried: a cache may be right by chance.
const TURNS: usize = 8;
/// A notice that takes longer is of no use to a waiter, who loads by himself every second or so.
const NOTICE: Duration = Duration::from_secs(2);

pub(super) async fn a_load_sees_every_finished_swap(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    follow(&store, &store, &key).await
}

pub(super) async fn a_second_handle_sees_every_finished_swap(space: &Space<'_>) -> Checked {
    let (writer, reader, key) = (space.handle().await, space.handle().await, space.key()?);
    follow(&writer, &reader, &key).await
}

/// Loads before and after each write, so that whatever remembers the first answer gives it again.
async fn follow(writer: &Handle, reader: &Handle, key: &StoredKey) -> Checked {
    reader.holds(key, None, "before anything was written").await?;
    let mut current = writer.insert(key).await?;
    reader.holds(key, Some(&current), "after an insert").await?;
    for _ in 0..TURNS {
        let next = body(b"next")?;
        writer.accepts(key, Some(current.version()), Some(&next)).await?;
        reader.holds(key, Some(&next), "after a swap").await?;
        current = next;
    }
    writer.accepts(key, Some(current.version()), None).await?;
    reader.holds(key, None, "after a removal").await
}

pub(super) async fn two_handles_are_held_to_the_same_versions(space: &Space<'_>) -> Checked {
    let (one, two, key) = (space.handle().await, space.handle().await, space.key()?);
    let first = one.insert(&key).await?;
    two.refuses(&key, None, Some(&body(b"second")?), "an insert after another handle's").await?;
    let mut current = first;
    for turn in 0..TURNS {
        let (mine, other) = if turn % 2 == 0 { (&two, &one) } else { (&one, &two) };
        let next = body(b"next")?;
        mine.accepts(&key, Some(current.version()), Some(&next)).await?;
        let late = Some(current.version());
        other.refuses(&key, late, Some(&body(b"late")?), "a swap after another handle's").await?;
        other.refuses(&key, late, None, "a removal after another handle's swap").await?;
        current = next;
    }
    one.accepts(&key, Some(current.version()), None).await?;
    two.refuses(&key, Some(current.version()), Some(&body(b"late")?), "a swap after another's removal")
        .await?;
    two.insert(&key).await.map(drop)
}

pub(super) async fn changes_tell_of_a_swap_by_another_handle(space: &Space<'_>) -> Checked {
    let (listener, writer) = (space.handle().await, space.handle().await);
    let Some(mut changes) = listener.changes() else { return Ok(()) };
    heard(&mut changes, &writer, &space.key()?).await
}

/// A stream may take a moment to be connected and may miss a change, so there are several to tell of.
async fn heard(changes: &mut BoxStream<'_, KeyDigest>, writer: &Handle, key: &StoredKey) -> Checked {
    let mut current: Option<RecordBody> = None;
    for _ in 0..TURNS {
        let next = body(b"next")?;
        writer.accepts(key, current.as_ref().map(RecordBody::version), Some(&next)).await?;
        if told(changes, &[key.digest()], NOTICE / 4).await? {
            return Ok(());
        }
        current = Some(next);
    }
    Err(format!("{TURNS} swaps by another handle, and no word of any"))
}

pub(super) async fn changes_tell_of_a_removal_by_another_handle(space: &Space<'_>) -> Checked {
    let (listener, writer) = (space.handle().await, space.handle().await);
    if listener.changes().is_none() {
        return Ok(());
    }
    // Written before anybody listens, so that a notice of them can only be of their removal.
    let mut records = Vec::new();
    for _ in 0..TURNS {
        let key = space.key()?;
        let record = writer.insert(&key).await?;
        records.push((key, record));
    }
    let Some(mut changes) = listener.changes() else { return Ok(()) };
    heard(&mut changes, &writer, &space.key()?).await.map_err(|reason| format!("to begin with, {reason}"))?;
    for (key, record) in &records {
        if let Swap::Conflict(_) = writer.swap(key, Some(record.version()), None).await? {
            return Err("a removal from the current version was refused".to_owned());
        }
    }
    let keys: Vec<_> = records.into_iter().map(|(key, _)| key.digest()).collect();
    if told(&mut changes, &keys, NOTICE).await? {
        return Ok(());
    }
    Err(format!("{TURNS} removals by another handle, and no word of any"))
}

/// Is one of the keys told of before the time is up?
async fn told(changes: &mut BoxStream<'_, KeyDigest>, keys: &[KeyDigest], wait: Duration) -> Checked<bool> {
    let listen = async {
        loop {
            match poll_fn(|cx| changes.as_mut().poll_next(cx)).await {
                Some(key) if keys.contains(&key) => return Ok(true),
                Some(_) => {}
                None => return Err("the stream of changes ended although the store was there".to_owned()),
            }
        }
    };
    timeout(wait, listen).await.unwrap_or(Ok(false))
}
