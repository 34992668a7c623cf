//! `yup-oauth2` with the credentials of a user and its own storage in memory, over one connection of HTTP/2 to the
//! loopback device, wherever it means to go.

use std::sync::Arc;

use futures_util::FutureExt as _;
use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use yup_oauth2::authorized_user::AuthorizedUserSecret;
use yup_oauth2::{AuthorizedUserAuthenticator, CustomHyperClientBuilder};

use super::source::{Source, header};
use super::{Callers, Waiting, now};
use crate::Failure;
use crate::hot::Send;

const SCOPES: &[&str] = &["orders"];

pub(super) fn send(runtime: &Runtime) -> Result<Send, Failure> {
    let tokens = tokens(runtime, &Source::open())?;
    Ok(tokens.send)
}

pub(super) fn callers(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    Ok(tokens(runtime, source)?.callers)
}

/// The authenticator's type cannot be written down, since that of its connector cannot.
struct Tokens {
    send: Send,
    callers: Callers,
}

fn tokens(runtime: &Runtime, source: &Arc<Source>) -> Result<Tokens, Failure> {
    let address = source.serve(runtime)?;
    let connector = tower::service_fn(move |_: Uri| {
        async move { TcpStream::connect(address).await.map(TokioIo::new) }.boxed()
    });
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build::<_, String>(connector);
    let secret = AuthorizedUserSecret {
        client_id: "bench".to_owned(),
        client_secret: "secret".to_owned(),
        refresh_token: "rt".to_owned(),
        key_type: "authorized_user".to_owned(),
    };
    let builder =
        AuthorizedUserAuthenticator::with_client(secret, CustomHyperClientBuilder::from(client)).build();
    let authenticator = runtime.block_on(builder)?;
    runtime.block_on(authenticator.token(SCOPES))?;
    let (authenticator, asking) = (authenticator.clone(), authenticator);
    Ok(Tokens {
        send: Box::new(move || {
            now(async { header(authenticator.token(SCOPES).await?.token().ok_or("no token")?) });
        }),
        callers: Box::new(move || -> Waiting {
            let authenticator = asking.clone();
            Box::pin(async move { authenticator.token(SCOPES).await.is_ok() })
        }),
    })
}
