//! A body taken apart into members, before anybody asks what they mean.

use std::fmt;
use std::mem;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::endpoint::dialect::AnswerDialect;
use crate::endpoint::members::{Members, Sole, wipe};

/// Of a longer answer only the members with a meaning here are kept: a parsed tree is many times the size
/// of its text.
const MAX_KEPT: usize = 64 * 1024;

/// Members an answer of any length keeps.
const KNOWN: [&str; 5] = ["error", "token_type", "expires_in", "refresh_in", "scope"];

/// The members of an answer.
#[derive(Default)]
pub(super) struct Raw {
    pub(super) access_token: Sole,
    pub(super) refresh_token: Sole,
    /// `error` occurs twice and differs, so the answer says neither.
    pub(super) repeated_error: bool,
    pub(super) members: Members,
}

impl Raw {
    /// The members of a JSON object with nothing behind it.
    pub(super) fn json(body: &[u8], dialect: AnswerDialect) -> Option<Self> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let keep_all = body.len() <= MAX_KEPT;
        // Bounds the nesting by itself: deeper than 128 is an error.
        let mut json = serde_json::Deserializer::from_slice(body);
        let raw = RawSeed { keep_all, dialect }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(raw)
    }

    /// The members of a form. Anything at all is a form, so a body that set out to be JSON or a page is
    /// not taken for one.
    pub(super) fn form(body: &[u8], dialect: AnswerDialect) -> Option<Self> {
        let first = body.trim_ascii_start().first()?;
        if b"{[<\"".contains(first) || body.starts_with(b"\xef\xbb\xbf") {
            return None;
        }
        let mut raw = Self::default();
        for (name, value) in form_urlencoded::parse(body.trim_ascii()) {
            // Bytes that were no text; a token with a hole in it is not the token.
            let value =
                if value.contains('\u{fffd}') { Value::Bool(true) } else { value.into_owned().into() };
            raw.put(dialect.name_of(&name).to_owned(), value);
        }
        Some(raw)
    }

    fn put(&mut self, name: String, value: Value) {
        match name.as_str() {
            "access_token" => self.access_token.add(value),
            "refresh_token" => self.refresh_token.add(value),
            // Of no use here, and as secret as the others.
            "id_token" => wipe(value),
            "error" => self.repeated_error |= !self.members.insert(name, value),
            _ => {
                self.members.insert(name, value);
            }
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        for token in [&mut self.access_token, &mut self.refresh_token] {
            if let Sole::One(value) = mem::take(token) {
                wipe(value);
            }
        }
    }
}

struct RawSeed {
    keep_all: bool,
    dialect: AnswerDialect,
}

impl<'de> DeserializeSeed<'de> for RawSeed {
    type Value = Raw;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RawSeed {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut raw = Raw::default();
        while let Some(given) = map.next_key::<String>()? {
            let name = self.dialect.name_of(&given).to_owned();
            let token = matches!(name.as_str(), "access_token" | "refresh_token");
            if token || self.keep_all || KNOWN.contains(&name.as_str()) {
                raw.put(name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(raw)
    }
}
