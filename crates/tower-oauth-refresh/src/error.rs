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
    /// Credential, client and endpoint.
    about: Option<Box<str>>,
    code: Option<Box<str>>,
    retry_at: Option<Now>,
    waited_for: bool,
    source: Option<Cause>,
}

/// What somebody else said of it.
pub(crate) type Cause = Arc<dyn StdError + Send + Sync>;

/// What this program does, and what cannot work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misuse {
    #[error("there is no refresh token, and the access token is empty")]
    NoToken,
    #[error("there is no refresh token, and the access token has a character that no header can hold")]
    UnusableAccessToken,
    #[error("there is no refresh token, and the access token is not of the type {0}")]
    OtherType(&'static str),
    #[error("the refresh token has a control character in it, such as the line break at the end of a file")]
    ControlCharacter,
    #[error("the tokens are bound to a key (RFC 9449), and the coordinator was built without `dpop`")]
    Bound,
    #[error("less than a minute is no time to keep a credential fresh")]
    TooOften,
}

/// What went wrong, as a closed set.
///
/// The first group heals by itself or by a retry (*transient*), the second needs a person (*hard*), the
/// third is about how the library was used.
///
/// Each says what was sent to the token endpoint and what goes on. One refresh may be sent several times: where it says
/// that nothing was sent, that is so for the attempt that failed. Whether an attempt got no answer, so that the refresh
/// token may be spent, is in the record, as [`Status::in_doubt`](crate::Status::in_doubt); of the last one
/// perhaps only from
/// the next attempt on, and until then [`Status::refreshing`](crate::Status::refreshing) is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The token endpoint could not be reached, is out of order (429, 5xx), or has asked to be left alone.
    /// Requests with time left wait for a short rest and then try again (see [`wait_limit`](crate::Builder::wait_limit));
    /// otherwise the first request after [`retry_at`](RefreshError::retry_at) does.
    ///
    /// Where nothing was sent, the error's source says why, if that is known ([`NotSent`](crate::NotSent)). A server that
    /// failed after it got the refresh token may have spent it. With the code `unusable_answer` it has answered: the
    /// refresh token that came is stored, and the access token could not be used.
    Unavailable,
    /// A refresh was sent and no answer understood: the refresh token may have been spent. Nothing goes on;
    /// the first request
    /// after [`retry_at`](RefreshError::retry_at) sends it again. If the server had spent it, that ends in
    /// [`LostRotation`](Self::LostRotation), unless it takes a spent token for a while.
    InDoubt,
    /// The token endpoint refused without saying why, or for a [`code`](RefreshError::code) that says nothing
    /// about the login.
    /// Tokens are kept. Nothing goes on; the first request after [`retry_at`](RefreshError::retry_at) tries again.
    Refused,
    /// The token store could not be read or written, or is too slow; the source says which. Without the store nothing is
    /// sent; where it failed after the server had refused (`invalid_grant`), the refusal is remembered. Nothing
    /// goes on. The error stands for half a second, doubling to 5 s while the store stays down: until then
    /// requests fail with
    /// it, and the first one after that tries again.
    Store,
    /// A new token set was received and could not be made durable yet. The old refresh token is spent, and
    /// the new one is in
    /// this process alone: repair the store before the process ends. The write goes on until the store takes it, and
    /// nothing is sent meanwhile.
    Unpersisted,
    /// This caller has waited for [`wait_limit`](crate::Builder::wait_limit); the refresh goes on. Or the
    /// refresh had no time
    /// left, since other processes were refreshing and none brought a token: then nothing goes on, and the first
    /// request after half a second tries again. From `install`, `logout` and `forget`: another one of this
    /// credential did not end within a minute, and
    /// nothing was done.
    TimedOut,
    /// Too many requests wait for this refresh, which goes on. Or too many refreshes wait for the token endpoint
    /// ([`concurrency_limit`](crate::Builder::concurrency_limit)): then nothing was sent, and nothing goes on. Try again
    /// later.
    TooManyWaiters,
    /// The task that ran the refresh ended without an outcome: it panicked, or its runtime stopped. What was sent is not
    /// known. Or the login was replaced while this caller waited. Nothing goes on but the write of a received
    /// token set; the
    /// first request after half a second goes on from what the store has.
    Aborted,

    /// The server says that the refresh token is not valid (`invalid_grant`), and the store, read again, has no newer one.
    /// Nothing is sent until there is another login. Log in again.
    InvalidGrant,
    /// As [`InvalidGrant`](Self::InvalidGrant), after a refresh whose answer never arrived or was an error of the server
    /// (5xx): the rotated token was most likely lost on the way, not revoked. Log in again.
    LostRotation,
    /// The server wants the person to act: consent, a second factor. Tokens are kept, and a valid one is still sent. The
    /// same refresh token is sent again by the first request after [`retry_at`](RefreshError::retry_at), a minute later:
    /// the person may have acted at the server. Otherwise log in again.
    NeedsUser,
    /// There is no refresh token to refresh with. Nothing was sent. Log in again.
    NoRefreshToken,
    /// Nothing is stored under this key. Nothing was sent, unless the record was removed during a refresh. Log in first, or, where there was a login, compare client and
    /// endpoint with those that stored it: they are part of the name in the store, as are the
    /// [issuer](crate::Builder::issuer), the [grant](crate::Builder::grant) and all
    /// [parameters](crate::Builder::parameter).
    NotInstalled,
    /// The credential was logged out or forgotten, here or in another process. What a refresh brings after that is not
    /// taken. Log in again. Where the record has been removed since, other processes get
    /// [`NotInstalled`](Self::NotInstalled).
    LoggedOut,
    /// The login that [`login_if_needed`](crate::RefreshCoordinator::login_if_needed) asked for failed. The source
    /// says why. Nothing was stored or sent.
    LoginFailed,

    /// The server refuses this client, not this user (`invalid_client`, `unauthorized_client`, …), or is no token endpoint:
    /// [`code`](RefreshError::code) is its word. Nothing was erased; repair the configuration. For a minute
    /// no client with the same
    /// secret sends for this credential; without a secret (public, certificate, assertion) only this one
    /// rests. Then the next
    /// request tries again.
    ///
    /// Where there is no [`retry_at`](RefreshError::retry_at), nothing was sent: this program's own configuration cannot
    /// work, and the source says why. `keep_fresh` under a minute, or a bound login without
    /// [`dpop`](crate::Builder::dpop).
    Configuration,
    /// The stored record cannot be read: it is damaged, sealed under a key that this process was not given, or written by a
    /// newer release; the source says which. It is left as it is, and while it is there nothing is sent. Provide the key,
    /// or replace the record: `install` does, and `logout` and `forget` end it. Where the whole store cannot be read, as a
    /// file of a newer release, they fail with this error, too.
    Unreadable,
    /// `install` or `login_if_needed` was given tokens that cannot be used: none can be sent, the refresh
    /// token has a control
    /// character, or they are bound and there is no [`dpop`](crate::Builder::dpop). The source says why. Nothing was stored
    /// or sent, and a login that is stored stays as it is.
    UnusableTokens,
    /// A request to a named origin did not say which credential it wants. It was not sent.
    NoCredentialKey,
    /// There is no tokio runtime to run a refresh on. Nothing was sent.
    NoRuntime,
    /// The coordinator was shut down: no refresh is sent any more. Valid tokens are still served.
    ShutDown,
    /// The token endpoint's own client asked for the token that it is fetching: it goes through the layer
    /// that it serves. Its request was not sent.
    Reentrant,
}

impl RefreshError {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        let (about, code, retry_at, source) = (None, None, None, None);
        Self(Arc::new(Inner { kind, about, code, retry_at, waited_for: false, source }))
    }

    /// For what this program does itself.
    pub(crate) fn misuse(kind: ErrorKind, misuse: Misuse) -> Self {
        Self::new(kind).with_source(Arc::new(misuse))
    }

    /// With what it is about, where that is not known yet.
    pub(crate) fn about(self, about: impl FnOnce() -> String) -> Self {
        if self.0.about.is_some() {
            return self;
        }
        Self(Arc::new(Inner { about: Some(about().into()), ..self.copy() }))
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

    /// A request with time left waits for the next attempt.
    pub(crate) fn with_wait(self) -> Self {
        Self(Arc::new(Inner { waited_for: true, ..self.copy() }))
    }

    pub(crate) fn with_source(self, source: Cause) -> Self {
        Self(Arc::new(Inner { source: Some(source), ..self.copy() }))
    }

    fn copy(&self) -> Inner {
        let Inner { kind, about, code, retry_at, waited_for, source } = &*self.0;
        let (about, code, source) = (about.clone(), code.clone(), source.clone());
        Inner { kind: *kind, about, code, retry_at: *retry_at, waited_for: *waited_for, source }
    }

    /// What went wrong. For metrics and logs; to decide what to do, ask the questions below.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Is a new login by a person the only way on? Nothing more is sent for the credential until there is one, with one
    /// exception: after [`NeedsUser`](ErrorKind::NeedsUser) the same refresh token is tried at most once a minute.
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

    /// Why, in one word: the server's error code (RFC 6749 §5.2), where it gave one, or what else it did:
    /// `http_503` and the like (the status of an answer without a code), `no_answer`, `unusable_answer` (a success without
    /// a usable access token), `unusable_access_token`, `redirect`, `not_a_token_endpoint`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Not before this moment does this process ask the token endpoint again for this credential; other processes may.
    /// With [`Unpersisted`](ErrorKind::Unpersisted): when the write is tried again.
    #[must_use]
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.0.retry_at.map(|at| at.wall)
    }

    /// Is it the failure of the same attempt, or the same end of a login?
    pub(crate) fn repeats(&self, before: &Self) -> bool {
        let of_one_attempt =
            self.0.retry_at == before.0.retry_at && self.0.retry_at.is_some() || self.needs_login();
        of_one_attempt && self.kind() == before.kind() && self.code() == before.code()
    }

    pub(crate) fn rests_until(&self) -> Option<Now> {
        self.0.retry_at
    }

    /// The end of the rest, if it is one that requests wait for.
    pub(crate) fn waited_until(&self) -> Option<Now> {
        self.0.retry_at.filter(|_| self.0.waited_for)
    }
}

impl ErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::Unavailable => "the token endpoint is not available",
            Self::InDoubt => "a refresh was sent and no answer understood",
            Self::Refused => "the token endpoint refused, no reason given",
            Self::Store => "the token store is not available",
            Self::Unreadable => "the stored record cannot be read",
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
            Self::Configuration => "the client is not set up right",
            Self::UnusableTokens => "the tokens can never be sent",
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
        if let Some(code) = self.code() {
            write!(f, " ({code})")?;
        }
        match &self.0.about {
            Some(about) => write!(f, ": {about}"),
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
        if let Some(about) = &self.0.about {
            out.field("about", about);
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
