//! What a provider calls things in its token answers, where that is not what RFC 6749 §5.1 calls them.
//!
//! Forms that can only mean one thing are understood without it, in `response`. Here is what would be a guess
//! if nobody had said it.

/// How the token answers of a provider differ from RFC 6749 §5.1, for
/// [`Builder::answer_dialect`](crate::Builder::answer_dialect).
///
/// ```
/// use tower_oauth_refresh::AnswerDialect;
///
/// const CAMELS: AnswerDialect = AnswerDialect::new()
///     .names(&[("accessToken", "access_token"), ("refreshToken", "refresh_token"), ("ttl", "expires_in")])
///     .bearer_types(&["User Access Token"])
///     .lifetimes_in_milliseconds();
/// # assert_ne!(CAMELS, AnswerDialect::new());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct AnswerDialect {
    names: &'static [(&'static str, &'static str)],
    bearer_types: &'static [&'static str],
    milliseconds: bool,
}

impl AnswerDialect {
    /// The RFC's own.
    pub const fn new() -> Self {
        Self { names: &[], bearer_types: &[], milliseconds: false }
    }

    /// Members with other names: first the provider's, then the RFC's.
    /// [`TokenResponse::member`](crate::TokenResponse::member) knows them by the latter.
    pub const fn names(mut self, names: &'static [(&'static str, &'static str)]) -> Self {
        self.names = names;
        self
    }

    /// What this provider calls a bearer token (RFC 6750) in `token_type`. Any other type is refused, since a
    /// token must not be sent in a way that it is not made for (RFC 6749 §7.1).
    pub const fn bearer_types(mut self, names: &'static [&'static str]) -> Self {
        self.bearer_types = names;
        self
    }

    /// Lifetimes are milliseconds instead of seconds.
    pub const fn lifetimes_in_milliseconds(mut self) -> Self {
        self.milliseconds = true;
        self
    }

    /// The RFC's name for a member of the answer.
    pub(super) fn name_of(self, given: &str) -> &str {
        self.names.iter().find(|(theirs, _)| *theirs == given).map_or(given, |(_, standard)| standard)
    }

    pub(super) fn is_bearer(self, token_type: &str) -> bool {
        self.bearer_types.iter().any(|name| name.eq_ignore_ascii_case(token_type))
    }

    /// How many of its units make a second.
    pub(super) fn per_second(self) -> u64 {
        if self.milliseconds { 1000 } else { 1 }
    }
}
