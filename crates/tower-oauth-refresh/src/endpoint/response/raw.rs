//! A body taken apart into members, before anybody asks what they mean.

use std::mem;

use serde_json::Value;

use super::scan::Object;
use super::value::{string, token, value};
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
    /// Were all members read?
    pub(super) whole: bool,
    pub(super) members: Members,
}

impl Raw {
    /// The members of a JSON object that can be read, whatever the others are and whatever follows it.
    pub(super) fn json(body: &[u8], dialect: AnswerDialect) -> Option<Self> {
        let keep_all = body.len() <= MAX_KEPT;
        let mut raw = Self::default();
        let mut object = Object::new(body)?;
        // Found behind damage: they count where there is no certain one.
        let (mut access_token, mut refresh_token) = (Sole::Absent, Sole::Absent);
        for member in object.by_ref() {
            let given = string(member.name).0;
            let name = dialect.name_of(&given);
            match name {
                "access_token" if member.certain => raw.access_token.add(token(member.value)),
                "access_token" => access_token.add(token(member.value)),
                "refresh_token" if member.certain => raw.refresh_token.add(token(member.value)),
                "refresh_token" => refresh_token.add(token(member.value)),
                // Of no use here, and as secret as the others.
                "id_token" => {}
                _ if !member.certain && raw.members.get(name).is_some() => {}
                // An answer with a token is no refusal; an object inside of it may be about one.
                "error" if !member.certain && matches!(raw.access_token, Sole::One(Value::String(_))) => {}
                _ if keep_all || KNOWN.contains(&name) => {
                    let text = member.value.filter(|text| text.len() <= MAX_KEPT);
                    if let Some(value) = text.and_then(value) {
                        raw.put(name.to_owned(), value);
                    }
                }
                _ => {}
            }
        }
        raw.access_token.or(access_token);
        raw.refresh_token.or(refresh_token);
        raw.whole = object.is_whole();
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
        raw.whole = true;
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
        mem::take(&mut self.access_token).wipe();
        mem::take(&mut self.refresh_token).wipe();
    }
}
