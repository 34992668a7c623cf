//! The layer by itself: a scripted API below it, one coordinator behind it.

mod challenges;
mod nonce;
mod panics;
mod refusals;
mod unmanaged;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use allocation_counter::measure;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;
use crate::coordinator::{OriginId, Refusal};
use crate::tests::{until, within};
use crate::{
    Builder, ClientAuth, Clock, Now, RefreshCoordinator, RefreshError, RefreshLayer, RefreshReport,
    ReplayOutcome, SystemClock, TokenSet,
};

type Api =
    tower::util::BoxCloneSyncService<Request<ReplayBody<Full<Bytes>>>, Response<Full<Bytes>>, BoxError>;

/// What the API saw of a request.
#[derive(Debug, PartialEq)]
struct Seen {
    token: String,
    body: Bytes,
}

#[derive(Default)]
struct World {
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<VecDeque<Response<Full<Bytes>>>>,
}

impl World {
    /// Answers as scripted, then with 200.
    fn api(self: &Arc<Self>) -> Api {
        let world = self.clone();
        Api::new(service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
            let world = world.clone();
            async move {
                assert!(request.headers().get_all(AUTHORIZATION).iter().count() <= 1, "two tokens");
                let header = request.headers().get(AUTHORIZATION);
                // The caller's own is as the caller has made it.
                assert!(header.is_none_or(|value| value.is_sensitive() || value == "Basic own"));
                let token = header.map_or("", |value| value.to_str().unwrap()).to_owned();
                let body = request.into_body().collect().await?.to_bytes();
                world.seen.lock().unwrap().push(Seen { token, body });
                Ok(world.answers.lock().unwrap().pop_front().unwrap_or_default())
            }
        }))
    }

    fn then(&self, status: u16, headers: &[(&'static str, &'static str)], body: &'static str) {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        self.answers.lock().unwrap().push_back(answer.body(Full::from(body)).unwrap());
    }

    fn tokens(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.token.clone()).collect()
    }
}

async fn coordinator() -> Arc<RefreshCoordinator> {
    coordinator_at(Arc::new(SystemClock)).await
}

async fn coordinator_at(clock: Arc<dyn Clock>) -> Arc<RefreshCoordinator> {
    coordinator_with(|builder| builder.clock(clock), "Bearer").await
}

async fn coordinator_with(
    adjust: impl FnOnce(Builder) -> Builder,
    token_type: &'static str,
) -> Arc<RefreshCoordinator> {
    let issued = Arc::new(std::sync::atomic::AtomicU32::new(1));
    let endpoint = service_fn(move |_: Request<Full<Bytes>>| {
        let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
        let body = format!(
            r#"{{"access_token":"at-{number}","expires_in":3600,"refresh_token":"rt-{number}","token_type":"{token_type}"}}"#
        );
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body))))
    });
    let endpoint = tower::util::BoxCloneSyncService::new(endpoint);
    let uri = http::Uri::from_static("https://as.example/token");
    let builder = adjust(RefreshCoordinator::builder(uri, ClientAuth::none("c")));
    let coordinator = builder.build(endpoint).unwrap();
    let mut set = TokenSet::new("at-1").with_refresh_token("rt-1").with_expires_in(Duration::from_secs(3600));
    token_type.clone_into(&mut set.token_type);
    coordinator.install("k", set).await.unwrap();
    coordinator
}

/// Seconds since some day in 1970, moved by the test.
#[derive(Debug, Default)]
struct ByHand(AtomicU64);

impl Clock for ByHand {
    fn now(&self) -> Now {
        let passed = Duration::from_secs(1_000_000 + self.0.load(Ordering::SeqCst));
        Now::new(UNIX_EPOCH + passed, passed)
    }
}

async fn layered(world: &Arc<World>) -> (Refresh<Api>, Arc<RefreshCoordinator>) {
    let coordinator = coordinator().await;
    let layer = RefreshLayer::new(coordinator.clone(), "k").origin("https://api.example".parse().unwrap());
    (layer.layer(world.api()), coordinator)
}

fn post(uri: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(uri).body(Full::from(body)).unwrap()
}

fn report<B>(response: &Response<B>) -> Option<&ReplayOutcome> {
    response.extensions().get::<RefreshReport>().map(|report| &report.outcome)
}

const INVALID_TOKEN: &[(&str, &str)] = &[("www-authenticate", r#"Bearer error="invalid_token""#)];
const URI: &str = "https://api.example/things";

// MCP-01
#[tokio::test]
async fn the_token_is_attached_and_marked_sensitive_and_nothing_is_reported() {
    let world = Arc::<World>::default();
    let (client, _) = layered(&world).await;
    let response = client.oneshot(post(URI, "hello")).await.unwrap();
    assert!(response.extensions().is_empty());
    assert_eq!(*world.seen.lock().unwrap(), [Seen { token: "Bearer at-1".into(), body: "hello".into() }]);
}

#[tokio::test]
async fn a_refused_request_is_sent_once_more_with_a_new_token_and_the_same_body() {
    let world = Arc::<World>::default();
    world.then(401, INVALID_TOKEN, "refused");
    let (client, _) = layered(&world).await;
    let response = client.oneshot(post(URI, "hello")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(matches!(report(&response), Some(ReplayOutcome::Replayed(generation)) if generation.get() == 2));
    let seen = world.seen.lock().unwrap();
    assert_eq!(seen.iter().map(|seen| &*seen.token).collect::<Vec<_>>(), ["Bearer at-1", "Bearer at-2"]);
    assert!(seen.iter().all(|seen| seen.body == "hello"));
}

#[test]
fn a_refused_request_is_replayed_outside_of_tokio_too() {
    let world = Arc::<World>::default();
    world.then(401, INVALID_TOKEN, "of another request");
    world.then(200, &[], "its replay");
    world.then(401, INVALID_TOKEN, "refused");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut client, _) = runtime.block_on(layered(&world));
    // It has the older token, and is polled once there is a newer one.
    let request = client.call(post(URI, "hello"));
    runtime.block_on(client.oneshot(post(URI, ""))).unwrap();
    let response = request.now_or_never().unwrap().unwrap();
    assert!(matches!(report(&response), Some(ReplayOutcome::Replayed(_))));
    assert_eq!(world.tokens(), ["Bearer at-1", "Bearer at-2", "Bearer at-1", "Bearer at-2"]);
}

#[tokio::test]
async fn the_second_refusal_is_the_answer() {
    let world = Arc::<World>::default();
    world.then(401, INVALID_TOKEN, "first");
    world.then(401, INVALID_TOKEN, "second");
    let (client, _) = layered(&world).await;
    let response = client.oneshot(post(URI, "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "second");
    assert_eq!(world.tokens().len(), 2);
}

#[tokio::test]
async fn a_refused_answer_has_been_read_when_the_request_is_sent_again() {
    for newer_is_there in [false, true] {
        let coordinator = coordinator().await;
        let (refreshes, read) = (coordinator.clone(), Arc::new(AtomicU64::new(0)));
        let api = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
            let (refreshes, read) = (refreshes.clone(), read.clone());
            async move {
                let first = request.headers()[AUTHORIZATION] == "Bearer at-1";
                if first && newer_is_there {
                    let slot = refreshes.slot(&"k".into());
                    let used = slot.current.load_full().unwrap().id();
                    let refused = refreshes.refused(&slot, used, OriginId::default());
                    let Refusal::Wait(refreshed) = refused else { panic!("{refused:?}") };
                    refreshed.wait().await.unwrap();
                }
                assert_eq!(read.load(Ordering::SeqCst), if first { 0 } else { 3 });
                let frames = futures_util::stream::iter(0..3).map(move |_| {
                    read.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, Infallible>(http_body::Frame::data(Bytes::from("a")))
                });
                let body = http_body_util::StreamBody::new(frames);
                let answer = Response::builder().status(if first { 401 } else { 200 }).body(body);
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        let layer = RefreshLayer::new(coordinator, "k").origin("https://api.example".parse().unwrap());
        let response = layer.layer(api).oneshot(post(URI, "")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn the_second_refusal_is_the_answer_however_late_it_comes() {
    let clock = Arc::<ByHand>::default();
    let coordinator = coordinator_at(clock.clone()).await;
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let api = service_fn(move |_: Request<ReplayBody<Full<Bytes>>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        // By then no new token is left alone any more.
        clock.0.fetch_add(60, Ordering::SeqCst);
        let refused = Response::builder().status(401).body(Full::<Bytes>::default());
        std::future::ready(Ok::<_, Infallible>(refused.unwrap()))
    });
    let layer = RefreshLayer::new(coordinator, "k").origin("https://api.example".parse().unwrap());
    layer.layer(api).oneshot(post(URI, "")).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_api_that_refuses_every_token_costs_ever_fewer_refreshes_however_rarely_asked() {
    let world = Arc::<World>::default();
    let clock = Arc::<ByHand>::default();
    let coordinator = coordinator_at(clock.clone()).await;
    let layer = RefreshLayer::new(coordinator, "k").origin("https://api.example".parse().unwrap());
    let client = layer.layer(world.api());
    for _ in 0..5 {
        world.then(401, INVALID_TOKEN, "");
        world.then(401, INVALID_TOKEN, "");
        client.clone().oneshot(post(URI, "")).await.unwrap();
        world.answers.lock().unwrap().clear();
        clock.0.fetch_add(7, Ordering::SeqCst);
    }
    // At 0, 7, 14, 21 and 28 s: refreshed at once, after 5 s and after 10 s.
    let tokens: Vec<_> = world.tokens().iter().map(|token| token[10..].parse::<u32>().unwrap()).collect();
    assert_eq!(tokens, [1, 2, 2, 3, 3, 3, 4, 4]);
}

#[tokio::test]
async fn what_a_newer_token_cannot_change_is_the_answer() {
    for (status, headers) in [
        (403, &[][..]),
        (407, &[][..]),
        (400, &[][..]),
        (500, &[][..]),
        (401, &[("www-authenticate", r#"Bearer error="insufficient_scope", scope="admin""#)][..]),
        (401, &[("www-authenticate", r#"Bearer error="insufficient_user_authentication""#)][..]),
        (200, &[("content-type", "application/grpc"), ("grpc-status", "7")][..]),
    ] {
        let world = Arc::<World>::default();
        world.then(status, headers, "no");
        let (client, _) = layered(&world).await;
        let response = client.oneshot(post(URI, "")).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(world.tokens().len(), 1, "{status} {headers:?}");
    }
}

#[tokio::test]
async fn grpc_unauthenticated_without_a_body_is_healed() {
    let world = Arc::<World>::default();
    world.then(200, &[("content-type", "application/grpc+proto"), ("grpc-status", "16")], "");
    let (client, _) = layered(&world).await;
    client.oneshot(post(URI, "unary")).await.unwrap();
    assert_eq!(world.tokens(), ["Bearer at-1", "Bearer at-2"]);
}

#[tokio::test(start_paused = true)]
async fn grpc_unauthenticated_in_trailers_is_too_late_for_this_request_and_in_time_for_the_next() {
    use http_body::Frame;
    let coordinator = coordinator().await;
    let api = service_fn(|_: Request<ReplayBody<Full<Bytes>>>| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("16"));
        let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from("m"))), Ok(Frame::trailers(trailers))];
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        let answer = Response::builder().header("content-type", "application/grpc").body(body);
        std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
    });
    let layer = RefreshLayer::new(coordinator.clone(), "k").origin("https://api.example".parse().unwrap());
    let response = layer.layer(api).oneshot(post(URI, "")).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "16");
    let mut events = coordinator.events();
    until(&mut events, |kind| matches!(kind, crate::EventKind::Refreshed(_))).await;
    assert_eq!(coordinator.token("k").await.unwrap().expose_secret(), "at-2");
}

#[tokio::test]
async fn an_own_classifier_decides_what_a_challenge_is() {
    let world = Arc::<World>::default();
    world.then(419, &[], "expired");
    world.then(401, INVALID_TOKEN, "not a challenge here");
    let coordinator = coordinator().await;
    let layer = RefreshLayer::new(coordinator, "k")
        .origin("https://api.example".parse().unwrap())
        .classifier(|answer, _| answer.status.as_u16() == 419);
    let client = layer.layer(world.api());
    assert_eq!(client.clone().oneshot(post(URI, "")).await.unwrap().status().as_u16(), 401);
    assert_eq!(world.tokens(), ["Bearer at-1", "Bearer at-2"]);
}

#[tokio::test]
async fn a_classifier_that_adds_an_answer_keeps_the_others() {
    let grpc: &[_] = &[("content-type", "application/grpc"), ("grpc-status", "16")];
    for (first, headers) in [(419, &[][..]), (401, INVALID_TOKEN), (200, grpc)] {
        let world = Arc::<World>::default();
        world.then(first, headers, "");
        world.then(200, &[], "fine");
        let layer = RefreshLayer::new(coordinator().await, "k")
            .origin("https://api.example".parse().unwrap())
            .classifier(|answer, refuses| refuses || answer.status.as_u16() == 419)
            .classifier(|_, refuses| refuses);
        layer.layer(world.api()).oneshot(post(URI, "")).await.unwrap();
        assert_eq!(world.tokens(), ["Bearer at-1", "Bearer at-2"], "{first}");
    }
}

#[tokio::test]
async fn other_origins_and_callers_own_authorization_pass_through_untouched() {
    let world = Arc::<World>::default();
    let (client, _) = layered(&world).await;
    for uri in ["https://evil.example/", "http://api.example/", "https://u@api.example/", "/relative"] {
        world.then(401, INVALID_TOKEN, "refused");
        client.clone().oneshot(post(uri, "")).await.unwrap();
    }
    let mut own = post(URI, "");
    own.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Basic own"));
    world.then(401, INVALID_TOKEN, "refused");
    client.oneshot(own).await.unwrap();
    assert_eq!(world.tokens(), ["", "", "", "", "Basic own"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_sent_once_and_the_refusal_says_so() {
    let world = Arc::<World>::default();
    world.then(401, INVALID_TOKEN, "refused");
    let coordinator = coordinator().await;
    let layer = RefreshLayer::new(coordinator.clone(), "k")
        .origin("https://api.example".parse().unwrap())
        .body_limit(4);
    let response = layer.layer(world.api()).oneshot(post(URI, "12345")).await.unwrap();
    assert!(matches!(report(&response), Some(ReplayOutcome::NotReplayable(_))));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "refused");
    let mut events = coordinator.events();
    while coordinator.token("k").await.unwrap().expose_secret() != "at-2" {
        within(events.next()).await.unwrap();
    }
    assert_eq!(world.tokens().len(), 1, "refreshed for the next request");
}

#[tokio::test]
async fn an_answer_that_cannot_be_healed_is_the_apis_own_with_the_reason() {
    let world = Arc::<World>::default();
    world.then(401, INVALID_TOKEN, "refused");
    let endpoint = service_fn(|_: Request<Full<Bytes>>| {
        let body = Full::<Bytes>::from(r#"{"error":"invalid_grant"}"#);
        std::future::ready(Ok::<_, Infallible>(Response::builder().status(400).body(body).unwrap()))
    });
    let uri = http::Uri::from_static("https://as.example/token");
    let coordinator = RefreshCoordinator::builder(uri, ClientAuth::none("c")).build(endpoint).unwrap();
    coordinator.install("k", TokenSet::new("at-1").with_refresh_token("rt-1")).await.unwrap();
    let layer = RefreshLayer::new(coordinator, "k").origin("https://api.example".parse().unwrap());
    let client = layer.layer(world.api());
    let response = client.clone().oneshot(post(URI, "")).await.unwrap();
    assert!(matches!(report(&response), Some(ReplayOutcome::Failed(error)) if error.needs_login()));
    assert_eq!(response.headers()["www-authenticate"], r#"Bearer error="invalid_token""#);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "refused");
    // From now on there is no token at all: an error at once, and nothing reaches the API.
    let error = client.oneshot(post(URI, "")).await.unwrap_err();
    assert!(error.downcast_ref::<RefreshError>().unwrap().needs_login());
    assert_eq!(world.tokens().len(), 1);
}

#[tokio::test]
async fn the_key_is_found_in_the_extensions_or_by_a_closure_and_its_absence_is_an_error() {
    let world = Arc::<World>::default();
    let coordinator = coordinator().await;
    let origin = || "https://api.example".parse().unwrap();
    let by_extension = RefreshLayer::credential_from_extension(coordinator.clone()).origin(origin());
    let mut request = post(URI, "");
    request.extensions_mut().insert(crate::CredentialKey::new("k"));
    by_extension.layer(world.api()).oneshot(request).await.unwrap();
    let error = by_extension.layer(world.api()).oneshot(post(URI, "")).await.unwrap_err();
    assert_eq!(error.downcast_ref::<RefreshError>().unwrap().kind(), crate::ErrorKind::NoCredentialKey);
    let by =
        RefreshLayer::credential_by(coordinator, |parts| (parts.uri.path() == "/things").then(|| "k".into()));
    by.origin(origin()).layer(world.api()).oneshot(post(URI, "")).await.unwrap();
    assert_eq!(world.tokens(), ["Bearer at-1", "Bearer at-1"]);
}

#[tokio::test]
async fn method_uri_version_headers_and_extensions_survive_the_replay() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mark(u8);
    let heads = Arc::new(Mutex::new(Vec::new()));
    let api = service_fn({
        let heads = heads.clone();
        move |request: Request<ReplayBody<Full<Bytes>>>| {
            let (mut head, _) = request.into_parts();
            head.headers.remove(AUTHORIZATION);
            let mark = head.extensions.get::<Mark>().cloned();
            let mut heads = heads.lock().unwrap();
            heads.push((head.method, head.uri, head.version, head.headers, mark));
            let status = if heads.len() == 1 { 401 } else { 200 };
            let answer = Response::builder().status(status).body(Full::<Bytes>::default()).unwrap();
            std::future::ready(Ok::<_, Infallible>(answer))
        }
    });
    let layer = RefreshLayer::new(coordinator().await, "k").origin("https://api.example".parse().unwrap());
    let mut request = Request::patch("https://api.example/a?b=c").version(http::Version::HTTP_2);
    request = request.header("x-a", "1").header("x-a", "2").extension(Mark(7));
    layer.layer(api).oneshot(request.body(Full::from("x")).unwrap()).await.unwrap();
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 2);
    assert_eq!(heads[0], heads[1]);
    assert_eq!(heads[0].4, Some(Mark(7)));
}

#[tokio::test]
async fn a_valid_token_costs_no_allocation_to_attach() {
    let coordinator = coordinator().await;
    let slot = coordinator.slot(&"k".into());
    let (mut head, _) = post(URI, "").into_parts();
    head.headers.reserve(8);
    let attached = measure(|| {
        let (token, _) = coordinator.ready(&slot, false).unwrap();
        token.attach(&mut head);
    });
    assert_eq!(head.headers[AUTHORIZATION], "Bearer at-1");
    assert_eq!(attached.count_total, 0);
}

#[tokio::test]
async fn a_request_with_a_valid_token_allocates_nothing_from_the_second_on() {
    let api = service_fn(|_: Request<ReplayBody<Full<Bytes>>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let layer = RefreshLayer::new(coordinator().await, "k").origin("https://api.example".parse().unwrap());
    let shown = format!("{layer:?}");
    assert!(shown.starts_with("RefreshLayer { origins: [") && shown.contains("api.example"), "{shown}");
    let mut client = layer.layer(api);
    assert_eq!(format!("{:?}", client.call(post(URI, ""))), "ResponseFuture { .. }");
    let mut counts = Vec::new();
    for _ in 0..3 {
        let mut request = post(URI, "");
        request.headers_mut().reserve(8);
        let sent = measure(|| drop(client.call(request).now_or_never().unwrap().unwrap()));
        counts.push(sent.count_total);
    }
    assert_eq!(counts[1..], [0, 0]);
}

#[tokio::test]
async fn the_counter_of_allocations_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1);
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    let (mock, mut handle) =
        tower_test::mock::pair::<Request<ReplayBody<Full<Bytes>>>, Response<Full<Bytes>>>();
    let layer = RefreshLayer::new(coordinator().await, "k").origin("https://api.example".parse().unwrap());
    let mut client = tower_test::mock::Spawn::new(layer.layer(mock));
    handle.allow(0);
    assert!(client.poll_ready().is_pending());
    handle.allow(1);
    assert!(client.poll_ready().is_ready());
    let mut answer = std::pin::pin!(client.call(post(URI, "")));
    let (request, respond) = handle.next_request().await.unwrap();
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer at-1");
    handle.allow(0);
    respond.send_response(Response::builder().status(401).body(Full::default()).unwrap());
    // The replay waits for readiness of its own.
    for _ in 0..20 {
        assert!(answer.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert!(handle.next_request().now_or_never().is_none());
    handle.allow(1);
    let (ended, replayed) = tokio::join!(answer, async {
        let (request, respond) = handle.next_request().await.unwrap();
        respond.send_response(Response::new(Full::default()));
        request
    });
    assert_eq!(replayed.headers()[AUTHORIZATION], "Bearer at-2");
    assert_eq!(ended.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_fails_or_waits_keeps_no_permit() {
    let world = Arc::<World>::default();
    let coordinator = coordinator().await;
    let limited = tower::limit::ConcurrencyLimit::new(world.api(), 1);
    let layer = |key: &str| {
        RefreshLayer::new(coordinator.clone(), key).origin("https://api.example".parse().unwrap())
    };
    let mut nobody = layer("nobody").layer(limited.clone());
    nobody.ready().await.unwrap().call(post(URI, "")).await.unwrap_err();
    // `nobody` is still there, and holds nothing.
    layer("k").layer(limited).oneshot(post(URI, "")).await.unwrap();
    assert_eq!(world.tokens(), ["Bearer at-1"]);
}

#[tokio::test]
async fn a_request_of_one_login_is_not_sent_again_under_the_next() {
    let world = Arc::<World>::default();
    let coordinator = coordinator().await;
    let api = {
        let (coordinator, world) = (coordinator.clone(), world.api());
        world.and_then(move |_| {
            let coordinator = coordinator.clone();
            async move {
                coordinator.install("k", TokenSet::new("at-other")).await.unwrap();
                let refused = Response::builder().status(401).body(Full::<Bytes>::from("refused"));
                Ok::<_, BoxError>(refused.unwrap())
            }
        })
    };
    let layer = RefreshLayer::new(coordinator, "k").origin("https://api.example".parse().unwrap());
    let response = layer.layer(api).oneshot(post(URI, "")).await.unwrap();
    assert!(matches!(report(&response), Some(ReplayOutcome::LoginChanged)));
    assert_eq!(world.tokens(), ["Bearer at-1"]);
}

#[tokio::test]
async fn clones_of_layer_and_client_share_one_refresh_and_see_its_token() {
    let world = Arc::<World>::default();
    let coordinator = coordinator().await;
    let layer = RefreshLayer::new(coordinator.clone(), "k").origin("https://api.example".parse().unwrap());
    let old = layer.clone().layer(world.api());
    for _ in 0..10 {
        world.then(401, INVALID_TOKEN, "");
    }
    let mut events = coordinator.events();
    let clients = (0..10).map(|_| layer.clone().layer(world.api()).clone().oneshot(post(URI, "")));
    for answer in futures_util::future::join_all(clients).await {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
    old.oneshot(post(URI, "")).await.unwrap();
    assert!(world.tokens()[10..].iter().all(|token| token == "Bearer at-2"), "{:?}", world.tokens());
    let told = || events.next().now_or_never().flatten().map(|event| format!("{:?}", event.kind));
    let told: Vec<_> = std::iter::from_fn(told).collect();
    assert_eq!(told, ["RefreshStarted", "Refreshed(Generation(2))"]);
}

#[tokio::test]
async fn a_request_dropped_after_any_number_of_polls_takes_nothing_with_it() {
    for polls in 0..100 {
        let world = Arc::<World>::default();
        world.then(401, INVALID_TOKEN, "refused");
        let (client, coordinator) = layered(&world).await;
        let mut ended = false;
        {
            let mut request = std::pin::pin!(client.clone().oneshot(post(URI, "hello")));
            for _ in 0..polls {
                ended = ended || request.as_mut().now_or_never().is_some();
                if ended {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        world.answers.lock().unwrap().clear();
        let response = client.oneshot(post(URI, "hello")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(coordinator.shutdown(Duration::from_secs(1)).await, "after {polls} polls");
        let status = coordinator.status("k").await.unwrap().unwrap();
        assert!(status.generation.get() <= 2 && status.in_doubt.is_none());
        assert!(world.seen.lock().unwrap().iter().all(|seen| seen.body == "hello"));
        if ended {
            return;
        }
    }
    panic!("the request never ended");
}
