//! The time as the authorization server has it, learned when it refuses an assertion.
//!
//! An assertion lives for a minute, so a machine whose clock is off by two cannot authenticate at all. The clock is
//! for somebody to set right; until then, the server's own `Date` will do.
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::DATE;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use serde::Deserialize;
use tower_oauth_refresh::{BoxFuture, Clock, NotSent, Now};
use tower_service::Service;

use crate::BoxError;

/// The time for assertions: the clock's, or the server's once that has proved to differ. Clones are the same.
#[derive(Clone)]
pub(crate) struct ServerTime {
    pub(crate) clock: Arc<dyn Clock>,
    learned: Arc<ArcSwapOption<Learned>>,
}

/// What the server's clock showed, at some moment since boot. Nobody sets that clock, so this stays right when
/// somebody sets ours.
struct Learned {
    date: Duration,
    boot: Duration,
    /// Has it been of use? Until then it may be that of another clock than the one that counts.
    proved: AtomicBool,
}

impl ServerTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, learned: Arc::default() }
    }

    /// Since 1970.
    pub(crate) fn now(&self) -> Duration {
        at(self.learned.load().as_deref(), self.clock.now())
    }

    /// The server refused an assertion that was dated by `used`, and at `now` its clock showed `date`. Is there a
    /// better time by that?
    fn learn(&self, used: &Option<Arc<Learned>>, date: SystemTime, now: Now) -> bool {
        let date = since_1970(date);
        if date.abs_diff(since_1970(now.wall)) > MAX_OFF {
            tracing::warn!("an authorization server's date is more than a day off and was not taken over");
            return false;
        }
        // One lesson at a time: a server whose dates never agree would else be asked for ever, and nobody told why.
        let unproved = used.as_ref().is_some_and(|used| !used.proved.load(Ordering::Relaxed));
        if date.abs_diff(at(used.as_deref(), now)) > TOLERANCE && !unproved {
            let seconds = date.abs_diff(since_1970(now.wall)).as_secs();
            tracing::warn!(
                seconds,
                "the clock differs from the authorization server's, whose time is taken over"
            );
            let proved = AtomicBool::new(false);
            self.learned.store(Some(Arc::new(Learned { date, boot: now.boot, proved })));
            return true;
        }
        // Refused with the time it gave: it was for another reason, or the date is not that of the clock that counts
        // there but of a proxy's. Our own is worth another try.
        if used.is_some() {
            self.learned.compare_and_swap(used, None);
        }
        false
    }
}

fn at(learned: Option<&Learned>, now: Now) -> Duration {
    let Some(Learned { date, boot, .. }) = learned else { return since_1970(now.wall) };
    date.saturating_add(now.boot.saturating_sub(*boot))
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A transport that notices when the authorization server refuses an assertion for its time:
/// [`AssertionSigner::listen`](crate::AssertionSigner::listen).
#[derive(Clone)]
pub struct Listening<S> {
    inner: S,
    time: ServerTime,
}

impl<S> Listening<S> {
    pub(crate) fn new(inner: S, time: ServerTime) -> Self {
        Self { inner, time }
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
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<T>) -> Self::Future {
        // The assertion was signed just now.
        let used = self.time.learned.load_full();
        let time = self.time.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let (parts, body) = answer.await.map_err(Into::into)?.into_parts();
            // Before the body, which may take its time.
            let now = time.clock.now();
            let date = parts.headers.get(DATE).and_then(|date| date.to_str().ok());
            let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
            let body = Limited::new(body, LIMIT).collect().await.map_err(|_| BrokenOff)?.to_bytes();
            if refuses_client(parts.status, &body) {
                if date.is_some_and(|date| time.learn(&used, date, now)) {
                    return Err(NotSent::new(AnotherTime).into());
                }
            } else if let Some(used) = used.filter(|_| parts.status.is_success()) {
                used.proved.store(true, Ordering::Relaxed);
            }
            Ok(Response::from_parts(parts, Full::new(body)))
        })
    }
}

/// Is it about the client, not about the grant (RFC 6749 §5.2)?
fn refuses_client(status: StatusCode, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let code = serde_json::from_slice(body).map(|Refusal { error }| error);
    match (status, code.as_deref()) {
        // The second is what some servers say of an assertion that they do not believe.
        (
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED,
            Ok("invalid_client" | "unauthorized_client"),
        ) => true,
        (StatusCode::UNAUTHORIZED, Err(_)) => true,
        _ => false,
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
#[error("the assertion had another time than the authorization server has")]
struct AnotherTime;

/// Has no source, for whatever is in there does not make the request one that was not sent.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off or is longer than 1 MiB")]
struct BrokenOff;

/// The field counts whole seconds, and an answer is under way for a while.
const TOLERANCE: Duration = Duration::from_secs(2);

/// A clock set to the wrong time zone is within it. A date that is further off is nonsense, and an assertion dated by
/// it might be good for whoever steals it long after this one.
const MAX_OFF: Duration = Duration::from_secs(86_400);

/// As much as the coordinator reads.
const LIMIT: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
