//! Stores of every latency, and many credentials that are due at once: how fast all of them are refreshed, and that
//! each refresh ends.
//!
//! A short slice by default; `VERIFY_ROUNDS` adds more credentials and latencies drawn at random.

use std::collections::HashSet;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::*;
use crate::store::StoredKey;

const MS: Duration = Duration::from_millis(1);

/// Each call takes `latency`, of so many at a time; whoever comes first is first.
#[derive(Clone)]
struct Paced {
    records: MemoryStore,
    work: Arc<Work>,
}

struct Work {
    latency: Duration,
    servers: Semaphore,
    /// Do loads take no time?
    loads_are_free: bool,
    loads: AtomicUsize,
    swaps: AtomicUsize,
    on: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    latency: Duration,
    /// One: a single writer.
    servers: usize,
    loads_are_free: bool,
    credentials: usize,
}

/// What came of it.
#[derive(Debug)]
struct Run {
    served: usize,
    errors: Vec<RefreshError>,
    took: Duration,
    loads: usize,
    swaps: usize,
    sent: usize,
}

impl Paced {
    fn new(shape: Shape, clock: Arc<StepClock>) -> Self {
        let work = Work {
            latency: shape.latency,
            servers: Semaphore::new(shape.servers),
            loads_are_free: shape.loads_are_free,
            loads: AtomicUsize::new(0),
            swaps: AtomicUsize::new(0),
            on: AtomicBool::new(false),
        };
        Self { records: MemoryStore::with_clock(clock), work: Arc::new(work) }
    }

    async fn pace(&self) {
        if self.work.on.load(Ordering::Relaxed) {
            let _server = self.work.servers.acquire().await.unwrap();
            sleep(self.work.latency).await;
        }
    }
}

impl TokenStore for Paced {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            self.work.loads.fetch_add(1, Ordering::Relaxed);
            if !self.work.loads_are_free {
                self.pace().await;
            }
            self.records.load(key).await
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            self.work.swaps.fetch_add(1, Ordering::Relaxed);
            self.pace().await;
            self.records.compare_and_swap(key, expected, new).await
        })
    }
}

impl Shape {
    /// Two writes and one load for each, if the store never rests, and at least what one refresh takes alone.
    fn floor(self) -> Duration {
        let calls = if self.loads_are_free { 2 } else { 3 };
        let all = self.latency * u32::try_from((calls * self.credentials).div_ceil(self.servers)).unwrap();
        let exchanges = EXCHANGE * u32::try_from(self.credentials.div_ceil(100)).unwrap();
        all.max(exchanges).max(self.latency * 3 + EXCHANGE)
    }

    /// All credentials in use at once, each with a token that lasts for `lifetime` from now on.
    async fn run(self, lifetime: Duration) -> Run {
        let clock = Arc::new(StepClock::new());
        let store = Paced::new(self, clock.clone());
        let server = Arc::<Exchanges>::default();
        let before = server.coordinator(&store, &clock);
        let install = |number| {
            let set = TokenSet::new(format!("access-{number}"))
                .with_refresh_token(format!("refresh-{number}"))
                .with_expires_in(lifetime);
            let before = before.clone();
            async move { before.install(format!("{number}"), set).await.unwrap() }
        };
        join_all((0..self.credentials).map(install)).await;
        // As after a restart: nothing is in memory.
        let coordinator = server.coordinator(&store, &clock);
        store.work.loads.store(0, Ordering::Relaxed);
        store.work.swaps.store(0, Ordering::Relaxed);
        store.work.on.store(true, Ordering::Relaxed);
        let start = Instant::now();
        let callers: Vec<_> = (0..self.credentials)
            .map(|number| {
                let coordinator = coordinator.clone();
                tokio::spawn(async move { coordinator.token(format!("{number}")).await })
            })
            .collect();
        let told = join_all(callers).await.into_iter().map(Result::unwrap);
        let (served, errors): (Vec<_>, Vec<_>) = told.partition(Result::is_ok);
        let took = start.elapsed();
        let errors = errors.into_iter().map(Result::unwrap_err).collect();
        let calls = (store.work.loads.load(Ordering::Relaxed), store.work.swaps.load(Ordering::Relaxed));
        let sent = server.0.lock().unwrap().len();
        assert!(coordinator.shutdown(HOUR).await, "a refresh does not end");
        Run { served: served.len(), errors, took, loads: calls.0, swaps: calls.1, sent }
    }
}

/// The refresh tokens that a server was sent. It takes a while for each, and takes none twice.
#[derive(Default)]
struct Exchanges(Mutex<HashSet<String>>);

const EXCHANGE: Duration = Duration::from_millis(20);

impl Exchanges {
    fn coordinator(self: &Arc<Self>, store: &Paced, clock: &Arc<StepClock>) -> Arc<RefreshCoordinator> {
        let server = self.clone();
        let transport = tower::service_fn(move |request: Request<Full<Bytes>>| {
            let server = server.clone();
            async move {
                use http_body_util::BodyExt as _;
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
                let token = form["refresh_token"].clone();
                assert!(server.0.lock().unwrap().insert(token.clone()), "{token} was sent twice");
                sleep(EXCHANGE).await;
                let answer = format!(
                    r#"{{"access_token":"a-{token}","token_type":"Bearer","expires_in":360000,"refresh_token":"r-{token}"}}"#
                );
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer)))
            }
        });
        RefreshCoordinator::builder(http::Uri::from_static("https://as.example/token"), ClientAuth::none("c"))
            .store(store.clone())
            .clock(clock.clone())
            .wait_limit(HOUR * 1000)
            .build(transport)
            .unwrap()
    }
}

/// Below, at and beyond every limit there is.
const LATENCIES: [u64; 15] = [0, 1, 5, 18, 100, 120, 250, 499, 501, 700, 950, 999, 1001, 1999, 4900];

fn rounds() -> usize {
    std::env::var("VERIFY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Runs all shapes on one thread: time is tokio's, and paused.
fn shapes(latencies: &[u64]) -> impl Iterator<Item = Shape> {
    let most = if rounds() > 1 { 4 } else { 3 };
    let numbers = [1, 64, 256, 1024].into_iter().take(most);
    // In a pool, some calls wait a little for others: a millisecond below the time to send is beyond it.
    let possible = |shape: &Shape| shape.servers == 1 || shape.latency != MS * 999;
    let shapes = latencies.iter().flat_map(move |ms| {
        numbers.clone().flat_map(move |credentials| {
            [1, 10].map(|servers| Shape {
                latency: MS * u32::try_from(*ms).unwrap(),
                servers,
                loads_are_free: false,
                credentials,
            })
        })
    });
    shapes.filter(possible).collect::<Vec<_>>().into_iter()
}

#[tokio::test(start_paused = true)]
async fn latency_of_the_store_leaves_four_fifths_of_the_refreshes_that_it_allows() {
    let mut slow = Vec::new();
    for shape in shapes(&LATENCIES[..12]) {
        let run = shape.run(Duration::ZERO).await;
        let credentials = shape.credentials;
        assert!(run.errors.is_empty(), "{shape:?}: {} fail, {:?}", run.errors.len(), run.errors[0]);
        assert_eq!((run.served, run.sent), (credentials, credentials), "{shape:?}");
        let share = shape.floor().as_secs_f64() / run.took.as_secs_f64();
        let calls = |calls: usize| calls as f64 / credentials as f64;
        println!(
            "{:>6} ms, {:>2} at a time, {credentials:>5} credentials: {:>7.2} s, {share:.2} of the floor, {:.2} loads and {:.2} writes each",
            shape.latency.as_millis(),
            shape.servers,
            run.took.as_secs_f64(),
            calls(run.loads),
            calls(run.swaps),
        );
        // It begins with few calls at a time, and feels its way.
        if run.took > shape.floor().mul_f64(1.25) + shape.latency * 5 + MS * 50 {
            slow.push((shape, share));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

#[tokio::test(start_paused = true)]
async fn latency_beyond_the_time_to_send_ends_every_refresh_and_sends_none() {
    for shape in shapes(&LATENCIES[12..]) {
        let run = shape.run(Duration::ZERO).await;
        assert_eq!((run.served, run.sent), (0, 0), "{shape:?}");
        for error in &run.errors {
            assert_eq!(error.kind(), ErrorKind::Store, "{shape:?}");
        }
        let calls = run.loads + run.swaps;
        assert!(calls <= 12 * shape.credentials, "{shape:?}: {calls} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn latency_of_a_single_writer_stops_no_refresh_of_a_thousand() {
    let shape = Shape { latency: MS * 18, servers: 1, loads_are_free: true, credentials: 1024 };
    let run = shape.run(Duration::ZERO).await;
    println!("{run:?}");
    assert_eq!((run.served, run.sent), (1024, 1024));
    assert!(run.took <= shape.floor().mul_f64(1.2), "{:?} of {:?}", run.took, shape.floor());
}

#[tokio::test(start_paused = true)]
async fn latency_fails_nobody_when_all_ask_for_valid_tokens_after_a_restart() {
    let credentials = if rounds() > 1 { 100_000 } else { 5_000 };
    for (ms, servers) in [(2, 10), (20, 10), (1, 1)] {
        let shape = Shape { latency: MS * ms, servers, loads_are_free: false, credentials };
        let run = shape.run(HOUR * 1000).await;
        assert!(run.errors.is_empty(), "{shape:?}: {} fail, {:?}", run.errors.len(), run.errors[0]);
        assert_eq!((run.served, run.loads, run.swaps, run.sent), (credentials, credentials, 0, 0));
        let floor = shape.latency * u32::try_from(credentials.div_ceil(servers)).unwrap();
        assert!(run.took <= floor.mul_f64(1.25), "{:?} of {floor:?}", run.took);
    }
}
