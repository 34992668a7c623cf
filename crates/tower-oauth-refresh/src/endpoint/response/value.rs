//! The value of a member, from its text.

use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use super::scan::{Object, elements};

/// What is nested deeper is left out. No server says anything there.
const MAX_DEPTH: usize = 16;

/// Any value. Characters that are none are replaced, and what cannot be read is left out.
pub(super) fn value(text: &[u8]) -> Option<Value> {
    nested(text, MAX_DEPTH)
}

/// A token: exactly what the server wrote, or a value that is no token.
pub(super) fn token(text: Option<&[u8]>) -> Value {
    const BROKEN: Value = Value::Bool(true);
    let Some(text) = text else { return BROKEN };
    if text.first() != Some(&b'"') {
        return scalar(text).unwrap_or(BROKEN);
    }
    let (mut token, exact) = string(text);
    if exact {
        return Value::String(token);
    }
    token.zeroize();
    BROKEN
}

/// The text of a string, quotes around it, and whether it is exactly what was meant.
pub(super) fn string(text: &[u8]) -> (String, bool) {
    let mut rest = text.strip_prefix(b"\"").unwrap_or(text);
    rest = rest.strip_suffix(b"\"").unwrap_or(rest);
    // Enough for all of it, so that no token is left behind in a smaller buffer.
    let mut read = String::with_capacity(rest.len());
    let mut exact = true;
    while !rest.is_empty() {
        let plain = rest.iter().position(|&byte| byte == b'\\').unwrap_or(rest.len());
        let (run, escaped) = rest.split_at(plain);
        exact &= !run.contains(&b'"');
        for chunk in run.utf8_chunks() {
            read.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                read.push(char::REPLACEMENT_CHARACTER);
                exact = false;
            }
        }
        rest = escaped;
        if !rest.is_empty() {
            let (character, length) = escape(rest);
            read.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
            exact &= character.is_some();
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    (read, exact)
}

/// The character that the escape at the beginning of `text` stands for, and how long the escape is.
fn escape(text: &[u8]) -> (Option<char>, usize) {
    let simple = match text.get(1) {
        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text),
        _ => return (None, 2),
    };
    (Some(simple), 2)
}

fn unicode(text: &[u8]) -> (Option<char>, usize) {
    let Some(first) = unit(text) else { return (None, 2) };
    let second = text.get(6..).and_then(unit);
    if let Some(second @ 0xdc00..=0xdfff) = second
        && (0xd800..=0xdbff).contains(&first)
    {
        let code = 0x10000 + ((u32::from(first) - 0xd800) << 10) + (u32::from(second) - 0xdc00);
        return (char::from_u32(code), 12);
    }
    (char::from_u32(first.into()), 6)
}

/// One UTF-16 code unit, written `\uXXXX`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

fn nested(text: &[u8], depth: usize) -> Option<Value> {
    let deeper = depth.checked_sub(1);
    match text.first()? {
        b'"' => Some(Value::String(string(text).0)),
        b'[' => Some(Value::Array(
            elements(text).map(|text| nested(text, deeper?)).map(Option::unwrap_or_default).collect(),
        )),
        b'{' => {
            let members = Object::new(text)?;
            let read =
                members.filter_map(|member| Some((string(member.name).0, nested(member.value?, deeper?)?)));
            Some(Value::Object(read.collect::<Map<_, _>>()))
        }
        _ => scalar(text),
    }
}

/// A number, `true`, `false` or `null`.
fn scalar(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}
