//! Proofs on requests: which get one, and what it is made from.

mod endpoint;
mod service;

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, Request};
use tower_oauth_refresh::{BoundKey, Clock, InvalidOrigin, Origin, SystemClock};

pub use self::endpoint::DpopEndpoint;
pub use self::service::{DpopFuture, DpopService};
use crate::key::InvalidKey;
use crate::proof::{About, DpopKey};
use crate::servers::{Sent, Servers};

/// Signs a proof of possession for every request that needs one (RFC 9449). Clones share key and nonces.
///
/// A client has two services that send: the transport of the token endpoint, and the HTTP client below the layer.
/// Wrap the first with [`endpoint`](Self::endpoint) and the second with [`client`](Self::client), of the same
/// `Dpop`. A nonce that a server asks for is in the next proof for that server, whatever the answer that brought
/// it was, and is sent to no other origin.
///
/// Nothing is sent twice here. It is the coordinator that asks again where a nonce is wanted, and the layer that
/// sends the request again, each with a new proof and once: [`Builder::dpop`] tells both.
///
/// A server that refuses a proof (`invalid_dpop_proof`), and whose `Date` is more than two seconds off what the proof
/// was dated by, has another time than this machine: its proofs are dated by its time from then on, and the request is
/// sent again in the same way. What was learned is per origin and lives in memory. As with
/// [assertions](crate::AssertionSigner::listen), a date of more than a day off is not believed, and one that does not
/// help is given up again.
///
/// [`Builder::dpop`]: tower_oauth_refresh::Builder::dpop
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};
/// use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet};
/// use tower_oauth_refresh_binding::{Dpop, DpopKey};
/// # use bytes::Bytes;
/// # use http_body_util::Full;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// // In earnest one hyper client is both of these. Here: a token endpoint, and an API that wants `at-2`.
/// let token_endpoint = service_fn(async |request: Request<Full<Bytes>>| {
///     assert!(request.headers().contains_key("dpop"));
///     let answer =
///         r#"{"access_token": "at-2", "token_type": "DPoP", "refresh_token": "rt-2", "expires_in": 3600}"#;
///     Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(answer)))
/// });
/// let api = service_fn(async |request: Request<ReplayBody<Full<Bytes>>>| {
///     let headers = request.headers();
///     let good = headers["authorization"] == "DPoP at-2" && headers.contains_key("dpop");
///     let status = if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
///     Response::builder().status(status).body(Full::<Bytes>::default())
/// });
///
/// let dpop = Dpop::per_login();
/// let coordinator =
///     RefreshCoordinator::builder("https://auth.example/token".parse()?, ClientAuth::none("client-id"))
///         .dpop()
///         .build(dpop.endpoint(token_endpoint))?;
/// let client = ServiceBuilder::new()
///     .layer(RefreshLayer::new(coordinator.clone(), "acme").origin("https://api.example".parse()?))
///     .service(dpop.client(api));
///
/// // The key comes before the login, whose own requests need its proofs: `Dpop::new(key)` around that client.
/// let key = DpopKey::generate()?;
/// let login = TokenSet::new("at-1").with_refresh_token("rt-1").with_bound_key(key.bound_key()?);
/// coordinator.install("acme", login).await?;
///
/// let request = Request::get("https://api.example/orders").body(Full::<Bytes>::default())?;
/// assert_eq!(client.oneshot(request).await?.status(), StatusCode::OK);
/// # Ok(())
/// # }
/// ```
///
/// The client below must not follow redirects: the proof names the URI that was asked for, and the nonce of one origin
/// would go to another with it. Nor does a client below get a request whose URI is only a path, as `tonic`'s are: give
/// its generated client the server's origin (`with_origin`).
#[derive(Clone)]
pub struct Dpop {
    /// `None`: that of the login whose request it is.
    key: Option<DpopKey>,
    clock: Arc<dyn Clock>,
    servers: Arc<Servers>,
}

/// Why a request got no proof, and was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DpopError {
    /// The login has no key with it, and its tokens are worth nothing without. Log in again, with a
    /// [key](DpopKey::bound_key) in the token set that is installed.
    #[error("the login has no DPoP key")]
    NoKey,
    /// What is kept with the login is no key. Log in again.
    #[error("the DPoP key of the login cannot be read")]
    UnusableKey(#[from] InvalidKey),
    /// A proof names where its request goes, and no token may go there; or the request does not say where, as
    /// `tonic`'s do not.
    #[error("no DPoP proof for this URI")]
    Target(#[from] InvalidOrigin),
    /// The system has no randomness, or its clock stands before 1970.
    #[error("the DPoP proof could not be signed")]
    NotSigned,
}

impl Dpop {
    /// One key for everything: that of the client, or of the only login there is. A login that has been installed with
    /// a key of its own keeps to that, for its refresh token is good with no other.
    #[must_use]
    pub fn new(key: DpopKey) -> Self {
        Self::with(Some(key))
    }

    /// Each login has a key of its own, which is [kept](DpopKey::bound_key) with its tokens: the coordinator puts it
    /// into the extensions of what it sends, and each time it is read from there, so that no copy outlives the login
    /// here. A request of a login without one is not sent
    /// ([`DpopError::NoKey`]).
    #[must_use]
    pub fn per_login() -> Self {
        Self::with(None)
    }

    fn with(key: Option<DpopKey>) -> Self {
        Self { key, clock: Arc::new(SystemClock::default()), servers: Arc::default() }
    }

    /// Where `iat` comes from: the coordinator's clock, where that is another than the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// `service` with a proof on every request: for the authorization server's endpoints.
    pub fn endpoint<S>(&self, service: S) -> DpopEndpoint<S> {
        DpopEndpoint::new(service, self.clone())
    }

    /// `service` with a proof on every request that carries `Authorization: DPoP`: for the HTTP client below the
    /// layer. Requests with another scheme or none are left alone, and so are those that bring a proof already.
    pub fn client<S>(&self, service: S) -> DpopService<S> {
        DpopService::new(service, self.clone())
    }

    /// Adds the proof. What is left is what its answer is judged by.
    fn prove<B>(&self, request: &mut Request<B>, access_token: Option<&[u8]>) -> Result<Sent, DpopError> {
        let (sent, nonce) = self.servers.send(Origin::of(request.uri())?);
        let kept;
        let key = match (request.extensions().get::<BoundKey>(), &self.key) {
            // What a login has of its own, its tokens are bound to.
            (Some(bound), _) => {
                kept = DpopKey::try_from(bound.clone())?;
                &kept
            }
            (None, Some(key)) => key,
            (None, None) => return Err(DpopError::NoKey),
        };
        let about = About {
            method: request.method(),
            uri: request.uri(),
            access_token,
            nonce: nonce.as_deref(),
            at: sent.at(self.clock.now()),
        };
        let proof = key.prove(&about).map_err(|_| DpopError::NotSigned)?;
        request.headers_mut().insert(DPOP, proof);
        Ok(sent)
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop").field("key", &self.key).field("servers", &self.servers).finish_non_exhaustive()
    }
}

const DPOP: HeaderName = HeaderName::from_static("dpop");

#[cfg(test)]
mod tests;
