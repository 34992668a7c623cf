//! The service that stands between a client and its network.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_oauth_refresh::{Challenges, Origin};
use tower_service::Service;

use super::{DPOP, Dpop, DpopError};
use crate::BoxError;
use crate::server_time::date;
use crate::servers::Sent;

/// An HTTP client whose requests carry proofs. Made by [`Dpop::client`].
///
/// # Errors
///
/// The client's own errors pass through. Where no proof can be made, the error downcasts to [`DpopError`], and
/// nothing was sent.
///
/// # Cancel safety
///
/// Dropping the future is dropping the client's: the server may have acted on the request, or may yet. A nonce that
/// its answer would have brought is not learned.
#[derive(Clone)]
pub struct DpopService<S> {
    inner: S,
    dpop: Dpop,
}

impl<S> DpopService<S> {
    pub(super) fn new(inner: S, dpop: Dpop) -> Self {
        Self { inner, dpop }
    }

    /// Adds the proof, where there is to be one.
    fn prepare<B>(&self, request: &mut Request<B>) -> Result<Option<Heard>, DpopError> {
        let authorization = request.headers().get(AUTHORIZATION).cloned();
        let bound = authorization.as_ref().and_then(bound_token);
        let Some(token) = bound.filter(|_| !request.headers().contains_key(DPOP)) else {
            let sent = Origin::of(request.uri()).ok().map(|origin| self.dpop.servers.send(origin).0);
            return Ok(sent.map(|sent| Heard { sent, dpop: self.dpop.clone(), proved: false }));
        };
        let sent = self.dpop.prove(request, Some(token))?;
        Ok(Some(Heard { sent, dpop: self.dpop.clone(), proved: true }))
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
        let state = match self.prepare(&mut request) {
            Ok(heard) => State::Sent { answer: self.inner.call(request), heard },
            Err(error) => State::Failed { error: Some(error.into()) },
        };
        DpopFuture { state }
    }
}

/// The client's own `Debug` may show default headers.
impl<S> fmt::Debug for DpopService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopService").field("dpop", &self.dpop).finish_non_exhaustive()
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
        Sent { #[pin] answer: F, heard: Option<Heard> },
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
            Progress::Sent { answer, heard } => {
                let answer = ready!(answer.poll(cx)).map_err(Into::into)?;
                if let Some(heard) = heard {
                    heard.learn(answer.status(), answer.headers());
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

/// What is learned from the answer.
struct Heard {
    sent: Sent,
    dpop: Dpop,
    /// Had the request a proof of ours?
    proved: bool,
}

impl Heard {
    fn learn(&self, status: StatusCode, answer: &HeaderMap) {
        let Self { sent, dpop, proved } = self;
        dpop.servers.learn_nonce(sent, answer);
        if !proved {
            return;
        }
        if status.is_success() {
            sent.prove_time();
        } else if status == StatusCode::UNAUTHORIZED
            && refuses_proof(answer)
            && let Some(date) = date(answer)
        {
            dpop.servers.learn_time(sent, date, dpop.clock.now());
        }
    }
}

impl<F> fmt::Debug for DpopFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopFuture").finish_non_exhaustive()
    }
}

/// The token of `Authorization: DPoP` (RFC 9449 §7.1).
fn bound_token(authorization: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = authorization.as_bytes().split_at_checked("DPoP ".len())?;
    scheme.eq_ignore_ascii_case(b"DPoP ").then(|| token.trim_ascii())
}

/// Does the server refuse the proof itself (RFC 9449 §7.1)?
fn refuses_proof(headers: &HeaderMap) -> bool {
    Challenges::parse(headers).iter().any(|challenge| challenge.param("error") == Some("invalid_dpop_proof"))
}
