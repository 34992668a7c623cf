//! What becomes of a refresh token that was used.

use std::time::Duration;

/// What a server does with a refresh token when it is used, and when it comes again.
///
/// Each is the behaviour of servers in production. They differ only in what happens to a refresh token
/// that already has a successor; a token of a revoked family is `invalid_grant` under all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// Single use, with reuse detection (RFC 9700 §4.14.2): a used refresh token that comes again is
    /// `invalid_grant` and revokes the whole family, the newest tokens included. Two refreshes at once, or
    /// one repeated after a lost answer, end the login. Okta and Auth0 without
    /// leeway, oidc-provider.
    #[default]
    Strict,
    /// The refresh token stays the same for good, and answers do not repeat it (RFC 6749 §6 allows both).
    /// Google.
    Never,
    /// A used refresh token keeps working for this long after its first use, each time with a new
    /// successor; all successors work. Later it is reuse, as under [`Strict`](Self::Strict). Okta,
    /// Auth0, Cognito, Connect2id, Xero.
    Grace(Duration),
    /// A used refresh token keeps working until a successor is put to use: its access token at a resource
    /// server, or its refresh token here. Later it is `invalid_grant`, and the family lives on.
    /// Doorkeeper's `previous_refresh_token`, Gusto.
    UntilNewTokenUsed,
    /// A used refresh token that comes again gets the very same answer, byte for byte, until this long
    /// after the first use of that answer's access token. Later it is `invalid_grant`, and the family lives
    /// on. RingCentral, with 10 s.
    SameAnswer(Duration),
    /// The parent of the family's newest refresh token may come at any time, and gets a new access token
    /// with that newest refresh token. Any older one is reuse, as under [`Strict`](Self::Strict). Supabase.
    ParentAllowed,
    /// The refresh token changes at most once in this time; in between, answers do not repeat it. One that
    /// was replaced keeps working until its successor is put to use, as under
    /// [`UntilNewTokenUsed`](Self::UntilNewTokenUsed). Intuit, with a day.
    AtMostOnceIn(Duration),
}
