//! The file of a store: read by whoever wants to, replaced by whoever has its lock.

use std::fs::File;
use std::mem::replace;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tower_oauth_refresh::{Clock, StoreError, Swap, Version};

use crate::calls::{Answer, Write};
use crate::contents::{Contents, Moment, aside};
use crate::disk::{self, Replacement};
use crate::failure::{Failure, unavailable};
use crate::kept::{Identity, Kept};
use crate::lock::{Lock, lock};
use crate::pace::Pace;

#[derive(Clone)]
pub(crate) struct StoreFile {
    pub(crate) path: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) boot_id: Option<String>,
    pub(crate) patience: Duration,
    /// Locked while the file is read, so that it is read once for all.
    pub(crate) kept: Arc<Mutex<Option<Kept>>>,
    pub(crate) pace: Arc<Pace>,
    #[cfg(test)]
    pub(crate) counted: Arc<Counted>,
    #[cfg(test)]
    pub(crate) a_write_takes: Duration,
}

/// How often the disk was asked for the whole file.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) reads: std::sync::atomic::AtomicUsize,
    pub(crate) writes: std::sync::atomic::AtomicUsize,
}

/// Why swaps were not carried out.
enum Refused {
    /// Nothing has changed.
    Unwritten(Failure),
    /// They may have been, and not be durable.
    MaybeWritten(Failure),
}

impl StoreFile {
    pub(crate) fn now(&self) -> Moment {
        Moment::new(self.clock.now(), self.boot_id.as_deref())
    }

    /// Each time anew: whoever moves the file and leaves a link, while we run, is followed.
    pub(crate) fn resolve(&self) -> Result<PathBuf, Failure> {
        disk::resolve(&self.path).map_err(unavailable("follow", &self.path))
    }

    /// The right to replace the file, and where it is.
    pub(crate) fn lock(&self) -> Result<(PathBuf, Lock), Failure> {
        let path = self.resolve()?;
        let lock = lock(&path, self.patience).map_err(unavailable("lock", &path))?;
        Ok((path, lock))
    }

    /// Keeps the present file open: closing one that was replaced takes a while, and can be done when all are answered.
    pub(crate) fn hold(&self) -> Option<Arc<File>> {
        self.kept().as_ref().map(Kept::file)
    }

    /// What is in the file now.
    pub(crate) fn contents(&self, path: &Path) -> Result<Arc<Contents>, Failure> {
        let mut kept = self.kept();
        let now = self.clock.now().boot;
        if let Some(contents) = kept.as_ref().and_then(|kept| kept.of(path, now)) {
            return Ok(contents);
        }
        let before = kept.take();
        let Some(file) = disk::open(path).map_err(unavailable("read", path))? else {
            return Ok(Arc::new(Contents::empty()));
        };
        #[cfg(test)]
        self.counted.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Before reading: what changes in between is seen next time.
        let identity = Identity::of(&file);
        let bytes = disk::read(&file).map_err(unavailable("read", path))?;
        let contents = Arc::new(Contents::parse(&bytes, path)?);
        let settled = before.is_some_and(|before| before.is(identity.as_ref()));
        *kept = identity.map(|identity| Kept::new(file, identity, contents.clone(), now, settled));
        Ok(contents)
    }

    /// Carries out all of them, in order, in one write. To be called under the lock.
    pub(crate) fn swap(&self, path: &Path, writes: &[Write]) -> Vec<Answer<Swap>> {
        match self.try_swap(path, writes) {
            Ok(swaps) => swaps,
            // It may be for one of them, whose record the disk has no room for.
            Err(Refused::Unwritten(_)) if writes.len() > 1 => {
                writes.iter().flat_map(|write| self.swap(path, slice::from_ref(write))).collect()
            }
            Err(Refused::Unwritten(failure) | Refused::MaybeWritten(failure)) => {
                writes.iter().map(|_| Err(failure.clone().into())).collect()
            }
        }
    }

    fn try_swap(&self, path: &Path, writes: &[Write]) -> Result<Vec<Answer<Swap>>, Refused> {
        let now = self.now();
        let mut draft = Draft::of(self.contents(path));
        let swaps = writes.iter().map(|write| draft.swap(write, &now)).collect();
        if draft.is_changed {
            self.publish(path, draft)?;
        }
        Ok(swaps)
    }

    fn publish(&self, path: &Path, draft: Draft) -> Result<(), Refused> {
        #[cfg(test)]
        self.counted.writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        #[cfg(test)]
        std::thread::sleep(self.a_write_takes);
        let new = Replacement::write(path, |to| draft.contents.write_to(to));
        let new = new.map_err(unavailable("write", path)).map_err(Refused::Unwritten)?;
        if let Some(damaged) = draft.replaces {
            let moved = new.put_aside(&aside(path, damaged));
            moved.map_err(unavailable("move", path)).map_err(Refused::Unwritten)?;
        }
        let published = new.publish().map_err(unavailable("write", path)).map_err(Refused::MaybeWritten)?;
        let (now, contents) = (self.clock.now().boot, Arc::new(draft.contents));
        let kept = Identity::of(&published).map(|found| Kept::new(published, found, contents, now, false));
        // Dropping what is in a large file takes a while, which no load waits for.
        let _replaced = replace(&mut *self.kept(), kept);
        let durable = disk::sync_dir(disk::parent(path));
        durable.map_err(unavailable("write", path)).map_err(Refused::MaybeWritten)
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be in the file.
struct Draft {
    contents: Contents,
    is_changed: bool,
    /// Why the file cannot be read.
    damage: Option<Failure>,
    /// What was damaged and is to be replaced.
    replaces: Option<Version>,
}

impl Draft {
    fn of(found: Result<Arc<Contents>, Failure>) -> Self {
        let (contents, damage) = match found {
            Ok(contents) => (Contents::clone(&contents), None),
            Err(damage) => (Contents::empty(), Some(damage)),
        };
        Self { contents, is_changed: false, damage, replaces: None }
    }

    fn swap(&mut self, write: &Write, now: &Moment) -> Answer<Swap> {
        let mut expected = write.expected;
        // Whoever names the damage gives up what was in the file.
        let named = |damage: &mut Failure| expected.is_some() && damage.version() == expected;
        if let Some(damage) = self.damage.take_if(named) {
            self.replaces = damage.version();
            self.is_changed = true;
            expected = None;
        }
        if let Some(damage) = &self.damage {
            return Err(StoreError::from(damage.clone()));
        }
        let swap = self.contents.swap(&write.key, expected, write.new.as_ref(), now)?;
        let is_other = expected.is_some() || write.new.is_some();
        self.is_changed |= is_other && matches!(swap, Swap::Swapped);
        Ok(swap)
    }
}
