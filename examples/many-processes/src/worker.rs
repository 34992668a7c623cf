//! One of the processes: it knows the store, the token endpoint and the API, and nobody else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::{BoxError, Layer as _, ServiceExt as _};
use tower_oauth_refresh::{
    ClientAuth, EventKind, Events, Refresh, RefreshCoordinator, RefreshLayer, ReplayBody,
};

use crate::protocol::{Line, Setup};
use crate::store::AnyStore;

type HttpClient = Client<HttpConnector, ReplayBody<Full<Bytes>>>;

const TASKS: usize = 10;
const PACE: Duration = Duration::from_millis(100);

pub(crate) async fn run() -> Result<(), BoxError> {
    let mut input = BufReader::new(stdin()).lines();
    let setup: Setup = serde_json::from_str(&input.next_line().await?.unwrap_or_default())?;
    let coordinator = coordinator(&setup).await?;
    let mut telling = JoinSet::new();
    telling.spawn(tell(coordinator.events()));

    let layer = RefreshLayer::new(coordinator.clone(), setup.key.as_str()).origin(setup.api.parse()?);
    let client = layer.layer(http_client());
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        tasks.spawn(work(client.clone(), format!("{}/things", setup.api), stopped.clone()));
    }
    // Nothing more is said to it: this is the end of the input.
    let _ = input.next_line().await;
    let _ = stop.send(true);
    let (mut served, mut failed) = (0, 0);
    while let Some(ended) = tasks.join_next().await {
        let (ok, not) = ended?;
        served += ok;
        failed += not;
    }
    coordinator.shutdown(Duration::from_secs(5)).await;
    say(&Line::Ended { served, failed });
    Ok(())
}

async fn coordinator(setup: &Setup) -> Result<Arc<RefreshCoordinator>, BoxError> {
    let auth = ClientAuth::basic(setup.client_id.as_str(), setup.client_secret.as_str());
    let builder = RefreshCoordinator::builder(setup.token_endpoint.parse()?, auth);
    Ok(builder.store(AnyStore::open(&setup.place).await?).build(http_client())?)
}

fn http_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}

/// How many requests were served, and how many were not.
async fn work(client: Refresh<HttpClient>, url: String, stopped: watch::Receiver<bool>) -> (usize, usize) {
    let (mut served, mut failed) = (0, 0);
    while !*stopped.borrow() {
        let answer = match Request::get(&url).body(Full::default()) {
            Ok(request) => client.clone().oneshot(request).await,
            Err(error) => Err(error.into()),
        };
        let ok = answer.is_ok_and(|answer| answer.status().is_success());
        served += usize::from(ok);
        failed += usize::from(!ok);
        tokio::time::sleep(PACE).await;
    }
    (served, failed)
}

async fn tell(mut events: Events) {
    while let Some(event) = events.next().await {
        match event.kind {
            EventKind::RefreshStarted => say(&Line::Refreshing),
            EventKind::Refreshed(generation) => say(&Line::Refreshed(generation.get())),
            EventKind::Adopted(generation) => say(&Line::Adopted(generation.get())),
            EventKind::TookOver { pid } => say(&Line::TookOver(pid)),
            EventKind::Failed(error) => say(&Line::Failed(error.to_string())),
            _ => {}
        }
    }
}

fn say(line: &Line) {
    if let Ok(json) = serde_json::to_string(line) {
        println!("{json}");
    }
}
