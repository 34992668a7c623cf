//! What a resource server says when it refuses a token: `WWW-Authenticate`, read as RFC 9110 §11.6.1
//! writes it, and the decision whether a refresh could help.
//!
//! This is a parser and not a search for substrings, because the field is a list of lists: several
//! challenges in one field, commas inside quotes, the field repeated. What it cannot read it leaves out;
//! a refusal without a readable challenge is still a refusal.
//!
//! ```
//! use tower_oauth_refresh::Challenges;
//!
//! let mut headers = http::HeaderMap::new();
//! headers.insert(
//!     http::header::WWW_AUTHENTICATE,
//!     r#"Basic realm="a, b", Bearer error="insufficient_scope", scope="files:write""#.parse()?,
//! );
//! let challenges = Challenges::parse(&headers);
//! let bearer = challenges.iter().find(|c| c.scheme() == "bearer").ok_or("no bearer challenge")?;
//! assert_eq!(bearer.param("scope"), Some("files:write"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use crate::error_code::ErrorCode;

/// A longer field is not read: nobody needs more to say which token it wants.
const MAX_FIELD: usize = 8 * 1024;

/// Of all fields together, for a server that repeats the field without end.
const MAX_TOTAL: usize = 32 * 1024;

/// More challenges than there are schemes.
const MAX_CHALLENGES: usize = 32;

/// One challenge: a scheme and its parameters (RFC 9110 §11.3).
///
/// Parameters are text from the server. `Debug` shows none of their values but a well-formed `error`,
/// because a server may repeat the token it refuses.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    params: Vec<(String, String)>,
    /// Carried a token68 instead of parameters. Its value is of no use to OAuth and is not kept.
    token68: bool,
}

impl Challenge {
    fn new(scheme: &str) -> Self {
        Self { scheme: scheme.to_ascii_lowercase(), params: Vec::new(), token68: false }
    }

    /// The scheme in lower case, such as `bearer`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The value of a parameter, unquoted. Names compare without regard to case (RFC 9110 §11.2).
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Scheme and names are the server's words as much as the values are.
        let scheme = ErrorCode::parse(&self.scheme);
        let error = self.param("error").and_then(ErrorCode::parse);
        f.debug_struct("Challenge")
            .field("scheme", &scheme)
            .field("error", &error)
            .field("params", &self.params.len())
            .finish()
    }
}

/// All challenges of a response, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenges(Vec<Challenge>);

impl Challenges {
    /// Reads every `WWW-Authenticate` field of `headers`.
    ///
    /// A field that does not follow the grammar, names a parameter twice or is longer than 8 KiB adds no
    /// challenge; the other fields are read all the same. At most 32 challenges are kept.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut all = Vec::new();
        let mut budget = MAX_TOTAL;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let field = value.as_bytes();
            let Some(left) = budget.checked_sub(field.len()) else { break };
            budget = left;
            if field.len() <= MAX_FIELD {
                all.extend(parse::field(field).unwrap_or_default());
            }
            all.truncate(MAX_CHALLENGES);
        }
        Self(all)
    }

    /// The challenges.
    pub fn iter(&self) -> std::slice::Iter<'_, Challenge> {
        self.0.iter()
    }

    /// Was there none that could be read?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Challenges {
    type Item = Challenge;
    type IntoIter = std::vec::IntoIter<Challenge>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Challenges {
    type Item = &'a Challenge;
    type IntoIter = std::slice::Iter<'a, Challenge>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Errors beside a 401 that a new access token of the same grant cannot cure: more scope (RFC 6750 §3.1),
/// a stronger login (RFC 9470), a nonce for the same token or another proof of its key (RFC 9449 §9, §7.1), claims the
/// user must consent to, a malformed request.
const NOT_CURED_BY_A_TOKEN: [&str; 6] = [
    "insufficient_scope",
    "insufficient_user_authentication",
    "use_dpop_nonce",
    "invalid_dpop_proof",
    "insufficient_claims",
    "invalid_request",
];

/// Does the resource server refuse the access token, so that a newer one could help?
///
/// A 401 does, with or without a readable challenge (many servers send none), unless a challenge says otherwise and
/// none says `invalid_token`. Where there is one of `scheme`, by which the token was sent, the others say nothing about
/// that token. A 403 says the token was understood, a 407 belongs to a proxy. A gRPC call refused before it began is a
/// 200 that carries its status in the header fields.
pub(crate) fn is_challenge(status: StatusCode, headers: &HeaderMap, scheme: &str) -> bool {
    match status {
        StatusCode::UNAUTHORIZED => {
            let challenges = Challenges::parse(headers);
            let is_ours = |challenge: &Challenge| challenge.scheme().eq_ignore_ascii_case(scheme);
            let is_named = challenges.iter().any(is_ours);
            let error = |challenge: &Challenge, wanted: &[&str]| {
                challenge.param("error").is_some_and(|error| wanted.contains(&error))
            };
            challenges.iter().any(|challenge| error(challenge, &["invalid_token"]))
                || !challenges.iter().any(|challenge| {
                    (is_ours(challenge) || !is_named) && error(challenge, &NOT_CURED_BY_A_TOKEN)
                })
        }
        StatusCode::OK => is_grpc(headers) && grpc_unauthenticated(headers),
        _ => false,
    }
}

/// Does it want the same token once more, in another proof: with the nonce that it sends along (RFC 9449 §9), or, where
/// it takes none like this one (§7.1), with what the signer has learned from the answer, such as the time?
pub(crate) fn wants_proof(headers: &HeaderMap) -> bool {
    let about_the_proof = ["use_dpop_nonce", "invalid_dpop_proof"];
    Challenges::parse(headers).iter().any(|challenge| {
        challenge.scheme() == "dpop"
            && challenge.param("error").is_some_and(|error| about_the_proof.contains(&error))
    })
}

/// Does the answer to a call follow in trailers?
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    content_type.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
}

/// `UNAUTHENTICATED` in a trailers-only answer. In real trailers it comes too late to replay anything.
fn grpc_unauthenticated(headers: &HeaderMap) -> bool {
    headers.get("grpc-status").is_some_and(|status| status.as_bytes() == b"16")
}
