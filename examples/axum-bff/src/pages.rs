//! The routes, the two pages, and what every answer says to the browser.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use tower::BoxError;
use tower_oauth_refresh::RefreshError;

use crate::backend::Backend;
use crate::{account, live, login, same_origin, session};

const SIGN_IN: &str = include_str!("page/sign-in.html");
const ACCOUNT: &str = include_str!("page/account.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/account.js");

/// Nothing from anywhere else, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The whole application.
pub fn pages(backend: Arc<Backend>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/login", get(login::begin))
        .route("/callback", get(login::finish))
        .route("/live", get(live::live))
        .route("/call", post(account::call))
        .route("/expire", post(account::expire))
        .route("/revoke", post(account::revoke))
        .route("/logout", post(account::log_out))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css")], STYLE)))
        .route("/account.js", get(async || ([(header::CONTENT_TYPE, "text/javascript")], SCRIPT)))
        .layer(from_fn_with_state(backend.clone(), same_origin::check))
        .layer(from_fn(protect))
        .with_state(backend)
}

async fn home(State(backend): State<Arc<Backend>>, headers: HeaderMap) -> Response {
    match session::current(&headers, &backend.sessions) {
        Some(_) => Html(ACCOUNT).into_response(),
        None => sign_in("").into_response(),
    }
}

/// `note` is ours: it is not escaped.
pub(crate) fn sign_in(note: &str) -> Html<String> {
    Html(SIGN_IN.replace("<!-- note -->", note))
}

async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Why a request gets nothing.
#[derive(Debug)]
pub(crate) enum Refusal {
    NoSession,
    ForeignOrigin,
    Broken,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::NoSession => (StatusCode::UNAUTHORIZED, "there is no session"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "another site sent this"),
            Self::Broken => (StatusCode::SERVICE_UNAVAILABLE, "this does not work at the moment"),
        };
        (status, Json(json!({ "error": why }))).into_response()
    }
}

impl From<RefreshError> for Refusal {
    fn from(_: RefreshError) -> Self {
        Self::Broken
    }
}

impl From<BoxError> for Refusal {
    fn from(_: BoxError) -> Self {
        Self::Broken
    }
}
