//! The body of a token answer, read as tolerantly as real servers require (RFC 6749 §5.1, §5.2).
//!
//! Whether the answer is good news is decided in `classify`; here it only becomes a token set, or the
//! reason why it cannot, with the refresh token saved wherever one can be: a server that rotates has
//! already forgotten the old one.

mod bounds;
mod raw;
mod scan;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::mem;
use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use self::raw::Raw;
use super::dialect::AnswerDialect;
use super::members::{Members, Sole, wipe};
use crate::error_code::ErrorCode;
use crate::secret::{AccessToken, RefreshToken};
use crate::token::{InvalidResponse, TokenSet};

/// No longer access token is sent: no server's header limit comes near it.
const MAX_ACCESS_TOKEN: usize = 64 * 1024;

/// Longer lifetimes are cut to a year, so that no clock arithmetic meets them.
const MAX_LIFETIME: u64 = 365 * 86_400;

/// From here on a lifetime is a date in disguise.
const ABSOLUTE: u64 = 1_000_000_000;

/// A token answer, whatever its status was.
#[derive(Debug)]
pub(super) struct Answer {
    /// The token set, or why there is none.
    pub(super) tokens: Result<TokenSet, Unusable>,
    /// What the answer calls its error, if it has one.
    pub(super) error: Option<ServerError>,
    members: Members,
}

/// An answer without a usable access token.
#[derive(Debug)]
pub(super) struct Unusable {
    /// The successor of the refresh token, which must not be lost with the rest.
    pub(super) refresh_token: Option<RefreshToken>,
    /// The member at fault.
    pub(super) why: InvalidResponse,
}

/// An `error` member: present, and not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerError {
    /// Its code, where the text is shaped like one.
    pub(super) code: Option<ErrorCode>,
}

impl Answer {
    /// Reads a body: a JSON object whatever its content type claims, else a form where the content type
    /// allows it (RFC 6749 §5.1 knows the first only; some servers predate it), else the object that a
    /// server's own notice stands before.
    pub(super) fn parse(headers: &HeaderMap, body: &[u8], dialect: AnswerDialect) -> Self {
        let form = || may_be_form(headers).then(|| Raw::form(body, dialect)).flatten();
        let behind = || Raw::json(behind_notice(headers, body)?, dialect);
        let raw = Raw::json(body, dialect).or_else(form).or_else(behind);
        raw.map_or_else(Self::unreadable, |raw| Self::from_raw(raw, dialect))
    }

    /// A text, number or truth value of the answer at a path such as `error.code`. Never a token.
    pub(super) fn member(&self, path: &str) -> Option<Cow<'_, str>> {
        self.members.text(path)
    }

    /// Is it no object of members at all?
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(&self.tokens, Err(Unusable { why, refresh_token: None }) if *why == InvalidResponse::UNREADABLE)
            && self.error.is_none()
    }

    fn unreadable() -> Self {
        let why = InvalidResponse::UNREADABLE;
        Self { tokens: Err(Unusable { refresh_token: None, why }), error: None, members: Members::default() }
    }

    fn from_raw(mut raw: Raw, dialect: AnswerDialect) -> Self {
        let tokens = token_set(&mut raw, dialect);
        let error =
            if raw.repeated_error { Some(ServerError { code: None }) } else { server_error(&raw.members) };
        Self { tokens, error, members: mem::take(&mut raw.members) }
    }
}

impl TokenSet {
    /// The token set in `response`: the answer of a token endpoint as another crate read it, or any value
    /// that serialises to the members of RFC 6749 §5.1. The `oauth2` and `openidconnect` crates' token
    /// responses do, and so does a JSON value.
    ///
    /// It is read as tolerantly as an answer to a refresh: `expires_in` may be a text or a fraction,
    /// `scope` a list, `token_type` may be missing.
    ///
    /// ```
    /// use tower_oauth_refresh::TokenSet;
    ///
    /// let login = serde_json::json!({
    ///     "access_token": "at-1",
    ///     "token_type": "bearer",
    ///     "expires_in": 3600,
    ///     "refresh_token": "rt-1",
    /// });
    /// let tokens = TokenSet::from_response(&login)?;
    /// assert_eq!(tokens.expires_in.map(|lifetime| lifetime.as_secs()), Some(3600));
    /// # Ok::<(), tower_oauth_refresh::InvalidResponse>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `response` does not serialise to an object, is an error answer (RFC 6749 §5.2), or holds no
    /// access token that can be sent. The error names the member at fault, never its value.
    pub fn from_response(response: &impl serde::Serialize) -> Result<Self, InvalidResponse> {
        // Not by way of a `Value`: that would quietly drop a member that occurs twice. What went wrong
        // inside `serialize` is not passed on, because such an error may quote the value.
        let body = serde_json::to_vec(response).map_err(|_| InvalidResponse::UNREADABLE)?;
        let body = Zeroizing::new(body);
        let dialect = AnswerDialect::new();
        let raw = Raw::json(&body, dialect).ok_or(InvalidResponse::UNREADABLE)?;
        let answer = Answer::from_raw(raw, dialect);
        match answer {
            Answer { error: Some(_), .. } => Err(InvalidResponse::ERROR),
            Answer { tokens, .. } => tokens.map_err(|unusable| unusable.why),
        }
    }
}

/// Servers that answer with a form call it by its name or plain text.
fn may_be_form(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    ["application/x-www-form-urlencoded", "text/plain"]
        .iter()
        .any(|form| media_type.eq_ignore_ascii_case(form))
}

/// The first object with a member, in what is called JSON and begins as none: a warning of the server's language or
/// a guard against scripts is before it. A page is not searched, nor a list of objects.
fn behind_notice<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<&'a [u8]> {
    let is_list = body.trim_ascii_start().starts_with(b"[");
    if is_list || !media_type(headers).eq_ignore_ascii_case("application/json") {
        return None;
    }
    let mut braces = body.iter().enumerate().filter(|(_, byte)| **byte == b'{');
    braces.find_map(|(at, _)| {
        let inside = body.get(at + 1..)?.trim_ascii_start();
        inside.starts_with(b"\"").then(|| body.get(at..)).flatten()
    })
}

fn media_type(headers: &HeaderMap) -> &str {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim()
}

fn token_set(raw: &mut Raw, dialect: AnswerDialect) -> Result<TokenSet, Unusable> {
    let members = &raw.members;
    // Both are read before either can fail.
    let access_token = access_token(mem::take(&mut raw.access_token));
    let (refresh_token, refresh_fault) = match refresh_token(mem::take(&mut raw.refresh_token)) {
        Ok(token) => (token, None),
        Err(why) => (None, Some(why)),
    };
    let unusable = |why| Unusable { refresh_token: refresh_token.clone(), why };
    if raw.repeated_error {
        return Err(unusable(InvalidResponse::repeated("error")));
    }
    // A new refresh token may have been in the part that nobody has read.
    if !raw.whole && (access_token.is_err() || (refresh_token.is_none() && refresh_fault.is_none())) {
        return Err(unusable(InvalidResponse::UNREADABLE));
    }
    let access_token = access_token.map_err(unusable)?;
    let token_type = token_type(members.get("token_type"), dialect).map_err(unusable)?;
    // Going on with the old refresh token although a new one was meant would look like theft later.
    if let Some(why) = refresh_fault {
        return Err(unusable(why));
    }
    let mut tokens = TokenSet::new(access_token);
    tokens.refresh_token = refresh_token;
    tokens.token_type = token_type;
    tokens.expires_in = members.get("expires_in").and_then(|member| lifetime(member, dialect));
    tokens.refresh_in = members.get("refresh_in").and_then(|member| lifetime(member, dialect));
    tokens.scope = members.get("scope").and_then(scope);
    Ok(tokens)
}

/// Visible ASCII only: nothing else is both a token (RFC 6749 appendix A.12) and one word of a header.
fn access_token(member: Sole) -> Result<AccessToken, InvalidResponse> {
    const NAME: &str = "access_token";
    let mut text = match member {
        Sole::Absent | Sole::One(Value::Null) => return Err(InvalidResponse::missing(NAME)),
        Sole::Ambiguous => return Err(InvalidResponse::repeated(NAME)),
        Sole::One(Value::String(text)) => text,
        Sole::One(other) => {
            wipe(other);
            return Err(InvalidResponse::unusable(NAME));
        }
    };
    if text.is_empty() {
        Err(InvalidResponse::missing(NAME))
    } else if text.len() > MAX_ACCESS_TOKEN || !text.bytes().all(|b| b.is_ascii_graphic()) {
        text.zeroize();
        Err(InvalidResponse::unusable(NAME))
    } else {
        Ok(AccessToken::new(text))
    }
}

/// Any text of any length, because it goes into a form and not into a header. Absent, null and empty mean: keep the old
/// one; `false` is how some say null.
fn refresh_token(member: Sole) -> Result<Option<RefreshToken>, InvalidResponse> {
    const NAME: &str = "refresh_token";
    match member {
        Sole::Absent | Sole::One(Value::Null | Value::Bool(false)) => Ok(None),
        Sole::Ambiguous => Err(InvalidResponse::repeated(NAME)),
        Sole::One(Value::String(text)) if text.is_empty() => Ok(None),
        Sole::One(Value::String(text)) => Ok(Some(RefreshToken::new(text))),
        Sole::One(other) => {
            wipe(other);
            Err(InvalidResponse::unusable(NAME))
        }
    }
}

/// `Bearer` where the answer says nothing. A type nobody here can present must not be sent (RFC 6749 §7.1).
fn token_type(member: Option<&Value>, dialect: AnswerDialect) -> Result<String, InvalidResponse> {
    let given = match member {
        None | Some(Value::Null) => "",
        Some(Value::String(given)) => given.trim(),
        Some(_) => return Err(InvalidResponse::unusable("token_type")),
    };
    let known = ["Bearer", "DPoP"].into_iter().find(|known| known.eq_ignore_ascii_case(given));
    match known {
        Some(known) => Ok(known.to_owned()),
        None if given.is_empty() || dialect.is_bearer(given) => Ok("Bearer".to_owned()),
        None => Err(InvalidResponse::unusable("token_type")),
    }
}

/// Whole seconds, as a number or a text. What is no lifetime (zero, negative, a date) is not known, which
/// is not the same as expired: a token that is always expired would be refreshed for ever.
fn lifetime(member: &Value, dialect: AnswerDialect) -> Option<Duration> {
    let units = match member {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
        }
        _ => None,
    };
    let seconds =
        units.map(|units| units / dialect.per_second()).filter(|seconds| (1..ABSOLUTE).contains(seconds))?;
    Some(Duration::from_secs(seconds.min(MAX_LIFETIME)))
}

fn whole(seconds: f64) -> Option<u64> {
    Duration::try_from_secs_f64(seconds).ok().map(|duration| duration.as_secs())
}

/// One text, as RFC 6749 §3.3 has it, or a list of them.
fn scope(member: &Value) -> Option<String> {
    let scope = match member {
        Value::String(text) => text.trim().to_owned(),
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    };
    (!scope.is_empty()).then_some(scope)
}

/// The error of an answer: a text, or an object that holds it as `code` or `type`. What says nothing
/// (null, empty, `false`, zero, `ok`) is no error.
fn server_error(members: &Members) -> Option<ServerError> {
    let error = members.get("error")?;
    let named: Vec<_> = ["code", "type"].iter().filter_map(|name| error.get(name)).collect();
    let said = if named.iter().all(|name| name.is_null()) {
        says_something(error)
    } else {
        named.into_iter().any(says_something)
    };
    let code = [error.as_str(), text_of(error, "code"), text_of(error, "type")];
    said.then(|| ServerError { code: code.into_iter().flatten().find_map(ErrorCode::parse) })
}

fn says_something(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        // The last two are how some servers call a success.
        Value::String(text) => !["", "ok", "success"].iter().any(|no| text.trim().eq_ignore_ascii_case(no)),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) => true,
    }
}

fn text_of<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}
