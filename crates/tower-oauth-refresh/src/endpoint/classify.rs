//! What an answer of the token endpoint means: the first rule that matches.
//!
//! Two steps, so that somebody who knows the provider better can speak in between: [`judge`] names the
//! [`Class`] from what can be shown to anybody ([`TokenResponse`]), [`Verdict::new`] adds the tokens and the
//! details. The order of the rules is the whole content of this file; each says why it stands where it does.

mod retry_after;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use self::retry_after::retry_after;
use super::response::{Answer, Unusable};
use crate::challenge::Challenges;
use crate::error_code::ErrorCode;
use crate::secret::RefreshToken;
use crate::token::{InvalidResponse, TokenSet};

/// What an answer means for the credential.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A token set.
    Success(TokenSet),
    /// A 2xx without a usable access token. In doubt: the refresh token sent has probably been spent.
    UnusableSuccess {
        /// Its successor, if the answer held one: to be stored all the same.
        refresh_token: Option<RefreshToken>,
        /// What was wrong with the answer.
        why: InvalidResponse,
    },
    /// Says nothing about the grant; try again later.
    Transient {
        /// The refresh token may have been spent before the server failed.
        in_doubt: bool,
        /// When the server wishes to be asked again.
        retry_after: Option<Duration>,
    },
    /// The refresh token will never work again, unless the store knows a newer one.
    GrantDead {
        /// As the server put it.
        code: Option<ErrorCode>,
    },
    /// The client is set up wrongly. The grant may be as good as ever.
    Configuration {
        /// What to look at.
        cause: Misconfiguration,
    },
    /// The subject has to do something; the refresh token may work again afterwards.
    NeedsUser {
        /// As the server put it.
        code: Option<ErrorCode>,
    },
    /// A refusal that does not say whose fault it is.
    Refused {
        /// As the server put it, if it is a code.
        code: Option<ErrorCode>,
        /// When the server wishes to be asked again.
        retry_after: Option<Duration>,
    },
}

/// Which part of the client's set-up the token endpoint does not like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misconfiguration {
    /// It answered with a redirect, which is never followed: the body holds the refresh token.
    Redirect,
    /// It is no token endpoint: wrong path, method or content type.
    NotATokenEndpoint(StatusCode),
    /// It refused the client or what the client asked for.
    Refused(Option<ErrorCode>),
}

impl fmt::Display for Misconfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirect => f.write_str("the token endpoint redirects"),
            Self::NotATokenEndpoint(status) => write!(f, "not a token endpoint ({})", status.as_u16()),
            Self::Refused(Some(code)) => write!(f, "the client was refused ({code})"),
            Self::Refused(None) => f.write_str("the client was refused"),
        }
    }
}

/// A verdict before it has any details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The answer is a token set, as far as it can be used.
    Success,
    /// An answer in which tokens and an error contradict each other.
    Contradiction,
    /// See [`Verdict::Transient`].
    Transient {
        /// See [`Verdict::Transient`].
        in_doubt: bool,
    },
    /// See [`Verdict::GrantDead`].
    GrantDead,
    /// See [`Verdict::Configuration`].
    Configuration,
    /// See [`Verdict::NeedsUser`].
    NeedsUser,
    /// See [`Verdict::Refused`].
    Refused,
}

/// An answer of the token endpoint as a classifier sees it: everything but the tokens.
pub(crate) struct TokenResponse<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
    answer: &'a Answer,
    code: Option<ErrorCode>,
}

impl<'a> TokenResponse<'a> {
    fn new(status: StatusCode, headers: &'a HeaderMap, answer: &'a Answer) -> Self {
        let said = answer.error.as_ref().and_then(|error| error.code.clone());
        let code = said.or_else(|| challenge_code(status, headers));
        Self { status, headers, answer, code }
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The header fields.
    pub(crate) fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The text, number or truth value at a path such as `error_description` or `errors.0.errorType`.
    /// Never a token. Of an answer beyond 64 KiB only the standard members are there.
    pub(crate) fn member(&self, path: &str) -> Option<Cow<'a, str>> {
        self.answer.member(path)
    }

    /// The error code (RFC 6749 §5.2): `error`, `error.code` or `error.type`; for a 401 without one the
    /// `error` of a challenge. A text that is not shaped like a code is none.
    pub(crate) fn error(&self) -> Option<&str> {
        self.code.as_ref().map(ErrorCode::as_str)
    }

    /// Does the body report an error, whether or not under a proper code?
    fn reports_error(&self) -> bool {
        self.answer.error.is_some()
    }

    fn holds_refresh_token(&self) -> bool {
        match &self.answer.tokens {
            Ok(tokens) => tokens.refresh_token.is_some(),
            Err(unusable) => unusable.refresh_token.is_some(),
        }
    }

    fn is_page(&self) -> bool {
        let content_type = self.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        content_type.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
    }
}

impl fmt::Debug for TokenResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse").field("status", &self.status).field("error", &self.code).finish()
    }
}

/// Classifies one answer. `now` is the wall time at which it arrived, for `Retry-After` as a date.
pub(crate) fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Verdict {
    let answer = Answer::parse(headers, body);
    let response = TokenResponse::new(status, headers, &answer);
    let class = judge(&response);
    let TokenResponse { code, .. } = response;
    Verdict::new(class, status, code, answer, retry_after(headers, now))
}

/// The class of an answer, knowing nothing about the provider.
fn judge(response: &TokenResponse<'_>) -> Class {
    let status = response.status();
    if status.is_redirection() {
        return Class::Configuration;
    }
    if let Some(in_doubt) = not_about_the_grant(status) {
        return Class::Transient { in_doubt };
    }
    if status.is_success() && !response.reports_error() {
        return Class::Success;
    }
    let known = response.error().and_then(|code| known_code(code, status));
    if known != Some(Class::GrantDead) && status.is_success() && response.holds_refresh_token() {
        // Whatever the error was, the server has rotated, and what it handed out must not be lost.
        return Class::Contradiction;
    }
    known.unwrap_or_else(|| by_status(response))
}

/// Answers that come from something in front of the server, or from the server before it looked at the
/// grant: no code in their body counts. A gateway's error page may well quote what it was sent, and a rate
/// limit beside `access_denied` is a rate limit. A *500* is different: there the server itself speaks, and
/// its code is the best there is.
///
/// The value says whether the refresh token may have been spent all the same.
fn not_about_the_grant(status: StatusCode) -> Option<bool> {
    match status.as_u16() {
        407 | 408 | 425 | 429 => Some(false),
        502..=504 => Some(true),
        _ => None,
    }
}

/// Codes that mean the same wherever they stand: RFC 6749 §5.2, RFC 8707 §2, OpenID Connect Core §3.1.2.6,
/// RFC 9449 §5, and names that leave no doubt.
fn known_code(code: &str, status: StatusCode) -> Option<Class> {
    Some(match code {
        "invalid_grant"
        | "bad_refresh_token"
        | "invalid_refresh_token"
        | "refresh_token_expired"
        | "refresh_token_reused"
        | "refresh_token_revoked"
        | "refresh_token_invalidated"
        | "refresh_token_already_used"
        | "refresh_token_not_found" => Class::GrantDead,
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "invalid_target"
        | "incorrect_client_credentials"
        // Proofs of possession are not made here, so a server that wants one is set up for another client.
        | "use_dpop_nonce"
        | "invalid_dpop_proof" => Class::Configuration,
        "interaction_required" | "login_required" | "consent_required" | "access_denied" => Class::NeedsUser,
        "temporarily_unavailable" | "server_error" | "internal_failure" | "slow_down" => {
            Class::Transient { in_doubt: may_have_spent(status) }
        }
        _ => return None,
    })
}

/// A server that failed halfway, or met a second refresh, may have spent the refresh token.
fn may_have_spent(status: StatusCode) -> bool {
    status == StatusCode::CONFLICT || status.is_server_error()
}

/// What is left when no code helps. `invalid_request` is among it on purpose: some servers mean a dead
/// token by it, others two refreshes at once.
fn by_status(response: &TokenResponse<'_>) -> Class {
    let status = response.status();
    match status.as_u16() {
        _ if may_have_spent(status) => Class::Transient { in_doubt: true },
        // A firewall or a rate limit in disguise.
        403 if response.error().is_none() => Class::Transient { in_doubt: false },
        // The login page of some network. The token endpoint itself may be fine.
        404 | 405 | 410 | 415 if response.is_page() => Class::Transient { in_doubt: false },
        404 | 405 | 410 | 415 => Class::Configuration,
        _ => Class::Refused,
    }
}

impl Verdict {
    fn new(
        class: Class,
        status: StatusCode,
        code: Option<ErrorCode>,
        answer: Answer,
        retry_after: Option<Duration>,
    ) -> Self {
        match class {
            Class::Success => match answer.tokens {
                Ok(tokens) => Self::Success(tokens),
                Err(Unusable { refresh_token, why }) => Self::UnusableSuccess { refresh_token, why },
            },
            Class::Contradiction => {
                let refresh_token = answer
                    .tokens
                    .map_or_else(|unusable| unusable.refresh_token, |tokens| tokens.refresh_token);
                Self::UnusableSuccess { refresh_token, why: InvalidResponse::ERROR }
            }
            Class::Transient { in_doubt } => Self::Transient { in_doubt, retry_after },
            Class::GrantDead => Self::GrantDead { code },
            Class::Configuration => Self::Configuration { cause: Misconfiguration::of(status, code) },
            Class::NeedsUser => Self::NeedsUser { code },
            Class::Refused => Self::Refused { code, retry_after },
        }
    }
}

impl Misconfiguration {
    fn of(status: StatusCode, code: Option<ErrorCode>) -> Self {
        match status.as_u16() {
            300..=399 => Self::Redirect,
            404 | 405 | 410 | 415 if code.is_none() => Self::NotATokenEndpoint(status),
            _ => Self::Refused(code),
        }
    }
}

/// The error of a challenge: how RFC 6750 §3 servers, and some token endpoints, say it beside a 401.
fn challenge_code(status: StatusCode, headers: &HeaderMap) -> Option<ErrorCode> {
    if status != StatusCode::UNAUTHORIZED {
        return None;
    }
    Challenges::parse(headers)
        .iter()
        .filter_map(|challenge| challenge.param("error"))
        .find_map(ErrorCode::parse)
}
