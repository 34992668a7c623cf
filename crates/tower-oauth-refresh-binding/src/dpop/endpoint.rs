//! The service that stands between a coordinator and the authorization server.

use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use tower_oauth_refresh::{BoxFuture, NotSent};
use tower_service::Service;

use super::{Dpop, DpopError};
use crate::BoxError;
use crate::listen::{AnotherTime, error_of, read_refusal};
use crate::server_time::date;
use crate::servers::Sent;

/// A transport whose requests carry proofs. Made by [`Dpop::endpoint`].
///
/// # Errors
///
/// The transport's own errors pass through. Where no proof can be made, the error is a [`NotSent`], so that the refresh
/// token counts as not spent, and its source, which is that of the coordinator's error, downcasts to [`DpopError`]. It
/// is also logged, for nobody may be waiting for the token. A refusal from which the server's time was learned is a
/// `NotSent`, too: the server has not looked at the refresh token.
///
/// # Cancel safety
///
/// Dropping the future is dropping the transport's: the server may have acted on the request, or may yet. A nonce that
/// its answer would have brought is not learned.
#[derive(Clone)]
pub struct DpopEndpoint<S> {
    inner: S,
    dpop: Dpop,
}

impl<S> DpopEndpoint<S> {
    pub(super) fn new(inner: S, dpop: Dpop) -> Self {
        Self { inner, dpop }
    }
}

impl<S, T, R> Service<Request<T>> for DpopEndpoint<S>
where
    S: Service<Request<T>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<T>) -> Self::Future {
        match self.dpop.prove(&mut request, None) {
            Ok(sent) => {
                let answer = self.inner.call(request);
                Box::pin(hear(async { answer.await.map_err(Into::into) }, self.dpop.clone(), sent))
            }
            Err(error) => Box::pin(std::future::ready(Err(not_sent(error)))),
        }
    }
}

fn not_sent(error: DpopError) -> BoxError {
    tracing::error!(%error, "no proof for the authorization server, so nothing was sent");
    NotSent::new(error).into()
}

async fn hear<R>(
    answer: impl Future<Output = Result<Response<R>, BoxError>>,
    dpop: Dpop,
    sent: Sent,
) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError>
where
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    let answer = answer.await?;
    let now = dpop.clock.now();
    dpop.servers.learn_nonce(&sent, answer.headers());
    let date = date(answer.headers());
    let (answer, refusal) = read_refusal(answer).await?;
    if refusal.is_some_and(|body| error_of(&body).as_deref() == Some("invalid_dpop_proof")) {
        if date.is_some_and(|date| dpop.servers.learn_time(&sent, date, now)) {
            return Err(NotSent::new(AnotherTime).into());
        }
    } else if answer.status().is_success() {
        sent.prove_time();
    }
    Ok(answer)
}

/// The transport's own `Debug` may show default headers.
impl<S> fmt::Debug for DpopEndpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopEndpoint").field("dpop", &self.dpop).finish_non_exhaustive()
    }
}
