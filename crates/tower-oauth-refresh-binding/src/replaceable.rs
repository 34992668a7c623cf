//! A client whose connections can be given up for others while the program runs: those with a new certificate.
//!
//! A connection shows one certificate for as long as it lives (RFC 8705 §2), and clients keep connections. So a new
//! certificate needs a new client, here below what is built already. Where assertions or proofs are signed there are
//! no such connections: [`AssertionSigner::replace`](crate::AssertionSigner::replace) takes a new key by itself.
//!
//! ```
//! use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet};
//! use tower_oauth_refresh_binding::Replaceable;
//! # use bytes::Bytes;
//! # use http::{Request, Response, StatusCode};
//! # use http_body_util::Full;
//! # use tower::util::BoxCloneSyncService;
//! # use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};
//!
//! # type Client = BoxCloneSyncService<Request<ReplayBody<Full<Bytes>>>, Response<Full<Bytes>>, BoxError>;
//! # /// One that shows this certificate to a server that binds tokens to certificates.
//! # fn client_with(certificate: &'static str) -> Client {
//! #     BoxCloneSyncService::new(service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| async move {
//! #         if request.uri().path() == "/token" {
//! #             let answer = format!(r#"{{"access_token": "of-{certificate}", "expires_in": 3600}}"#);
//! #             return Ok::<_, BoxError>(Response::new(Full::from(answer)));
//! #         }
//! #         let good = request.headers()["authorization"] == format!("Bearer of-{certificate}").as_str();
//! #         let status = if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
//! #         Ok(Response::builder().status(status).body(Full::default())?)
//! #     }))
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // `client_with`: a hyper client, say, whose TLS shows this certificate.
//! let https = Replaceable::new(client_with("this-year"));
//!
//! // Its id in the body is all that such a client sends of itself. The rest is in the certificate.
//! let auth = ClientAuth::none("client-id");
//! let coordinator =
//!     RefreshCoordinator::builder("https://mtls.auth.example/token".parse()?, auth).build(https.clone())?;
//! let client = ServiceBuilder::new()
//!     .layer(RefreshLayer::new(coordinator.clone(), "acme").origin("https://api.example".parse()?))
//!     .service(https.clone());
//! # let login = TokenSet::new("of-this-year").with_refresh_token("rt-1");
//! # coordinator.install("acme", login).await?;
//! # let request = Request::get("https://api.example/orders").body(Full::<Bytes>::default())?;
//! # assert_eq!(client.clone().oneshot(request).await?.status(), StatusCode::OK);
//!
//! // Later, without a restart. The next request carries the token that is bound to the old certificate. The API
//! // refuses it, the layer has it refreshed, over a connection with the new one, and sends the request again.
//! https.replace(client_with("next-year"));
//! let request = Request::get("https://api.example/orders").body(Full::<Bytes>::default())?;
//! assert_eq!(client.oneshot(request).await?.status(), StatusCode::OK);
//! # assert_eq!(coordinator.token("acme").await?.expose_secret(), "of-next-year");
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use tower_service::Service;

/// A service in front of another that can be replaced. Clones are the same: replaced in one, it is in all.
///
/// Use one for the transport of the coordinator and for the HTTP client below the layer, so that both show the same
/// certificate. After a [`replace`](Self::replace) the access token is still bound to the old one (RFC 8705 §3), and
/// nobody has to ask for another: the API refuses it with 401, and the layer does what it does with every refused
/// token. One that was refreshed less than [`challenge_min_age`](tower_oauth_refresh::Builder::challenge_min_age) ago
/// and never accepted by the API is left alone until then, 5 s by default: callers get the API's 401.
///
/// At an authorization server that knows the client by its certificate, the refresh token is good with the new one
/// too. That of a public client is bound to the certificate itself (RFC 8705 §4): there, a new certificate ends the
/// login, and takes a new one.
///
/// It needs `Sync` of the other to be shared, which clients of hyper and reqwest are; for a boxed one take tower's
/// `BoxCloneSyncService`.
///
/// # Cancel safety
///
/// A future is that of the service that the request went to, and dropping it is what it is there.
pub struct Replaceable<S> {
    newest: Arc<ArcSwap<S>>,
    /// What the next request goes to, and what it was cloned from.
    ready: Option<(Arc<S>, S)>,
}

impl<S> Replaceable<S> {
    /// In front of `service`, until it is replaced.
    pub fn new(service: S) -> Self {
        Self { newest: Arc::new(ArcSwap::from_pointee(service)), ready: None }
    }

    /// From now on requests go to `service`. Those under way end where they are; with the last of them the old one
    /// is dropped, and its connections with it.
    pub fn replace(&self, service: S) {
        self.newest.store(Arc::new(service));
    }
}

impl<S, R> Service<R> for Replaceable<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let newest = self.newest.load_full();
        let (_, service) = match self.ready.take() {
            Some(ready) if Arc::ptr_eq(&ready.0, &newest) => self.ready.insert(ready),
            _ => {
                let service = S::clone(&newest);
                self.ready.insert((newest, service))
            }
        };
        service.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        // It is not kept: a clone that nobody uses would hold the old connections.
        let ready = self.ready.take().map(|(_, service)| service);
        ready.unwrap_or_else(|| S::clone(&self.newest.load())).call(request)
    }
}

/// Readiness is not cloned.
impl<S> Clone for Replaceable<S> {
    fn clone(&self) -> Self {
        Self { newest: Arc::clone(&self.newest), ready: None }
    }
}

/// The service's own `Debug` may show default headers.
impl<S> fmt::Debug for Replaceable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replaceable").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
