//! What a newer release has written into a record, and this one does not know.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use super::wire::json;

/// Members that this release does not know, kept for those that do. They may be secrets.
#[derive(Clone, Default)]
pub(crate) struct Unknown(Option<Arc<SecretString>>);

/// The same, while a record is read or written: overwritten when dropped.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct UnknownWire(Map<String, Value>);

impl Unknown {
    pub(super) fn of(mut members: UnknownWire) -> Self {
        let members = std::mem::take(&mut members.0);
        if members.is_empty() {
            return Self(None);
        }
        let members = UnknownWire(members);
        Self(String::from_utf8(json(&members)).ok().map(|text| Arc::new(text.into())))
    }

    pub(super) fn wire(&self) -> UnknownWire {
        let members = self.0.as_deref().map(|text| serde_json::from_str(text.expose_secret()));
        members.and_then(Result::ok).unwrap_or_default()
    }

    fn text(&self) -> Option<&str> {
        self.0.as_deref().map(|text| text.expose_secret())
    }
}

impl PartialEq for Unknown {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unknown({} bytes)", self.text().map_or(0, str::len))
    }
}

impl Drop for UnknownWire {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
impl Unknown {
    pub(crate) fn json(text: &str) -> Self {
        Self::of(serde_json::from_str(text).unwrap())
    }
}
