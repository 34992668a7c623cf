//! Proofs on requests: which get one, and what it is made from.

mod service;

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Request};
use tower_oauth_refresh::{Clock, InvalidOrigin, Origin, SystemClock};

pub use self::service::{DpopFuture, DpopService};
use crate::nonce::Nonces;
use crate::proof::{About, DpopKey};

/// Signs a proof of possession for every request that needs one (RFC 9449). Clones share key and nonces.
///
/// A client has two services that send: the transport of the token endpoint, and the HTTP client below the layer.
/// Wrap the first with [`endpoint`](Self::endpoint) and the second with [`client`](Self::client), of the same
/// `Dpop`. A nonce that a server asks for is in the next proof for that server, whatever the answer that brought
/// it was, and is sent to no other origin.
///
/// Nothing is sent twice here. A request that a server refuses for want of a nonce has to be sent again by what
/// stands outside.
///
/// ```
/// use http::{Request, Response, header::AUTHORIZATION};
/// use tower::{BoxError, ServiceExt as _, service_fn};
/// use tower_oauth_refresh_binding::{Dpop, DpopKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// // In earnest a hyper client. This one tells whether there was a proof.
/// let http = service_fn(async |request: Request<()>| {
///     Ok::<_, BoxError>(Response::new(request.headers().contains_key("dpop")))
/// });
/// let dpop = Dpop::new(DpopKey::generate()?);
///
/// let request = Request::get("https://api.example/").header(AUTHORIZATION, "DPoP at-1").body(())?;
/// assert!(dpop.client(http).oneshot(request).await?.into_body());
/// let request = Request::get("https://api.example/").header(AUTHORIZATION, "Bearer at-1").body(())?;
/// assert!(!dpop.client(http).oneshot(request).await?.into_body());
/// # Ok(())
/// # }
/// ```
///
/// The client below must not follow redirects: the proof names the URI that was asked for.
#[derive(Clone)]
pub struct Dpop {
    key: DpopKey,
    clock: Arc<dyn Clock>,
    nonces: Arc<Nonces>,
}

/// Why a request got no proof, and was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DpopError {
    /// A proof names where its request goes, and no token may go there.
    #[error("no DPoP proof for this URI")]
    Target(#[from] InvalidOrigin),
    /// The system has no randomness, or its clock stands before 1970.
    #[error("the DPoP proof could not be signed")]
    NotSigned,
}

impl Dpop {
    /// One key for everything: that of the client, or of the only login there is.
    #[must_use]
    pub fn new(key: DpopKey) -> Self {
        Self { key, clock: Arc::new(SystemClock::default()), nonces: Arc::default() }
    }

    /// Where `iat` comes from: the coordinator's clock, where that is another than the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// `service` with a proof on every request: for the authorization server's endpoints.
    pub fn endpoint<S>(&self, service: S) -> DpopService<S> {
        DpopService::endpoint(service, self.clone())
    }

    /// `service` with a proof on every request that carries `Authorization: DPoP`: for the HTTP client below the
    /// layer. Requests with another scheme or none are left alone, and so are those that bring a proof already.
    pub fn client<S>(&self, service: S) -> DpopService<S> {
        DpopService::client(service, self.clone())
    }

    fn prove<B>(
        &self,
        request: &Request<B>,
        origin: &Origin,
        access_token: Option<&[u8]>,
    ) -> Result<HeaderValue, DpopError> {
        let nonce = self.nonces.of(origin);
        let about = About {
            method: request.method(),
            uri: request.uri(),
            access_token,
            nonce: nonce.as_deref(),
            at: self.clock.now().wall,
        };
        self.key.prove(&about).map_err(|_| DpopError::NotSigned)
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop").field("key", &self.key).field("nonces", &self.nonces).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
