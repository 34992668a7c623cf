//! Where tokens are bound to a key (RFC 9449): the proof is made below the layer, what it needs comes from here.

use std::sync::atomic::AtomicUsize;

use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::{BoundKey, ErrorKind, NotReplayable, RefreshError};

const NONCE: &[(&str, &str)] =
    &[("www-authenticate", r#"DPoP error="use_dpop_nonce", algs="ES256""#), ("dpop-nonce", "n-1")];

const INVALID_TOKEN: &[(&str, &str)] = &[("www-authenticate", r#"DPoP error="invalid_token""#)];

const INVALID_PROOF: &[(&str, &str)] = &[("www-authenticate", r#"DPoP error="invalid_dpop_proof""#)];

/// Keeps what the requests carried besides their token, and answers as the world says.
type Keys = Arc<Mutex<Vec<Option<Vec<u8>>>>>;

async fn bound(world: &Arc<World>) -> (Refresh<Api>, Keys) {
    bound_for(world, Duration::from_secs(3600)).await
}

async fn bound_for(world: &Arc<World>, lifetime: Duration) -> (Refresh<Api>, Keys) {
    let coordinator = coordinator_with(|builder| builder.dpop(), "DPoP").await;
    let set = TokenSet::new("at-1").with_refresh_token("rt-1").with_expires_in(lifetime);
    coordinator.install("k", set.with_bound_key(BoundKey::new(*b"key"))).await.unwrap();
    let (keys, api) = (Keys::default(), world.api());
    let inner = service_fn({
        let keys = keys.clone();
        move |request: Request<ReplayBody<Full<Bytes>>>| {
            let key = request.extensions().get::<BoundKey>().map(|key| key.expose_secret().to_vec());
            keys.lock().unwrap().push(key);
            api.clone().oneshot(request)
        }
    });
    let layer = RefreshLayer::new(coordinator, "k").origin("https://api.example".parse().unwrap());
    (layer.layer(Api::new(inner)), keys)
}

/// 9449-05, 9449-02
#[tokio::test]
async fn the_token_goes_out_as_dpop_and_its_key_goes_along() {
    let world = Arc::<World>::default();
    let (client, keys) = bound(&world).await;
    client.oneshot(post(URI, "hello")).await.unwrap();
    assert_eq!(world.tokens(), ["DPoP at-1"]);
    assert_eq!(*keys.lock().unwrap(), [Some(b"key".to_vec())]);
}

/// 9449-06, 9449-11
#[tokio::test]
async fn a_missing_nonce_costs_no_refresh_and_is_not_reported() {
    let world = Arc::<World>::default();
    world.then(401, NONCE, "nonce, please");
    let (client, _) = bound(&world).await;
    let response = client.oneshot(post(URI, "hello")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(report(&response).is_none());
    assert_eq!(world.tokens(), ["DPoP at-1", "DPoP at-1"]);
    assert!(world.seen.lock().unwrap().iter().all(|seen| seen.body == "hello"));
}

/// 9449-06: whoever signs below may have learned the server's time from that answer.
#[tokio::test]
async fn a_refused_proof_is_made_once_more_and_costs_no_refresh() {
    let world = Arc::<World>::default();
    world.then(401, INVALID_PROOF, "");
    let (client, _) = bound(&world).await;
    let response = client.oneshot(post(URI, "hello")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(report(&response).is_none());
    assert_eq!(world.tokens(), ["DPoP at-1", "DPoP at-1"]);

    let world = Arc::<World>::default();
    world.then(401, INVALID_PROOF, "");
    world.then(401, INVALID_PROOF, "");
    let (client, _) = bound(&world).await;
    let response = client.oneshot(post(URI, "hello")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.tokens(), ["DPoP at-1", "DPoP at-1"]);
}

#[tokio::test]
async fn a_request_that_has_waited_for_its_token_is_sent_again_for_a_nonce_with_that_one_alone() {
    let world = Arc::<World>::default();
    world.then(401, NONCE, "");
    let (client, keys) = bound_for(&world, Duration::ZERO).await;
    let response = client.oneshot(post(URI, "hello")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.tokens(), ["DPoP at-2", "DPoP at-2"]);
    assert!(keys.lock().unwrap().iter().all(|key| key.as_deref() == Some(b"key")));
}

/// 9449-11, and its key goes with the newer token too.
#[tokio::test]
async fn after_a_nonce_a_refused_token_is_still_healed_and_the_other_way_round() {
    for (first, second) in [(NONCE, INVALID_TOKEN), (INVALID_TOKEN, NONCE)] {
        let world = Arc::<World>::default();
        world.then(401, first, "");
        world.then(401, second, "");
        let (client, keys) = bound(&world).await;
        let response = client.oneshot(post(URI, "hello")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(matches!(report(&response), Some(ReplayOutcome::Replayed(_))));
        let again = if first == NONCE { "DPoP at-1" } else { "DPoP at-2" };
        assert_eq!(world.tokens(), ["DPoP at-1", again, "DPoP at-2"]);
        assert!(keys.lock().unwrap().iter().all(|key| key.as_deref() == Some(b"key")));
    }
}

#[tokio::test]
async fn a_server_that_asks_for_nonces_without_end_gets_one_request_more() {
    let world = Arc::<World>::default();
    for _ in 0..5 {
        world.then(401, NONCE, "nonce, please");
    }
    let (client, _) = bound(&world).await;
    let response = client.oneshot(post(URI, "hello")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "nonce, please");
    assert_eq!(world.tokens().len(), 2);
}

#[tokio::test]
async fn without_a_key_a_nonce_is_nobodys_business() {
    let world = Arc::<World>::default();
    world.then(401, NONCE, "");
    let (client, _) = layered(&world).await;
    let response = client.oneshot(post(URI, "hello")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.tokens(), ["Bearer at-1"]);
}

/// Sends `body`, refused for a nonce and then for the token, through a layer that keeps 5 bytes.
async fn streamed(body: &'static [&'static str]) -> (usize, Option<ReplayOutcome>) {
    let world = Arc::<World>::default();
    world.then(401, NONCE, "");
    world.then(401, INVALID_TOKEN, "");
    let coordinator = coordinator_with(|builder| builder.dpop(), "DPoP").await;
    let api = world.api();
    let inner = service_fn(move |request: Request<ReplayBody<_>>| {
        let api = api.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = ReplayBody::plain(Full::new(body.collect().await?.to_bytes()));
            api.oneshot(Request::from_parts(parts, body)).await
        }
    });
    let layer = RefreshLayer::new(coordinator, "k").origin("https://api.example".parse().unwrap());
    let frames: Vec<_> =
        body.iter().map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(*text)))).collect();
    let request = Request::post(URI).body(StreamBody::new(stream::iter(frames))).unwrap();
    let response = layer.body_limit(5).layer(inner).oneshot(request).await.unwrap();
    (world.tokens().len(), report(&response).cloned())
}

/// A body that can be read once is recorded for one replay.
#[tokio::test]
async fn a_streamed_body_is_sent_once_more_for_a_nonce_and_then_says_that_it_is_spent() {
    let (sent, outcome) = streamed(&["he", "llo"]).await;
    assert_eq!(sent, 2);
    assert!(matches!(outcome, Some(ReplayOutcome::NotReplayable(NotReplayable::Replayed))), "{outcome:?}");
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_not_sent_again_for_a_nonce_and_says_so() {
    let (sent, outcome) = streamed(&["hel", "lo!"]).await;
    assert_eq!(sent, 1);
    assert!(matches!(outcome, Some(ReplayOutcome::NotReplayable(NotReplayable::TooLarge))), "{outcome:?}");
}

/// Is ready so many times, and then not before there are more.
#[derive(Clone)]
struct Busy {
    api: Api,
    times: Arc<AtomicUsize>,
}

impl Service<Request<ReplayBody<Full<Bytes>>>> for Busy {
    type Response = <Api as Service<Request<ReplayBody<Full<Bytes>>>>>::Response;
    type Error = <Api as Service<Request<ReplayBody<Full<Bytes>>>>>::Error;
    type Future = <Api as Service<Request<ReplayBody<Full<Bytes>>>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let one_less =
            self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1));
        if one_less.is_ok() { self.api.poll_ready(cx) } else { Poll::Pending }
    }

    fn call(&mut self, request: Request<ReplayBody<Full<Bytes>>>) -> Self::Future {
        self.api.call(request)
    }
}

/// A request that has waited for its token (`lifetime` 0), or was refused like this, and waits for its connection
/// while `meanwhile` happens: what the API has seen before and after, and how it ended.
async fn held_up(
    lifetime: u64,
    refusal: &'static [(&'static str, &'static str)],
    meanwhile: impl AsyncFnOnce(Arc<RefreshCoordinator>),
) -> (Vec<String>, Vec<String>, Option<ErrorKind>) {
    let world = Arc::<World>::default();
    world.then(401, refusal, "");
    let coordinator = coordinator_with(|builder| builder.dpop(), "DPoP").await;
    let set = TokenSet::new("at-1").with_refresh_token("rt-1");
    let set = set.with_expires_in(Duration::from_secs(lifetime)).with_bound_key(BoundKey::new(*b"key"));
    coordinator.install("k", set).await.unwrap();
    let times = Arc::new(AtomicUsize::new(1));
    let layer = RefreshLayer::new(coordinator.clone(), "k").origin("https://api.example".parse().unwrap());
    let client = layer.layer(Busy { api: world.api(), times: times.clone() });
    let mut answer = std::pin::pin!(client.oneshot(post(URI, "hello")));
    for _ in 0..100 {
        assert!(answer.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let before = world.tokens();
    meanwhile(coordinator).await;
    times.store(10, Ordering::SeqCst);
    let error = answer.await.err();
    let kind = error.as_ref().and_then(|error| error.downcast_ref()).map(RefreshError::kind);
    (before, world.tokens(), kind)
}

#[tokio::test]
async fn a_request_that_waits_for_its_connection_is_not_sent_after_a_logout() {
    for (lifetime, refusal) in [(3600, NONCE), (3600, INVALID_TOKEN), (0, NONCE)] {
        let logout = async |coordinator: Arc<RefreshCoordinator>| {
            coordinator.logout("k").await.unwrap();
        };
        let (before, after, error) = held_up(lifetime, refusal, logout).await;
        assert_eq!(before, after, "{refusal:?}, or after a refresh");
        assert_eq!(error, Some(ErrorKind::LoggedOut));
    }
}

#[tokio::test]
async fn a_request_that_waits_for_its_connection_never_carries_a_token_of_the_login_before() {
    let anew = async |coordinator: Arc<RefreshCoordinator>| {
        coordinator.logout("k").await.unwrap();
        let set = TokenSet::new("other").with_bound_key(BoundKey::new(*b"other"));
        coordinator.install("k", set).await.unwrap();
    };
    // Sent before, as the one account: it is not done to the other. There is a login, so that none is asked for.
    for refusal in [NONCE, INVALID_TOKEN] {
        let (before, after, error) = held_up(3600, refusal, anew).await;
        assert_eq!((before, error), (after, Some(ErrorKind::Aborted)), "{refusal:?}");
    }
    // Not sent yet: it is a request of the login there is when it is sent.
    let (before, after, _) = held_up(0, NONCE, anew).await;
    assert!(before.is_empty() && after.iter().all(|token| token == "DPoP other"), "{after:?}");
    assert!(!after.is_empty());
}
