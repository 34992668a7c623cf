//! One play, and the account of it afterwards.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::*;
use crate::store::record::CredentialRecord;
use crate::store::{KeyDigest, StoredKey};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Goes on after the others.
    StandsStill,
    Dropped,
}

/// Who uses the next runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Same,
    /// Another process.
    Neighbour,
}

/// The time that all runtimes have in common: that of the one furthest on.
#[derive(Debug)]
struct Time {
    start: Instant,
    passed: AtomicU64,
}

impl Time {
    fn passed(&self) -> Duration {
        let here = u64::try_from(self.start.elapsed().as_nanos()).unwrap();
        Duration::from_nanos(self.passed.fetch_max(here, Ordering::SeqCst).max(here))
    }
}

impl Clock for Time {
    fn now(&self) -> Now {
        let passed = HOUR + self.passed();
        Now::new(UNIX_EPOCH + HOUR * 500_000 + passed, passed)
    }
}

/// Counts steps, and holds whoever gets to a certain one.
#[derive(Debug)]
struct Halt {
    /// Steps before the next one that is held.
    left: AtomicI64,
    place: Mutex<Option<&'static str>>,
    reached: Notify,
    go_on: Semaphore,
}

impl Halt {
    async fn step(&self, place: &'static str) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            *self.place.lock().unwrap() = Some(place);
            self.reached.notify_one();
            self.go_on.acquire().await.unwrap().forget();
        }
    }
}

/// A store of steps.
#[derive(Clone)]
struct Stepped {
    records: MemoryStore,
    halt: Arc<Halt>,
    /// Takes the next commit not.
    full: Arc<AtomicBool>,
    /// The writes of the refresh: the first is its mark.
    writes: Arc<AtomicUsize>,
}

impl TokenStore for Stepped {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            self.halt.step("load").await;
            let found = self.records.load(key).await;
            self.halt.step("load: done").await;
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
            self.halt.step("swap").await;
            let commit = self.writes.fetch_add(1, Ordering::SeqCst) > 0 && key.as_str().ends_with('k');
            if commit && self.full.swap(false, Ordering::SeqCst) {
                return Err(StoreError::unavailable("full"));
            }
            let swap = self.records.compare_and_swap(key, expected, new).await;
            self.halt.step("swap: done").await;
            swap
        })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        Some(Box::pin(futures_util::stream::once(async {
            self.halt.step("wait").await;
            std::future::pending().await
        })))
    }
}

/// The way to the server: what has left, and has not been answered with "not now".
struct Wire {
    server: Arc<Server>,
    store: Stepped,
    key: OnceLock<StoredKey>,
    left: Mutex<HashSet<String>>,
    /// Sent again, and nobody would know why it is refused.
    twice: Mutex<Vec<String>>,
}

impl Wire {
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        use http_body_util::BodyExt as _;
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
        let submitted = form.get("refresh_token").cloned();
        if let Some(submitted) = &submitted
            && !self.left.lock().unwrap().insert(submitted.clone())
            && self.undoubted().await
        {
            self.twice.lock().unwrap().push(submitted.clone());
        }
        self.store.halt.step("client: on its way").await;
        let answer = self.server.service().oneshot(Request::from_parts(head, Full::from(body))).await;
        if answer.as_ref().is_ok_and(|answer| answer.status() == 503) {
            self.left.lock().unwrap().remove(&submitted.unwrap());
        }
        self.store.halt.step("client: answered").await;
        answer
    }

    async fn undoubted(&self) -> bool {
        let stored = self.store.records.load(self.key.get().unwrap()).await.unwrap();
        let record = stored.map(|stored| CredentialRecord::decode(&stored.body).unwrap());
        record.is_none_or(|record| record.doubt.is_none())
    }
}

pub(super) struct Trial {
    coordinator: Arc<RefreshCoordinator>,
    neighbour: Arc<RefreshCoordinator>,
    server: Arc<Server>,
    wire: Arc<Wire>,
    store: Stepped,
    time: Arc<Time>,
    ending: Ending,
    who: Who,
}

impl Trial {
    pub(super) fn new(script: Script, ending: Ending, who: Who) -> Self {
        let time = Arc::new(Time { start: Instant::now(), passed: AtomicU64::new(0) });
        let halt = Arc::new(Halt {
            left: AtomicI64::new(-1),
            place: Mutex::default(),
            reached: Notify::new(),
            go_on: Semaphore::new(0),
        });
        let store = Stepped {
            records: MemoryStore::with_clock(time.clone()),
            halt,
            full: Arc::new(AtomicBool::new(script == Script::FullStore)),
            writes: Arc::default(),
        };
        let server = Arc::<Server>::default();
        if script == Script::Outage {
            server.script([Reply::Status(503, "", None)]);
        }
        let wire = Arc::new(Wire {
            server: server.clone(),
            store: store.clone(),
            key: OnceLock::new(),
            left: Mutex::default(),
            twice: Mutex::default(),
        });
        let process = || {
            let wire = wire.clone();
            let transport = tower::service_fn(move |request| {
                let wire = wire.clone();
                async move { wire.exchange(request).await }
            });
            let endpoint = http::Uri::from_static("https://as.example/token");
            RefreshCoordinator::builder(endpoint, ClientAuth::none("c"))
                .revocation_endpoint(http::Uri::from_static("https://as.example/revoke"))
                .store(store.clone())
                .clock(time.clone())
                .concurrency_limit(1)
                .build(transport)
                .unwrap()
        };
        let (coordinator, neighbour) = (process(), process());
        wire.key.set(coordinator.stored_key("k")).unwrap();
        Self { coordinator, neighbour, server, wire, store, time, ending, who }
    }

    /// Plays `act` with a runtime that fails at its step `n`, and a second one that fails `gap` steps later (negative:
    /// none does). Tells at which steps they failed.
    pub(super) fn play(&self, act: Act, n: i64, gap: i64) -> Vec<&'static str> {
        let mut failed = Vec::new();
        let mut standing = Vec::new();
        let mut now = Some(runtime());
        let halt = &self.store.halt;
        if act != Act::Login {
            let lifetime = if act == Act::Refresh { Duration::ZERO } else { HOUR };
            self.drive(now.as_ref().unwrap(), async {
                self.coordinator.install("k", self.server.login(lifetime)).await.unwrap();
            });
        }
        self.store.writes.store(0, Ordering::SeqCst);
        for (turn, steps) in [n, gap].into_iter().enumerate().filter(|(_, steps)| *steps >= 0) {
            let driven = now.take().unwrap_or_else(runtime);
            halt.left.store(steps, Ordering::SeqCst);
            let carried_out = self.carry_out(act, self.process(turn));
            self.drive(&driven, async {
                let carried_out = tokio::spawn(carried_out);
                tokio::select! {
                    () = halt.reached.notified() => {}
                    ended = tokio::time::timeout(SECOND * 200, carried_out) => drop(ended.expect("it hangs").unwrap()),
                }
            });
            halt.left.store(-1, Ordering::SeqCst);
            let Some(place) = halt.place.lock().unwrap().take() else { break };
            failed.push(place);
            match self.ending {
                Ending::StandsStill => standing.push(driven),
                Ending::Dropped => drop(driven),
            }
        }
        let last = runtime();
        self.drive(&last, self.others_are_served(&failed));
        halt.go_on.add_permits(1000);
        for driven in &standing {
            self.drive(driven, async { tokio::time::sleep(SECOND * 60).await });
        }
        self.drive(&last, self.check(act, &failed));
        failed
    }

    /// From where the time is by now.
    fn drive<T>(&self, runtime: &Runtime, work: impl Future<Output = T>) -> T {
        runtime.block_on(async {
            let here = self.time.start.elapsed();
            tokio::time::advance(self.time.passed().saturating_sub(here)).await;
            work.await
        })
    }

    /// Of the so-manieth runtime.
    fn process(&self, turn: usize) -> Arc<RefreshCoordinator> {
        let neighbours = turn > 0 && self.who == Who::Neighbour;
        if neighbours { self.neighbour.clone() } else { self.coordinator.clone() }
    }

    fn carry_out(
        &self,
        act: Act,
        process: Arc<RefreshCoordinator>,
    ) -> impl Future<Output = Option<RefreshError>> + use<> {
        let server = self.server.clone();
        async move {
            match act {
                Act::Refresh => process.token("k").await.err(),
                Act::Login => process.install("k", server.login(HOUR)).await.err(),
                Act::Logout => process.logout("k").await.err(),
            }
        }
    }

    /// On the last runtime, while others stand still.
    async fn others_are_served(&self, failed: &[&str]) {
        let process = self.process(1);
        // Whatever he hears.
        let _ = ends(process.token("k"), failed).await;
        ends(process.status("k"), failed).await.unwrap();
        // A login of which the server knows nothing: its refresh is refused, in time.
        let other = TokenSet::new("other").with_refresh_token("other").with_expires_in(Duration::ZERO);
        ends(process.install("other", other), failed).await.unwrap();
        let told = ends(process.token("other"), failed).await.unwrap_err();
        assert_ne!(told.kind(), ErrorKind::TimedOut, "after {failed:?}");
    }

    async fn check(&self, act: Act, failed: &[&str]) {
        tokio::time::sleep(SECOND * 90).await;
        assert_eq!(*self.wire.twice.lock().unwrap(), [""; 0], "sent twice after {failed:?}");
        match act {
            Act::Refresh => self.check_alive(&[&self.coordinator, &self.neighbour], failed).await,
            Act::Login => {
                let _ = ends(self.coordinator.token("k"), failed).await;
                ends(self.coordinator.install("k", self.server.login(HOUR)), failed).await.unwrap();
                // Another process may go on with the token that it has.
                self.check_alive(&[&self.coordinator], failed).await;
            }
            Act::Logout => {
                let told = ends(self.coordinator.logout("k"), failed).await.unwrap();
                let revoked = self.server.revoked.lock().unwrap().contains(&"refresh-1".to_owned());
                assert!(revoked || told == Logout::NotRevoked, "after {failed:?}: {told:?}");
                assert!(ends(self.coordinator.token("k"), failed).await.is_err(), "after {failed:?}");
            }
        }
        assert!(ends(self.coordinator.shutdown(SECOND), failed).await, "under way after {failed:?}");
    }

    /// The login lives, or it was in doubt and is said to be so.
    async fn check_alive(&self, processes: &[&Arc<RefreshCoordinator>], failed: &[&str]) {
        for process in processes {
            let told = ends(process.token("k"), failed).await;
            let newest = self.server.newest.lock().unwrap().clone();
            match told {
                Ok(token) => {
                    let stored = self.store.records.load(&process.stored_key("k")).await.unwrap().unwrap();
                    let stored = CredentialRecord::decode(&stored.body).unwrap();
                    assert_eq!(stored.refresh_token().unwrap().expose_secret(), newest, "after {failed:?}");
                    assert_eq!(
                        token.expose_secret(),
                        newest.replace("refresh", "access"),
                        "after {failed:?}"
                    );
                }
                Err(error) => {
                    let lost = self.ending == Ending::Dropped && failed.contains(&"client: answered");
                    assert!(lost, "no token after {failed:?} {:?} {:?}: {error:?}", self.ending, self.who);
                    assert_eq!(error.kind(), ErrorKind::LostRotation, "after {failed:?}");
                }
            }
        }
    }
}

pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

async fn ends<T>(call: impl Future<Output = T>, failed: &[&str]) -> T {
    let ended = tokio::time::timeout(SECOND * 100, call).await;
    ended.unwrap_or_else(|_| panic!("somebody waits after {failed:?}"))
}
