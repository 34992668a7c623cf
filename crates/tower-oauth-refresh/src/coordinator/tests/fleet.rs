//! Fleets: many processes on one store, each with its own configuration, network and clock, judged by what
//! their users see and by what the server was sent.
//!
//! A [`Fleet`] is [`Process`]es, which are coordinators of their own, and the [`Far`] side: an authorization
//! server that ends a login when a refresh token comes twice, and an API. [`Fleet::serve`] lets every process have a
//! user, who asks once a second, sends a request, and does with a refusal what the layer does. While it runs, a test
//! may change, replace or spoil processes. Time is paused.

mod far;
mod process;
mod rates;
mod rolling;
mod sick;
mod unequal;

use std::sync::Mutex;

use futures_util::future::join_all;

use self::far::Far;
use self::process::Process;
use super::refusals::Refusals;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Several processes on one store.
pub(super) struct Fleet {
    pub(super) far: Arc<Far>,
    pub(super) store: MemoryStore,
    processes: Mutex<Vec<Arc<Process>>>,
    pub(super) refusals: Mutex<Refusals>,
    began: Instant,
}

/// The rounds that a longer run takes: `cargo xtask verify`.
pub(super) fn rounds() -> u32 {
    std::env::var("VERIFY_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

impl Fleet {
    /// So many equal processes. A user of one that is healthy may be refused for at most `limit`.
    pub(super) fn new(count: usize, limit: Duration) -> Self {
        Self::with(count, limit, |_, builder| builder)
    }

    /// Processes that differ: `adjust` is told the number of each.
    pub(super) fn with(count: usize, limit: Duration, adjust: impl Fn(usize, Builder) -> Builder) -> Self {
        let fleet = Self {
            far: Arc::default(),
            store: MemoryStore::with_clock(Arc::new(StepClock::new())),
            processes: Mutex::default(),
            refusals: Mutex::new(Refusals::new(limit)),
            began: Instant::now(),
        };
        for number in 0..count {
            let process = fleet.process("secret", |builder| adjust(number, builder));
            fleet.push(process);
        }
        fleet
    }

    /// Another process on the same store, which nobody uses yet.
    pub(super) fn process(&self, secret: &str, adjust: impl FnOnce(Builder) -> Builder) -> Arc<Process> {
        Process::new(&self.far, &self.store, ClientAuth::post("client", secret), adjust)
    }

    /// `process` takes the place of an older one, whose refreshes go on.
    pub(super) fn replace(&self, number: usize, process: Arc<Process>) {
        self.processes.lock().unwrap()[number] = process;
    }

    /// One more process, with a user.
    pub(super) fn push(&self, process: Arc<Process>) {
        self.processes.lock().unwrap().push(process);
    }

    pub(super) fn at(&self, number: usize) -> Arc<Process> {
        self.processes.lock().unwrap()[number].clone()
    }

    pub(super) fn len(&self) -> usize {
        self.processes.lock().unwrap().len()
    }

    /// Time since the fleet was made.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Logs in, and stores the first tokens, which live for as long as those of a refresh.
    pub(super) async fn install(&self, key: &str) {
        let set = self.far.login(key);
        self.at(0).coordinator.install(key, set).await.unwrap();
    }

    /// Every process has a user for so long, who asks for the credential `k` once a second. Fails as soon as all is
    /// healthy and one of them is refused for too long.
    pub(super) async fn serve(&self, time: Duration) {
        self.serve_every(SECOND, time).await;
    }

    /// The same, where each user asks with this much time between his requests.
    pub(super) async fn serve_every(&self, pause: Duration, time: Duration) {
        let until = Instant::now() + time;
        let users = (0..self.len()).map(|number| async move {
            // Not all in the same instant.
            tokio::time::sleep(pause.mul_f64(number as f64 / self.len() as f64)).await;
            while Instant::now() < until {
                self.request(number).await;
                tokio::time::sleep(pause).await;
            }
        });
        join_all(users).await;
    }

    /// One request of a process's user.
    pub(super) async fn request(&self, number: usize) {
        let process = self.at(number);
        let asked = self.now();
        let served = process.request(&self.far, "k").await;
        let mut refusals = self.refusals.lock().unwrap();
        match served {
            Err(why) if process.is_healthy() => {
                let told = refusals.refused(number, asked, self.now());
                assert!(told.is_ok(), "{}: {why} at {:?}", told.unwrap_err(), self.now());
            }
            _ => refusals.served(number),
        }
    }

    /// The longest that any user of a healthy process was refused.
    pub(super) fn longest_refusal(&self) -> Duration {
        self.refusals.lock().unwrap().longest()
    }
}

#[tokio::test(start_paused = true)]
async fn fleets_of_any_size_refresh_once_per_token_and_refuse_nobody() {
    for count in [1, 2, 20, 50] {
        let fleet = Fleet::new(count, Duration::ZERO);
        fleet.far.lifetime(MINUTE);
        fleet.install("k").await;
        fleet.serve(10 * MINUTE * rounds()).await;
        let refreshes = fleet.far.submissions("k");
        // A token lives for a minute, and is refreshed in its last tenth at the earliest.
        let most = usize::try_from(600 * rounds() / 54 + 1).unwrap();
        assert!(refreshes <= most, "{count} processes: {refreshes} refreshes");
        assert_eq!(fleet.far.sent_twice(), 0);
    }
}

/// The harness itself: what it is to notice, it notices.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "all is healthy, and user 0 is refused for")]
async fn a_fleet_whose_users_are_refused_fails() {
    let fleet = Fleet::new(2, SECOND * 20);
    fleet.install("k").await;
    fleet.far.api_refuses(true);
    fleet.serve(10 * MINUTE).await;
}
