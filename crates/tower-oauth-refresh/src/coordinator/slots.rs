//! The credentials that this process has met, by key.
//!
//! What is here can be had again: the store has the truth. So there is room for a number of credentials, and
//! where it is used up, those go that nobody holds and nobody has asked for lately. A layer with a fixed key, a
//! request under way and a flight each hold their slot, so that none of them ever loses it.
//!
//! Not a map behind one lock, which two cores would wait for; not a cache with a list of what was used last,
//! which a lookup would have to write to. A lookup takes a shared lock of one shard out of many and sets a bit
//! that is mostly set. Whoever adds to a full shard looks through it, and puts out an eighth.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;

use super::slot::Slot;
use crate::credential::CredentialKey;

#[cfg(test)]
mod tests;

/// The slots of a coordinator.
#[derive(Debug)]
pub(super) struct Slots {
    // Keys may be chosen by strangers: a seeded hash, so that nobody can make them collide.
    hasher: RandomState,
    shards: Box<[Shard]>,
    room: usize,
}

/// A lock has its own cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(RwLock<Held>);

#[derive(Debug, Default)]
struct Held {
    // The key is in the slot: an entry is one pointer.
    slots: HashTable<Arc<Slot>>,
    /// Looked through when there are as many; the room of the shard, if not more are held.
    full: usize,
}

/// Enough that two cores seldom meet, and that looking through one takes no time that a request would notice.
const SHARDS: usize = 64;

impl Slots {
    /// Room for this many credentials that nobody holds.
    pub(super) fn new(room: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { hasher: RandomState::new(), shards, room: room.div_ceil(SHARDS).max(1) }
    }

    /// The slot of this key; `make` makes one.
    pub(super) fn get(&self, key: &CredentialKey, make: impl FnOnce() -> Slot) -> Arc<Slot> {
        let hash = self.hasher.hash_one(key.as_str());
        if let Some(slot) = self.read(hash).and_then(|held| find(&held, hash, key)) {
            return slot;
        }
        let mut put_out = Vec::new();
        let Some(mut held) = self.write(hash) else { return Arc::new(make()) };
        if let Some(slot) = find(&held, hash, key) {
            return slot;
        }
        if held.slots.len() >= held.full.max(self.room) {
            put_out = held.sweep(self.room);
        }
        let slot = Arc::new(make());
        held.slots.insert_unique(hash, slot.clone(), |slot| self.hasher.hash_one(slot.key.as_str()));
        drop(held);
        // Their tokens are overwritten, which nobody has to wait for.
        drop(put_out);
        slot
    }

    /// The slot of this key, if there is one. This is not a use of it.
    pub(super) fn find(&self, key: &CredentialKey) -> Option<Arc<Slot>> {
        let hash = self.hasher.hash_one(key.as_str());
        self.read(hash)?.slots.find(hash, |slot| slot.key == *key).cloned()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        let count = |shard: &Shard| shard.0.read().unwrap_or_else(PoisonError::into_inner).slots.len();
        self.shards.iter().map(count).sum()
    }

    // The map finds its place by other bits of the hash than these.
    fn shard(&self, hash: u64) -> Option<&Shard> {
        self.shards.get((hash >> 32) as usize % SHARDS)
    }

    fn read(&self, hash: u64) -> Option<RwLockReadGuard<'_, Held>> {
        Some(self.shard(hash)?.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, hash: u64) -> Option<RwLockWriteGuard<'_, Held>> {
        Some(self.shard(hash)?.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn find(held: &Held, hash: u64, key: &CredentialKey) -> Option<Arc<Slot>> {
    let slot = held.slots.find(hash, |slot| slot.key == *key)?;
    // Looked at first: a line that is only read stays in the caches of all cores.
    if !slot.asked_for.load(Ordering::Relaxed) {
        slot.asked_for.store(true, Ordering::Relaxed);
    }
    Some(slot.clone())
}

impl Held {
    /// Makes an eighth of the room free: first of those that nobody has asked for again since the last time,
    /// then, if all have been, of any that nobody holds.
    ///
    /// Whoever holds a slot has its `Arc`, and under this lock nobody gets one.
    fn sweep(&mut self, room: usize) -> Vec<Arc<Slot>> {
        let enough = self.slots.len().saturating_sub(room) + (room / 8).max(1);
        let mut out = Vec::new();
        for _ in 0..2 {
            let mut left = enough - out.len();
            let idle = |slot: &mut Arc<Slot>| {
                let held = Arc::strong_count(slot) > 1 || slot.must_stay();
                let go = left > 0 && !held && !slot.asked_for.swap(false, Ordering::Relaxed);
                left -= usize::from(go);
                go
            };
            out.extend(self.slots.extract_if(idle));
            if out.len() == enough {
                break;
            }
        }
        // Where all is held, looking again only pays when there is more of it.
        self.full = if out.is_empty() { self.slots.len() + (room / 8).max(1) } else { room };
        out
    }
}
