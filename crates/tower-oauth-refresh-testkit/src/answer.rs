//! An HTTP answer written down by the test, for either server.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// A scripted HTTP answer: status, headers, body, trailers.
///
/// Its `Debug` shows no header value and no body: a test may well script an answer that holds a token.
///
/// ```
/// use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
/// use tower_oauth_refresh_testkit::Answer;
///
/// let busy = Answer::new(StatusCode::SERVICE_UNAVAILABLE).header(RETRY_AFTER, HeaderValue::from_static("5"));
/// assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
/// ```
#[derive(Clone)]
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    /// An empty answer.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), trailers: None }
    }

    /// A JSON body.
    #[must_use]
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body.to_string())
    }

    /// An error answer of the token endpoint (RFC 6749 §5.2), with this `error` code.
    #[must_use]
    pub fn oauth_error(status: StatusCode, code: &str) -> Self {
        Self::json(status, &json!({ "error": code }))
    }

    /// 200 with a page of HTML: what a captive portal or a maintenance page says.
    #[must_use]
    pub fn html() -> Self {
        Self::new(StatusCode::OK)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("text/html"))
            .body("<!doctype html><title>Sign in</title><p>Back soon.")
    }

    /// A 401 without a `WWW-Authenticate` header, as many APIs send it although RFC 9110 §15.5.2 forbids it.
    #[must_use]
    pub fn bare_unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED)
    }

    /// A 401 with `error="invalid_token"` (RFC 6750 §3.1).
    #[must_use]
    pub fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED).header(header::WWW_AUTHENTICATE, INVALID_TOKEN)
    }

    /// A 403 with `error="insufficient_scope"` (RFC 6750 §3.1): no refresh heals it.
    #[must_use]
    pub fn insufficient_scope() -> Self {
        Self::new(StatusCode::FORBIDDEN).header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(r#"Bearer realm="testkit", error="insufficient_scope", scope="admin""#),
        )
    }

    /// gRPC's refusal as *trailers-only*: 200 with `grpc-status: 16` among the headers.
    #[must_use]
    pub fn grpc_unauthenticated() -> Self {
        Self::new(StatusCode::OK)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
            .header(GRPC_STATUS, HeaderValue::from_static("16"))
            .header(HeaderName::from_static("grpc-message"), HeaderValue::from_static("token refused"))
    }

    /// gRPC's refusal after the headers: 200, and `grpc-status: 16` in real trailers.
    #[must_use]
    pub fn grpc_unauthenticated_in_trailers() -> Self {
        Self::new(StatusCode::OK)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
            .trailer(GRPC_STATUS, HeaderValue::from_static("16"))
    }

    /// Adds a header; a name given twice is sent twice.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a trailer. HTTP/1.1 sends it only to clients that said `TE: trailers`, and only where a `Trailer`
    /// header of the answer announces it.
    #[must_use]
    pub fn trailer(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.trailers.get_or_insert_default().append(name, value);
        self
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

pub(crate) const INVALID_TOKEN: HeaderValue = HeaderValue::from_static(
    r#"Bearer realm="testkit", error="invalid_token", error_description="expired, revoked or unknown""#,
);
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}
