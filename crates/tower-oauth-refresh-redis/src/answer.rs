//! What the script returns.

use std::time::Duration;

use redis::Value;
use tower_oauth_refresh::{Record, RecordBody, StoreError, StoredKey, Swap, Version};

use crate::failure::Failure;

#[cfg(test)]
mod tests;

/// A version as it stands in Redis; no letters at all are no record.
pub(crate) fn write_version(version: Option<Version>) -> String {
    version.map_or_else(String::new, |version| format!("{:032x}", version.to_bits()))
}

/// A load answers like a swap that expected something else.
pub(crate) fn read(answer: Value, key: &StoredKey) -> Result<Swap, StoreError> {
    match answer {
        Value::Int(1) => Ok(Swap::Swapped),
        Value::Array(fields) => {
            let [version, written, body, now] =
                <[Value; 4]>::try_from(fields).map_err(|_| Failure::Answer)?;
            if text(&version) == Some("") {
                return Ok(Swap::Conflict(None));
            }
            let now = number(&now).ok_or(Failure::Answer)?;
            let version = read_version(&version).ok_or(Failure::Answer)?;
            let record = record(version, &written, body, now);
            record.map(|record| Swap::Conflict(Some(record))).ok_or_else(|| foreign(key).at(version))
        }
        _ => Err(Failure::Answer.into()),
    }
}

/// In another spelling no swap would ever expect it.
fn read_version(version: &Value) -> Option<Version> {
    let spelt = text(version)?;
    let version = Version::from_bits(u128::from_str_radix(spelt, 16).ok()?);
    (spelt == write_version(Some(version))).then_some(version)
}

fn record(version: Version, written: &Value, body: Value, now: u64) -> Option<Record> {
    // The clock of the server may have been set back in between: young is the safe side.
    let age = Duration::from_millis(now.saturating_sub(number(written)?));
    let Value::BulkString(body) = body else { return None };
    Some(Record::new(RecordBody::new(version, body), age))
}

fn number(value: &Value) -> Option<u64> {
    text(value)?.parse().ok()
}

fn text(value: &Value) -> Option<&str> {
    let Value::BulkString(bytes) = value else { return None };
    std::str::from_utf8(bytes).ok()
}

fn foreign(key: &StoredKey) -> StoreError {
    StoreError::unreadable(format!("what Redis keeps as {key} is no record"))
}
