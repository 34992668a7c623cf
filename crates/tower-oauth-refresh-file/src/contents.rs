//! What is in the file: JSON, because whoever debugs a login at night can look at it.
//!
//! Only the entry that is asked for is decoded; the others are written back as they were found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use tower_oauth_refresh::{Now, Record, RecordBody, StoreError, StoredKey, Version};

const FORMAT: u32 = 1;

/// Unknown fields are an error, or else an older release would drop what a newer one wrote.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    format: u32,
    records: BTreeMap<String, Entry>,
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
    #[error("{} is damaged at line {line}, column {column}; it is left as it is", path.display())]
    Damaged { path: PathBuf, line: usize, column: usize },
    #[error("{} was written by a newer release (format {format}); it is left as it is", path.display())]
    Newer { path: PathBuf, format: u32 },
    #[error("the record of {0} is damaged; it is left as it is")]
    Entry(StoredKey),
}

impl Contents {
    /// Understands the bytes of the file at `path`.
    ///
    /// No bytes at all are an empty store, like no file: that is what `touch`, `mktemp` and a mounted
    /// placeholder leave. A write of ours cannot, and where there is nothing, nothing can be overwritten.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, StoreError> {
        if bytes.is_empty() {
            return Ok(Self { format: FORMAT, records: BTreeMap::new() });
        }
        let path = path.to_path_buf();
        let parsed: Result<Self, _> = serde_json::from_slice(bytes);
        let format = match &parsed {
            Ok(contents) => Some(contents.format),
            Err(_) => serde_json::from_slice(bytes).ok().map(|header: Header| header.format),
        };
        let unreadable = match (parsed, format) {
            (_, Some(format)) if format != FORMAT => Unreadable::Newer { path, format },
            (Ok(contents), _) => return Ok(contents),
            (Err(error), _) => Unreadable::Damaged { path, line: error.line(), column: error.column() },
        };
        Err(StoreError::unreadable(unreadable))
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(StoreError::unavailable)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    pub(crate) fn get(&self, key: &StoredKey, now: &Moment) -> Result<Option<Record>, StoreError> {
        let Some(entry) = self.records.get(key.as_str()) else { return Ok(None) };
        let body = entry.decode().ok_or_else(|| StoreError::unreadable(Unreadable::Entry(key.clone())))?;
        Ok(Some(Record::new(body, now.since(&entry.written))))
    }

    pub(crate) fn set(&mut self, key: &StoredKey, new: Option<&RecordBody>, written: Moment) {
        match new {
            Some(body) => drop(self.records.insert(key.as_str().to_owned(), Entry::encode(body, written))),
            None => drop(self.records.remove(key.as_str())),
        }
    }
}

impl Entry {
    fn encode(body: &RecordBody, written: Moment) -> Self {
        let version = format!("{:032x}", body.version().to_bits());
        Self { version, written, body: BASE64.encode(body.bytes()) }
    }

    fn decode(&self) -> Option<RecordBody> {
        let version = u128::from_str_radix(&self.version, 16).ok()?;
        Some(RecordBody::new(Version::from_bits(version), BASE64.decode(&self.body).ok()?))
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
