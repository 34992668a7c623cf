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
    let bits = version.try_into().map(u128::from_be_bytes);
    let unreadable = |_| StoreError::unreadable(format!("the version of {key} is not 16 bytes long"));
    let version = Version::from_bits(bits.map_err(unreadable)?);
    Ok(Record::new(RecordBody::new(version, body), age))
}

/// To remove what is not there changes nothing.
pub(crate) fn removed_nothing(found: Option<Record>) -> Swap {
    match found {
        None => Swap::Swapped,
        found => Swap::Conflict(found),
    }
}
