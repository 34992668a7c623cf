//! A process that uses the credentials: a coordinator, a layer for each, and those who ask.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_oauth_refresh::{
    ClientAuth, RefreshCoordinator, RefreshError, RefreshLayer, RefreshReport, ReplayBody, ReplayOutcome,
};

use crate::book::{Book, SimClock};
use crate::dice::Dice;
use crate::network::{BoxError, connect, send};
use crate::store::NetStore;
use crate::world::{API, AUTH, KEYS, Setup, WORK};

/// The simulated network has no names that a certificate would be for; loopback needs none.
pub(crate) const TOKEN_ENDPOINT: &str = "http://127.0.0.1/token";
const ORIGIN: &str = "http://127.0.0.1:8080";
pub(crate) const EXCHANGE_LIMIT: Duration = Duration::from_secs(2);
const WAIT_LIMIT: Duration = Duration::from_secs(15);
/// Of one send to the API.
const API_LIMIT: Duration = Duration::from_secs(3);
/// Longer than waiting for a token twice, and the API twice.
const HUNG: Duration = Duration::from_secs(40);
/// A second apart, once everything has healed: longer than a failed refresh rests.
const ATTEMPTS: u32 = 45;
/// Of each process and credential.
const USERS: u64 = 2;

type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>;

pub(crate) fn coordinator(
    setup: &Setup,
    seed: u64,
    wall_off: Arc<AtomicI64>,
    http: BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>,
) -> Arc<RefreshCoordinator> {
    let auth = ClientAuth::basic(setup.auth.client_id(), setup.auth.client_secret());
    let clock = Arc::new(SimClock { book: setup.book.clone(), wall_off });
    RefreshCoordinator::builder(TOKEN_ENDPOINT.parse().unwrap(), auth)
        .store(NetStore)
        .exchange_limit(EXCHANGE_LIMIT)
        .wait_limit(WAIT_LIMIT)
        .clock(clock)
        .seed(seed)
        .build(http)
        .unwrap()
}

/// The software of a host. Started again after the host was killed, it remembers nothing.
pub(crate) async fn run(setup: Arc<Setup>, me: usize) -> turmoil::Result {
    let life = setup.book.starts(me);
    let mut dice = Dice::of(setup.seed, 1000 * (me as u64 + 1) + life);
    let http = token_client(setup.book.clone(), me, life);
    let coordinator = coordinator(&setup, dice.next(), setup.wall_off[me].clone(), http);
    let clients = KEYS.map(|key| {
        let layer = RefreshLayer::new(coordinator.clone(), key).origin(ORIGIN.parse().unwrap());
        let inner = service_fn(|request: Request<ReplayBody<Full<Bytes>>>| async move {
            let (parts, body) = request.into_parts();
            let body = Full::new(body.collect().await?.to_bytes());
            let sending = async { send(connect(API).await?, Request::from_parts(parts, body)).await };
            timeout(API_LIMIT, sending).await?
        });
        let client = layer.layer(inner);
        (key, BoxCloneSyncService::new(client.map_response(|answer| answer.map(|_| Full::default()))))
    });
    let mut users = JoinSet::new();
    for (key, client) in &clients {
        for user in 0..USERS {
            let name = format!("{me}.{life}.{key}.{user}");
            users.spawn(use_it(setup.book.clone(), client.clone(), name, Dice::of(dice.next(), user)));
        }
    }
    while users.join_next().await.is_some() {}
    for (key, client) in &clients {
        users.spawn(insist(setup.book.clone(), client.clone(), me, key));
    }
    while users.join_next().await.is_some() {}
    // What was begun ahead comes to its end too.
    let ended = coordinator.shutdown(HUNG).await;
    setup.book.ends(ended);
    // The host stays up: nobody takes its end for a failure.
    std::future::pending().await
}

/// Sees what goes to the token endpoint and what comes back.
fn token_client(book: Arc<Book>, me: usize, life: u64) -> Client {
    BoxCloneSyncService::new(service_fn(move |request: Request<Full<Bytes>>| {
        let book = book.clone();
        async move {
            let (parts, body) = request.into_parts();
            let form = body.collect().await?.to_bytes();
            let spent = form_urlencoded::parse(&form).find(|(name, _)| name == "refresh_token");
            let spent = spent.map(|(_, token)| token.into_owned()).unwrap_or_default();
            let over = connect(AUTH).await?;
            let _sending = book.sends(me, &spent);
            let answer = send(over, Request::from_parts(parts, Full::new(form))).await?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            let members: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            match members["refresh_token"].as_str() {
                Some(token) => book.received(me, life, &spent, token),
                None => book.say(&format!("it is refused: {}", members["error"])),
            }
            Ok(Response::from_parts(parts, Full::new(body)))
        }
    }))
}

/// One request after the other until the work is over.
async fn use_it(book: Arc<Book>, client: Client, name: String, mut dice: Dice) {
    let mut number = 0;
    while book.now() < WORK {
        number += 1;
        let fate = ask(&client, format!("{name}.{number}")).await;
        *book.pages().fates.entry(fate).or_default() += 1;
        sleep(Duration::from_millis(dice.between(100, 900))).await;
    }
}

/// The last request, as often as a user would try.
async fn insist(book: Arc<Book>, client: Client, me: usize, key: &'static str) {
    let mut fate = String::new();
    for attempt in 0..ATTEMPTS {
        fate = ask(&client, format!("last.{me}.{key}.{attempt}")).await;
        if fate == "200" || fate.starts_with("login over") {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    book.say(&format!("the last request of {me} for {key}: {fate}"));
    book.pages().last.insert((me, key), fate);
}

async fn ask(client: &Client, id: String) -> String {
    let body = Full::from(format!("the body of {id}"));
    let request = Request::post(format!("{ORIGIN}/things")).header("x-request-id", id).body(body).unwrap();
    let answer = match timeout(HUNG, client.clone().oneshot(request)).await {
        Err(_) => return "hung".to_owned(),
        Ok(Err(error)) => {
            return error.downcast_ref().map_or_else(|| "API broken".to_owned(), failed);
        }
        Ok(Ok(answer)) => answer,
    };
    match answer.extensions().get::<RefreshReport>().map(|report| &report.outcome) {
        Some(ReplayOutcome::Failed(error)) => failed(error),
        _ => answer.status().as_u16().to_string(),
    }
}

fn failed(error: &RefreshError) -> String {
    let way = if error.needs_login() { "login over" } else { "no token now" };
    format!("{way}: {:?}", error.kind())
}
