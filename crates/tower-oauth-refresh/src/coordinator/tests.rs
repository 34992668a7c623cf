//! The coordinator as its users meet it, with a scripted server, a failing store and stepped time.

#![expect(clippy::disallowed_methods, reason = "these tests run inside a runtime")]

mod ahead;
mod another_login;
mod busy_stores;
mod cancellation;
mod clocks;
mod fleet;
mod fresh;
mod glance;
mod hangs;
mod latency;
mod life;
mod logins;
mod logouts;
mod many;
mod orders;
mod panics;
mod patience;
mod records;
pub(super) mod refusals;
mod reports;
mod runtimes;
mod sharing;
mod shutdown;
mod threads;
mod time;
mod trouble;
mod waiting;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;

use super::*;
use crate::clock::Now;
use crate::secret::RefreshToken;
use crate::store::{
    BoxFuture, BoxStream, KeyDigest, MemoryStore, Record, RecordBody, StoreError, Swap, Version,
};
use crate::tests::within;
use crate::token::TokenSet;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What a test needs.
struct World {
    coordinator: Arc<RefreshCoordinator>,
    server: Arc<Server>,
    store: Flaky,
    clock: Arc<StepClock>,
}

/// A strict authorization server in memory: a refresh token works once.
#[derive(Default)]
struct Server {
    issued: AtomicUsize,
    newest: Mutex<String>,
    submitted: Mutex<Vec<String>>,
    revoked: Mutex<Vec<String>>,
    revoked_access: Mutex<Vec<String>>,
    script: Mutex<VecDeque<Reply>>,
    /// Once the script is played: `None` is to do it right.
    always: Mutex<Option<Reply>>,
    arrived: Signal,
    released: Permits,
    /// Does not revoke.
    keeps: AtomicBool,
}

/// What a test waits for, though not for ever.
#[derive(Default)]
struct Signal(Notify);

impl Signal {
    fn notify_one(&self) {
        self.0.notify_one();
    }

    async fn notified(&self) {
        within(self.0.notified()).await;
    }
}

struct Permits(Semaphore);

impl Default for Permits {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

#[derive(Clone)]
enum Reply {
    Right,
    /// When the test releases it.
    Held(Box<Self>),
    /// Right, in many turns of the task.
    Slow,
    /// Committed, and the answer lost.
    Lost,
    Silent,
    Status(u16, &'static str, Option<&'static str>),
    Panic,
}

impl Reply {
    /// Right, when the test releases it.
    fn held() -> Self {
        Self::Held(Box::new(Self::Right))
    }
}

/// A store that fails on demand, and counts.
#[derive(Clone)]
struct Flaky {
    records: MemoryStore,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    loads: AtomicUsize,
    swaps: AtomicUsize,
    down: AtomicBool,
    /// Takes so many writes not.
    full: AtomicUsize,
    /// Writes are always too late.
    races: AtomicBool,
    /// Fails after having written.
    deaf: AtomicBool,
    deaf_once: AtomicBool,
    /// Writes, and tells of a conflict with what it has written: a request that was repeated on the way.
    repeats: AtomicBool,
    panics: AtomicBool,
    /// Never answers.
    silent: AtomicBool,
    /// Takes some turns of the task before each call, and after it.
    slow: AtomicBool,
    /// The next load has read the record, and answers when the test lets it.
    late: AtomicBool,
    has_read: Signal,
    may_answer: Notify,
    /// Fails with this.
    error: Mutex<Option<Box<dyn std::error::Error + Send + Sync>>>,
    /// Tells of changes, where a test has put this here.
    tells: Mutex<Option<broadcast::Sender<KeyDigest>>>,
    /// Tells of this key whenever it is asked, so many times.
    tells_at_once: Mutex<Option<(KeyDigest, usize)>>,
}

/// Follows tokio's clock, with a wall clock that can be set.
#[derive(Debug)]
struct StepClock {
    start: Instant,
    /// How long the machine had been up then.
    uptime: Duration,
    wall_ahead: AtomicI64,
}

/// Sees each line of the log.
struct Log<F>(F);

impl<F: Fn(&tracing::Event<'_>) + Send + Sync + 'static> tracing::Subscriber for Log<F> {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn event(&self, event: &tracing::Event<'_>) {
        self.0(event);
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

impl World {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(adjust: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = Arc::new(StepClock::new());
        let store = Flaky { records: MemoryStore::with_clock(clock.clone()), faults: Arc::default() };
        let server = Arc::<Server>::default();
        let coordinator = Self::coordinator(&server, &store, &clock, adjust);
        Self { coordinator, server, store, clock }
    }

    fn coordinator(
        server: &Arc<Server>,
        store: &Flaky,
        clock: &Arc<StepClock>,
        adjust: impl FnOnce(Builder) -> Builder,
    ) -> Arc<RefreshCoordinator> {
        let builder = RefreshCoordinator::builder(
            http::Uri::from_static("https://as.example/token"),
            ClientAuth::none("c"),
        )
        .revocation_endpoint(http::Uri::from_static("https://as.example/revoke"))
        .store(store.clone())
        .clock(clock.clone());
        adjust(builder).build(server.service()).unwrap()
    }

    /// Another process on the same store.
    fn neighbour(&self) -> Arc<RefreshCoordinator> {
        Self::coordinator(&self.server, &self.store, &self.clock, |builder| builder)
    }

    async fn install(&self, lifetime: Duration) {
        let set = self.server.login(lifetime);
        self.coordinator.install("k", set).await.unwrap();
    }

    async fn token(&self) -> Result<String, RefreshError> {
        self.coordinator.token("k").await.map(|token| token.expose_secret().to_owned())
    }

    /// A caller of its own task.
    fn ask(&self) -> tokio::task::JoinHandle<Result<AccessToken, RefreshError>> {
        let coordinator = self.coordinator.clone();
        tokio::spawn(async move { coordinator.token("k").await })
    }

    /// As a request that was refused with the current token.
    async fn refuse(&self) -> Option<Result<String, RefreshError>> {
        let slot = self.coordinator.slot(&"k".into());
        let used = slot.current.load_full().unwrap();
        let text = |current: Arc<Current>| current.access_token().expose_secret().to_owned();
        let told = |current: Arc<Current>| (current.id() != used.id()).then(|| Ok(text(current)));
        match self.coordinator.refused(&slot, used.id(), OriginId::default()) {
            Refusal::Replay(current) => told(current),
            Refusal::Wait(waiter) => waiter.wait().await.map_or_else(|error| Some(Err(error)), told),
            Refusal::Fail(error) => Some(Err(error)),
            Refusal::TooFresh => None,
        }
    }

    /// The API accepts the token in use.
    fn accept(&self) {
        let slot = self.coordinator.slot(&"k".into());
        slot.accepted(slot.current.load_full().unwrap().id(), OriginId::default());
    }

    async fn stored(&self) -> Option<crate::store::record::CredentialRecord> {
        let found = self.store.records.load(&self.coordinator.stored_key("k")).await.unwrap();
        found.map(|record| crate::store::record::CredentialRecord::decode(&record.body).unwrap())
    }

    async fn stored_refresh_token(&self) -> Option<String> {
        self.stored().await?.refresh_token().map(|token| token.expose_secret().to_owned())
    }
}

impl Server {
    fn login(&self, lifetime: Duration) -> TokenSet {
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        *self.newest.lock().unwrap() = format!("refresh-{number}");
        TokenSet::new(format!("access-{number}"))
            .with_refresh_token(format!("refresh-{number}"))
            .with_expires_in(lifetime)
    }

    fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().extend(replies);
    }

    fn always(&self, reply: Reply) {
        *self.always.lock().unwrap() = Some(reply);
    }

    fn submissions(&self) -> usize {
        self.submitted.lock().unwrap().len()
    }

    fn service(
        self: &Arc<Self>,
    ) -> BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, std::io::Error> {
        let server = self.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let server = server.clone();
            async move {
                use http_body_util::BodyExt as _;
                let path = request.uri().path().to_owned();
                let body: Result<_, Infallible> = request.into_body().collect().await;
                let body = body.unwrap().to_bytes();
                let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
                if path == "/revoke" && server.keeps.load(Ordering::SeqCst) {
                    return Ok(Response::builder().status(503).body(Full::default()).unwrap());
                }
                if path == "/revoke" {
                    let access = form["token_type_hint"] == "access_token";
                    let revoked = if access { &server.revoked_access } else { &server.revoked };
                    revoked.lock().unwrap().push(form["token"].clone());
                    return Ok(Response::default());
                }
                server.answer(&form["refresh_token"]).await
            }
        }))
    }

    async fn answer(&self, submitted: &str) -> Result<Response<Full<Bytes>>, std::io::Error> {
        self.submitted.lock().unwrap().push(submitted.to_owned());
        let scripted = self.script.lock().unwrap().pop_front();
        let reply = scripted.or_else(|| self.always.lock().unwrap().clone()).unwrap_or(Reply::Right);
        self.arrived.notify_one();
        let reply = if let Reply::Held(then) = reply {
            self.released.0.acquire().await.unwrap().forget();
            *then
        } else {
            reply
        };
        match reply {
            Reply::Right | Reply::Held(_) => Ok(self.exchange(submitted)),
            Reply::Slow => {
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                let answer = self.exchange(submitted);
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                Ok(answer)
            }
            Reply::Lost => {
                self.exchange(submitted);
                Err(std::io::ErrorKind::ConnectionReset.into())
            }
            Reply::Silent => std::future::pending().await,
            Reply::Panic => panic!("the transport panics"),
            Reply::Status(status, body, retry_after) => {
                let mut response = Response::builder().status(status);
                if let Some(retry_after) = retry_after {
                    response = response.header("retry-after", retry_after);
                }
                Ok(response.body(Full::from(body)).unwrap())
            }
        }
    }

    fn exchange(&self, submitted: &str) -> Response<Full<Bytes>> {
        if *self.newest.lock().unwrap() != submitted {
            let body = Full::from(r#"{"error":"invalid_grant"}"#);
            return Response::builder().status(400).body(body).unwrap();
        }
        let set = self.login(HOUR);
        let body = format!(
            r#"{{"access_token":"{}","token_type":"Bearer","expires_in":3600,"refresh_token":"{}"}}"#,
            set.access_token.expose_secret(),
            set.refresh_token.as_ref().map(RefreshToken::expose_secret).unwrap()
        );
        Response::new(Full::from(body))
    }
}

impl Flaky {
    async fn turns(&self) {
        if self.faults.slow.load(Ordering::SeqCst) {
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        assert!(!self.faults.panics.swap(false, Ordering::SeqCst), "the store panics");
        if let Some(error) = self.faults.error.lock().unwrap().take() {
            return Err(StoreError::unavailable(error));
        }
        if self.faults.down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("down"));
        }
        Ok(())
    }
}

impl TokenStore for Flaky {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            self.faults.loads.fetch_add(1, Ordering::SeqCst);
            self.check()?;
            if self.faults.silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            self.turns().await;
            let found = self.records.load(key).await;
            self.turns().await;
            if self.faults.late.swap(false, Ordering::SeqCst) {
                self.faults.has_read.notify_one();
                self.faults.may_answer.notified().await;
            }
            found
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            self.faults.swaps.fetch_add(1, Ordering::SeqCst);
            self.check()?;
            if self.faults.full.load(Ordering::SeqCst) > 0 {
                self.faults.full.fetch_sub(1, Ordering::SeqCst);
                return Err(StoreError::unavailable("full"));
            }
            if self.faults.races.load(Ordering::SeqCst) {
                return Ok(Swap::Conflict(self.records.load(key).await?));
            }
            self.turns().await;
            let swap = self.records.compare_and_swap(key, expected, new).await;
            self.turns().await;
            if self.faults.repeats.load(Ordering::SeqCst) && new.is_some() {
                return Ok(Swap::Conflict(self.records.load(key).await?));
            }
            if self.faults.deaf.load(Ordering::SeqCst) || self.faults.deaf_once.swap(false, Ordering::SeqCst)
            {
                return Err(StoreError::unavailable("no answer"));
            }
            swap
        })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        if let Some((key, times @ 1..)) = &mut *self.faults.tells_at_once.lock().unwrap() {
            *times -= 1;
            return Some(Box::pin(futures_util::stream::iter([*key])));
        }
        let told = self.faults.tells.lock().unwrap().as_ref()?.subscribe();
        Some(Box::pin(futures_util::stream::unfold(told, async |mut told| {
            Some((told.recv().await.ok()?, told))
        })))
    }
}

impl StepClock {
    fn new() -> Self {
        Self::up_for(HOUR)
    }

    fn up_for(uptime: Duration) -> Self {
        Self { start: Instant::now(), uptime, wall_ahead: AtomicI64::new(0) }
    }
}

impl Clock for StepClock {
    fn now(&self) -> Now {
        let passed = self.uptime + self.start.elapsed();
        let ahead = self.wall_ahead.load(Ordering::SeqCst);
        let wall = UNIX_EPOCH + HOUR * 500_001 + self.start.elapsed();
        let shift = SECOND * u32::try_from(ahead.unsigned_abs()).unwrap();
        Now::new(if ahead < 0 { wall - shift } else { wall + shift }, passed)
    }
}
