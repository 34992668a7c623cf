//! Between columns and records.

use std::time::Duration;

use tower_oauth_refresh::{Record, RecordBody, StoreError, StoredKey, Swap, Version};

pub(crate) fn to_column(version: Version) -> Vec<u8> {
    version.to_bits().to_be_bytes().to_vec()
}

pub(crate) fn from_columns(
    key: &StoredKey,
    version: &[u8],
    body: Vec<u8>,
    age: Duration,
) -> Result<Record, StoreError> {
    let Ok(bits) = version.try_into().map(u128::from_be_bytes) else {
        let unreadable = StoreError::unreadable(format!("the version of {key} is not 16 bytes long"));
        return Err(unreadable.at(of_damaged(version, &body)));
    };
    Ok(Record::new(RecordBody::new(Version::from_bits(bits), body), age))
}

/// Names a row whose version cannot be read.
pub(crate) fn of_damaged(version: &[u8], body: &[u8]) -> Version {
    let len = version.len() as u64;
    Version::of_damaged(&[&len.to_be_bytes(), version, body].concat())
}

/// Of a swap that changed nothing. What it was to write may be there already: it was carried out before, by a client
/// that sent it twice.
#[cfg(feature = "postgres")]
pub(crate) fn conflict(found: Option<Record>, new: Option<&RecordBody>) -> Swap {
    match (&found, new) {
        (Some(found), Some(new)) if found.body.version() == new.version() => Swap::Swapped,
        _ => Swap::Conflict(found),
    }
}

/// To remove what is not there changes nothing.
pub(crate) fn removed_nothing(found: Option<Record>) -> Swap {
    match found {
        None => Swap::Swapped,
        found => Swap::Conflict(found),
    }
}
