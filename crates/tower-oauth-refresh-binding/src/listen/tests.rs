use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::HeaderValue;
use http::header::DATE;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::Value;
use tower::util::BoxCloneService;
use tower::{ServiceExt as _, service_fn};
use tower_oauth_refresh::{ErrorKind, RefreshCoordinator, TokenSet};
use tower_oauth_refresh_testkit::{ManualClock, TokioClock};

use super::*;
use crate::{Algorithm, AssertionSigner, SigningKey};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

fn signer(clock: impl Clock) -> AssertionSigner {
    AssertionSigner::new("https://as.example", SigningKey::hs256(SECRET).unwrap()).clock(Arc::new(clock))
}

/// An authorization server that takes no assertion from its future or past, nor one twice.
#[derive(Clone)]
struct Server {
    clock: TokioClock,
    /// What its `Date` says, if not the truth.
    front: Option<TokioClock>,
    status: u16,
    /// Whether it took what it was sent.
    taken: Arc<Mutex<Vec<bool>>>,
    ids: Arc<Mutex<HashSet<String>>>,
}

impl Server {
    fn new() -> Self {
        let (taken, ids) = Default::default();
        Self { clock: TokioClock::new(), front: None, status: 401, taken, ids }
    }

    fn answer(&self, request: &Bytes) -> Response<Full<Bytes>> {
        let form: Vec<_> = form_urlencoded::parse(request).into_owned().collect();
        let (_, assertion) = form.iter().find(|(name, _)| name == "client_assertion").unwrap();
        let claims = BASE64URL.decode(assertion.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let fresh = self.ids.lock().unwrap().insert(claims["jti"].as_str().unwrap().to_owned());
        assert!(fresh, "no assertion is sent twice");
        let now = Dated::default().since_1970(self.clock.now()).as_secs();
        let good = claims["iat"].as_u64().unwrap() <= now && now < claims["exp"].as_u64().unwrap();
        self.taken.lock().unwrap().push(good);
        let (status, body) = if good {
            (200, r#"{"access_token": "at-2", "refresh_token": "rt-2", "expires_in": 3600}"#)
        } else {
            (self.status, r#"{"error": "invalid_client"}"#)
        };
        let date = httpdate::fmt_http_date(self.front.as_ref().unwrap_or(&self.clock).now().wall);
        Response::builder().status(status).header(DATE, date).body(Full::from(body)).unwrap()
    }

    fn transport(&self) -> BoxCloneService<Request<Bytes>, Response<Full<Bytes>>, Infallible> {
        let server = self.clone();
        BoxCloneService::new(service_fn(move |request: Request<Bytes>| {
            std::future::ready(Ok(server.answer(request.body())))
        }))
    }

    fn coordinator(&self, signer: &AssertionSigner, clock: TokioClock) -> Arc<RefreshCoordinator> {
        let endpoint = "https://as.example/token".parse().unwrap();
        let builder = RefreshCoordinator::builder(endpoint, signer.client_auth("app")).clock(Arc::new(clock));
        builder.build(signer.listen(self.transport())).unwrap()
    }

    fn take_taken(&self) -> Vec<bool> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }
}

async fn install(coordinator: &Arc<RefreshCoordinator>, key: &str) {
    let old = TokenSet::new("at-1").with_refresh_token("rt-1").with_expires_in(Duration::ZERO);
    coordinator.install(key, old).await.unwrap();
}

// 7523-05, 7523-04
#[tokio::test(start_paused = true)]
async fn with_a_clock_an_hour_off_the_second_attempt_succeeds_and_from_then_on_the_first() {
    for (ahead, status) in [(true, 401), (false, 401), (true, 400), (false, 400)] {
        let server = Server { status, ..Server::new() };
        let ours = TokioClock::new();
        if ahead {
            ours.jump_wall_forward(HOUR);
        } else {
            ours.jump_wall_back(HOUR);
        }
        let coordinator = server.coordinator(&signer(ours.clone()), ours);
        install(&coordinator, "acme").await;
        assert_eq!(coordinator.token("acme").await.unwrap().expose_secret(), "at-2");
        assert_eq!(server.take_taken(), [false, true]);

        tokio::time::advance(HOUR * 50).await;
        install(&coordinator, "other").await;
        coordinator.token("other").await.unwrap();
        assert_eq!(server.take_taken(), [true], "also days later");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_somebody_sets_right_meanwhile_does_no_harm() {
    let (server, ours) = (Server::new(), TokioClock::new());
    ours.jump_wall_back(HOUR);
    let coordinator = server.coordinator(&signer(ours.clone()), ours.clone());
    install(&coordinator, "acme").await;
    coordinator.token("acme").await.unwrap();
    server.take_taken();
    ours.jump_wall_forward(HOUR);
    install(&coordinator, "other").await;
    coordinator.token("other").await.unwrap();
    assert_eq!(server.take_taken(), [true]);
}

#[tokio::test(start_paused = true)]
async fn logins_whose_assertions_take_long_to_sign_all_learn_the_time() {
    let (server, ours) = (Server::new(), TokioClock::new());
    ours.jump_wall_back(HOUR);
    let asked = Arc::new(AtomicU64::new(0));
    // A key management service: some answers take a tenth of a second, others two.
    let kms = SigningKey::callback(Algorithm::Hs256, move |_| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(Duration::from_millis(100 + number * 271 % 1900)).await;
            Ok(vec![0; 32])
        }
    });
    let signer = signer(ours.clone());
    signer.replace(kms);
    let coordinator = server.coordinator(&signer, ours);
    let logins: Vec<_> = (0..100).map(|number| format!("login-{number}")).collect();
    for login in &logins {
        install(&coordinator, login).await;
    }
    let tokens = join_all(logins.iter().map(|login| coordinator.token(login.as_str()))).await;
    let failed: Vec<_> = tokens.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_refused_for_another_reason_is_told_so() {
    let server = Server::new();
    // Nothing we sign is good enough, and the dates agree with ours.
    server.clock.jump_wall_forward(HOUR);
    let front = TokioClock::new();
    let server = Server { front: Some(front.clone()), ..server };
    let coordinator = server.coordinator(&signer(front.clone()), front);
    install(&coordinator, "acme").await;
    let error = coordinator.token("acme").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Configuration, Some("invalid_client")));
    assert_eq!(server.take_taken(), [false]);
}

#[tokio::test(start_paused = true)]
async fn a_date_that_is_not_that_of_the_clock_that_counts_is_given_up_again() {
    // A proxy an hour behind dates the answers, and for a time ours is as far ahead of both.
    let (front, ours) = (TokioClock::new(), TokioClock::new());
    front.jump_wall_back(HOUR);
    ours.jump_wall_forward(HOUR);
    let server = Server { front: Some(front), ..Server::new() };
    let coordinator = server.coordinator(&signer(ours.clone()), ours.clone());
    install(&coordinator, "acme").await;
    let error = coordinator.token("acme").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(server.take_taken(), [false, false], "by our own clock, then by the proxy's");

    ours.jump_wall_back(HOUR);
    tokio::time::advance(HOUR).await;
    coordinator.token("acme").await.unwrap();
    assert_eq!(server.take_taken(), [true], "by our own clock again");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_unknown_to_a_server_of_many_clocks_is_told_so() {
    // Each node has its own time, and none knows the client.
    let off = Arc::new(Mutex::new([600, -600].into_iter().cycle()));
    let clock = TokioClock::new();
    let asked = Arc::new(Mutex::new(0));
    let transport = service_fn({
        let (clock, asked) = (clock.clone(), asked.clone());
        move |_: Request<Bytes>| {
            *asked.lock().unwrap() += 1;
            let (off, now) = (off.lock().unwrap().next().unwrap(), clock.now().wall);
            let by = Duration::from_secs(i64::unsigned_abs(off));
            let date = httpdate::fmt_http_date(if off < 0 { now - by } else { now + by });
            std::future::ready(Ok::<_, Infallible>(refusal(&date).map(Full::<Bytes>::from)))
        }
    });
    let signer = signer(clock.clone());
    let endpoint = "https://as.example/token".parse().unwrap();
    let builder = RefreshCoordinator::builder(endpoint, signer.client_auth("app")).clock(Arc::new(clock));
    let coordinator = builder.build(signer.listen(transport)).unwrap();
    install(&coordinator, "acme").await;
    let error = coordinator.token("acme").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Configuration, Some("invalid_client")));
    assert_eq!(*asked.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_clock_is_set_later_is_listened_to_again() {
    let (server, ours) = (Server::new(), TokioClock::new());
    ours.jump_wall_back(HOUR);
    let coordinator = server.coordinator(&signer(ours.clone()), ours);
    install(&coordinator, "acme").await;
    coordinator.token("acme").await.unwrap();
    server.take_taken();
    server.clock.jump_wall_forward(HOUR);
    install(&coordinator, "other").await;
    coordinator.token("other").await.unwrap();
    assert_eq!(server.take_taken(), [false, true]);
}

/// One request through a listening transport that gets this answer.
fn hear(
    signer: &AssertionSigner,
    answer: Response<&str>,
) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError> {
    let (parts, body) = answer.into_parts();
    let answer = Response::from_parts(parts, Full::<Bytes>::from(body.to_owned()));
    let transport = service_fn(move |_: Request<()>| std::future::ready(Ok::<_, Infallible>(answer.clone())));
    signer.listen(transport).oneshot(signed(signer)).now_or_never().unwrap()
}

/// A request whose assertion was made just now.
fn signed(signer: &AssertionSigner) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(signer.time.current());
    request
}

fn refusal(date: &str) -> Response<&'static str> {
    let answer = Response::builder().status(401).header(DATE, HeaderValue::from_str(date).unwrap());
    answer.body(r#"{"error": "invalid_client"}"#).unwrap()
}

fn dated(clock: &ManualClock, off: i64) -> String {
    let (wall, by) = (clock.now().wall, Duration::from_secs(off.unsigned_abs()));
    httpdate::fmt_http_date(if off < 0 { wall - by } else { wall + by })
}

fn iat(signer: &AssertionSigner) -> i64 {
    let learned = signer.time.current().since_1970(signer.clock.now()).as_secs();
    let ours = Dated::default().since_1970(ManualClock::new().now()).as_secs();
    learned.cast_signed() - ours.cast_signed()
}

// 7523-05
#[test]
fn a_date_of_more_than_a_day_off_is_not_believed() {
    let clock = ManualClock::new();
    let day = DAY.as_secs().cast_signed();
    for (off, believed) in [(day, true), (-day, true), (day + 1, false), (-day - 1, false), (3 * day, false)]
    {
        let signer = signer(clock.clone());
        let answer = hear(&signer, refusal(&dated(&clock, off)));
        assert_eq!((answer.is_err(), iat(&signer)), (believed, if believed { off } else { 0 }), "{off}");
    }
}

#[test]
fn within_two_seconds_the_clocks_agree() {
    let clock = ManualClock::new();
    for (off, agree) in [(0, true), (2, true), (-2, true), (3, false), (-3, false)] {
        let signer = signer(clock.clone());
        let answer = hear(&signer, refusal(&dated(&clock, off)));
        assert_eq!((answer.is_ok(), iat(&signer)), (agree, if agree { 0 } else { off }), "{off}");
    }
}

// 7523-05
#[test]
fn no_assertion_is_dated_ahead_of_the_server() {
    let clock = ManualClock::new();
    // The field leaves out what is left of its second.
    clock.advance(Duration::from_millis(900));
    let signer = signer(clock.clone());
    hear(&signer, refusal(&dated(&clock, 600))).unwrap_err();
    let server = |clock: &ManualClock| clock.now().wall + Duration::from_secs(600);
    let dated = |clock: &ManualClock| signer.time.current().at(clock.now());
    for _ in 0..100 {
        assert!(dated(&clock) <= server(&clock));
        assert!(dated(&clock) + Duration::from_secs(1) > server(&clock));
        clock.advance(Duration::from_millis(12_345));
    }
}

#[test]
fn a_refusal_of_the_client_by_its_time_is_as_good_as_an_attempt_not_sent() {
    let clock = ManualClock::new();
    for (status, body) in [
        (400, r#"{"error": "invalid_client", "error_description": "iat"}"#),
        (400, r#"{"error": "unauthorized_client"}"#),
        (401, r#"{"error": "invalid_client"}"#),
        (401, "<html>"),
        (401, ""),
    ] {
        let answer = Response::builder().status(status).header(DATE, dated(&clock, 600)).body(body).unwrap();
        let signer = signer(clock.clone());
        let error = hear(&signer, answer).expect_err(body);
        assert!(error.is::<NotSent>(), "{error}");
        assert_eq!(iat(&signer), 600);
    }
}

#[test]
fn any_other_answer_passes_and_teaches_nothing() {
    let clock = ManualClock::new();
    let date = dated(&clock, 600);
    for (status, date, body) in [
        (200, date.as_str(), r#"{"access_token": "at", "error": "invalid_client"}"#),
        (400, &date, r#"{"error": "invalid_grant"}"#),
        (400, &date, r#"{"error": "use_dpop_nonce"}"#),
        (401, &date, r#"{"error": "use_dpop_nonce"}"#),
        (400, &date, "<html>"),
        (403, &date, r#"{"error": "invalid_client"}"#),
        (503, &date, r#"{"error": "invalid_client"}"#),
        (401, "", r#"{"error": "invalid_client"}"#),
        (401, "yesterday", r#"{"error": "invalid_client"}"#),
        (401, "Thu, 99 Nov 2023 22:13:20 GMT", r#"{"error": "invalid_client"}"#),
        (401, "Thu, 01 Jan 1970 00:00:00 GMT", r#"{"error": "invalid_client"}"#),
    ] {
        let answer = Response::builder().status(status).header(DATE, date).header("dpop-nonce", "n");
        let signer = signer(clock.clone());
        let heard = hear(&signer, answer.body(body).unwrap()).unwrap();
        assert_eq!(
            (heard.status().as_u16(), &heard.headers()["dpop-nonce"]),
            (status, &"n".parse().unwrap())
        );
        let passed = heard.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
        assert_eq!((passed, iat(&signer)), (Bytes::from(body), 0));
    }
}

#[test]
fn two_refusals_of_one_mistake_are_one_lesson() {
    let clock = ManualClock::new();
    let signer = signer(clock.clone());
    let before = signer.time.current();
    hear(&signer, refusal(&dated(&clock, 600))).unwrap_err();
    let (now, date) = (clock.now(), clock.now().wall + Duration::from_secs(600));
    assert!(signer.time.learn(&before, date, now), "the other one was dated by our clock, too");
    assert_eq!(iat(&signer), 600);
    // One that was dated by the server's, and before that was replaced, takes nothing back.
    let used = signer.time.current();
    used.prove();
    assert!(signer.time.learn(&before, date + Duration::from_secs(600), now));
    assert!(!signer.time.learn(&used, date, now));
    assert_eq!(iat(&signer), 1200);
}

#[test]
fn clones_and_keys_that_come_later_have_the_time() {
    let clock = ManualClock::new();
    let signer = signer(clock.clone());
    let clone = signer.clone();
    hear(&signer, refusal(&dated(&clock, -600))).unwrap_err();
    clone.replace(SigningKey::hs256(SECRET).unwrap());
    assert_eq!(iat(&clone), -600);
}

#[test]
fn a_body_that_takes_its_time_does_not_count() {
    let clock = ManualClock::new();
    let signer = signer(clock.clone());
    let (parts, body) = refusal(&dated(&clock, 600)).into_parts();
    let slow = futures_util::stream::once(async move {
        clock.advance(Duration::from_secs(9));
        Ok::<_, Infallible>(Frame::data(Bytes::from(body)))
    });
    let answer = Mutex::new(Some(Response::from_parts(parts, StreamBody::new(Box::pin(slow)))));
    let transport = service_fn(|_: Request<()>| {
        let answer = answer.lock().unwrap().take().unwrap();
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    signer.listen(transport).oneshot(signed(&signer)).now_or_never().unwrap().unwrap_err();
    assert_eq!(iat(&signer), 609);
}

#[test]
fn a_refusal_that_breaks_off_leaves_doubt() {
    let signer = signer(ManualClock::new());
    let transport = |over: usize| {
        service_fn(move |_: Request<()>| {
            let body = Full::new(Bytes::from(vec![b' '; 1024 * 1024 + over]));
            let answer = Response::builder().status(401).body(body).unwrap();
            std::future::ready(Ok::<_, Infallible>(answer))
        })
    };
    let hear = |over| signer.listen(transport(over)).oneshot(signed(&signer)).now_or_never().unwrap();
    hear(0).unwrap();
    let error = hear(1).unwrap_err();
    assert!(error.is::<BrokenOff>() && error.source().is_none(), "{error:?}");
}

/// A refresh token may be in what has come.
#[test]
fn of_a_success_that_breaks_off_what_came_passes() {
    let signer = signer(ManualClock::new());
    let frames = [Ok(Frame::data(Bytes::from("{"))), Err("connection reset")];
    let answer = Mutex::new(Some(Response::new(StreamBody::new(futures_util::stream::iter(frames)))));
    let transport = service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(answer.lock().unwrap().take().unwrap()))
    });
    let heard = signer.listen(transport).oneshot(signed(&signer)).now_or_never().unwrap().unwrap();
    let mut body = heard.into_body();
    assert_eq!(body.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap(), "{");
    body.frame().now_or_never().unwrap().unwrap().unwrap_err();
}

#[test]
fn an_answer_to_a_request_without_an_assertion_teaches_nothing() {
    let clock = ManualClock::new();
    let signer = signer(clock.clone());
    let answer = refusal(&dated(&clock, 600)).map(Full::<Bytes>::from);
    let transport = service_fn(|_: Request<()>| std::future::ready(Ok::<_, Infallible>(answer.clone())));
    signer.listen(transport).oneshot(Request::new(())).now_or_never().unwrap().unwrap();
    assert_eq!(iat(&signer), 0);
}
