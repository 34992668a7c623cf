//! What is in the file: JSON, because whoever debugs a login at night can look at it.
//!
//! Only the entry that is asked for is decoded; the others are written back as they were found.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tower_oauth_refresh::{Now, Record, RecordBody, StoreError, StoredKey, Swap, Version};

use crate::disk::beside;
use crate::failure::Failure;

const FORMAT: u32 = 1;

/// Unknown fields are an error, or else an older release would drop what a newer one wrote.
///
/// Cheap to clone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    format: u32,
    records: BTreeMap<Arc<str>, Arc<RawValue>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: String,
    written: Moment,
    body: String,
}

#[derive(Deserialize)]
struct Header {
    format: u32,
}

/// When a record was written, by the clocks of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moment {
    wall_ms: u64,
    /// The clock that nobody sets, where all processes of a boot share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<Boot>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boot {
    id: String,
    ms: u64,
}

impl Moment {
    pub(crate) fn new(now: Now, boot_id: Option<&str>) -> Self {
        let wall = now.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let boot = boot_id.map(|id| Boot { id: id.to_owned(), ms: millis(now.boot) });
        Self { wall_ms: millis(wall), boot }
    }

    /// Time since `earlier`, never negative. The wall clock counts only across boots: set forward in
    /// between, it would make a lease that is still in use look expired.
    fn since(&self, earlier: &Self) -> Duration {
        let ms = match (&self.boot, &earlier.boot) {
            (Some(now), Some(then)) if now.id == then.id => now.ms.saturating_sub(then.ms),
            _ => self.wall_ms.saturating_sub(earlier.wall_ms),
        };
        Duration::from_millis(ms)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    // Not serde's own words: they quote what they do not understand, and that may be a token.
    #[error(
        "{} is damaged at line {line}, column {column}; a new login moves it to {}",
        path.display(),
        aside.display()
    )]
    Damaged { path: PathBuf, line: usize, column: usize, aside: PathBuf },
    #[error("{} was written by a newer release (format {format}); it is left as it is", path.display())]
    Newer { path: PathBuf, format: u32 },
    #[error("the record of {0} is damaged; it is left as it is until a new login")]
    Entry(StoredKey),
}

/// Where a damaged file goes when it is replaced, for whoever can repair it: beside it, each to a place of its own.
pub(crate) fn aside(path: &Path, damaged: Version) -> PathBuf {
    beside(path, &format!(".damaged-{:08x}", damaged.to_bits() >> 96))
}

impl Contents {
    /// No records.
    pub(crate) fn empty() -> Self {
        Self { format: FORMAT, records: BTreeMap::new() }
    }

    /// Understands the bytes of the file at `path`.
    ///
    /// No bytes at all are an empty store, like no file: that is what `touch`, `mktemp` and a mounted
    /// placeholder leave. A write of ours cannot, and where there is nothing, nothing can be overwritten.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, Failure> {
        if bytes.is_empty() {
            return Ok(Self::empty());
        }
        let parsed: Result<Self, _> = serde_json::from_slice(bytes);
        let format = match &parsed {
            Ok(contents) => Some(contents.format),
            Err(_) => serde_json::from_slice(bytes).ok().map(|header: Header| header.format),
        };
        match (parsed, format) {
            (_, Some(format)) if format != FORMAT => {
                let newer = Unreadable::Newer { path: path.to_path_buf(), format };
                Err(Failure::Unreadable(Arc::new(newer), None))
            }
            (Ok(contents), _) => Ok(contents),
            (Err(error), _) => {
                let version = Version::of_damaged(bytes);
                let (path, aside) = (path.to_path_buf(), aside(path, version));
                let damaged = Unreadable::Damaged { path, line: error.line(), column: error.column(), aside };
                Err(Failure::Unreadable(Arc::new(damaged), Some(version)))
            }
        }
    }

    /// Writes what [`parse`](Self::parse) understands, in small pieces.
    pub(crate) fn write_to(&self, to: &mut dyn io::Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *to, self)?;
        to.write_all(b"\n")
    }

    pub(crate) fn get(&self, key: &StoredKey, now: &Moment) -> Result<Option<Record>, StoreError> {
        let Some(raw) = self.records.get(key.as_str()) else { return Ok(None) };
        let found = Entry::read(raw).and_then(|entry| {
            Some(Record::new(RecordBody::new(entry.version()?, entry.body()?), now.since(&entry.written)))
        });
        let damaged = || StoreError::unreadable(Unreadable::Entry(key.clone())).at(version_of(raw));
        found.map(Some).ok_or_else(damaged)
    }

    /// As a store does it, in memory.
    pub(crate) fn swap(
        &mut self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
        now: &Moment,
    ) -> Result<Swap, StoreError> {
        if self.records.get(key.as_str()).map(|raw| version_of(raw)) != expected {
            return Ok(Swap::Conflict(self.get(key, now)?));
        }
        match new {
            Some(body) => {
                let entry = to_raw_value(&Entry::new(body, now.clone())).map_err(StoreError::unavailable)?;
                drop(self.records.insert(key.as_str().into(), entry.into()));
            }
            None => drop(self.records.remove(key.as_str())),
        }
        Ok(Swap::Swapped)
    }
}

/// Its own, where that can be read.
fn version_of(raw: &RawValue) -> Version {
    let version = Entry::read(raw).and_then(|entry| entry.version());
    version.unwrap_or_else(|| Version::of_damaged(raw.get().as_bytes()))
}

impl Entry {
    fn new(body: &RecordBody, written: Moment) -> Self {
        let version = format!("{:032x}", body.version().to_bits());
        Self { version, written, body: BASE64.encode(body.bytes()) }
    }

    fn read(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    fn version(&self) -> Option<Version> {
        u128::from_str_radix(&self.version, 16).ok().map(Version::from_bits)
    }

    fn body(&self) -> Option<Vec<u8>> {
        BASE64.decode(&self.body).ok()
    }
}

/// Names what [`Now::boot`] counts from, where that is one moment for all processes: the boot, and the
/// time namespace, in which a container may see it moved.
#[cfg(target_os = "linux")]
pub(crate) fn boot_id() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// Elsewhere it counts from the start of the process.
#[cfg(not(target_os = "linux"))]
pub(crate) fn boot_id() -> Option<String> {
    None
}
