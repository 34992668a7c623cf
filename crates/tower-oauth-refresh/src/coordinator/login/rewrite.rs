//! One compare-and-swap, whatever is in its way.

use std::sync::Arc;

use crate::coordinator::RefreshCoordinator;
use crate::coordinator::machine::{Rank, Snapshot, Swapped, store_error};
use crate::coordinator::slot::Slot;
use crate::error::{ErrorKind, RefreshError};
use crate::store::record::CredentialRecord;
use crate::store::{StoreError, Version};

/// A swap that keeps losing its race, or a store that keeps failing, is given up after this many tries.
const TRIES: u32 = 20;
const STORE_FAILURES: u32 = 3;

/// What is stored.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    Nothing,
    Record(&'a Snapshot),
    Unreadable,
}

/// What shall be.
pub(super) enum Change {
    /// What is there. Where that cannot be read, this is a failure.
    Nothing,
    Write(Box<CredentialRecord>),
    Remove,
}

pub(super) struct Written {
    /// What was there before.
    pub(super) old: Option<Snapshot>,
    /// Was there something that cannot be read?
    pub(super) unreadable: bool,
    /// What is there now.
    pub(super) new: Option<CredentialRecord>,
    /// Of the record as it is now.
    pub(super) version: Option<Version>,
}

impl RefreshCoordinator {
    /// Loads and swaps until it holds. `make` sees what is stored and says what shall be.
    ///
    /// After a write that may have happened, it goes on only if the record is still the one that it wanted to
    /// replace: otherwise, also where there is none again, somebody may have ended this very login since, and it
    /// must not come back.
    pub(super) async fn rewrite(
        &self,
        slot: &Slot,
        mut make: impl FnMut(Found<'_>) -> Change + Send,
    ) -> Result<Written, RefreshError> {
        let mut failures = 0;
        let mut maybe_replaced: Option<(Option<Snapshot>, Option<Version>, Arc<StoreError>)> = None;
        for _ in 0..TRIES {
            let (old, version, unreadable) = match self.load(slot, Rank::Begun).await {
                Ok(old) => {
                    let version = old.as_ref().map(|old| old.version);
                    (old, version, None)
                }
                Err(error) => match error.version().filter(|_| error.is_unreadable()) {
                    Some(version) => (None, Some(version), Some(error)),
                    None => return Err(store_error(error)),
                },
            };
            let found = match &old {
                _ if unreadable.is_some() => Found::Unreadable,
                Some(old) => Found::Record(old),
                None => Found::Nothing,
            };
            let new = match make(found) {
                Change::Nothing => {
                    if let Some(error) = unreadable {
                        return Err(store_error(error));
                    }
                    let new = old.as_ref().map(|old| old.record.clone());
                    let old = maybe_replaced.map_or(old, |(replaced, ..)| replaced);
                    return Ok(Written { old, unreadable: false, new, version });
                }
                Change::Write(new) => Some(*new),
                Change::Remove => None,
            };
            if let Some((_, expected, error)) = &maybe_replaced
                && (*expected != version || version.is_none())
            {
                return Err(store_error(error.clone()));
            }
            let lots = self.urn.draw().ok_or_else(|| RefreshError::new(ErrorKind::Aborted))?;
            match self.swap(slot, version, new.as_ref().map(|new| (lots.version, new))).await {
                Ok(Swapped::Done) => {
                    let version = new.as_ref().map(|_| lots.version);
                    return Ok(Written { old, unreadable: unreadable.is_some(), new, version });
                }
                Ok(Swapped::Conflict(_)) => {}
                // Maybe written: the next look tells, and what was replaced must not be forgotten.
                Err(error) => {
                    failures += 1;
                    if failures >= STORE_FAILURES {
                        return Err(store_error(error));
                    }
                    maybe_replaced = Some((old, version, error));
                }
            }
        }
        Err(RefreshError::new(ErrorKind::Store))
    }
}
