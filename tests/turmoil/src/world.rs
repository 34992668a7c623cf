//! One history, from its seed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tower::util::BoxCloneSyncService;
use tower_oauth_refresh_testkit::{AuthServer, FamilyId, Rotation};
use turmoil::Sim;

use crate::audit::{Figures, audit};
use crate::book::{Book, SimClock};
use crate::dice::Dice;
use crate::faults::{self, Fault, Kind, LAST, LAST_BEGIN, When};
use crate::network::{BoxError, serve, whole};
use crate::store::Shelf;
use crate::worker;

pub(crate) const AUTH: &str = "authorization server";
pub(crate) const API: &str = "API";
pub(crate) const STORE: &str = "store";
pub(crate) const WORKERS: [&str; 2] = ["process 1", "process 2"];
pub(crate) const KEYS: [&str; 2] = ["a", "b"];

/// Users go on asking until then.
pub(crate) const WORK: Duration = Duration::from_secs(34);
/// Whoever has not come to an end by then never will.
const AT_MOST: Duration = Duration::from_secs(150);
const TICK: Duration = Duration::from_millis(10);
/// What an access token is said to live …
const LIFETIME: Duration = Duration::from_secs(6);
/// … and how long the API takes the first ones: it refuses before they expire.
const TAKEN: Duration = Duration::from_millis(5500);
/// Longer than any history.
const GRACE: Duration = Duration::from_secs(600);

/// What all hosts know.
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) book: Arc<Book>,
    pub(crate) auth: AuthServer,
    /// Of the wall clock of each process, in seconds.
    pub(crate) wall_off: [Arc<AtomicI64>; WORKERS.len()],
    /// Of the credentials.
    pub(crate) families: Mutex<Vec<FamilyId>>,
}

/// Plays the history of this seed. With `tell`, says what happened.
pub(crate) fn play(seed: u64, tell: bool) -> (Figures, Result<(), String>) {
    let book = Arc::<Book>::default();
    let strict = Dice::of(seed, 1).between(0, 2) == 0;
    let clock = SimClock { book: book.clone(), wall_off: Arc::default() };
    let rotation = if strict { Rotation::Strict } else { Rotation::Grace(GRACE) };
    let server = AuthServer::builder().rotation(rotation).access_lifetime(LIFETIME).seed(seed).clock(clock);
    // It wants a socket of its own; in this history nobody knocks there.
    let real = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let auth = real.block_on(server.start()).unwrap();
    let (wall_off, families) = (Default::default(), Mutex::default());
    let setup = Arc::new(Setup { seed, book: book.clone(), auth, wall_off, families });
    let faults = faults::draw(seed);
    let ended = run(&setup, &faults);
    if tell {
        println!("a {} authorization server", if strict { "strict" } else { "graceful" });
        book.story().iter().for_each(|line| println!("{line}"));
    }
    let (figures, verdict) = audit(&setup, strict, ended.as_deref().unwrap_or_default());
    (figures, ended.and(verdict))
}

/// Until everybody has had the last request: which faults there were.
fn run(setup: &Arc<Setup>, faults: &[Fault]) -> Result<Vec<Kind>, String> {
    let book = &setup.book;
    let mut sim = turmoil::Builder::new()
        .rng_seed(setup.seed)
        .tick_duration(TICK)
        .simulation_duration(AT_MOST * 2)
        .max_message_latency(Duration::from_millis(60))
        .build();
    hosts(&mut sim, setup);
    let mut fates = Fates { waiting: faults.to_vec(), under_way: Vec::new(), begun: Vec::new() };
    while book.pages().done < WORKERS.len() {
        fates.come(&mut sim, setup);
        sim.step().map_err(|error| format!("a host fails: {error}"))?;
        book.passes(sim.elapsed());
        if book.now() > AT_MOST {
            return Err("a request never ends".to_owned());
        }
    }
    Ok(fates.begun)
}

/// Faults to come, and those that are there: of each process one at a time, or they would heal each other.
struct Fates {
    waiting: Vec<Fault>,
    /// Until when, of whom.
    under_way: Vec<(Duration, usize, Kind)>,
    begun: Vec<Kind>,
}

impl Fates {
    fn come(&mut self, sim: &mut Sim<'_>, setup: &Setup) {
        let now = setup.book.now();
        for (until, worker, kind) in std::mem::take(&mut self.under_way) {
            if until > now {
                self.under_way.push((until, worker, kind));
                continue;
            }
            setup.book.say(&format!("{} {kind:?}: ends", WORKERS[worker]));
            hurt(sim, setup, worker, kind, false);
        }
        for fault in std::mem::take(&mut self.waiting) {
            let pages = setup.book.pages();
            let worker = match fault.when {
                When::At(worker, at) => Some(worker).filter(|_| at <= now),
                When::Sent(number) => pages.sent.get(number - 1).map(|sent| sent.worker),
                When::Received(number) => pages.received.get(number - 1).map(|set| set.worker),
            };
            drop(pages);
            let Some(worker) = worker else {
                self.waiting.push(fault);
                continue;
            };
            if now > LAST_BEGIN || self.under_way.iter().any(|(_, busy, _)| *busy == worker) {
                continue;
            }
            setup.book.say(&format!("{} {:?}: begins", WORKERS[worker], fault.kind));
            hurt(sim, setup, worker, fault.kind, true);
            self.under_way.push(((now + fault.lasts).min(LAST), worker, fault.kind));
            self.begun.push(fault.kind);
        }
    }
}

fn hosts(sim: &mut Sim<'_>, setup: &Arc<Setup>) {
    let at = setup.clone();
    sim.host(AUTH, move || {
        let setup = at.clone();
        serve(move |request| {
            let setup = setup.clone();
            async move { whole(setup.auth.answer(request).await.ok_or("hangs up")?).await }
        })
    });
    let (shelf, book) = (Arc::<Shelf>::default(), setup.book.clone());
    sim.host(STORE, move || {
        let (shelf, book) = (shelf.clone(), book.clone());
        serve(move |request| shelf.clone().answer(book.clone(), request))
    });
    let (api, at) = (Arc::<Mutex<HashMap<String, Duration>>>::default(), setup.clone());
    sim.host(API, move || {
        let (api, setup) = (api.clone(), at.clone());
        serve(move |request| answer(api.clone(), setup.clone(), request))
    });
    let at = setup.clone();
    sim.client("operator", async move { log_in(&at).await });
    for (me, worker) in WORKERS.into_iter().enumerate() {
        let at = setup.clone();
        sim.host(worker, move || {
            let setup = at.clone();
            async move {
                // Not before somebody has logged in.
                while setup.families.lock().unwrap().len() < KEYS.len() {
                    tokio::time::sleep(TICK).await;
                }
                worker::run(setup, me).await
            }
        });
    }
}

async fn log_in(setup: &Setup) -> turmoil::Result {
    let none =
        tower::service_fn(|_| async { Err::<Response<Full<bytes::Bytes>>, BoxError>("nobody asks".into()) });
    let http = BoxCloneSyncService::new(none);
    let coordinator = worker::coordinator(setup, Dice::of(setup.seed, 2).next(), Arc::default(), http);
    for key in KEYS {
        let tokens = setup.auth.login();
        let family = setup.auth.family_of(tokens.access_token.expose_secret()).ok_or("no family")?;
        coordinator.install(key, tokens).await?;
        setup.families.lock().unwrap().push(family);
    }
    Ok(())
}

/// The API: it takes the tokens of the authorization server, and not for long.
async fn answer(
    seen: Arc<Mutex<HashMap<String, Duration>>>,
    setup: Arc<Setup>,
    request: Request<Incoming>,
) -> Result<Response<Full<bytes::Bytes>>, BoxError> {
    let word = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id = word("x-request-id").to_owned();
    let token = word("authorization").trim_start_matches("Bearer ").to_owned();
    let now = setup.book.now();
    let first = *seen.lock().unwrap().entry(token.clone()).or_insert(now);
    let good = setup.auth.family_of(&token).is_some() && now.saturating_sub(first) < TAKEN;
    let whole = request.into_body().collect().await?.to_bytes() == format!("the body of {id}");
    *setup.book.pages().sends.entry(id).or_default() += if whole { 1 } else { 100 };
    let mut response = Response::new(Full::default());
    if !good {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    Ok(response)
}

fn hurt(sim: &mut Sim<'_>, setup: &Setup, me: usize, kind: Kind, begins: bool) {
    let worker = WORKERS[me];
    match (kind, begins) {
        (Kind::Cut(host), true) => sim.partition(worker, host),
        (Kind::CutRequests(host), true) => sim.partition_oneway(worker, host),
        (Kind::CutAnswers(host), true) => sim.partition_oneway(host, worker),
        (Kind::Cut(host) | Kind::CutRequests(host) | Kind::CutAnswers(host), false) => {
            sim.repair(worker, host);
        }
        (Kind::Hold(host), true) => sim.hold(worker, host),
        (Kind::Hold(host), false) => sim.release(worker, host),
        (Kind::Crash, true) => sim.crash(worker),
        (Kind::Crash, false) => sim.bounce(worker),
        (Kind::Clock(off), true) => setup.wall_off[me].store(off, Ordering::SeqCst),
        (Kind::Clock(_), false) => setup.wall_off[me].store(0, Ordering::SeqCst),
    }
}
