//! The members of an answer, by name, wiped from memory when they are dropped.
//!
//! Tokens never get in here by their own name, but providers put them under other names too.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroize as _;

/// What an answer said besides its tokens.
#[derive(Default)]
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Sets a member. The later of two counts; `false` if they differ.
    pub(super) fn insert(&mut self, name: String, value: Value) -> bool {
        let same = self.0.get(&name).is_none_or(|before| *before == value);
        if let Some(before) = self.0.insert(name, value) {
            wipe(before);
        }
        same
    }

    /// A member of the answer itself.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A text, number or truth value at a path such as `error.code` or `errors.0.errorType`.
    pub(super) fn text(&self, path: &str) -> Option<Cow<'_, str>> {
        let mut names = path.split('.');
        let first = self.0.get(names.next()?)?;
        let found = names.try_fold(first, |value, name| match value {
            Value::Object(members) => members.get(name),
            Value::Array(members) => members.get(name.parse::<usize>().ok()?),
            _ => None,
        })?;
        match found {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::Bool(truth) => Some(Cow::Owned(truth.to_string())),
            _ => None,
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        std::mem::take(&mut self.0).into_iter().for_each(|(_, value)| wipe(value));
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Members({})", self.0.len())
    }
}

/// A member of which the answer may have one value only, because nobody can say which one counts.
#[derive(Default)]
pub(super) enum Sole {
    #[default]
    Absent,
    One(Value),
    Ambiguous,
}

impl Sole {
    /// Takes one more occurrence. Equal ones are one.
    pub(super) fn add(&mut self, value: Value) {
        *self = match std::mem::take(self) {
            Self::Absent => Self::One(value),
            Self::One(before) if before == value => {
                wipe(value);
                Self::One(before)
            }
            Self::One(before) => {
                wipe(before);
                wipe(value);
                Self::Ambiguous
            }
            Self::Ambiguous => {
                wipe(value);
                Self::Ambiguous
            }
        };
    }
}

impl Sole {
    /// Takes `other` where there is none.
    pub(super) fn or(&mut self, other: Self) {
        if matches!(self, Self::Absent) {
            *self = other;
        } else {
            other.wipe();
        }
    }

    pub(super) fn wipe(self) {
        if let Self::One(value) = self {
            wipe(value);
        }
    }
}

/// Overwrites every text in `value`. The nesting is as deep as the JSON parser lets it be.
pub(super) fn wipe(value: Value) {
    match value {
        Value::String(mut text) => text.zeroize(),
        Value::Array(values) => values.into_iter().for_each(wipe),
        Value::Object(members) => members.into_iter().for_each(|(_, value)| wipe(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_objects_and_lists_to_a_text() {
        let mut members = Members::default();
        members.insert("errors".to_owned(), json!([{ "errorType": "invalid_grant" }]));
        members.insert("status".to_owned(), json!(601));
        members.insert("ok".to_owned(), json!(false));
        assert_eq!(members.text("errors.0.errorType").as_deref(), Some("invalid_grant"));
        assert_eq!(members.text("status").as_deref(), Some("601"));
        assert_eq!(members.text("ok").as_deref(), Some("false"));
        for path in
            ["", ".", "errors", "errors.1", "errors.x.y", "errors.0.errorType.deeper", "status.0", "none"]
        {
            assert_eq!(members.text(path), None, "{path}");
        }
    }

    #[test]
    fn debug_shows_no_member() {
        let mut members = Members::default();
        members.insert("s3cr3t".to_owned(), json!("s3cr3t"));
        assert_eq!(format!("{members:?}"), "Members(1)");
    }

    #[test]
    fn of_two_different_values_neither_is_believed() {
        let mut sole = Sole::default();
        sole.add(json!("a"));
        sole.add(json!("a"));
        assert!(matches!(&sole, Sole::One(value) if value == "a"));
        sole.add(json!("b"));
        sole.add(json!("a"));
        assert!(matches!(sole, Sole::Ambiguous));
    }
}
