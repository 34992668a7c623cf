//! A transport that learns the authorization server's time when that refuses an assertion.
//!
//! ```
//! use tower_oauth_refresh::RefreshCoordinator;
//! use tower_oauth_refresh_binding::{AssertionSigner, SigningKey};
//! # use std::sync::atomic::{AtomicBool, Ordering};
//! # use std::time::{Duration, SystemTime};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use tower::{BoxError, service_fn};
//! # use tower_oauth_refresh::TokenSet;
//!
//! # const PEM: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testdata/es256.pem"));
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! # // Refuses the first assertion, whose time is an hour off.
//! # static REFUSED: AtomicBool = AtomicBool::new(false);
//! # let http_client = service_fn(async |_: Request<Full<Bytes>>| {
//! #     let answer = if REFUSED.swap(true, Ordering::Relaxed) {
//! #         Response::builder().body(r#"{"access_token": "at-2", "expires_in": 3600}"#)
//! #     } else {
//! #         let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
//! #         Response::builder().status(401).header("date", date).body(r#"{"error": "invalid_client"}"#)
//! #     };
//! #     Ok::<_, BoxError>(answer?.map(Full::<Bytes>::from))
//! # });
//! let signer = AssertionSigner::new("https://auth.example", SigningKey::es256_pem(PEM)?);
//! let transport = signer.listen(http_client);
//! let endpoint = "https://auth.example/token".parse()?;
//! let coordinator =
//!     RefreshCoordinator::builder(endpoint, signer.client_auth("client-id")).build(transport)?;
//! # let old = TokenSet::new("at-1").with_refresh_token("rt-1").with_expires_in(Duration::ZERO);
//! # coordinator.install("acme", old).await?;
//! // The server is an hour ahead, and refuses the first attempt. The second is dated by its clock.
//! assert_eq!(coordinator.token("acme").await?.expose_secret(), "at-2");
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use serde::Deserialize;
use tower_oauth_refresh::{BoxFuture, Clock, NotSent};
use tower_service::Service;

use crate::BoxError;
use crate::server_time::{Dated, ServerTime, date};

/// A transport that notices when the authorization server refuses an assertion for its time:
/// [`AssertionSigner::listen`](crate::AssertionSigner::listen).
///
/// Only an answer that refuses something is read here, for its error; the body of any other passes as it comes.
#[derive(Clone)]
pub struct Listening<S> {
    inner: S,
    time: ServerTime,
    clock: Arc<dyn Clock>,
}

impl<S> Listening<S> {
    pub(crate) fn new(inner: S, time: ServerTime, clock: Arc<dyn Clock>) -> Self {
        Self { inner, time, clock }
    }
}

impl<S, T, R> Service<Request<T>> for Listening<S>
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

    fn call(&mut self, request: Request<T>) -> Self::Future {
        // Without it, the request has no assertion of ours, and its answer says nothing about one.
        let used = request.extensions().get::<Dated>().cloned();
        let (time, clock) = (self.time.clone(), Arc::clone(&self.clock));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into)?;
            // Before the body, which may take its time.
            let now = clock.now();
            let date = date(answer.headers());
            let (answer, refusal) = read_refusal(answer).await?;
            let Some(used) = used else { return Ok(answer) };
            if refusal.is_some_and(|body| refuses_client(answer.status(), &body)) {
                if date.is_some_and(|date| time.learn(&used, date, now)) {
                    return Err(NotSent::new(AnotherTime).into());
                }
            } else if answer.status().is_success() {
                used.prove();
            }
            Ok(answer)
        })
    }
}

/// The answer, and its body where it is one that may refuse what was signed.
pub(crate) async fn read_refusal<R>(
    answer: Response<R>,
) -> Result<(Response<UnsyncBoxBody<Bytes, BoxError>>, Option<Bytes>), BoxError>
where
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    let (parts, body) = answer.into_parts();
    if !matches!(parts.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        let whole = |frame: Frame<R::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        let body = body.map_frame(whole).map_err(Into::into).boxed_unsync();
        return Ok((Response::from_parts(parts, body), None));
    }
    let body = Limited::new(body, LIMIT).collect().await.map_err(|_| BrokenOff)?.to_bytes();
    let again = Full::new(body.clone()).map_err(|never| match never {}).boxed_unsync();
    Ok((Response::from_parts(parts, again), Some(body)))
}

/// The `error` of a refusal (RFC 6749 §5.2).
pub(crate) fn error_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    serde_json::from_slice(body).map(|Refusal { error }| error).ok()
}

/// Is it about the client, not about the grant?
fn refuses_client(status: StatusCode, body: &[u8]) -> bool {
    match error_of(body).as_deref() {
        // The second is what some servers say of an assertion that they do not believe.
        Some("invalid_client" | "unauthorized_client") => true,
        Some(_) => false,
        None => status == StatusCode::UNAUTHORIZED,
    }
}

/// The client's own `Debug` may show default headers.
impl<S> fmt::Debug for Listening<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

/// Why an attempt is as good as one that was never sent.
#[derive(Debug, thiserror::Error)]
#[error("what was signed had another time than the authorization server has")]
pub(crate) struct AnotherTime;

/// Has no source, for whatever is in there does not make the request one that was not sent.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off or is longer than 1 MiB")]
struct BrokenOff;

/// As much as the coordinator reads.
const LIMIT: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
