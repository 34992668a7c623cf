//! An authorization server in memory, as fast as can be, and the coordinators that ask it.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::Service;
use tower_oauth_refresh::{Builder, ClientAuth, Clock, Now, RefreshCoordinator, SystemClock, TokenSet};

use crate::Failure;

/// The credential of every measurement.
pub const KEY: &str = "acme";

/// A token endpoint. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inside: Arc<Inside>,
    life: Duration,
}

#[derive(Debug)]
struct Inside {
    asked: AtomicUsize,
    gate: Semaphore,
    takes: Duration,
    /// From the first question after so long, for so long.
    fails: Option<(Duration, Duration)>,
    fails_since: OnceLock<Instant>,
    failed: AtomicUsize,
    since: Instant,
    /// When each token was issued.
    issued: Mutex<Vec<(usize, Instant)>>,
    /// Does it say how long a token lives?
    says: bool,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Failure>> + Send>>;

impl Endpoint {
    /// Answers at once with tokens of that life.
    #[must_use]
    pub fn of(life: Duration) -> Self {
        Self::that(life, Duration::ZERO, None, Semaphore::MAX_PERMITS, true)
    }

    /// Answers as often as it is let.
    #[must_use]
    pub fn held(life: Duration) -> Self {
        Self::that(life, Duration::ZERO, None, 0, true)
    }

    /// Takes its time, is out of order for a while from the first question after another while, and says how long tokens live or not. To
    /// be called in a runtime.
    #[must_use]
    pub fn slow(life: Duration, takes: Duration, fails: Option<(Duration, Duration)>, says: bool) -> Self {
        Self::that(life, takes, fails, Semaphore::MAX_PERMITS, says)
    }

    fn that(
        life: Duration,
        takes: Duration,
        fails: Option<(Duration, Duration)>,
        permits: usize,
        says: bool,
    ) -> Self {
        let (gate, since) = (Semaphore::new(permits), Instant::now());
        let inside = Inside {
            asked: AtomicUsize::new(0),
            gate,
            takes,
            fails,
            fails_since: OnceLock::new(),
            failed: AtomicUsize::new(0),
            since,
            issued: Mutex::default(),
            says,
        };
        Self { inside: Arc::new(inside), life }
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.inside.asked.load(Ordering::Relaxed)
    }

    /// How often it failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.inside.failed.load(Ordering::Relaxed)
    }

    /// Lets it answer once more.
    pub fn release(&self) {
        self.inside.gate.add_permits(1);
    }

    /// Does an API take this header now? The login's token is as old as the endpoint.
    #[must_use]
    pub fn accepts(&self, header: &[u8]) -> bool {
        let number = str::from_utf8(header).ok().and_then(|text| text.strip_prefix("Bearer "));
        let number = number.and_then(|text| text.parse::<usize>().ok());
        let issued = self.inside.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match number {
            Some(number) => issued.iter().rev().find(|(of, _)| *of == number).map(|(_, since)| *since),
            None => Some(self.inside.since),
        };
        since.is_some_and(|since| since.elapsed() < self.life)
    }

    /// A login whose token is good for `life`.
    #[must_use]
    pub fn login(life: Duration) -> TokenSet {
        TokenSet::new("a".repeat(893)).with_refresh_token("rt").with_expires_in(life)
    }

    /// # Errors
    ///
    /// What building says.
    pub fn coordinator(
        &self,
        adjust: impl FnOnce(Builder) -> Builder,
    ) -> Result<Arc<RefreshCoordinator>, Failure> {
        let uri = Uri::from_static("https://auth.example/token");
        let builder = RefreshCoordinator::builder(uri, ClientAuth::none("bench"));
        Ok(adjust(builder).build(self.clone())?)
    }
}

impl Inside {
    fn is_out_of_order(&self) -> bool {
        self.fails.is_some_and(|(after, length)| {
            self.since.elapsed() >= after && self.fails_since.get_or_init(Instant::now).elapsed() < length
        })
    }
}

impl Service<Request<Full<Bytes>>> for Endpoint {
    type Response = Response<Full<Bytes>>;
    type Error = Failure;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Answering {
        let number = self.inside.asked.fetch_add(1, Ordering::Relaxed);
        let life = self.life.as_secs();
        let inside = self.inside.clone();
        Box::pin(async move {
            inside.gate.acquire().await?.forget();
            if !inside.takes.is_zero() {
                tokio::time::sleep(inside.takes).await;
            }
            if inside.is_out_of_order() {
                inside.failed.fetch_add(1, Ordering::Relaxed);
                let answer = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
                return Ok(answer.body(Full::default())?);
            }
            inside.issued.lock().unwrap_or_else(PoisonError::into_inner).push((number, Instant::now()));
            // As long as tokens of the large providers are.
            let token = format!("{number:0>893}");
            let life = if inside.says { format!(r#","expires_in":{life}"#) } else { String::new() };
            let body = format!(
                r#"{{"access_token":"{token}","token_type":"Bearer","refresh_token":"rt{number}"{life}}}"#
            );
            ready(Ok(Response::new(Full::from(body)))).await
        })
    }
}

/// Tokio's clock, that tests can pause, as both clocks of the machine.
#[derive(Debug)]
pub struct TokioClock(Instant);

impl TokioClock {
    /// Begins now. To be called in the runtime whose time it is.
    #[must_use]
    pub fn start() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Now {
        let passed = Duration::from_secs(1_000_000) + self.0.elapsed();
        Now::new(SystemTime::UNIX_EPOCH + passed, passed)
    }
}

/// The machine's clock, that can be moved on.
#[derive(Debug, Default)]
pub struct MovedClock(AtomicU64);

impl MovedClock {
    /// By so many seconds.
    pub fn on(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Now {
        SystemClock::default().now().after(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}
