//! The buttons: each does one thing on behalf of the session, and answers with the account as it is then.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::json;
use tower::{BoxError, ServiceExt as _};
use tower_oauth_refresh::{Clock as _, Logout, RefreshError, RefreshReport, ReplayOutcome};

use crate::backend::Backend;
use crate::pages::Refusal;
use crate::revoke;
use crate::session::{Current, SESSION, Session, clear_cookie, cookie};

const LARGEST_ANSWER: usize = 64 * 1024;
/// So much of an answer fits on a line of the page.
const SHOWN: usize = 40;

/// `POST /call`: calls the API as the user of this session. What to copy is `call_api`.
pub(crate) async fn call(State(backend): State<Arc<Backend>>, Current(session): Current) -> Response {
    match call_api(&backend, &session).await {
        Ok(answer) => session.tell(answer, true),
        Err(error) => session.tell(error.to_string(), false),
    }
    show(&backend, &session).await
}

async fn call_api(backend: &Backend, session: &Session) -> Result<String, BoxError> {
    let mut request = Request::get(&backend.provider.api).body(Full::<Bytes>::default())?;
    request.extensions_mut().insert(session.key.clone());
    let response = backend.api.clone().oneshot(request).await.map_err(|error| {
        let refused = error.downcast_ref::<RefreshError>().is_some();
        if refused { format!("Not sent: {error}").into() } else { error }
    })?;
    let status = response.status();
    let report = response.extensions().get::<RefreshReport>().cloned();
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await?.to_bytes();
    if status == StatusCode::UNAUTHORIZED {
        return Err(match report.map(|report| report.outcome) {
            Some(ReplayOutcome::Failed(error)) => format!("The API refused the token, and {error}"),
            Some(ReplayOutcome::TokenTooFresh) => "The API refused a token that is quite new".to_owned(),
            _ => "The API refused the token".to_owned(),
        }
        .into());
    }
    let text: String = String::from_utf8_lossy(&body).chars().take(SHOWN).collect();
    let how = match report.map(|report| report.outcome) {
        Some(ReplayOutcome::Replayed(_)) => " at the second try",
        _ => "",
    };
    Ok(format!("The API answered {}{how}: {text}…", status.as_u16()))
}

/// `POST /expire`: sets the clock forward to the end of the access token.
pub(crate) async fn expire(State(backend): State<Arc<Backend>>, Current(session): Current) -> Response {
    let status = backend.coordinator.status(session.key.clone()).await.ok().flatten();
    let left = status.and_then(|status| status.expires_at?.duration_since(backend.clock.now().wall).ok());
    if let Some(left) = left {
        backend.clock.advance(left + Duration::from_secs(1));
    }
    session.tell("The access token has expired".to_owned(), true);
    show(&backend, &session).await
}

/// `POST /revoke`: ends the login at the provider, behind this application's back.
pub(crate) async fn revoke(State(backend): State<Arc<Backend>>, Current(session): Current) -> Response {
    match revoke::behind_our_back(&backend, &session).await {
        Ok(()) => session.tell("The provider has ended this login, and has not told us".to_owned(), true),
        Err(error) => session.tell(format!("Not revoked: {error}"), false),
    }
    show(&backend, &session).await
}

/// `POST /logout`: ends the session, the credential and, at the provider, the login.
pub(crate) async fn log_out(
    State(backend): State<Arc<Backend>>,
    Current(session): Current,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    // First: whatever becomes of this browser, the session is over.
    if let Some(name) = cookie(&headers, SESSION) {
        backend.sessions.close(name);
    }
    let outcome = backend.coordinator.logout(session.key.clone()).await?;
    let text = match outcome {
        Logout::Revoked => "Logged out. The provider confirmed that it has revoked the login.",
        Logout::NothingStored => "Logged out. There was nothing left to revoke.",
        _ => "Logged out here. The provider did not confirm, and may still know the login.",
    };
    let cookies = AppendHeaders([(header::SET_COOKIE, clear_cookie(SESSION))]);
    Ok((cookies, Json(json!({ "logged_out": text }))).into_response())
}

async fn show(backend: &Backend, session: &Session) -> Response {
    Json(session.account(backend).await).into_response()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tower_oauth_refresh::TokenSet;

    use super::*;
    use crate::clock::MovableClock;

    #[tokio::test]
    async fn the_session_ends_though_its_browser_goes_away_during_the_logout() {
        // Nobody answers there.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let provider = json!({
            "issuer": url, "client_id": "me", "client_secret": "", "scope": "", "api": url,
            "authorization_endpoint": url, "token_endpoint": url, "revocation_endpoint": url,
        });
        let provider = serde_json::from_value(provider).unwrap();
        let clock = Arc::new(MovableClock::default());
        let backend = Backend::new(provider, "http://127.0.0.1:8080", clock).unwrap();
        let session = backend.sessions.prepare("alice".to_owned()).unwrap();
        let login = TokenSet::new("at-1").with_refresh_token("rt-1");
        backend.coordinator.install(session.key.clone(), login).await.unwrap();
        let name = backend.sessions.open(session.clone()).unwrap();

        let headers = HeaderMap::from_iter([(header::COOKIE, format!("{SESSION}={name}").parse().unwrap())]);
        let answer = log_out(State(backend.clone()), Current(session), headers).now_or_never();
        assert!(answer.is_none(), "it waits for the provider");
        assert!(backend.sessions.close(&name).is_none());
    }
}
