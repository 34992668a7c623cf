//! A process that uses the credential.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::task::JoinSet;
use tower::Layer as _;
use tower_oauth_refresh::{
    ClientAuth, Clock as _, EventKind, Refresh, RefreshCoordinator, RefreshLayer, ReplayBody, SystemClock,
    TokenSet,
};

use super::points::{Points, Watched, WatchedClock, watched};
use super::protocol::{Assignment, Fate, Happened, Moment, Order, Reply, Said, known};
use crate::harness::{full, kind, start, try_send};

/// In the environment: its [`Assignment`].
pub(super) const ASSIGNMENT: &str = "PROCESS_TEST_ASSIGNMENT";

/// Begins what it says, among what the test harness prints.
pub(super) const MARK: &str = "says ";

/// A task sends again this long after its last answer, and up to as long again: with all stores at once it is
/// the servers, in a debug build on two processors, that must not fall behind by the life of a token.
const PACE: Duration = Duration::from_secs(2);

#[tokio::test]
#[ignore = "the process that the other tests start; run by hand it does nothing"]
async fn worker() {
    let Ok(assignment) = std::env::var(ASSIGNMENT) else { return };
    let worker = Worker::open(serde_json::from_str(&assignment).unwrap()).await;
    worker.tell_events();
    say(&Said::Reply(Reply::Ready));
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut working = JoinSet::new();
    while let Some(order) = orders.next_line().await.unwrap() {
        let reply = worker.follow(serde_json::from_str(&order).unwrap(), &mut working).await;
        say(&Said::Reply(reply));
    }
    worker.coordinator.shutdown(Duration::from_secs(5)).await;
}

pub(super) fn say(said: &Said) {
    // In one piece: other threads speak, too, and so does the harness, which does not always end its lines.
    let line = format!("\n{MARK}{}\n", serde_json::to_string(said).unwrap());
    let mut out = std::io::stdout().lock();
    // Its parent may be gone.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

pub(super) fn moment() -> Moment {
    SystemClock::default().now().boot
}

#[derive(Clone)]
struct Worker {
    key: String,
    api: String,
    coordinator: Arc<RefreshCoordinator>,
    client: Refresh<Client<HttpConnector, ReplayBody<Full<Bytes>>>>,
    rest: Arc<AtomicBool>,
}

impl Worker {
    async fn open(assignment: Assignment) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let points = Points::new(assignment.trap);
        let store = assignment.place.open().await;
        let auth = ClientAuth::basic(assignment.client_id, assignment.client_secret);
        let transport = Client::builder(TokioExecutor::new()).build(connector.clone());
        let coordinator = RefreshCoordinator::builder(assignment.token_endpoint.parse().unwrap(), auth)
            .revocation_endpoint(assignment.revocation_endpoint.parse().unwrap())
            .exchange_limit(assignment.exchange_limit)
            .clock(Arc::new(WatchedClock(points.clone())))
            .store(Watched { store, points: points.clone(), elsewhere: assignment.elsewhere })
            .build(watched(transport, points))
            .unwrap();
        let layer = RefreshLayer::new(coordinator.clone(), assignment.key.as_str())
            .origin(assignment.api.parse().unwrap());
        let client = layer.layer(Client::builder(TokioExecutor::new()).build(connector));
        let (key, api) = (assignment.key, assignment.api);
        Self { key, api, coordinator, client, rest: Arc::default() }
    }

    fn tell_events(&self) {
        let mut events = self.coordinator.events();
        drop(start(async move {
            while let Some(event) = events.next().await {
                let what = match event.kind {
                    EventKind::Refreshed(generation) => Happened::Refreshed(generation.get()),
                    EventKind::Adopted(generation) => Happened::Adopted(generation.get()),
                    EventKind::TookOver { pid } => Happened::TookOver(pid),
                    EventKind::Discarded => Happened::Discarded,
                    EventKind::Failed(error) => Happened::Failed(format!("{:?}", error.kind())),
                    _ => continue,
                };
                say(&Said::Event { what, at: moment() });
            }
        }));
    }

    async fn follow(&self, order: Order, working: &mut JoinSet<BTreeMap<Fate, usize>>) -> Reply {
        let (coordinator, key) = (&self.coordinator, self.key.as_str());
        match order {
            Order::Get => Reply::Got(self.get().await),
            Order::Work(tasks) => {
                for task in 0..tasks {
                    working.spawn(self.clone().work(task));
                }
                Reply::Working
            }
            Order::Rest => {
                self.rest.store(true, Ordering::SeqCst);
                let mut fates = BTreeMap::new();
                while let Some(task) = working.join_next().await {
                    for (fate, times) in task.unwrap() {
                        *fates.entry(fate).or_default() += times;
                    }
                }
                Reply::Rested(fates.into_iter().collect())
            }
            Order::Status => Reply::Status(coordinator.status(key).await.unwrap().as_ref().map(known)),
            Order::Install { access_token, refresh_token } => {
                let tokens = TokenSet::new(access_token).with_refresh_token(refresh_token);
                Reply::Installed(coordinator.install(key, tokens).await.unwrap().get())
            }
            Order::Logout => Reply::LoggedOut(match coordinator.logout(key).await {
                Ok(logout) => format!("{logout:?}"),
                Err(error) => format!("{:?}", error.kind()),
            }),
        }
    }

    async fn get(&self) -> Fate {
        let request = Request::get(format!("{}/things", self.api)).body(full("")).unwrap();
        match try_send(self.client.clone(), request).await {
            Ok(got) if got.status == StatusCode::OK => Fate::Served,
            Ok(got) => match got.failure() {
                Some(kind) => Fate::Failed(format!("{kind:?}")),
                None => Fate::Refused(format!("{}, {:?}", got.status, got.report)),
            },
            Err(error) => Fate::Failed(format!("{:?}", kind(&error))),
        }
    }

    /// The tasks spread out, and stay spread out.
    async fn work(self, task: usize) -> BTreeMap<Fate, usize> {
        let mut fates = BTreeMap::new();
        let pause = PACE + PACE.mul_f64((task * 37 % 100) as f64 / 100.0);
        while !self.rest.load(Ordering::SeqCst) {
            *fates.entry(self.get().await).or_default() += 1;
            tokio::time::sleep(pause).await;
        }
        fates
    }
}
