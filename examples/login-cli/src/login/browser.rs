//! In a browser on this machine: the authorization code flow with PKCE, and back to a port of loopback that is
//! open for this login only (RFC 8252 §7.3).

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use oauth2::basic::BasicTokenResponse;
use oauth2::{AuthorizationCode, CsrfToken, PkceCodeChallenge, RedirectUrl};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tower::BoxError;

use super::{oauth_client, scopes};
use crate::account::Account;
use crate::outbound::exchange;

const PATIENCE: Duration = Duration::from_secs(600);
const LONGEST_LINE: u64 = 16 * 1024;

/// # Cancel safety
///
/// Nothing has happened at the server, unless the code was on its way to it.
pub(crate) async fn in_browser(account: &Account) -> Result<BasicTokenResponse, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let redirect = format!("http://{}/callback", listener.local_addr()?);
    let client = oauth_client(&account.provider)?.set_redirect_uri(RedirectUrl::new(redirect)?);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let request = client.authorize_url(CsrfToken::new_random).set_pkce_challenge(challenge);
    let (url, state) = request.add_scopes(scopes(&account.provider)).url();
    println!("Open {url}");

    let code = timeout(PATIENCE, returned(&listener, state.secret())).await??;
    let http = |request| exchange(account.http.clone(), request);
    let request = client.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(verifier);
    Ok(request.request_async(&http).await?)
}

/// The code that the browser brings back. Whatever else comes to this port is sent away.
async fn returned(listener: &TcpListener, state: &str) -> Result<String, BoxError> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        // Somebody who connects and says nothing must not keep the browser out.
        let Ok(Ok(line)) = timeout(Duration::from_secs(5), request_line(&mut stream)).await else { continue };
        let query = line.strip_prefix("GET /callback?").and_then(|rest| rest.split(' ').next());
        let query: HashMap<Cow<'_, str>, Cow<'_, str>> =
            form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
        if query.get("state").map(AsRef::as_ref) != Some(state) {
            answer(&mut stream, "404 Not Found", "This is not the answer to a login here.").await;
            continue;
        }
        let Some(code) = query.get("code") else {
            answer(&mut stream, "200 OK", "The login was refused. You can close this page.").await;
            return Err("the authorization server refused the login".into());
        };
        answer(&mut stream, "200 OK", "You are logged in. You can close this page.").await;
        return Ok(code.to_string());
    }
}

/// The first line of a request; the rest of its head is read and forgotten.
async fn request_line(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut lines = BufReader::new(stream.take(LONGEST_LINE)).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    Ok(first)
}

/// Whether the browser still wants to know does not matter to the login.
async fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let head = "content-type: text/plain; charset=utf-8\r\nconnection: close\r\nreferrer-policy: no-referrer";
    let page = format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    let _ = stream.write_all(page.as_bytes()).await;
    let _ = stream.shutdown().await;
}
