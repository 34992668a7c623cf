//! What an API wants that no refresh brings: more scope, a stronger or newer login, a look at its metadata.
//!
//! The core's `Challenges` are the words of an answer, and the layer acts on those that a new access token cures.
//! Here is what the rest mean, as values. Nobody follows them but the program: they come from the API, and lead to
//! a person or to a server that the program has yet to trust.
//!
//! ```
//! use http::{Response, StatusCode, header::WWW_AUTHENTICATE};
//! use tower_oauth_refresh_binding::Needs;
//!
//! # // What came back through the layer.
//! # let response = Response::builder()
//! #     .status(StatusCode::FORBIDDEN)
//! #     .header(WWW_AUTHENTICATE, r#"Bearer error="insufficient_scope", scope="files:read files:write""#)
//! #     .body(())?;
//! if let Some(needs) = Needs::of(&response) {
//!     if needs.insufficient_scope {
//!         // A new authorization, for this and what was granted before. Not again and again.
//!         assert_eq!(needs.scope.as_deref(), Some("files:read files:write"));
//!     }
//!     if let Some(authentication) = needs.authentication {
//!         // A new authorization with these `acr_values` and this `max_age`.
//! #       unreachable!("{authentication:?}");
//!     }
//! }
//! # Ok::<(), http::Error>(())
//! ```

use std::fmt;
use std::time::Duration;

use http::{Response, StatusCode, Uri};
use tower_oauth_refresh::{Challenge, Challenges};

use crate::document;

/// What a refused request needs and a refresh does not give. Of several challenges, the first that says something
/// counts.
///
/// The values are the API's words. `Debug` shows none of them, because a server may repeat the token it refuses.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needs {
    /// Where the API's metadata is (RFC 9728 §5.1), for [`ResourceMetadata::fetch`](crate::ResourceMetadata::fetch).
    /// It is `https` or on loopback, and may be at any host.
    pub resource_metadata: Option<Uri>,
    /// The scope of this operation (RFC 6750 §3), as the `scope` of an authorization request has it. Not what was
    /// granted before: ask for both.
    pub scope: Option<String>,
    /// The access token has too little scope (RFC 6750 §3.1).
    pub insufficient_scope: bool,
    /// The login behind the access token is too weak or too old (RFC 9470 §3).
    pub authentication: Option<Authentication>,
}

/// A login as an API wants it, for a new authorization request (RFC 9470 §4).
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authentication {
    /// The authentication contexts of which one is wanted, the most wanted first. Empty: any.
    pub acr_values: Vec<String>,
    /// How long ago the login may be. `None`: the API does not say.
    pub max_age: Option<Duration>,
}

impl Needs {
    /// What this answer of an API asks for. `None`: nothing of it, as far as that can be read.
    ///
    /// Only a 401 or 403 does. A value that breaks its grammar is left out, the others count all the same.
    #[must_use]
    pub fn of<B>(answer: &Response<B>) -> Option<Self> {
        if !matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return None;
        }
        let challenges = Challenges::parse(answer.headers());
        let tokens = || challenges.iter().filter(|challenge| TOKEN_SCHEMES.contains(&challenge.scheme()));
        let with_error = |error| tokens().find(move |challenge| challenge.param("error") == Some(error));
        let scope =
            |challenge: &Challenge| challenge.param("scope").and_then(words).map(|words| words.join(" "));
        let lacking = with_error("insufficient_scope");
        let needs = Self {
            // Any scheme may have it, also those of later days.
            resource_metadata: challenges
                .iter()
                .find_map(|challenge| document::url(challenge.param("resource_metadata")?)),
            scope: lacking.and_then(scope).or_else(|| tokens().find_map(scope)),
            insufficient_scope: lacking.is_some(),
            authentication: with_error("insufficient_user_authentication").map(Authentication::of),
        };
        (needs != Self::default()).then_some(needs)
    }
}

impl Authentication {
    fn of(challenge: &Challenge) -> Self {
        let acr_values = challenge.param("acr_values").and_then(words).unwrap_or_default();
        // More seconds than fit into a `u32` ask for nothing.
        let max_age = challenge.param("max_age").filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let max_age = max_age.and_then(|text| text.parse::<u32>().ok());
        Self {
            acr_values: acr_values.into_iter().map(str::to_owned).collect(),
            max_age: max_age.map(|seconds| Duration::from_secs(seconds.into())),
        }
    }
}

/// A list of scope tokens or the like (RFC 6749 §3.3). `None`: there is none, or something else is in it.
fn words(text: &str) -> Option<Vec<&str>> {
    let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
    let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    (!words.is_empty() && words.iter().all(|word| word.bytes().all(allowed))).then_some(words)
}

impl fmt::Debug for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needs")
            .field("resource_metadata", &self.resource_metadata.is_some())
            .field("scope", &self.scope.is_some())
            .field("insufficient_scope", &self.insufficient_scope)
            .field("authentication", &self.authentication)
            .finish()
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("acr_values", &self.acr_values.len())
            .field("max_age", &self.max_age)
            .finish()
    }
}

/// The schemes whose errors are about an access token (RFC 6750 §3, RFC 9449 §7.1).
const TOKEN_SCHEMES: [&str; 2] = ["bearer", "dpop"];

#[cfg(test)]
mod tests;
