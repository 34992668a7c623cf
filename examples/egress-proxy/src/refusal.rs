//! What a caller hears when its request was not sent on, or no answer came.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tower::BoxError;
use tower_oauth_refresh::RefreshError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It may come from a page in a browser.
    NotForBrowsers,
    /// It is addressed to another server: this is no general proxy.
    NotAddressedHere,
    NoRoute,
    NoSuchCredential,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::NotForBrowsers => (StatusCode::FORBIDDEN, "pages in a browser get no token here\n"),
            Self::NotAddressedHere => {
                (StatusCode::MISDIRECTED_REQUEST, "send it to this address, as a path\n")
            }
            Self::NoRoute => (StatusCode::NOT_FOUND, "no route has this prefix\n"),
            Self::NoSuchCredential => (StatusCode::FORBIDDEN, "this route has no such credential\n"),
        };
        (status, why).into_response()
    }
}

/// 503 for what passes by itself, 502 for what does not. Never 401: the caller did nothing wrong.
pub(crate) fn failed(error: &BoxError) -> Response {
    match error.downcast_ref::<RefreshError>() {
        Some(error) if error.is_transient() => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("no token: {error}\n")).into_response()
        }
        Some(error) => (StatusCode::BAD_GATEWAY, format!("no token: {error}\n")).into_response(),
        None => (StatusCode::BAD_GATEWAY, "the API did not answer\n").into_response(),
    }
}
