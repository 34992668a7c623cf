//! The service that stands between a client and its network.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Request, Response};
use pin_project_lite::pin_project;
use tower_oauth_refresh::{NotSent, Origin};
use tower_service::Service;

use super::{Dpop, DpopError};
use crate::BoxError;
use crate::nonce::Nonces;

/// An HTTP client whose requests carry proofs. Made by [`Dpop::endpoint`] and [`Dpop::client`].
///
/// # Errors
///
/// The client's own errors pass through. Where no proof can be made, the error downcasts to [`DpopError`], and
/// nothing was sent; at the authorization server's endpoints it is the source of a [`NotSent`], so that the refresh
/// token counts as not spent, and so the source of the coordinator's error. There it is also logged, for nobody may be
/// waiting for the token.
///
/// # Cancel safety
///
/// Dropping the future is dropping the client's: the server may have acted on the request, or may yet. A nonce that
/// its answer would have brought is not learned.
#[derive(Clone)]
pub struct DpopService<S> {
    inner: S,
    dpop: Dpop,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Endpoint,
    Client,
}

impl<S> DpopService<S> {
    pub(super) fn endpoint(inner: S, dpop: Dpop) -> Self {
        Self { inner, dpop, place: Place::Endpoint }
    }

    pub(super) fn client(inner: S, dpop: Dpop) -> Self {
        Self { inner, dpop, place: Place::Client }
    }

    /// Adds the proof, where there is to be one. Answers where the request goes.
    fn prepare<B>(&self, request: &mut Request<B>) -> Result<Option<Origin>, DpopError> {
        let origin = Origin::of(request.uri());
        let access_token = match self.place {
            Place::Endpoint => None,
            Place::Client => match bound_token(request.headers()) {
                Some(token) if !request.headers().contains_key(DPOP) => Some(token),
                _ => return Ok(origin.ok()),
            },
        };
        let origin = origin?;
        let proof = self.dpop.prove(request, &origin, access_token)?;
        request.headers_mut().insert(DPOP, proof);
        Ok(Some(origin))
    }
}

impl<S, B, R> Service<Request<B>> for DpopService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = DpopFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let state = match (self.prepare(&mut request), self.place) {
            (Ok(origin), _) => State::Sent {
                answer: self.inner.call(request),
                learn: origin.map(|origin| (origin, Arc::clone(&self.dpop.nonces))),
            },
            (Err(error), Place::Endpoint) => {
                tracing::error!(%error, "no proof for the authorization server, so nothing was sent");
                State::Failed { error: Some(NotSent::new(error).into()) }
            }
            (Err(error), Place::Client) => State::Failed { error: Some(error.into()) },
        };
        DpopFuture { state }
    }
}

/// The client's own `Debug` may show default headers.
impl<S> fmt::Debug for DpopService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopService")
            .field("dpop", &self.dpop)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer to a request that [`DpopService`] sent.
    pub struct DpopFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Progress]
    enum State<F> {
        Sent { #[pin] answer: F, learn: Option<(Origin, Arc<Nonces>)> },
        Failed { error: Option<BoxError> },
    }
}

impl<F, R, E> Future for DpopFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<R>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Progress::Sent { answer, learn } => {
                let answer = ready!(answer.poll(cx)).map_err(Into::into)?;
                if let Some((origin, nonces)) = learn {
                    nonces.learn(origin, answer.headers());
                }
                Poll::Ready(Ok(answer))
            }
            Progress::Failed { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }
}

impl<F> fmt::Debug for DpopFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopFuture").finish_non_exhaustive()
    }
}

/// The token of `Authorization: DPoP` (RFC 9449 §7.1).
fn bound_token(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked("DPoP ".len())?;
    scheme.eq_ignore_ascii_case(b"DPoP ").then(|| token.trim_ascii())
}

const DPOP: HeaderName = HeaderName::from_static("dpop");
