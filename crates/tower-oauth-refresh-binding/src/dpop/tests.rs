use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer as _, ServiceExt as _, service_fn};
use tower_oauth_refresh::{ClientAuth, NotSent, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet};
use tower_oauth_refresh_testkit::ManualClock;

use super::*;

fn dpop() -> Dpop {
    Dpop::new(DpopKey::generate().unwrap()).clock(Arc::new(ManualClock::new()))
}

/// The requests so far.
type Seen = Arc<Mutex<Vec<HeaderMap>>>;

/// Answers with these statuses and nonces, one after the other, then with nothing but 200.
fn network(
    seen: &Seen,
    answers: &'static [(u16, &'static str)],
) -> BoxCloneService<Request<()>, Response<Full<Bytes>>, BoxError> {
    let seen = Arc::clone(seen);
    BoxCloneService::new(service_fn(move |request: Request<()>| {
        let mut seen = seen.lock().unwrap();
        let (status, nonce) = answers.get(seen.len()).copied().unwrap_or((200, ""));
        seen.push(request.headers().clone());
        let answer =
            Response::builder().status(status).header("dpop-nonce", nonce).body(Full::default()).unwrap();
        std::future::ready(Ok::<_, BoxError>(answer))
    }))
}

fn request(uri: &str, authorization: &str) -> Request<()> {
    Request::get(uri).header(AUTHORIZATION, authorization).body(()).unwrap()
}

fn claims(headers: &HeaderMap) -> Value {
    let proof = headers["dpop"].to_str().unwrap();
    serde_json::from_slice(&BASE64URL.decode(proof.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn last(seen: &Seen) -> HeaderMap {
    seen.lock().unwrap().last().unwrap().clone()
}

#[tokio::test]
async fn a_request_with_a_bound_token_gets_a_proof_and_others_are_left_alone() {
    let seen = Seen::default();
    let client = dpop().client(network(&seen, &[]));
    for scheme in ["DPoP", "dpop", "DPOP "] {
        client.clone().oneshot(request("https://api.example/x?y", &format!("{scheme} at-1"))).await.unwrap();
        let claims = claims(&last(&seen));
        assert_eq!(claims["htu"], "https://api.example/x");
        assert_eq!(claims["htm"], "GET");
        assert_eq!(claims["iat"], 1_700_000_000);
        let hash = ring::digest::digest(&ring::digest::SHA256, b"at-1");
        assert_eq!(claims["ath"], BASE64URL.encode(hash));
        assert!(last(&seen)["dpop"].is_sensitive());
    }
    for other in ["Bearer at-1", "Basic eDp5", "DPoP", "DPoPat-1 x", ""] {
        client.clone().oneshot(request("https://api.example/x", other)).await.unwrap();
        assert!(!last(&seen).contains_key("dpop"), "{other}");
    }
    let mut theirs = request("https://api.example/x", "DPoP at-1");
    theirs.headers_mut().insert("dpop", HeaderValue::from_static("their own"));
    client.oneshot(theirs).await.unwrap();
    assert_eq!(last(&seen)["dpop"], "their own");
}

#[tokio::test]
async fn every_request_to_an_endpoint_gets_a_proof_without_ath() {
    let seen = Seen::default();
    let endpoint = dpop().endpoint(network(&seen, &[]));
    let post = || Request::post("https://as.example/token").header("dpop", "old").body(()).unwrap();
    for _ in 0..2 {
        endpoint.clone().oneshot(post()).await.unwrap();
    }
    let seen = seen.lock().unwrap();
    let (first, second) = (claims(&seen[0]), claims(&seen[1]));
    assert_eq!(first["htm"], "POST");
    assert!(first.get("ath").is_none() && first.get("nonce").is_none());
    assert_ne!(first["jti"], second["jti"]);
    assert_eq!(seen[0].get_all("dpop").iter().count(), 1);
}

#[tokio::test]
async fn a_nonce_is_learned_from_whatever_answer_has_one_and_sent_to_its_origin_alone() {
    // 9449-09 and 9449-12: from a success, a refusal, a failure.
    let seen = Seen::default();
    let dpop = dpop();
    let client = dpop.client(network(&seen, &[(200, "n-1"), (401, "n-2"), (503, "n-3"), (200, "not one")]));
    let mut nonces = Vec::new();
    for _ in 0..5 {
        client.clone().oneshot(request("https://api.example/", "DPoP at-1")).await.unwrap();
        nonces.push(claims(&last(&seen))["nonce"].clone());
    }
    assert_eq!(nonces, [Value::Null, "n-1".into(), "n-2".into(), "n-3".into(), "n-3".into()]);

    // 9449-10.
    for other in ["https://api.example:8443/", "https://as.example/", "http://127.0.0.1/"] {
        client.clone().oneshot(request(other, "DPoP at-1")).await.unwrap();
        assert!(claims(&last(&seen)).get("nonce").is_none(), "{other}");
    }
    // Both services of one `Dpop` know the same nonces: an API may live where the token endpoint does.
    let endpoint = dpop.endpoint(network(&seen, &[]));
    endpoint.oneshot(request("https://api.example/token", "")).await.unwrap();
    assert_eq!(claims(&last(&seen))["nonce"], "n-3");
}

#[tokio::test]
async fn a_nonce_on_the_answer_to_a_request_without_a_proof_counts_as_well() {
    let seen = Seen::default();
    let client = dpop().client(network(&seen, &[(200, "n-1")]));
    client.clone().oneshot(request("https://api.example/", "Bearer at-1")).await.unwrap();
    client.oneshot(request("https://api.example/", "DPoP at-1")).await.unwrap();
    assert_eq!(claims(&last(&seen))["nonce"], "n-1");
}

#[tokio::test]
async fn what_cannot_be_proved_is_not_sent_and_says_why() {
    let seen = Seen::default();
    let dpop = dpop();
    for uri in ["http://api.example/", "/relative"] {
        let error = dpop.client(network(&seen, &[])).oneshot(request(uri, "DPoP at-1")).await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(DpopError::Target(_))), "{error:?}");
        let error = dpop.endpoint(network(&seen, &[])).oneshot(request(uri, "")).await.unwrap_err();
        assert!(error.is::<NotSent>(), "{error:?}");
        assert!(error.source().unwrap().is::<DpopError>());
    }
    assert!(seen.lock().unwrap().is_empty());
    // Nothing to prove: what becomes of it is the client's business.
    dpop.client(network(&seen, &[])).oneshot(request("/relative", "Bearer at-1")).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_late_answer_brings_no_older_nonce_back() {
    let (early, answer) = tokio::sync::oneshot::channel();
    let answer = Arc::new(Mutex::new(Some(answer)));
    let seen = Seen::default();
    let network = service_fn({
        let seen = Arc::clone(&seen);
        move |request: Request<()>| {
            seen.lock().unwrap().push(request.headers().clone());
            let waits = answer.lock().unwrap().take();
            async move {
                let nonce = if let Some(answer) = waits { answer.await.unwrap() } else { "newer" };
                Ok::<_, BoxError>(Response::builder().header("dpop-nonce", nonce).body(()).unwrap())
            }
        }
    });
    let client = dpop().client(network);
    let get = || request("https://api.example/", "DPoP at-1");
    let mut first = Box::pin(client.clone().oneshot(get()));
    assert!((&mut first).now_or_never().is_none(), "its answer is late");
    client.clone().oneshot(get()).await.unwrap();
    early.send("older").unwrap();
    first.await.unwrap();
    client.clone().oneshot(get()).await.unwrap();
    assert_eq!(claims(&last(&seen))["nonce"], "newer");
}

#[tokio::test]
async fn each_login_proves_with_its_own_key_and_one_without_sends_nothing() {
    let seen = Seen::default();
    let dpop = Dpop::per_login().clock(Arc::new(ManualClock::new()));
    let keys = [DpopKey::generate().unwrap(), DpopKey::generate().unwrap()];
    for key in &keys {
        let mut request = request("https://api.example/", "DPoP at-1");
        request.extensions_mut().insert(key.bound_key().unwrap());
        dpop.client(network(&seen, &[])).oneshot(request).await.unwrap();
    }
    let header =
        |headers: &HeaderMap| headers["dpop"].to_str().unwrap().split_once('.').unwrap().0.to_owned();
    let headers: Vec<_> = seen.lock().unwrap().iter().map(header).collect();
    assert_ne!(headers[0], headers[1]);

    let broken = |key: Option<BoundKey>| {
        let mut request = request("https://api.example/", "DPoP at-1");
        key.and_then(|key| request.extensions_mut().insert(key));
        request
    };
    let error = dpop.client(network(&seen, &[])).oneshot(broken(None)).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&DpopError::NoKey));
    let error = dpop.endpoint(network(&seen, &[])).oneshot(broken(None)).await.unwrap_err();
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&DpopError::NoKey));
    let damaged = broken(Some(BoundKey::new(*b"damaged")));
    let error = dpop.client(network(&seen, &[])).oneshot(damaged).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(DpopError::UnusableKey(_))), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 2, "and nothing goes out as a bearer token instead");

    dpop.client(network(&seen, &[])).oneshot(request("https://api.example/", "Bearer at-1")).await.unwrap();
}

#[tokio::test]
async fn a_login_with_a_key_of_its_own_is_proved_with_that_and_not_with_the_client_s() {
    let (seen, own) = (Seen::default(), DpopKey::generate().unwrap());
    let dpop = dpop();
    let mut bound = request("https://api.example/", "DPoP at-1");
    bound.extensions_mut().insert(own.bound_key().unwrap());
    dpop.client(network(&seen, &[])).oneshot(bound.clone()).await.unwrap();
    dpop.endpoint(network(&seen, &[])).oneshot(bound).await.unwrap();
    Dpop::new(own)
        .client(network(&seen, &[]))
        .oneshot(request("https://api.example/", "DPoP at-1"))
        .await
        .unwrap();
    dpop.client(network(&seen, &[])).oneshot(request("https://api.example/", "DPoP at-1")).await.unwrap();
    let public =
        |headers: &HeaderMap| headers["dpop"].to_str().unwrap().split_once('.').unwrap().0.to_owned();
    let keys: Vec<_> = seen.lock().unwrap().iter().map(public).collect();
    assert!(keys[0] == keys[2] && keys[1] == keys[2] && keys[3] != keys[2], "{keys:?}");
}

#[tokio::test]
async fn errors_of_the_client_pass_through() {
    let broken = service_fn(async |_: Request<()>| {
        Err::<Response<Full<Bytes>>, BoxError>(Box::new(std::io::Error::from(
            std::io::ErrorKind::ConnectionRefused,
        )))
    });
    let error = dpop().endpoint(broken).oneshot(request("https://as.example/", "")).await.unwrap_err();
    assert!(error.is::<std::io::Error>());
}

#[tokio::test]
async fn nothing_is_sent_twice_here() {
    let seen = Seen::default();
    let client = dpop().client(network(&seen, &[(401, "n-1"), (401, "n-2")]));
    let answer = client.oneshot(request("https://api.example/", "DPoP at-1")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn nothing_shows_a_nonce_or_a_key() {
    let dpop = dpop();
    let shown = format!("{dpop:?} {:?}", dpop.client("Bearer hunter2"));
    assert!(shown.contains("thumbprint") && !shown.contains("hunter2"), "{shown}");
}

/// A server that takes no proof from its future or past, and whether it took those so far.
#[derive(Clone)]
struct Strict {
    clock: ManualClock,
    /// What its `Date` says, if not the truth.
    front: ManualClock,
    taken: Arc<Mutex<Vec<bool>>>,
}

impl Strict {
    fn new(clock: ManualClock) -> Self {
        Self { front: clock.clone(), clock, taken: Arc::default() }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let seconds = |clock: &ManualClock| {
            clock.now().wall.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs()
        };
        let good = claims(request.headers())["iat"].as_u64().unwrap().abs_diff(seconds(&self.clock)) <= 60;
        self.taken.lock().unwrap().push(good);
        let date = httpdate::fmt_http_date(self.front.now().wall);
        let answer = Response::builder().header("date", date).header("dpop-nonce", "n-1");
        let answer = match (good, request.uri().path()) {
            (true, "/token") => answer.body(
                r#"{"access_token": "at-2", "token_type": "DPoP", "refresh_token": "rt-2", "expires_in": 3600}"#,
            ),
            (false, "/token") => answer.status(400).body(r#"{"error": "invalid_dpop_proof"}"#),
            (true, _) => answer.body(""),
            (false, _) => {
                answer.status(401).header("www-authenticate", r#"DPoP error="invalid_dpop_proof""#).body("")
            }
        };
        answer.unwrap().map(Full::from)
    }

    fn service<B: 'static>(&self) -> BoxCloneService<Request<B>, Response<Full<Bytes>>, BoxError> {
        let server = self.clone();
        BoxCloneService::new(service_fn(move |request: Request<B>| {
            std::future::ready(Ok::<_, BoxError>(server.answer(&request)))
        }))
    }

    fn take_taken(&self) -> Vec<bool> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }
}

/// A clock this many seconds off the other tests' clock.
fn off(seconds: i64) -> ManualClock {
    let (clock, by) = (ManualClock::new(), Duration::from_secs(seconds.unsigned_abs()));
    if seconds < 0 {
        clock.jump_wall_back(by);
    } else {
        clock.jump_wall_forward(by);
    }
    clock
}

// 9449-06
#[tokio::test]
async fn with_a_clock_an_hour_off_each_server_refuses_one_proof_and_no_login_is_lost() {
    for seconds in [3600, -3600] {
        let (auth, api) = (Strict::new(off(seconds)), Strict::new(off(-seconds)));
        let dpop = dpop();
        let endpoint = "https://as.example/token".parse().unwrap();
        let builder = RefreshCoordinator::builder(endpoint, ClientAuth::none("app"));
        let builder = builder.dpop().clock(Arc::new(ManualClock::new()));
        let coordinator = builder.build(dpop.endpoint(auth.service::<Bytes>())).unwrap();
        let old = TokenSet::new("at-1").with_refresh_token("rt-1").with_expires_in(Duration::ZERO);
        coordinator.install("acme", old).await.unwrap();
        assert_eq!(coordinator.token("acme").await.unwrap().expose_secret(), "at-2");
        assert_eq!(auth.take_taken(), [false, true]);

        let layer = RefreshLayer::new(coordinator, "acme").origin("https://api.example".parse().unwrap());
        let client = layer.layer(dpop.client(api.service::<ReplayBody<Full<Bytes>>>()));
        for expected in [&[false, true][..], &[true]] {
            let request = Request::get("https://api.example/").body(Full::<Bytes>::default()).unwrap();
            assert_eq!(client.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
            assert_eq!(api.take_taken(), expected);
        }
        assert!(auth.take_taken().is_empty(), "no refresh for it");
    }
}

#[tokio::test]
async fn a_date_that_does_not_help_a_proof_is_given_up_again() {
    // A proxy an hour behind dates the answers, and for a time ours is as far ahead of both.
    let ours = off(3600);
    let api = Strict { front: off(-3600), ..Strict::new(off(0)) };
    let dpop = Dpop::new(DpopKey::generate().unwrap()).clock(Arc::new(ours.clone()));
    let client = dpop.client(api.service());
    for _ in 0..2 {
        client.clone().oneshot(request("https://api.example/", "DPoP at-1")).await.unwrap();
    }
    ours.jump_wall_back(Duration::from_secs(3600));
    client.oneshot(request("https://api.example/", "DPoP at-1")).await.unwrap();
    assert_eq!(api.take_taken(), [false, false, true], "by our own clock again");
}

#[tokio::test]
async fn an_answer_that_is_not_about_the_proof_sets_no_time_of_proofs() {
    let date = httpdate::fmt_http_date(off(600).now().wall);
    for (status, challenge, body) in [
        (401, r#"DPoP error="invalid_token""#, "{}"),
        (401, "DPoP", r#"{"error": "invalid_client"}"#),
        (400, "DPoP", r#"{"error": "use_dpop_nonce"}"#),
        (200, r#"DPoP error="invalid_dpop_proof""#, r#"{"error": "invalid_dpop_proof"}"#),
    ] {
        let seen = Seen::default();
        let network = service_fn({
            let (seen, date) = (Arc::clone(&seen), date.clone());
            move |request: Request<()>| {
                seen.lock().unwrap().push(request.headers().clone());
                let answer = Response::builder().status(status).header("date", &date);
                let answer = answer.header("www-authenticate", challenge).body(Full::<Bytes>::from(body));
                std::future::ready(Ok::<_, BoxError>(answer.unwrap()))
            }
        });
        let dpop = dpop();
        for _ in 0..2 {
            dpop.client(network.clone()).oneshot(request("https://a.example/", "DPoP at")).await.unwrap();
            let answer = dpop.endpoint(network.clone()).oneshot(request("https://b.example/", "")).await;
            assert_eq!(answer.unwrap().into_body().collect().await.unwrap().to_bytes(), body);
        }
        let dated: Vec<_> = seen.lock().unwrap().iter().map(|sent| claims(sent)["iat"].clone()).collect();
        assert_eq!(dated, [1_700_000_000; 4]);
    }
}
