//! Servers, a store, and the workers that share them.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, TokenSet};
use tower_oauth_refresh_testkit::{AuthServer, FamilyId, ResourceServer, Rotation, TokenHash, TokenRequest};

use super::points::{Points, Trap, Watched};
use super::protocol::{Assignment, Fate, Happened, Known, Moment, Order, Reply, Said, known};
use super::stores::StoreKind;
use super::worker::{ASSIGNMENT, MARK};
use crate::harness::{EXPIRED, start, within};

/// The servers and the store.
pub(super) struct World {
    pub(super) auth: AuthServer,
    _api: ResourceServer,
    pub(super) assignment: Assignment,
    /// Installs and looks; it never refreshes.
    pub(super) observer: Arc<RefreshCoordinator>,
    _dir: TempDir,
}

/// A login in the store.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) family: FamilyId,
    pub(super) generation: u64,
}

static WORLDS: AtomicUsize = AtomicUsize::new(0);

impl World {
    pub(super) async fn start(kind: StoreKind, rotation: Rotation, exchange_limit: Duration) -> Self {
        Self::with_lifetime(kind, rotation, exchange_limit, Duration::from_secs(3600)).await
    }

    pub(super) async fn with_lifetime(
        kind: StoreKind,
        rotation: Rotation,
        exchange_limit: Duration,
        lifetime: Duration,
    ) -> Self {
        let auth = AuthServer::builder().rotation(rotation).access_lifetime(lifetime).start().await.unwrap();
        let api = ResourceServer::start(&auth).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let assignment = Assignment {
            place: kind.place(&dir),
            // A database may still know the port from another run.
            key: format!("acme {} {}", std::process::id(), WORLDS.fetch_add(1, Ordering::SeqCst)),
            token_endpoint: auth.token_endpoint().to_string(),
            revocation_endpoint: auth.revocation_endpoint().to_string(),
            client_id: auth.client_id(),
            client_secret: auth.client_secret().expose_secret().to_owned(),
            api: api.url(""),
            exchange_limit,
            trap: None,
            elsewhere: false,
        };
        let client = ClientAuth::basic(auth.client_id(), auth.client_secret());
        let store = assignment.place.open().await;
        let store = Watched { store, points: Points::new(None), elsewhere: false };
        let observer = RefreshCoordinator::builder(auth.token_endpoint(), client)
            .store(store)
            .build(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>())
            .unwrap();
        Self { auth, _api: api, assignment, observer, _dir: dir }
    }

    /// Somebody logs in.
    pub(super) async fn log_in(&self) -> Login {
        let tokens = self.auth.login();
        self.install(tokens).await
    }

    /// As [`log_in`](Self::log_in), with an access token that has to be refreshed first of all.
    pub(super) async fn log_in_expired(&self) -> Login {
        let tokens = self.auth.login();
        self.install(tokens.with_expires_in(EXPIRED)).await
    }

    async fn install(&self, tokens: TokenSet) -> Login {
        let family = self.auth.family_of(tokens.access_token.expose_secret()).unwrap();
        let generation = self.observer.install(self.key(), tokens).await.unwrap().get();
        Login { family, generation }
    }

    pub(super) fn key(&self) -> &str {
        &self.assignment.key
    }

    pub(super) async fn status(&self) -> Option<Known> {
        self.observer.status(self.key()).await.unwrap().as_ref().map(known)
    }

    /// What the store says of a credential that is there.
    pub(super) async fn known(&self) -> Known {
        self.status().await.expect("there is a record")
    }

    /// The refreshes of a login that arrived at the server.
    pub(super) fn refreshes(&self, login: &Login) -> Vec<TokenRequest> {
        self.auth.ledger().refreshes_of(login.family)
    }

    pub(super) async fn worker(&self) -> Worker {
        Worker::start(&self.assignment).await
    }

    pub(super) async fn workers(&self, count: usize) -> Vec<Worker> {
        let starting = (0..count).map(|_| Worker::start(&self.assignment));
        futures_util::future::join_all(starting).await
    }

    pub(super) async fn trapped_worker(&self, trap: Trap) -> Worker {
        Worker::start(&Assignment { trap: Some(trap), ..self.assignment.clone() }).await
    }

    pub(super) async fn worker_elsewhere(&self) -> Worker {
        Worker::start(&Assignment { elsewhere: true, ..self.assignment.clone() }).await
    }

    /// The refresh tokens that were submitted more than once.
    pub(super) fn submitted_again(&self, login: &Login) -> Vec<TokenHash> {
        let mut seen = std::collections::HashSet::new();
        let submitted = self.refreshes(login).into_iter().filter_map(|refresh| refresh.refresh_token);
        submitted.filter(|token| !seen.insert(*token)).collect()
    }
}

/// A process. Killed when dropped.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pid: u32,
    process: Child,
    orders: ChildStdin,
    said: UnboundedReceiver<Said>,
    /// What its coordinator told so far.
    pub(super) events: Vec<(Happened, Moment)>,
}

impl Worker {
    async fn start(assignment: &Assignment) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::worker::worker", "--ignored", "--nocapture"])
            .env(ASSIGNMENT, serde_json::to_string(assignment).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (sender, said) = unbounded_channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        drop(start(read(lines, sender)));
        let (pid, orders) = (process.id().unwrap(), process.stdin.take().unwrap());
        let mut worker = Self { pid, process, orders, said, events: Vec::new() };
        let Reply::Ready = worker.reply().await else { panic!("the worker is not ready") };
        worker
    }

    pub(super) async fn order(&mut self, order: &Order) {
        let line = format!("{}\n", serde_json::to_string(order).unwrap());
        self.orders.write_all(line.as_bytes()).await.unwrap();
    }

    pub(super) async fn reply(&mut self) -> Reply {
        loop {
            match within(self.said.recv()).await.expect("the worker lives") {
                Said::Reply(reply) => return reply,
                Said::Event { what, at } => self.events.push((what, at)),
                Said::Trapped => panic!("nobody waits for the trap"),
            }
        }
    }

    pub(super) async fn ask(&mut self, order: Order) -> Reply {
        self.order(&order).await;
        self.reply().await
    }

    /// What becomes of the request that it was told to send.
    pub(super) async fn fate(&mut self) -> Fate {
        match self.reply().await {
            Reply::Got(fate) => fate,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn get(&mut self) -> Fate {
        self.order(&Order::Get).await;
        self.fate().await
    }

    /// Waits until its trap springs.
    pub(super) async fn trapped(&mut self) {
        loop {
            match within(self.said.recv()).await.expect("it is caught alive") {
                Said::Trapped => return,
                Said::Event { what, at } => self.events.push((what, at)),
                Said::Reply(reply) => panic!("{reply:?}, and not caught"),
            }
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Stops it, and waits until all of its threads stand still.
    pub(super) async fn freeze(&self) {
        self.signal(Signal::STOP);
        let stopped = tokio::task::spawn_blocking({
            let pid = Pid::from_raw(i32::try_from(self.pid).unwrap());
            move || waitpid(pid, WaitOptions::UNTRACED)
        });
        let (_, status) = within(stopped).await.unwrap().unwrap().expect("it was waited for");
        assert!(status.stopped(), "{status:?}");
    }

    /// Waits until it is gone, killed.
    pub(super) async fn killed(&mut self) {
        let status = within(self.process.wait()).await.unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
    }

    /// Did it tell of this?
    pub(super) fn told(&self, event: &Happened) -> bool {
        self.events.iter().any(|(what, _)| what == event)
    }

    /// Lets it end by itself, and hears what it still says.
    pub(super) async fn end(mut self) -> Vec<(Happened, Moment)> {
        drop(self.orders);
        let status = within(self.process.wait()).await.unwrap();
        assert!(status.success());
        while let Some(said) = within(self.said.recv()).await {
            if let Said::Event { what, at } = said {
                self.events.push((what, at));
            }
        }
        self.events
    }
}

async fn read<R: tokio::io::AsyncBufRead + Unpin>(
    mut lines: tokio::io::Lines<R>,
    said: UnboundedSender<Said>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(json) = line.strip_prefix(MARK) {
            let _ = said.send(serde_json::from_str(json).unwrap());
        }
    }
}
