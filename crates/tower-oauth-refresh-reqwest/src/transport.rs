//! `reqwest` at the token endpoint.

use std::error::Error as StdError;
use std::fmt;
use std::task::{Context, Poll};

use http::{Request, Response};
use reqwest::{ClientBuilder, redirect, retry};
use tower_oauth_refresh::{BoxFuture, NotSent};
use tower_service::Service;

use crate::service::ReqwestService;

/// The way to the token endpoint over `reqwest`, for [`Builder::build`](tower_oauth_refresh::Builder::build).
///
/// It is a client of its own, for what is right for an API is wrong here: it follows no redirect, which would
/// carry refresh token and secret along (RFC 9700 §4.12), and sends nothing a second time, which is the
/// coordinator's to decide. An error from before the request was sent says so ([`NotSent`]): no name, no
/// connection, no TLS. Such a refresh leaves no doubt about its refresh token.
///
/// ```
/// use tower_oauth_refresh::{ClientAuth, RefreshCoordinator};
/// use tower_oauth_refresh_reqwest::Transport;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let _ = rustls::crypto::ring::default_provider().install_default();
/// let auth = ClientAuth::basic("client-id", "client-secret");
/// let coordinator = RefreshCoordinator::builder("https://auth.example/token".parse()?, auth)
///     .build(Transport::new(reqwest::Client::builder().user_agent("my-tool"))?)?;
/// # drop(coordinator);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// The coordinator never drops a request before its time limit. Dropping one elsewhere leaves the refresh
/// token in doubt: the server may have spent it.
#[derive(Clone)]
pub struct Transport {
    client: ReqwestService,
}

impl Transport {
    /// A client for the token endpoint: proxies, certificates and time limits are `client`'s; redirects and
    /// retries are turned off.
    ///
    /// # Errors
    ///
    /// Those of [`ClientBuilder::build`]: TLS could not be set up.
    pub fn new(client: ClientBuilder) -> reqwest::Result<Self> {
        let client = client.redirect(redirect::Policy::none()).retry(retry::never()).build()?;
        Ok(Self { client: ReqwestService::new(client) })
    }
}

impl Service<Request<reqwest::Body>> for Transport {
    type Response = Response<reqwest::Body>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<reqwest::Body>>::poll_ready(&mut self.client, cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<reqwest::Body>) -> Self::Future {
        let answer = self.client.call(request);
        Box::pin(async move {
            answer.await.map_err(|error| {
                // A URL may hold what no log should; the coordinator's errors name the endpoint.
                let error = error.without_url();
                if error.is_connect() || error.is_builder() {
                    NotSent::new(error).into()
                } else {
                    error.into()
                }
            })
        })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}
