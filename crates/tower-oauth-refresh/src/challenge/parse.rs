//! The grammar of `WWW-Authenticate` (RFC 9110 §11.2, §11.3, §5.6).
//!
//! The one ambiguity is the comma, which separates challenges and the parameters of one challenge alike:
//! a name followed by `=` belongs to the challenge before it, any other name begins a new one.

use super::{Challenge, MAX_CHALLENGES};

/// More parameters than any scheme defines; checking each against the others stays cheap.
const MAX_PARAMS: usize = 32;

/// All challenges of one field, or `None` if the field breaks the grammar anywhere.
pub(super) fn field(value: &[u8]) -> Option<Vec<Challenge>> {
    let mut cursor = Cursor { rest: value };
    let mut found = Vec::new();
    loop {
        // Empty list members are allowed, before, between and after (RFC 9110 §5.6.1.2).
        cursor.take_while(|b| is_space(b) || b == b',');
        if cursor.rest.is_empty() {
            return Some(found);
        }
        member(&mut cursor, &mut found)?;
        if !cursor.at_separator() || found.len() > MAX_CHALLENGES {
            return None;
        }
    }
}

/// One member of the list: a parameter of the last challenge, or a new challenge with its first parameter.
fn member(cursor: &mut Cursor<'_>, found: &mut Vec<Challenge>) -> Option<()> {
    let mut ahead = *cursor;
    if let Some((name, value)) = param(&mut ahead) {
        *cursor = ahead;
        return add(found.last_mut()?, name, value);
    }
    let mut challenge = Challenge::new(cursor.token()?);
    if !cursor.at_separator() {
        first_of(cursor, &mut challenge)?;
    }
    found.push(challenge);
    Some(())
}

/// What follows a scheme and a space: a parameter or a token68.
fn first_of(cursor: &mut Cursor<'_>, challenge: &mut Challenge) -> Option<()> {
    if cursor.take_while(is_space).is_empty() {
        return None;
    }
    let mut ahead = *cursor;
    if let Some((name, value)) = param(&mut ahead) {
        *cursor = ahead;
        return add(challenge, name, value);
    }
    challenge.token68 = true;
    let text = cursor.take_while(is_token68);
    cursor.take_while(|b| b == b'=');
    (!text.is_empty()).then_some(())
}

/// Each name once in a challenge, and none beside a token68.
fn add(challenge: &mut Challenge, name: &str, value: String) -> Option<()> {
    let fits = !challenge.token68 && challenge.params.len() < MAX_PARAMS && challenge.param(name).is_none();
    fits.then(|| challenge.params.push((name.to_ascii_lowercase(), value)))
}

fn param<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a str, String)> {
    let name = cursor.token()?;
    cursor.take_while(is_space);
    cursor.eat(b'=')?;
    cursor.take_while(is_space);
    let value = match cursor.eat(b'"') {
        Some(()) => cursor.quoted()?,
        None => cursor.token()?.to_owned(),
    };
    Some((name, value))
}

/// What is left to read. A copy of it is a way back.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|b| !wanted(*b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    /// At the end of a member: nothing but space before a comma or the end of the field.
    fn at_separator(mut self) -> bool {
        self.take_while(is_space);
        matches!(self.rest.first(), None | Some(b','))
    }

    fn token(&mut self) -> Option<&'a str> {
        let token = self.take_while(is_token);
        str::from_utf8(token).ok().filter(|token| !token.is_empty())
    }

    /// The rest of a quoted-string, without its quotes and escapes.
    fn quoted(&mut self) -> Option<String> {
        let mut text = Vec::new();
        loop {
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            match first {
                // Outside ASCII the encoding is not defined; whatever is no UTF-8 is replaced.
                b'"' => return Some(String::from_utf8_lossy(&text).into_owned()),
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    text.push(*escaped);
                }
                other => text.push(*other),
            }
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
}
