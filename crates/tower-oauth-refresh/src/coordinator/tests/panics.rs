//! Code that is not ours panics: each call of it once, until there is no further call.
//!
//! Stores, the HTTP client, clocks, closures, the log, wakers, and what all of these drop. Afterwards the login lives, no refresh
//! token was sent twice but for one whose answer was lost, nobody waits, and what was said to be over is over.
//!
//! `VERIFY_ROUNDS` adds a second panic, so many calls after the first.

mod far;

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::AtomicI64;
use std::task::{Context, Poll, Wake, Waker};

use tower::{Layer as _, ServiceExt as _};

use self::far::{Far, Script, Wire};
use super::*;
use crate::secret::ClientAssertion;
use crate::store::{KeyDigest, StoredKey};

/// Counts calls of code that is not ours, and lets one of them panic.
#[derive(Debug)]
struct Mine {
    /// Calls before the panic.
    left: AtomicI64,
    /// Calls between that one and the next. Negative: no next.
    gap: AtomicI64,
    /// Panics each time.
    always: Mutex<Option<&'static str>>,
    places: Mutex<Vec<&'static str>>,
}

/// Calls the mine when it is dropped.
#[derive(Clone, Debug)]
struct Loud(Arc<Mine>, &'static str);

/// A call after which nobody knows whether the request has arrived.
const DOUBTFUL: &[&str] =
    &["client: call", "client: poll", "client: answered", "client: body", "client: body ends"];

impl Mine {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            left: AtomicI64::new(-1),
            gap: AtomicI64::new(-1),
            always: Mutex::default(),
            places: Mutex::default(),
        })
    }

    fn arm(&self, left: i64, gap: i64) {
        self.gap.store(gap, Ordering::SeqCst);
        self.left.store(left, Ordering::SeqCst);
    }

    fn disarm(&self) {
        self.arm(-1, -1);
    }

    /// A call of somebody else's code.
    fn step(&self, place: &'static str) {
        // A second panic at the same time would be the fault of whoever let a drop panic.
        if std::thread::panicking() {
            return;
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.left.store(self.gap.swap(-1, Ordering::SeqCst), Ordering::SeqCst);
        } else if *self.always.lock().unwrap() != Some(place) {
            return;
        }
        self.places.lock().unwrap().push(place);
        // Quiet: there are hundreds of these.
        resume_unwind(Box::new(place));
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        self.0.step(self.1);
    }
}

/// A caller whose waker panics once it has woken him.
struct Caller<F>(Arc<Mine>, F);

struct LoudWaker(Arc<Mine>, Waker);

impl Wake for LoudWaker {
    fn wake(self: Arc<Self>) {
        self.1.wake_by_ref();
        self.0.step("waker");
    }
}

impl<F: Future + Unpin> Future for Caller<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::new(LoudWaker(self.0.clone(), cx.waker().clone())));
        Pin::new(&mut self.1).poll(&mut Context::from_waker(&waker))
    }
}

/// A store whose calls are stepped.
#[derive(Clone)]
struct Stepped {
    records: MemoryStore,
    mine: Arc<Mine>,
    /// Fails so many commits.
    full: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
}

impl Stepped {
    fn call<'a, T: Send + 'a>(&'a self, call: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
        self.mine.step("store: call");
        let loud = Loud(self.mine.clone(), "store: drop of the future");
        Box::pin(async move {
            let loud = loud;
            loud.0.step("store: before");
            tokio::task::yield_now().await;
            let done = call.await;
            loud.0.step("store: after");
            done
        })
    }
}

impl TokenStore for Stepped {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.call(self.records.load(key))
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.call(async move {
            // The first write of a refresh is its mark, the second the new set.
            let commit = self.writes.fetch_add(1, Ordering::SeqCst) > 0;
            if commit && self.full.load(Ordering::SeqCst) > 0 {
                self.full.fetch_sub(1, Ordering::SeqCst);
                return Err(StoreError::unavailable(LoudError(Loud(
                    self.mine.clone(),
                    "store: drop of an error",
                ))));
            }
            self.records.compare_and_swap(key, expected, new).await
        })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        self.mine.step("store: changes");
        let loud = Loud(self.mine.clone(), "store: drop of the stream");
        Some(Box::pin(futures_util::stream::poll_fn(move |_| {
            loud.0.step("store: poll of the stream");
            Poll::Pending
        })))
    }
}

#[derive(Debug)]
struct LoudError(#[expect(dead_code, reason = "for its drop")] Loud);

impl fmt::Display for LoudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("full")
    }
}

impl std::error::Error for LoudError {}

#[derive(Debug)]
struct SteppedClock(Arc<StepClock>, Arc<Mine>);

impl Clock for SteppedClock {
    fn now(&self) -> Now {
        self.1.step("clock");
        self.0.now()
    }
}

struct SteppedLog(Arc<Mine>);

impl tracing::Subscriber for SteppedLog {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.step("log");
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

struct Trial {
    coordinator: Arc<RefreshCoordinator>,
    far: Arc<Far>,
    store: Stepped,
    mine: Arc<Mine>,
    _log: tracing::subscriber::DefaultGuard,
}

impl Trial {
    fn new(script: Script) -> Self {
        let mine = Mine::new();
        let log = tracing::subscriber::set_default(SteppedLog(mine.clone()));
        let clock = Arc::new(StepClock::new());
        let store = Stepped {
            records: MemoryStore::with_clock(clock.clone()),
            mine: mine.clone(),
            full: Arc::new(AtomicUsize::new(usize::from(script == Script::FullStore))),
            // A login is no commit.
            writes: Arc::default(),
        };
        let far = Far::new(script);
        let (make, class) = (mine.clone(), mine.clone());
        let auth = ClientAuth::assertion("c", move || {
            make.step("assertion: call");
            let make = make.clone();
            async move {
                make.step("assertion: poll");
                Ok(ClientAssertion::new("jwt"))
            }
        });
        let coordinator =
            RefreshCoordinator::builder(http::Uri::from_static("https://as.example/token"), auth)
                .revocation_endpoint(http::Uri::from_static("https://as.example/revoke"))
                .store(store.clone())
                .clock(Arc::new(SteppedClock(clock, mine.clone())))
                .classifier(move |_, class_so_far| {
                    class.step("classifier");
                    class_so_far
                })
                .build(Wire::new(far.clone(), mine.clone()))
                .unwrap();
        Self { coordinator, far, store, mine, _log: log }
    }

    async fn login(&self, lifetime: Duration) -> TokenSet {
        let set = self.far.login(lifetime);
        self.coordinator.install("k", set.clone()).await.unwrap();
        self.store.writes.store(0, Ordering::SeqCst);
        set
    }

    fn spawn<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        tokio::spawn(Caller(self.mine.clone(), Box::pin(call)))
    }

    fn ask(&self) -> tokio::task::JoinHandle<Result<AccessToken, RefreshError>> {
        let coordinator = self.coordinator.clone();
        self.spawn(async move { coordinator.token("k").await })
    }

    /// What was hit.
    fn places(&self) -> Vec<&'static str> {
        self.mine.places.lock().unwrap().clone()
    }

    /// All is well once nothing panics any more.
    async fn check_alive(&self) {
        let places = self.places();
        self.mine.disarm();
        assert!(self.coordinator.shutdown_would_end().await, "something is left under way: {places:?}");
        tokio::time::sleep(SECOND * 90).await;
        let mut told = self.coordinator.token("k").await;
        if told.is_err() && self.far.had_outage_just_now() {
            tokio::time::sleep(SECOND * 90).await;
            told = self.coordinator.token("k").await;
        }
        let token = told.unwrap_or_else(|error| panic!("no token after {places:?}: {error:?}"));
        self.far.check(token.expose_secret(), places.iter().any(|place| DOUBTFUL.contains(place)), &places);
        let stored = self.store.records.load(&self.coordinator.stored_key("k")).await.unwrap().unwrap();
        let stored = crate::store::record::CredentialRecord::decode(&stored.body).unwrap();
        let stored = stored.refresh_token().unwrap().expose_secret().to_owned();
        assert_eq!(stored, self.far.newest(), "after {places:?}");
    }
}

impl RefreshCoordinator {
    /// Does what is under way end?
    async fn shutdown_would_end(&self) -> bool {
        let mut activity = self.activity.subscribe();
        let ended = activity.wait_for(|activity| activity.flights == 0);
        tokio::time::timeout(SECOND * 60, ended).await.is_ok()
    }
}

fn rounds() -> i64 {
    std::env::var("VERIFY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Plays `act` with the first call panicking, the second, and so on, until none is left.
fn at_every_call<F: Future<Output = ()>>(script: Script, act: impl Fn(Arc<Trial>) -> F) -> Vec<&'static str> {
    let mut hit = Vec::new();
    for gap in std::iter::once(-1).chain(0..rounds() - 1) {
        for n in 0.. {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            let places = runtime.block_on(async {
                let trial = Arc::new(Trial::new(script));
                // The act installs its login first, and arms.
                trial.far.plan(n, gap);
                act(trial.clone()).await;
                trial.mine.disarm();
                trial.places()
            });
            if places.is_empty() {
                assert!(n > 10, "only {n} calls");
                break;
            }
            hit.extend(places);
        }
    }
    hit.sort_unstable();
    hit.dedup();
    hit
}

async fn ends<T>(call: tokio::task::JoinHandle<T>, places: &[&'static str]) -> Option<T> {
    let ended = tokio::time::timeout(SECOND * 100, call).await;
    // A panic of his own code may come through to a caller.
    ended.unwrap_or_else(|_| panic!("somebody waits after {places:?}")).ok()
}

async fn refresh(trial: Arc<Trial>) {
    trial.login(Duration::ZERO).await;
    let mut events = trial.coordinator.events();
    let listener = trial.spawn(async move { while events.next().await.is_some() {} });
    tokio::task::yield_now().await;
    trial.arm();
    let callers = [trial.ask(), trial.ask(), trial.ask()];
    for caller in callers {
        ends(caller, &trial.places()).await;
    }
    trial.check_alive().await;
    listener.abort();
}

impl Trial {
    fn arm(&self) {
        let (left, gap) = self.far.planned();
        self.mine.arm(left, gap);
    }
}

#[test]
fn a_refresh_survives_every_panic_of_other_code() {
    let hit = at_every_call(Script::Right, refresh);
    for place in DOUBTFUL.iter().chain(&[
        "assertion: call",
        "assertion: poll",
        "classifier",
        "client: clone",
        "client: drop of the body",
        "client: drop of the client",
        "client: drop of the future",
        "client: drop of what came with the answer",
        "client: ready",
        "clock",
        "log",
        "store: after",
        "store: before",
        "store: call",
        "store: drop of the future",
        "waker",
    ]) {
        assert!(hit.contains(place), "{place} was never called: {hit:?}");
    }
}

#[test]
fn a_refresh_after_an_outage_survives_every_panic_of_other_code() {
    let hit = at_every_call(Script::Outage, refresh);
    assert!(hit.contains(&"store: changes") && hit.contains(&"store: poll of the stream"), "{hit:?}");
}

#[test]
fn a_refresh_that_is_not_stored_at_once_survives_every_panic_of_other_code() {
    let hit = at_every_call(Script::FullStore, refresh);
    for place in ["store: changes", "store: drop of the stream", "store: drop of an error", "log"] {
        assert!(hit.contains(&place), "{place} was never called: {hit:?}");
    }
}

#[test]
fn what_nothing_depends_on_may_panic_each_time() {
    for place in [
        "classifier",
        "client: drop of the body",
        "client: drop of the client",
        "client: drop of the future",
        "client: drop of what came with the answer",
        "log",
        "store: changes",
        "store: drop of an error",
        "store: drop of the stream",
        "store: poll of the stream",
        "waker",
    ] {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let trial = Trial::new(Script::FullStore);
            *trial.mine.always.lock().unwrap() = Some(place);
            trial.login(Duration::ZERO).await;
            let told = ends(trial.ask(), &[place]).await.expect(place).expect(place);
            assert_eq!(told.expose_secret(), "access-2", "{place}");
            let coordinator = trial.coordinator.clone();
            let logout = trial.spawn(async move { coordinator.logout("k").await });
            assert_eq!(ends(logout, &[place]).await.expect(place).expect(place), Logout::Revoked);
            assert!(trial.places().contains(&place), "{place} was never called");
            assert!(trial.coordinator.token("k").await.is_err(), "{place}");
            *trial.mine.always.lock().unwrap() = None;
        });
    }
}

#[test]
fn a_login_survives_every_panic_of_other_code() {
    at_every_call(Script::Right, async |trial| {
        let set = trial.far.login(HOUR);
        trial.arm();
        let (coordinator, tokens) = (trial.coordinator.clone(), set.clone());
        let install = trial.spawn(async move { coordinator.install("k", tokens).await });
        let told = ends(install, &trial.places()).await;
        let places = trial.places();
        trial.mine.disarm();
        if !matches!(told, Some(Ok(_))) {
            // The tokens are in the caller's hands.
            trial.coordinator.install("k", set).await.unwrap_or_else(|error| panic!("{places:?}: {error:?}"));
        }
        trial.check_alive().await;
    });
}

#[test]
fn a_logout_that_said_so_is_over_whatever_panicked() {
    at_every_call(Script::Right, async |trial| {
        trial.login(HOUR).await;
        trial.arm();
        let coordinator = trial.coordinator.clone();
        let logout = trial.spawn(async move { coordinator.logout("k").await });
        let told = ends(logout, &trial.places()).await;
        let places = trial.places();
        trial.mine.disarm();
        match told {
            Some(Ok(Logout::Revoked)) => assert!(trial.far.has_revoked(), "after {places:?}"),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => {
                trial.coordinator.logout("k").await.unwrap_or_else(|error| panic!("{places:?}: {error:?}"));
            }
        }
        for wait in [Duration::ZERO, SECOND * 90] {
            tokio::time::sleep(wait).await;
            assert!(trial.coordinator.token("k").await.is_err(), "it goes on after {places:?}");
        }
        assert!(trial.coordinator.shutdown_would_end().await, "after {places:?}");
    });
}

#[test]
fn a_replay_survives_every_panic_of_other_code() {
    let hit = at_every_call(Script::Right, async |trial| {
        trial.login(HOUR).await;
        // Old enough to be refreshed for a refusal.
        tokio::time::sleep(SECOND * 60).await;
        let (by, class) = (trial.mine.clone(), trial.mine.clone());
        let layer = crate::RefreshLayer::credential_by(trial.coordinator.clone(), move |_| {
            by.step("credential_by");
            Some("k".into())
        })
        .origin("https://api.example".parse().unwrap())
        .classifier(move |parts, _| {
            class.step("the layer's classifier");
            parts.status == 401
        });
        let far = trial.far.clone();
        let api = layer.layer(tower::service_fn(move |request: Request<_>| {
            let far = far.clone();
            async move { Ok::<_, Infallible>(far.api(&request)) }
        }));
        let request = |mine: &Arc<Mine>| {
            let mut request = Request::get("https://api.example/").body(Full::<Bytes>::default()).unwrap();
            request.extensions_mut().insert(Loud(mine.clone(), "drop of an extension"));
            request
        };
        trial.far.refuse_current();
        let requests = [request(&trial.mine), request(&trial.mine)];
        trial.arm();
        let calls = requests.map(|request| trial.spawn(api.clone().oneshot(request)));
        for call in calls {
            ends(call, &trial.places()).await;
        }
        let places = trial.places();
        trial.mine.disarm();
        tokio::time::sleep(SECOND * 400).await;
        let answer = api.clone().oneshot(request(&trial.mine)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{places:?}: {error:?}"));
        assert_eq!(answer.status(), 200, "after {places:?}");
        trial.check_alive().await;
    });
    for place in ["credential_by", "the layer's classifier", "drop of an extension"] {
        assert!(hit.contains(&place), "{place} was never called: {hit:?}");
    }
}
