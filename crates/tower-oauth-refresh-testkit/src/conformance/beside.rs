//! Callers that are at work at the same time and do not compete.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;
use tower_oauth_refresh::{Now, Record, RecordBody, StoredKey, Version};

use super::age::{A_MOMENT, at_most, not_anew};
use super::space::{Checked, Handle, Space, body, now, same, version};

const WRITERS: usize = 32;
const ROUNDS: usize = 4;

/// A store that keeps all records in one place must not lose one to a writer of another.
pub(super) async fn writers_under_different_keys_lose_nothing(space: &Space<'_>) -> Checked {
    let handles = [space.handle().await, space.handle().await];
    let keys: Vec<StoredKey> = (0..WRITERS).map(|_| space.key()).collect::<Checked<_>>()?;
    let mut records: Vec<Option<RecordBody>> = vec![None; WRITERS];
    for round in 0..=ROUNDS {
        let mut writers = JoinSet::new();
        let start = Arc::new(Barrier::new(WRITERS));
        for (at, (key, old)) in keys.iter().zip(records).enumerate() {
            // In the last round every second record is removed.
            let new = if round == ROUNDS && at % 2 == 0 { None } else { Some(body(b"of a writer")?) };
            let (key, start) = (key.clone(), start.clone());
            let [one, other] = handles.clone();
            let store = if at % 2 == round % 2 { one } else { other };
            writers.spawn(async move {
                start.wait().await;
                store.accepts(&key, old.map(|old| old.version()), new.as_ref()).await?;
                Checked::Ok((at, new))
            });
        }
        records = vec![None; WRITERS];
        while let Some(writer) = writers.join_next().await {
            let (at, new) = writer.map_err(|error| format!("a writer panicked: {error}"))??;
            if let Some(record) = records.get_mut(at) {
                *record = new;
            }
        }
        let [store, _] = &handles;
        for (key, record) in keys.iter().zip(&records) {
            store.holds(key, record.as_ref(), "after writes of other keys").await?;
        }
    }
    Ok(())
}

const READERS: usize = 8;
const WRITES: usize = 20;
/// Should the writer wait for ever.
const LONGEST: Duration = Duration::from_secs(20);

/// What was written, each version from before its write.
type Written = Mutex<HashMap<Version, (RecordBody, Now)>>;

/// Version, bytes and age are of one record, whenever somebody writes the next.
pub(super) async fn a_load_beside_a_writer_is_of_one_record(space: &Space<'_>) -> Checked {
    let (writer, key) = (space.handle().await, space.key()?);
    let (written, done) = (Arc::new(Written::default()), Arc::new(AtomicBool::new(false)));
    let mut current = note(&written)?;
    writer.accepts(&key, None, Some(&current)).await?;
    let mut readers = JoinSet::new();
    let handles = [space.handle().await, space.handle().await];
    for store in handles.into_iter().cycle().take(READERS) {
        readers.spawn(read(store, key.clone(), written.clone(), done.clone()));
    }
    for _ in 0..WRITES {
        // So that the ages of two records differ by more than any tolerance.
        sleep(A_MOMENT).await;
        let next = note(&written)?;
        writer.accepts(&key, Some(current.version()), Some(&next)).await?;
        current = next;
    }
    done.store(true, Ordering::Release);
    while let Some(reader) = readers.join_next().await {
        reader.map_err(|error| format!("a reader panicked: {error}"))??;
    }
    Ok(())
}

/// A body that no other version has.
fn note(written: &Written) -> Checked<RecordBody> {
    let version = version()?;
    let body = RecordBody::new(version, format!("{version:?}").into_bytes());
    let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
    written.insert(version, (body.clone(), now()));
    Ok(body)
}

async fn read(store: Handle, key: StoredKey, written: Arc<Written>, done: Arc<AtomicBool>) -> Checked {
    let began = now();
    let mut before: Option<Record> = None;
    while !done.load(Ordering::Acquire) && now().since(began) < LONGEST {
        let found = store.load(&key).await?.ok_or("a load beside a writer found no record")?;
        let version = found.body.version();
        let known = written.lock().unwrap_or_else(PoisonError::into_inner).get(&version).cloned();
        let (body, since) = known.ok_or_else(|| format!("a load beside a writer found {version:?}"))?;
        same(Some(&found), Some(&body)).map_err(|reason| format!("a load beside a writer: {reason}"))?;
        at_most(found.age, since, "loaded beside a writer")?;
        if let Some(before) = before.filter(|before| before.body.version() == version) {
            not_anew(before.age, found.age, "a write of the next one")?;
        }
        before = Some(found);
        yield_now().await;
    }
    Ok(())
}
