//! A request with time left is served by a later attempt, and one without fails at once.
//!
//! One round by default; `VERIFY_ROUNDS` runs so many, each with other failures.

use std::io;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::*;

fn unavailable() -> Reply {
    Reply::Status(503, "", None)
}

fn limited(seconds: &'static str) -> Reply {
    Reply::Status(429, "", Some(seconds))
}

async fn waiting_for(limit: Duration) -> World {
    let world = World::with(|builder| builder.wait_limit(limit));
    world.install(Duration::ZERO).await;
    world
}

fn kind<T>(told: Result<T, RefreshError>) -> ErrorKind {
    told.err().expect("an error").kind()
}

#[tokio::test(start_paused = true)]
async fn failures_that_lose_nothing_are_waited_through() {
    for failures in 1..=9 {
        let world = waiting_for(SECOND * 15).await;
        world.server.script((0..failures).map(|_| unavailable()));
        assert_eq!(world.token().await.unwrap(), "access-2", "{failures} failures");
        assert_eq!(world.server.submissions(), failures + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_short_rate_limit_is_waited_through() {
    let world = waiting_for(SECOND * 15).await;
    world.server.script([limited("10")]);
    let start = Instant::now();
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert!(start.elapsed() >= SECOND * 10);

    let world = waiting_for(HOUR).await;
    world.server.script([limited("11")]);
    for passed in 0..11 {
        let start = Instant::now();
        // Not for what is left of it either, and in no process.
        assert_eq!(kind(world.token().await), ErrorKind::Unavailable, "{passed}");
        assert_eq!(kind(world.neighbour().token("k").await), ErrorKind::Unavailable, "{passed}");
        assert_eq!(start.elapsed(), Duration::ZERO);
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn failures_that_may_have_lost_something_fail_at_once() {
    let told = |kind| move |error: RefreshError| assert_eq!(error.kind(), kind);
    for (reply, check) in [
        (Reply::Lost, told(ErrorKind::InDoubt)),
        (Reply::Status(400, r#"{"error":"other"}"#, None), told(ErrorKind::Refused)),
        (Reply::Status(401, r#"{"error":"invalid_client"}"#, None), told(ErrorKind::Configuration)),
    ] {
        let world = waiting_for(HOUR).await;
        world.server.script([reply.clone(), reply]);
        let start = Instant::now();
        check(world.token().await.unwrap_err());
        assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_less_time_than_the_rest_fails_at_once() {
    let world = waiting_for(SECOND * 5).await;
    world.server.always(unavailable());
    let start = Instant::now();
    assert_eq!(kind(world.token().await), ErrorKind::Unavailable);
    assert!(start.elapsed() < SECOND * 3, "{:?}", start.elapsed());
    // Five attempts are made, and the next one comes ten seconds after the first.
    assert_eq!(world.server.submissions(), 5);
    let start = Instant::now();
    assert_eq!(kind(world.token().await), ErrorKind::Unavailable);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_nothing_fails_at_once() {
    let world = waiting_for(Duration::ZERO).await;
    world.server.always(unavailable());
    let start = Instant::now();
    for _ in 0..100 {
        assert!(world.token().await.is_err());
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_longer_than_25_s_in_an_outage() {
    for reply in [unavailable(), limited("1"), Reply::Status(500, "oops", None)] {
        let world = waiting_for(HOUR).await;
        world.server.always(reply);
        let start = Instant::now();
        assert_eq!(kind(world.token().await), ErrorKind::Unavailable);
        let waited = start.elapsed();
        assert!((SECOND * 20..SECOND * 25).contains(&waited), "{waited:?}");
        for _ in 0..1000 {
            let start = Instant::now();
            assert_eq!(kind(world.token().await), ErrorKind::Unavailable);
            assert_eq!(start.elapsed(), Duration::ZERO);
            tokio::time::sleep(SECOND / 10).await;
        }
    }
}

/// The most submissions in any ten seconds of an outage of five minutes, in which so many processes ask ten times a
/// second.
async fn most_in_ten_seconds(processes: usize, reply: &Reply) -> usize {
    let world = waiting_for(HOUR).await;
    world.server.always(reply.clone());
    let mut processes: Vec<_> = (1..processes).map(|_| world.neighbour()).collect();
    processes.push(world.coordinator.clone());
    let mut sent = Vec::new();
    for tenth in 0..3000 {
        for process in &processes {
            let process = process.clone();
            tokio::spawn(async move { process.token("k").await });
        }
        tokio::time::sleep(SECOND / 10).await;
        sent.resize(world.server.submissions(), tenth);
    }
    assert!((15..=27).contains(&sent.len()), "{sent:?}");
    // Of two that are counted in tenths, 99 apart may be ten seconds apart.
    let within = |from: usize| sent.iter().filter(|at| (from..from + 99).contains(*at)).count();
    sent.iter().map(|from| within(*from)).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_gets_at_most_five_requests_in_ten_seconds() {
    for reply in [unavailable(), limited("1"), Reply::Status(500, "oops", None)] {
        for processes in [1, 2, 20] {
            assert_eq!(most_in_ten_seconds(processes, &reply).await, 5, "{processes} processes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_mix_of_failures_makes_a_sixth_request_in_ten_seconds() {
    // Nothing lost, an answer of no use, and a refusal without a reason.
    let failures =
        [unavailable(), Reply::Status(200, "oops", None), Reply::Status(400, r#"{"error":"odd"}"#, None)];
    for mix in 0..3_usize.pow(5) {
        let world = waiting_for(Duration::ZERO).await;
        world.server.script((0..5).map(|place| failures[mix / 3_usize.pow(place) % 3].clone()));
        world.server.always(unavailable());
        let (start, mut sixth) = (Instant::now(), None);
        while sixth.is_none() {
            drop(world.ask());
            tokio::time::sleep(SECOND / 10).await;
            sixth = Some(start.elapsed()).filter(|_| world.server.submissions() > 5);
        }
        assert!(sixth.unwrap() >= SECOND * 10, "{mix}: {sixth:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_an_access_token_counts_among_the_five_requests() {
    for place in 0..5 {
        let world = waiting_for(Duration::ZERO).await;
        let unusable = Reply::Status(200, r#"{"refresh_token":"other"}"#, None);
        world.server.script((0..5).map(|turn| if turn == place { unusable.clone() } else { unavailable() }));
        world.server.always(unavailable());
        let (start, mut sixth) = (Instant::now(), None);
        while sixth.is_none() {
            drop(world.ask());
            tokio::time::sleep(SECOND / 10).await;
            sixth = Some(start.elapsed()).filter(|_| world.server.submissions() > 5);
        }
        assert!(sixth.unwrap() >= SECOND * 10, "{place}: {sixth:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_an_outage_that_ended_unseen_nothing_is_left_an_hour_later() {
    let world = waiting_for(SECOND * 15).await;
    world.server.always(unavailable());
    for _ in 0..600 {
        let _ = world.token().await;
        tokio::time::sleep(SECOND / 10).await;
    }
    assert!(world.stored().await.unwrap().failures > 13, "it has lasted");
    tokio::time::sleep(HOUR).await;
    let before = world.server.submissions();
    world.server.always(Reply::Right);
    world.server.script((0..9).map(|_| unavailable()));
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(world.server.submissions(), before + 10);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_wait_for_the_end_of_a_rest_make_one_flight() {
    let world = waiting_for(HOUR).await;
    let mut events = world.coordinator.events();
    world.server.script([limited("2"), Reply::held()]);
    let callers: Vec<_> = (0..1000).map(|_| world.ask()).collect();
    world.server.arrived.notified().await;
    tokio::time::sleep(SECOND).await;
    let late: Vec<_> = (0..1000).map(|_| world.ask()).collect();
    world.server.arrived.notified().await;
    world.server.released.0.add_permits(1);
    for caller in callers.into_iter().chain(late) {
        assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "access-2");
    }
    assert_eq!(world.server.submissions(), 2);
    let mut failures = 0;
    while let Some(Some(event)) = events.next().now_or_never() {
        failures += usize::from(matches!(event.kind, EventKind::Failed(_)));
    }
    assert_eq!(failures, 1, "one for each flight that failed");
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_nobody_waits_for_ends_in_no_request() {
    let world = waiting_for(HOUR).await;
    world.server.always(unavailable());
    let caller = world.ask();
    tokio::time::sleep(SECOND).await;
    caller.abort();
    let before = world.server.submissions();
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.server.submissions(), before);
    assert!(world.coordinator.shutdown(Duration::ZERO).await);
}

#[tokio::test(start_paused = true)]
async fn a_logout_a_login_and_a_shutdown_end_the_wait() {
    for what in 0..4 {
        let world = waiting_for(HOUR).await;
        world.server.script([limited("4")]);
        let callers = [world.ask(), world.ask()];
        world.server.arrived.notified().await;
        tokio::time::sleep(SECOND).await;
        let late = world.ask();
        tokio::time::sleep(SECOND).await;
        let start = Instant::now();
        let expected = match what {
            0 => {
                assert!(world.coordinator.shutdown(SECOND).await);
                Err(ErrorKind::Unavailable)
            }
            1 => {
                world.coordinator.logout("k").await.unwrap();
                Err(ErrorKind::LoggedOut)
            }
            2 => {
                world.coordinator.forget("k").await.unwrap();
                Err(ErrorKind::LoggedOut)
            }
            _ => {
                world.install(HOUR).await;
                Ok("access-2".to_owned())
            }
        };
        for caller in callers.into_iter().chain([late]) {
            let told = caller.await.unwrap().map(|token| token.expose_secret().to_owned());
            assert_eq!(told.map_err(|error| error.kind()), expected, "{what}");
        }
        assert!(start.elapsed() < SECOND / 10, "{what}: {:?}", start.elapsed());
        assert_eq!(world.server.submissions(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_process_brings_ends_the_wait_with_its_token() {
    let world = waiting_for(HOUR).await;
    world.server.script([limited("4")]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    tokio::time::sleep(SECOND).await;
    world.neighbour().install("k", world.server.login(HOUR)).await.unwrap();
    assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "access-2");
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_waits_through_failures_as_well() {
    let world = World::with(|builder| builder.wait_limit(SECOND * 15));
    world.install(HOUR).await;
    tokio::time::sleep(SECOND * 60).await;
    world.server.script([limited("1"), unavailable()]);
    assert_eq!(world.refuse().await.unwrap().unwrap(), "access-2");
    assert_eq!(world.server.submissions(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_background_refresh_waits_for_nothing_and_is_tried_again() {
    let world = World::new();
    world.install(HOUR).await;
    world.server.script([limited("2")]);
    tokio::time::sleep(SECOND * 3530).await;
    for _ in 0..4 {
        assert_eq!(world.token().now_or_never().unwrap().unwrap(), "access-1");
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(world.server.submissions(), 2);
}

/// A server of many credentials, which takes each refresh token once, and fails before that in ways that lose nothing.
struct Failing {
    /// By credential: the number of the refresh token that was issued last, and how many requests have failed since.
    newest: Mutex<Vec<(u32, u32)>>,
    random: Mutex<u64>,
    /// Of 100 requests, how many fail.
    percent: u64,
    /// When each request came: by credential.
    came: Mutex<Vec<Vec<Instant>>>,
}

impl Failing {
    fn new(seed: u64, percent: u64) -> Arc<Self> {
        let newest = Mutex::new(vec![(0, 0); CREDENTIALS]);
        let came = Mutex::new(vec![Vec::new(); CREDENTIALS]);
        Arc::new(Self { newest, random: Mutex::new(seed), percent, came })
    }

    fn random(&self, below: u64) -> u64 {
        let mut state = self.random.lock().unwrap();
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    fn answer(&self, refresh_token: &str) -> Result<Response<Full<Bytes>>, io::Error> {
        let (credential, number) = refresh_token.split_once('/').unwrap();
        let credential: usize = credential.parse().unwrap();
        self.came.lock().unwrap()[credential].push(Instant::now());
        let (newest, failed) = &mut self.newest.lock().unwrap()[credential];
        assert_eq!(number.parse(), Ok(*newest), "a refresh token is sent twice");
        if self.random(100) < self.percent {
            *failed += 1;
            let failed = match self.random(3) {
                0 => Response::builder().status(503),
                1 => Response::builder().status(429).header("retry-after", "1"),
                _ => return Err(io::ErrorKind::ConnectionRefused.into()),
            };
            return Ok(failed.body(Full::default()).unwrap());
        }
        (*newest, *failed) = (*newest + 1, 0);
        let answer = format!(
            r#"{{"access_token":"a-{credential}-{newest}","token_type":"Bearer","expires_in":600,"refresh_token":"{credential}/{newest}"}}"#
        );
        Ok(Response::new(Full::from(answer)))
    }

    /// How many requests in a row have failed by now.
    fn failed(&self, credential: usize) -> u32 {
        self.newest.lock().unwrap()[credential].1
    }

    async fn coordinator(self: &Arc<Self>, seed: u64) -> Arc<RefreshCoordinator> {
        let server = self.clone();
        let transport = tower::service_fn(move |request: Request<Full<Bytes>>| {
            let server = server.clone();
            async move {
                use http_body_util::BodyExt as _;
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
                tokio::time::sleep(SECOND / 50).await;
                server.answer(&form["refresh_token"])
            }
        });
        let clock = Arc::new(StepClock::new());
        let endpoint = http::Uri::from_static("https://as.example/token");
        let coordinator = RefreshCoordinator::builder(endpoint, ClientAuth::none("c"))
            .store(MemoryStore::with_clock(clock.clone()))
            .clock(clock)
            .seed(seed)
            .wait_limit(SECOND * 15)
            .refresh_ahead(false)
            .build(transport)
            .unwrap();
        for credential in 0..CREDENTIALS {
            let set = TokenSet::new("a").with_refresh_token(format!("{credential}/0"));
            let set = set.with_expires_in(Duration::ZERO);
            coordinator.install(format!("{credential}"), set).await.unwrap();
        }
        coordinator
    }
}

const CREDENTIALS: usize = 20;
const TIMES: usize = 80;
/// At least so many attempts of a credential fit into fifteen seconds: ten, or nine where so many others are limited
/// that the endpoint rests for most of the time.
const ATTEMPTS: u32 = 9;

fn rounds() -> u64 {
    std::env::var("VERIFY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// How many of 1,600 requests are not served: so many at once for each credential, so many times.
///
/// A request is not served only where all its attempts have failed, by chance. Of ten, that is the share 0.3^10 =
/// 0.0000059 of the refreshes, and of nine 0.3^9 = 0.0000197. Where each of 1,600 requests has a refresh of its own,
/// 0.9 % of the rounds have such a request with ten attempts, and 3.1 % with nine.
async fn unserved(seed: u64, at_once: usize, times: usize) -> usize {
    let server = Failing::new(seed, 30);
    let coordinator = server.coordinator(seed).await;
    let mut unserved = 0;
    for _ in 0..times {
        let start = Instant::now();
        let callers =
            (0..CREDENTIALS * at_once).map(|caller| coordinator.token(format!("{}", caller % CREDENTIALS)));
        let told = join_all(callers).await;
        assert!(start.elapsed() <= SECOND * 15, "{:?}", start.elapsed());
        for (caller, told) in told.into_iter().enumerate() {
            if let Err(error) = told {
                let failed = server.failed(caller % CREDENTIALS);
                assert!(failed >= ATTEMPTS, "{error:?} after {failed} attempts");
                unserved += 1;
            }
        }
        tokio::time::sleep(HOUR).await;
    }
    // Of whatever kind the failures are.
    for came in &*server.came.lock().unwrap() {
        assert!(came.windows(6).all(|six| six[5] - six[0] >= SECOND * 10), "{came:?}");
    }
    unserved
}

#[tokio::test(start_paused = true)]
async fn where_thirty_percent_fail_harmlessly_all_with_patience_are_served() {
    for seed in 2..2 + rounds() {
        assert_eq!(unserved(seed, TIMES, 1).await, 0, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_thirty_percent_fail_harmlessly_nine_attempts_are_made_for_each_refresh() {
    let mut not_served = 0;
    for seed in 2..2 + rounds() {
        let unserved = unserved(seed, 1, TIMES).await;
        // By chance, see there. Not in the first thirty of these seeds.
        assert!(unserved == 0 || seed > 31, "{unserved}, seed {seed}");
        not_served += unserved;
    }
    println!("{not_served} of {} not served", 1600 * rounds());
}
