//! What an answer of the token endpoint means: the first rule that matches.
//!
//! Two steps, so that somebody who knows the provider better can speak in between: [`judge`] names the
//! [`AnswerClass`] from what can be shown to anybody ([`TokenResponse`]), [`Verdict::new`] adds the tokens and the
//! details. The order of the rules is the whole content of this file; each says why it stands where it does.

mod retry_after;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Response, StatusCode};

use self::retry_after::retry_after;
use super::dialect::AnswerDialect;
use super::response::{Answer, Unusable};
use crate::challenge::Challenges;
use crate::error_code::ErrorCode;
use crate::foreign;
use crate::secret::RefreshToken;
use crate::token::TokenSet;

/// What an answer means for the credential.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A token set.
    Success(TokenSet),
    /// A 2xx without a usable access token. In doubt: the refresh token sent has probably been spent.
    UnusableSuccess {
        /// Its successor, if the answer held one: to be stored all the same.
        refresh_token: Option<RefreshToken>,
    },
    /// Says nothing about the grant; try again later.
    Transient {
        /// The refresh token may have been spent before the server failed.
        in_doubt: bool,
        /// When the server wishes to be asked again.
        retry_after: Option<Duration>,
        /// As the server put it, if it is a code.
        code: Option<ErrorCode>,
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
    /// It refused, or something between, in an encoding that was not asked for.
    Encoded,
    /// It refused the client or what the client asked for.
    Refused(Option<ErrorCode>),
}

impl fmt::Display for Misconfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirect => f.write_str("the token endpoint redirects"),
            Self::NotATokenEndpoint(status) => write!(f, "not a token endpoint ({})", status.as_u16()),
            Self::Encoded => f.write_str("the answer is encoded, though that was not asked for"),
            Self::Refused(Some(code)) => write!(f, "the client was refused ({code})"),
            Self::Refused(None) => f.write_str("the client was refused"),
        }
    }
}

/// What kind of answer the token endpoint gave: a verdict before it has any details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerClass {
    /// A token set. If it is not usable, or says that there was an error, its refresh token is stored all
    /// the same and the refresh fails for now.
    Tokens,
    /// Says nothing about the grant; try again later.
    Transient {
        /// May the refresh token have been spent all the same?
        in_doubt: bool,
    },
    /// The refresh token will never work again, unless the store knows a newer one.
    GrantDead,
    /// The client is set up wrongly. The grant may be as good as ever.
    Configuration,
    /// The subject has to do something; the refresh token may work again afterwards.
    NeedsUser,
    /// A refusal that does not say whose fault it is.
    Refused,
}

/// A user's own rules: sees the answer, and what this crate and the rules before make of it.
pub(crate) type Classifier = dyn Fn(&TokenResponse<'_>, AnswerClass) -> AnswerClass + Send + Sync;

/// An answer of the token endpoint as a classifier sees it: everything but the tokens.
pub struct TokenResponse<'a> {
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
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The text, number or truth value at a path such as `error_description` or `errors.0.errorType`.
    /// Never a token. Of an answer beyond 64 KiB only the standard members are there.
    #[must_use]
    pub fn member(&self, path: &str) -> Option<Cow<'a, str>> {
        self.answer.member(path)
    }

    /// The error code (RFC 6749 §5.2): `error`, `error.code` or `error.type`; for a 401 without one the
    /// `error` of a challenge. A text that is not shaped like a code is none.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
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

    /// Is there something that nobody here can read, because a proxy compresses what it should not?
    fn is_encoded(&self) -> bool {
        let encodings = self.headers.get_all(CONTENT_ENCODING);
        let encoded = encodings.iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
        encoded && self.answer.is_unreadable()
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
pub(crate) fn classify(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
    dialect: AnswerDialect,
    own_rules: &[Arc<Classifier>],
) -> Verdict {
    let answer = Answer::parse(headers, body, dialect);
    let response = TokenResponse::new(status, headers, &answer);
    let class = own_rules.iter().fold(judge(&response), |class, rules| {
        // Rules that panic say nothing: the answer may hold the only copy of a refresh token.
        foreign::call(|| rules(&response, class)).unwrap_or(class)
    });
    let encoded = response.is_encoded();
    let TokenResponse { code, .. } = response;
    Verdict::new(class, status, code, answer, retry_after(headers, now), encoded)
}

/// Did the authorization server refuse the request for the lack of a nonce alone (RFC 9449 §8)?
pub(crate) fn wants_nonce(answer: &Response<Bytes>) -> bool {
    if !matches!(answer.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        return false;
    }
    let parsed = Answer::parse(answer.headers(), answer.body(), AnswerDialect::new());
    TokenResponse::new(answer.status(), answer.headers(), &parsed).error() == Some("use_dpop_nonce")
}

/// The class of an answer, knowing nothing about the provider.
fn judge(response: &TokenResponse<'_>) -> AnswerClass {
    let status = response.status();
    if status.is_redirection() {
        return AnswerClass::Configuration;
    }
    if let Some(in_doubt) = not_about_the_grant(status) {
        return AnswerClass::Transient { in_doubt };
    }
    if status.is_success() && !response.reports_error() {
        return AnswerClass::Tokens;
    }
    let known = response.error().and_then(|code| known_code(code, status));
    if known != Some(AnswerClass::GrantDead) && status.is_success() && response.holds_refresh_token() {
        // Whatever the error was, the server has rotated, and what it handed out must not be lost.
        return AnswerClass::Tokens;
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
fn known_code(code: &str, status: StatusCode) -> Option<AnswerClass> {
    Some(match code {
        "invalid_grant"
        | "bad_refresh_token"
        | "invalid_refresh_token"
        | "refresh_token_expired"
        | "refresh_token_reused"
        | "refresh_token_revoked"
        | "refresh_token_invalidated"
        | "refresh_token_already_used"
        | "refresh_token_not_found" => AnswerClass::GrantDead,
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "invalid_target"
        | "incorrect_client_credentials"
        // A proof with the nonce it gave has been sent already, or none is made: that client is set up wrongly.
        | "use_dpop_nonce"
        | "invalid_dpop_proof" => AnswerClass::Configuration,
        "interaction_required" | "login_required" | "consent_required" | "access_denied" => AnswerClass::NeedsUser,
        "temporarily_unavailable" | "server_error" | "internal_failure" | "slow_down" => {
            AnswerClass::Transient { in_doubt: may_have_spent(status) }
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
fn by_status(response: &TokenResponse<'_>) -> AnswerClass {
    let status = response.status();
    match status.as_u16() {
        _ if may_have_spent(status) => AnswerClass::Transient { in_doubt: true },
        _ if response.is_encoded() => AnswerClass::Configuration,
        // A firewall or a rate limit in disguise.
        403 if response.error().is_none() => AnswerClass::Transient { in_doubt: false },
        // The login page of some network. The token endpoint itself may be fine.
        404 | 405 | 410 | 415 if response.is_page() => AnswerClass::Transient { in_doubt: false },
        404 | 405 | 410 | 415 => AnswerClass::Configuration,
        _ => AnswerClass::Refused,
    }
}

impl Verdict {
    fn new(
        class: AnswerClass,
        status: StatusCode,
        code: Option<ErrorCode>,
        answer: Answer,
        retry_after: Option<Duration>,
        encoded: bool,
    ) -> Self {
        match class {
            AnswerClass::Tokens => match (answer.tokens, answer.error) {
                (Ok(tokens), None) => Self::Success(tokens),
                (Ok(tokens), Some(_)) => Self::UnusableSuccess { refresh_token: tokens.refresh_token },
                (Err(Unusable { refresh_token, .. }), _) => Self::UnusableSuccess { refresh_token },
            },
            AnswerClass::Transient { in_doubt } => Self::Transient { in_doubt, retry_after, code },
            AnswerClass::GrantDead => Self::GrantDead { code },
            AnswerClass::Configuration if encoded => Self::Configuration { cause: Misconfiguration::Encoded },
            AnswerClass::Configuration => Self::Configuration { cause: Misconfiguration::of(status, code) },
            AnswerClass::NeedsUser => Self::NeedsUser { code },
            AnswerClass::Refused => Self::Refused { code, retry_after },
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
