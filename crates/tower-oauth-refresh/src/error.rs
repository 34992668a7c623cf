//! One error to report, and the few questions callers act on.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::clock::Now;

/// Why there is no usable access token.
///
/// One error is shared by every request that waited for the same refresh; cloning is cheap. Ask
/// [`needs_login`](Self::needs_login) first: only then is there no way but a person. The text, and the
/// type of [`source`](StdError::source), may change between releases; what the server wrote as prose is
/// never part of it.
#[derive(Clone)]
pub struct RefreshError(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    code: Option<Box<str>>,
    retry_at: Option<Now>,
    source: Option<Cause>,
}

/// What somebody else said of it.
pub(crate) type Cause = Arc<dyn StdError + Send + Sync>;

/// What went wrong, as a closed set.
///
/// The first group heals by itself or by a retry (*transient*), the second needs a person (*hard*), the
/// third is about how the library was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The token endpoint could not be reached or is out of order (429, 5xx, connection refused). Where nothing was
    /// sent, the error's source says why, if that is known ([`NotSent`](crate::NotSent)).
    Unavailable,
    /// A refresh was sent and no answer understood: the refresh token may have been spent.
    InDoubt,
    /// The token endpoint refused without saying why. Tokens are kept, later attempts are spaced.
    Refused,
    /// The token store could not be read or written, or is too slow. Where it failed before a refresh, nothing was sent to
    /// the token endpoint.
    Store,
    /// A new token set was received and could not be made durable yet; the write goes on.
    Unpersisted,
    /// A refresh took longer than [`wait_limit`](crate::Builder::wait_limit), and goes on. From `install`, `logout` and
    /// `forget`: another one of this credential did not end within a minute, and nothing was done.
    TimedOut,
    /// Too many requests wait for this refresh, or too many refreshes for the token endpoint
    /// ([`concurrency_limit`](crate::Builder::concurrency_limit)). Try again later.
    TooManyWaiters,
    /// The task that ran the refresh ended without an outcome: it panicked, or its runtime stopped.
    Aborted,

    /// The server says that the refresh token is not valid (`invalid_grant`), after the store was read
    /// again. Log in again.
    InvalidGrant,
    /// As [`InvalidGrant`](Self::InvalidGrant), after a refresh whose answer never arrived: the rotated
    /// token was most likely lost on the way, not revoked. Log in again.
    LostRotation,
    /// The server wants the person to act: consent, a second factor. Log in again.
    NeedsUser,
    /// There is no refresh token to refresh with. Log in again.
    NoRefreshToken,
    /// Nothing is stored under this key. Log in first.
    NotInstalled,
    /// The credential was logged out. Log in again.
    LoggedOut,
    /// The login that [`login_if_needed`](crate::RefreshCoordinator::login_if_needed) asked for failed. The source
    /// says why.
    LoginFailed,
    /// The server refuses this client, not this user (`invalid_client`, `unauthorized_client`, …). Nothing
    /// was erased; repair the configuration. Also where this program's own configuration cannot work: `keep_fresh` under a
    /// minute, a bound login without [`dpop`](crate::Builder::dpop).
    Configuration,

    /// A request to a named origin did not say which credential it wants.
    NoCredentialKey,
    /// There is no tokio runtime to run a refresh on.
    NoRuntime,
    /// The coordinator was shut down: no refresh is sent any more. Valid tokens are still served.
    ShutDown,
    /// The token endpoint's own client asked for the token that it is fetching: it goes through the layer
    /// that it serves.
    Reentrant,
}

impl RefreshError {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Arc::new(Inner { kind, code: None, retry_at: None, source: None }))
    }

    /// For futures that are polled after they were ready, which nobody may do.
    pub(crate) fn polled_after_end() -> Self {
        Self::new(ErrorKind::Aborted)
    }

    pub(crate) fn with_code(self, code: Option<&str>) -> Self {
        let code = code.map(Box::from);
        Self(Arc::new(Inner { code, ..self.copy() }))
    }

    pub(crate) fn with_retry_at(self, retry_at: Now) -> Self {
        Self(Arc::new(Inner { retry_at: Some(retry_at), ..self.copy() }))
    }

    pub(crate) fn with_source(self, source: Cause) -> Self {
        Self(Arc::new(Inner { source: Some(source), ..self.copy() }))
    }

    fn copy(&self) -> Inner {
        let Inner { kind, code, retry_at, source } = &*self.0;
        Inner { kind: *kind, code: code.clone(), retry_at: *retry_at, source: source.clone() }
    }

    /// What went wrong. For metrics and logs; to decide what to do, ask the questions below.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Is a new login by a person the only way on? Then no request reaches the token endpoint until
    /// tokens are installed.
    #[must_use]
    pub fn needs_login(&self) -> bool {
        use ErrorKind::{
            InvalidGrant, LoggedOut, LoginFailed, LostRotation, NeedsUser, NoRefreshToken, NotInstalled,
        };
        matches!(
            self.0.kind,
            InvalidGrant | LostRotation | NeedsUser | NoRefreshToken | NotInstalled | LoggedOut | LoginFailed
        )
    }

    /// May the same request succeed later without anybody doing anything?
    #[must_use]
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{
            Aborted, InDoubt, Refused, Store, TimedOut, TooManyWaiters, Unavailable, Unpersisted,
        };
        matches!(
            self.0.kind,
            Unavailable | InDoubt | Refused | Store | Unpersisted | TimedOut | TooManyWaiters | Aborted
        )
    }

    /// The OAuth error code, where the server gave one (RFC 6749 §5.2).
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Not before this moment is the token endpoint asked again.
    #[must_use]
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.0.retry_at.map(|at| at.wall)
    }

    pub(crate) fn rests_until(&self) -> Option<Now> {
        self.0.retry_at
    }
}

impl ErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::Unavailable => "the token endpoint is not available",
            Self::InDoubt => "a refresh was sent and no answer understood",
            Self::Refused => "the token endpoint refused, no reason given",
            Self::Store => "the token store is not available",
            Self::Unpersisted => "the new token set is not stored yet",
            Self::TimedOut => "waiting for the refresh took too long",
            Self::Aborted => "the refresh ended without an outcome",
            Self::InvalidGrant => "the refresh token is no longer valid, log in again",
            Self::LostRotation => "the rotated refresh token was probably lost, log in again",
            Self::NeedsUser => "the authorization server wants the user to log in again",
            Self::NoRefreshToken => "there is no refresh token, log in again",
            Self::NotInstalled => "no credential is installed under this key",
            Self::LoggedOut => "the credential was logged out",
            Self::LoginFailed => "the login failed",
            Self::Configuration => "the authorization server refuses this client",
            Self::NoCredentialKey => "the request does not name its credential",
            Self::NoRuntime => "no tokio runtime to refresh on",
            Self::Reentrant => "the token endpoint's client waits for its own refresh",
            Self::TooManyWaiters => "too many requests wait for the refresh",
            Self::ShutDown => "the coordinator was shut down",
        }
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.text())?;
        match self.code() {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RefreshError");
        out.field("kind", &self.0.kind);
        if let Some(code) = self.code() {
            out.field("code", &code);
        }
        if let Some(at) = self.retry_at() {
            out.field("retry_at", &at);
        }
        out.finish_non_exhaustive()
    }
}

impl StdError for RefreshError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
