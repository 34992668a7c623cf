//! One successful answer of the token endpoint.

use std::time::{Duration, SystemTime};

use crate::secret::{AccessToken, BoundKey, RefreshToken};

/// A token set: what one successful answer of the token endpoint said (RFC 6749 §5.1).
///
/// From a login made with another crate, take [`TokenSet::from_response`]; by hand, [`TokenSet::new`]
/// and the setters. Lifetimes count from the moment the answer arrived: that of the
/// [`install`](crate::RefreshCoordinator::install), unless [`received_at`](Self::received_at) says when it was.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenSet {
    /// Sent to the resource server.
    pub access_token: AccessToken,
    /// Sent to the token endpoint for the next token set. Absent in an answer: the old one stays valid.
    pub refresh_token: Option<RefreshToken>,
    /// How to present the access token; `Bearer` where the server did not say.
    pub token_type: String,
    /// Lifetime of the access token. `None`: not known, so valid until the API refuses it.
    pub expires_in: Option<Duration>,
    /// When the server wishes the next refresh, counted like `expires_in`.
    pub refresh_in: Option<Duration>,
    /// Granted scope, if the server named it.
    pub scope: Option<String>,
    /// What the tokens are bound to, where every login has a key of its own. Absent in an answer: the login keeps
    /// the one it has.
    pub bound_key: Option<BoundKey>,
    pub(crate) received_at: Option<SystemTime>,
    pub(crate) expires_at: Option<SystemTime>,
}

impl TokenSet {
    /// A bearer token of unknown lifetime, without a refresh token.
    #[must_use]
    pub fn new(access_token: impl Into<AccessToken>) -> Self {
        Self {
            access_token: access_token.into(),
            refresh_token: None,
            token_type: "Bearer".to_owned(),
            expires_in: None,
            refresh_in: None,
            scope: None,
            bound_key: None,
            received_at: None,
            expires_at: None,
        }
    }

    /// A refresh token alone: the first request will exchange it.
    #[must_use]
    pub fn from_refresh_token(refresh_token: impl Into<RefreshToken>) -> Self {
        Self::new("").with_refresh_token(refresh_token)
    }

    /// With this refresh token.
    #[must_use]
    pub fn with_refresh_token(mut self, refresh_token: impl Into<RefreshToken>) -> Self {
        self.refresh_token = Some(refresh_token.into());
        self
    }

    /// With this lifetime of the access token.
    #[must_use]
    pub fn with_expires_in(mut self, expires_in: Duration) -> Self {
        self.expires_in = Some(expires_in);
        self.expires_at = None;
        self
    }

    /// Expiring at this time, by the clock of this host: for token sets that were kept somewhere else before.
    #[must_use]
    pub fn with_expires_at(mut self, expires_at: SystemTime) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// As it came at this time, by the clock of this host: `expires_in` and `refresh_in` count from there. Without it
    /// they count from the [`install`](crate::RefreshCoordinator::install).
    #[must_use]
    pub fn received_at(mut self, received_at: SystemTime) -> Self {
        self.received_at = Some(received_at);
        self
    }

    /// The set with lifetimes that count from when it came, and how long ago that is.
    pub(crate) fn as_of(&self, now: SystemTime) -> (Self, Duration) {
        let mut set = self.clone();
        let received_at = self.received_at.unwrap_or(now);
        if let Some(expires_at) = self.expires_at {
            set.expires_in = Some(expires_at.duration_since(received_at).unwrap_or_default());
        }
        (set, now.duration_since(received_at).unwrap_or_default())
    }

    /// Bound to this key, and so of the type `DPoP` (RFC 9449 §5): for a coordinator that is
    /// [set up for it](crate::Builder::dpop).
    #[must_use]
    pub fn with_bound_key(mut self, key: BoundKey) -> Self {
        self.bound_key = Some(key);
        "DPoP".clone_into(&mut self.token_type);
        self
    }

    /// With this granted scope.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }
}

/// Why a token response holds no token set. Names the member at fault, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", .member.map(|name| format!("`{name}` ")).unwrap_or_default())]
pub struct InvalidResponse {
    member: Option<&'static str>,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("the token response is not an object of members")]
    Unreadable,
    #[error("is missing from the token response")]
    Missing,
    #[error("occurs twice in the token response, with different values")]
    Repeated,
    #[error("of the token response cannot be used")]
    Unusable,
    #[error("reports that there are no tokens")]
    Error,
}

impl InvalidResponse {
    pub(crate) const UNREADABLE: Self = Self { member: None, fault: Fault::Unreadable };
    pub(crate) const ERROR: Self = Self { member: Some("error"), fault: Fault::Error };

    pub(crate) const fn missing(member: &'static str) -> Self {
        Self { member: Some(member), fault: Fault::Missing }
    }

    pub(crate) const fn repeated(member: &'static str) -> Self {
        Self { member: Some(member), fault: Fault::Repeated }
    }

    pub(crate) const fn unusable(member: &'static str) -> Self {
        Self { member: Some(member), fault: Fault::Unusable }
    }

    /// The member at fault, such as `access_token`; none if the response as a whole cannot be read.
    #[must_use]
    pub fn member(&self) -> Option<&'static str> {
        self.member
    }
}
