//! A process that uses the credentials.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer as _, ServiceExt as _};
use tower_oauth_refresh::{
    ClientAuth, Refresh, RefreshCoordinator, RefreshError, RefreshLayer, RefreshReport, ReplayBody,
    ReplayOutcome,
};

use crate::dice::Dice;
use crate::held::Held;
use crate::protocol::{Account, Assignment, Order, Said, Side};
use crate::store::{AnyStore, open};
use crate::story::keep_diary;
use crate::world::EXCHANGE_LIMIT;

type Http = Client<HttpConnector, ReplayBody<Full<Bytes>>>;
type Fates = BTreeMap<String, usize>;

/// A request of a worker may wait for a refresh so long …
const WAIT_LIMIT: Duration = Duration::from_secs(15);
/// … and is hung after this: twice the API, which the proxy may silence for its time, and the refresh between.
const HUNG: Duration = Duration::from_secs(30);
/// From the end of one turn of a task to the next, on average.
const PACE: Duration = Duration::from_millis(800);
/// Connections that nobody uses are closed, so that a worker at rest holds none.
const IDLE: Duration = Duration::from_secs(2);
/// For what is under way at the end of work: connections, background refreshes, marks of others.
const SETTLING: Duration = Duration::from_secs(20);
/// Of each last request, a second apart: failed refreshes rest for half a minute at most.
const ATTEMPTS: u32 = 40;

pub(crate) async fn run() {
    let mut lines = BufReader::new(stdin()).lines();
    let assignment = lines.next_line().await.unwrap().expect("an assignment");
    let mut worker = Worker::open(serde_json::from_str(&assignment).unwrap()).await;
    say(&Said::Ready);
    while let Some(order) = lines.next_line().await.unwrap() {
        let said = worker.follow(serde_json::from_str(&order).unwrap()).await;
        say(&said);
    }
}

fn say(said: &Said) {
    println!("{}", serde_json::to_string(said).unwrap());
}

struct Worker {
    number: u64,
    seed: u64,
    turns: u64,
    uses: Vec<Use>,
    coordinators: Vec<Arc<RefreshCoordinator>>,
    _diaries: JoinSet<()>,
    working: JoinSet<Fates>,
    /// Tasks of the runtime before anything was done.
    idle_tasks: Option<usize>,
    seen: Arc<Seen>,
    fates: Fates,
}

/// What a task uses: one credential.
#[derive(Clone)]
struct Use {
    side: Arc<Side>,
    key: String,
    client: Refresh<Http>,
}

#[derive(Default)]
struct Seen {
    rest: AtomicBool,
    sent: AtomicU64,
    now: AtomicUsize,
    most: AtomicUsize,
    slowest_ms: AtomicU64,
}

impl Worker {
    async fn open(assignment: Assignment) -> Self {
        let store = open(&assignment.place).await;
        let (mut uses, mut coordinators, mut diaries) = (Vec::new(), Vec::new(), JoinSet::new());
        for side in assignment.sides {
            let side = Arc::new(side);
            let coordinator = coordinator(&side, store.clone());
            let http = http();
            for key in &side.keys {
                let layer = RefreshLayer::new(coordinator.clone(), key.as_str());
                let client = layer.origin(side.api.parse().unwrap()).layer(http.clone());
                uses.push(Use { side: side.clone(), key: key.clone(), client });
            }
            diaries.spawn(keep_diary(coordinator.clone(), side, assignment.diary.clone()));
            coordinators.push(coordinator);
        }
        Self {
            number: assignment.number,
            seed: assignment.seed,
            turns: 0,
            uses,
            coordinators,
            _diaries: diaries,
            working: JoinSet::new(),
            idle_tasks: None,
            seen: Arc::default(),
            fates: Fates::new(),
        }
    }

    async fn follow(&mut self, order: Order) -> Said {
        match order {
            Order::Work => {
                self.seen.rest.store(false, Ordering::SeqCst);
                for task in self.uses.clone() {
                    self.turns += 1;
                    let dice = Dice::of(self.seed, self.number * 1_000_000 + self.turns);
                    self.working.spawn(work(task, dice, self.seen.clone(), self.number));
                }
                Said::Working
            }
            Order::Rest => {
                self.seen.rest.store(true, Ordering::SeqCst);
                while let Some(ended) = self.working.join_next().await {
                    add(&mut self.fates, ended.unwrap());
                }
                Said::Rested(self.settle().await)
            }
            Order::Once => Said::Served(self.once().await),
            Order::End => {
                let ending = self.coordinators.iter().map(|it| it.shutdown(SETTLING));
                let flights_ended = join_all(ending).await.into_iter().all(|ended| ended);
                Said::Ended(Account {
                    fates: std::mem::take(&mut self.fates),
                    slowest_ms: self.seen.slowest_ms.load(Ordering::SeqCst),
                    most_at_once: self.seen.most.load(Ordering::SeqCst),
                    flights_ended,
                })
            }
        }
    }

    /// Waits until as few tasks are left as at the first rest, or for a fixed time.
    async fn settle(&mut self) -> Held {
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let until = Instant::now() + SETTLING;
        // Unused connections live for so long, and a while is needed to notice.
        sleep(IDLE * 4).await;
        while Instant::now() < until && self.idle_tasks.is_none_or(|idle| tasks() > idle) {
            sleep(Duration::from_millis(200)).await;
        }
        self.idle_tasks.get_or_insert_with(tasks);
        Held::now()
    }

    async fn once(&self) -> Vec<(String, String)> {
        let all = join_all(self.uses.iter().map(|one| self.insist(one))).await;
        all.into_iter().flatten().collect()
    }

    /// An outage may have left a rest behind that is longer than a request waits.
    async fn insist(&self, one: &Use) -> Option<(String, String)> {
        let mut fate = String::new();
        for attempt in 0..ATTEMPTS {
            let id = format!("last-{attempt}-{}-{}-{}", self.number, one.side.name, one.key);
            fate = one.send(id, &self.seen).await;
            if fate == "200" {
                return None;
            }
            sleep(Duration::from_secs(1)).await;
        }
        Some((format!("{} at {}", one.key, one.side.name), fate))
    }
}

fn coordinator(side: &Side, store: AnyStore) -> Arc<RefreshCoordinator> {
    let auth = ClientAuth::basic(side.client_id.as_str(), side.client_secret.as_str());
    let builder = RefreshCoordinator::builder(side.token_endpoint.parse().unwrap(), auth);
    builder.store(store).exchange_limit(EXCHANGE_LIMIT).wait_limit(WAIT_LIMIT).build(http()).unwrap()
}

fn http() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector)
}

/// One request after the other, now and then many at once, and some that are given up.
async fn work(one: Use, mut dice: Dice, seen: Arc<Seen>, worker: u64) -> Fates {
    let mut fates = Fates::new();
    while !seen.rest.load(Ordering::SeqCst) {
        let (count, patience) = match dice.below(10) {
            0 => (10, None),
            1 => (1, Some(dice.between(Duration::ZERO, Duration::from_millis(50)))),
            _ => (1, None),
        };
        let sending = (0..count).map(|_| {
            let number = seen.sent.fetch_add(1, Ordering::SeqCst);
            let request = one.send(format!("{worker}-{number}"), &seen);
            async move {
                match patience {
                    None => request.await,
                    Some(patience) => {
                        timeout(patience, request).await.unwrap_or_else(|_| "given up".to_owned())
                    }
                }
            }
        });
        for fate in join_all(sending).await {
            *fates.entry(format!("{}: {fate}", one.side.name)).or_default() += 1;
        }
        sleep(dice.between(PACE / 2, PACE * 3 / 2)).await;
    }
    fates
}

impl Use {
    async fn send(&self, id: String, seen: &Arc<Seen>) -> String {
        let _here = Here::new(seen);
        let begun = Instant::now();
        let fate = timeout(HUNG, self.exchange(id)).await.unwrap_or_else(|_| "hung".to_owned());
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        seen.slowest_ms.fetch_max(took, Ordering::SeqCst);
        fate
    }

    async fn exchange(&self, id: String) -> String {
        let body = Full::from(format!("the body of {id}"));
        let request = Request::post(format!("{}/things", self.side.api)).header("x-request-id", id);
        let response = match self.client.clone().oneshot(request.body(body).unwrap()).await {
            Ok(response) => response,
            Err(error) => {
                return error.downcast_ref::<RefreshError>().map_or("API broken".to_owned(), failed);
            }
        };
        let (parts, body) = response.into_parts();
        if body.collect().await.is_err() {
            return "API broken".to_owned();
        }
        match parts.extensions.get::<RefreshReport>().map(|report| &report.outcome) {
            Some(ReplayOutcome::Failed(error)) => failed(error),
            _ => parts.status.as_u16().to_string(),
        }
    }
}

fn failed(error: &RefreshError) -> String {
    let way = if error.needs_login() { "login over" } else { "no token now" };
    format!("{way}: {:?}", error.kind())
}

/// A request that is under way.
struct Here<'a>(&'a Seen);

impl<'a> Here<'a> {
    fn new(seen: &'a Seen) -> Self {
        let now = seen.now.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(now, Ordering::SeqCst);
        Self(seen)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) fn add(to: &mut Fates, from: Fates) {
    for (fate, times) in from {
        *to.entry(fate).or_default() += times;
    }
}
