//! Login: the authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636), by the `oauth2` crate.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use futures_util::FutureExt as _;
use http::{HeaderMap, header};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, RedirectUrl, Scope, StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use serde::Deserialize;
use tower::BoxError;
use tower_oauth_refresh::TokenSet;

use crate::backend::{Backend, Provider};
use crate::id_token::IdToken;
use crate::outbound::exchange;
use crate::pages::{Refusal, sign_in};
use crate::pending::{PATIENCE, PendingLogin};
use crate::session::{self, LOGIN, SESSION, clear_cookie, cookie, random, set_cookie};

type Tokens = StandardTokenResponse<IdToken, BasicTokenType>;
type Registered<Authorization, Token> = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    Authorization,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    Token,
>;

/// This application, as it is registered at the authorization server.
pub(crate) struct OAuthClient(Registered<EndpointSet, EndpointSet>);

/// What the authorization server sends back through the browser (RFC 6749 §4.1.2, RFC 9207).
#[derive(Deserialize)]
pub(crate) struct Returned {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
}

impl OAuthClient {
    pub(crate) fn new(provider: &Provider, origin: &str) -> Result<Self, BoxError> {
        let client = Client::new(ClientId::new(provider.client_id.clone()))
            .set_client_secret(ClientSecret::new(provider.client_secret.clone()))
            .set_auth_uri(AuthUrl::new(provider.authorization_endpoint.clone())?)
            .set_token_uri(TokenUrl::new(provider.token_endpoint.clone())?)
            .set_redirect_uri(RedirectUrl::new(format!("{origin}/callback"))?);
        Ok(Self(client))
    }
}

/// `GET /login`: off to the authorization server.
pub(crate) async fn begin(State(backend): State<Arc<Backend>>) -> Result<Response, Refusal> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let nonce = random()?;
    let request = backend.oauth.0.authorize_url(CsrfToken::new_random).set_pkce_challenge(challenge);
    let scopes = backend.provider.scope.split(' ').map(|scope| Scope::new(scope.to_owned()));
    let (url, state) = request.add_scopes(scopes).add_extra_param("nonce", nonce.as_str()).url();
    let pending = PendingLogin { state: state.into_secret(), nonce, verifier };
    let sealed = backend.logins.begin(pending)?;
    let cookie = set_cookie(LOGIN, &sealed, Some(PATIENCE));
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(url.as_str())).into_response())
}

/// `GET /callback`: back again. The code becomes tokens, the tokens a credential, the credential a session.
pub(crate) async fn finish(
    State(backend): State<Arc<Backend>>,
    Query(returned): Query<Returned>,
    headers: HeaderMap,
) -> Response {
    let begun = cookie(&headers, LOGIN).and_then(|sealed| backend.logins.open(sealed));
    let ended = clear_cookie(LOGIN);
    let session = match begun {
        Some(begun) => log_in(&backend, begun, returned).await,
        None => Err("the login was not begun in this browser, or took too long"),
    };
    let session = match session {
        Ok(name) => set_cookie(SESSION, &name, None),
        // One of our own words, nothing that came with the request.
        Err(error) => {
            let page = sign_in(&format!("The login did not succeed: {error}. Please try again."));
            return (AppendHeaders([(header::SET_COOKIE, ended)]), page).into_response();
        }
    };
    // Whoever was logged in here before is not any more.
    if let Some(former) = cookie(&headers, SESSION).and_then(|name| backend.sessions.close(name)) {
        end_in_background(&backend, &former);
    }
    for old in backend.sessions.close_old() {
        end_in_background(&backend, &old);
    }
    let cookies = AppendHeaders([(header::SET_COOKIE, ended), (header::SET_COOKIE, session)]);
    (cookies, Redirect::to("/")).into_response()
}

/// The name of the new session. Errors are for the person at the browser.
async fn log_in(
    backend: &Arc<Backend>,
    begun: PendingLogin,
    returned: Returned,
) -> Result<String, &'static str> {
    if returned.state.as_deref() != Some(begun.state.as_str()) {
        return Err("the answer belongs to another login");
    }
    if returned.iss.is_some_and(|issuer| issuer != backend.provider.issuer) {
        return Err("the answer comes from another authorization server");
    }
    let code = returned.code.ok_or("the authorization server refused")?;
    let http = |request| exchange(backend.http.clone(), request);
    let request = backend.oauth.0.exchange_code(AuthorizationCode::new(code));
    let response = request.set_pkce_verifier(begun.verifier).request_async(&http).await;
    let response = response.map_err(|_| "the authorization server did not take the code")?;

    let subject = response.extra_fields().subject(&backend.provider, &begun.nonce);
    let subject = subject.ok_or("the identity is not the answer to this login")?;
    let tokens = TokenSet::from_response(&response).map_err(|_| "there are no tokens in the answer")?;
    let session = backend.sessions.prepare(subject).map_err(|_| NOT_STORED)?;
    let generation =
        backend.coordinator.install(session.key.clone(), tokens).await.map_err(|_| NOT_STORED)?;
    session.tell(format!("Logged in: generation {generation} is stored"), true);
    backend.sessions.open(session).map_err(|_| NOT_STORED)
}

const NOT_STORED: &str = "the tokens could not be stored";

/// A logout that nobody waits for. It goes on when its future is dropped.
fn end_in_background(backend: &Arc<Backend>, session: &session::Session) {
    let _ = backend.coordinator.logout(session.key.clone()).now_or_never();
}
