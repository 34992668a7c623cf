//! What the tests of the whole crate start from: servers, a coordinator in front of them, and real HTTP.
//!
//! [`World`] has the test kit's servers, all on a clock that the test moves; [`Foreign`] has the server that
//! others wrote. Both speak to their servers through [`HttpClient`], as a user of hyper-util would. A [`Front`] puts TLS
//! before any of them.

mod foreign;
mod tls;
mod world;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::task::{JoinHandle, JoinSet};
use tower::{Service, ServiceExt as _};
use tower_oauth_refresh::{ErrorKind, NotReplayable, RefreshError, RefreshReport, ReplayBody, ReplayOutcome};

pub(crate) use self::foreign::{Foreign, LONG};
pub(crate) use self::tls::{Certificate, Front};
pub(crate) use self::world::{Way, World, origin, until};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
pub(crate) type HttpClient<B> = Client<Counted, ReplayBody<B>>;

/// The credential's name in every test that needs one only.
pub(crate) const KEY: &str = "acme";

/// The lifetime of a token set that has expired when it is installed.
pub(crate) const EXPIRED: Duration = Duration::ZERO;

/// Longer than anything takes on a busy machine: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(50);

/// A connector that counts the connections it made.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    connector: HttpConnector,
    connections: Arc<AtomicUsize>,
}

impl Counted {
    fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { connector, connections: Arc::default() }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn client<B>(&self, http2: bool) -> HttpClient<B>
    where
        B: Body + Send + 'static,
        ReplayBody<B>: Body<Data: Send> + Send,
    {
        Client::builder(TokioExecutor::new()).http2_only(http2).build(self.clone())
    }
}

impl Service<Uri> for Counted {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = <HttpConnector as Service<Uri>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.connector.call(uri)
    }
}

/// An answer, read to its end.
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) report: Option<RefreshReport>,
}

impl fmt::Debug for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.body);
        let start: String = text.chars().take(200).collect();
        f.debug_struct("Got")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &start)
            .field("report", &self.report)
            .finish()
    }
}

impl Got {
    /// What the resource server says of the request.
    pub(crate) fn echo(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no echo: {self:?}"))
    }

    pub(crate) fn was_replayed(&self) -> bool {
        matches!(self.report, Some(RefreshReport { outcome: ReplayOutcome::Replayed(_), .. }))
    }

    pub(crate) fn was_too_fresh(&self) -> bool {
        matches!(self.report, Some(RefreshReport { outcome: ReplayOutcome::TokenTooFresh, .. }))
    }

    pub(crate) fn not_replayable(&self) -> Option<NotReplayable> {
        match self.report.as_ref()?.outcome {
            ReplayOutcome::NotReplayable(reason) => Some(reason),
            _ => None,
        }
    }

    /// Why no newer token was to be had.
    pub(crate) fn failure(&self) -> Option<ErrorKind> {
        match &self.report.as_ref()?.outcome {
            ReplayOutcome::Failed(error) => Some(error.kind()),
            _ => None,
        }
    }
}

/// Sends one request through a service and reads the answer.
pub(crate) async fn try_send<S, B, R>(service: S, request: Request<B>) -> Result<Got, BoxError>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    let exchange = async {
        let (parts, body) = service.oneshot(request).await.map_err(Into::into)?.into_parts();
        let body = body.collect().await.map_err(Into::into)?.to_bytes();
        let report = parts.extensions.get::<RefreshReport>().cloned();
        Ok(Got { status: parts.status, headers: parts.headers, body, report })
    };
    within(exchange).await
}

/// As [`try_send`], where an answer is expected.
pub(crate) async fn send<S, B, R>(service: S, request: Request<B>) -> Got
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    try_send(service, request).await.expect("an answer")
}

/// The kind of our own error behind whatever a stack of layers returned.
pub(crate) fn kind(error: &BoxError) -> ErrorKind {
    let mut next: Option<&(dyn StdError + 'static)> = Some(&**error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<RefreshError>() {
            return error.kind();
        }
        next = error.source();
    }
    panic!("not an error of ours: {error:?}")
}

/// Fails the test instead of hanging it.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing hangs")
}

/// Starts `count` tasks.
pub(crate) fn crowd<T, F>(count: usize, mut task: impl FnMut(usize) -> F) -> JoinSet<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    (0..count).map(&mut task).collect()
}

/// Starts one task.
pub(crate) fn start<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::runtime::Handle::current().spawn(task)
}

/// What became of each task.
pub(crate) async fn all<T: 'static>(crowd: JoinSet<T>) -> Vec<T> {
    within(crowd.join_all()).await
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that look like nothing else, the same every time.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect::<Vec<_>>().into()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(bytes.into())
}
