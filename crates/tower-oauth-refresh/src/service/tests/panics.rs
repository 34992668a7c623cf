//! What belongs to others panics while a request is under way: that request fails, and nothing else.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::Wake;

use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;

use super::*;

/// Without the panic hook, which would print it.
fn burst() -> ! {
    resume_unwind(Box::new("as told"))
}

/// The same client goes on, with the same login, and nothing is left under way.
async fn assert_goes_on(client: Refresh<Api>, coordinator: &RefreshCoordinator) {
    let response = client.oneshot(post(URI, "hello")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(coordinator.shutdown(Duration::from_secs(10)).await, "a refresh is still under way");
    let status = coordinator.status("k").await.unwrap().unwrap();
    assert!(status.error.is_none() && status.in_doubt.is_none() && status.refreshing.is_none());
}

/// Does it panic, up to the drop of what it held?
async fn panics(request: impl Future) -> bool {
    AssertUnwindSafe(async move { drop(request.await) }).catch_unwind().await.is_err()
}

#[tokio::test]
async fn a_closure_for_the_key_or_the_challenge_that_panics_fails_its_request_only() {
    let world = Arc::<World>::default();
    let coordinator = coordinator().await;
    let bursts = Arc::new(AtomicBool::new(true));
    let (of_key, of_challenge) = (bursts.clone(), bursts.clone());
    let layer = RefreshLayer::credential_by(coordinator.clone(), move |head| {
        if head.uri.query().is_some() && of_key.load(Ordering::SeqCst) { burst() } else { Some("k".into()) }
    });
    let layer = layer.origin("https://api.example".parse().unwrap()).classifier(move |answer, _| {
        if answer.status == 401 && of_challenge.load(Ordering::SeqCst) {
            burst()
        }
        answer.status == 401
    });
    let client = layer.layer(world.api());
    let with_key = async { client.clone().oneshot(post("https://api.example/?bursts", "")).await };
    assert!(panics(with_key).await);
    world.then(401, INVALID_TOKEN, "");
    assert!(panics(client.clone().oneshot(post(URI, ""))).await);
    bursts.store(false, Ordering::SeqCst);
    world.then(401, INVALID_TOKEN, "");
    assert_goes_on(client, &coordinator).await;
}

/// An extension of which so many copies are dropped before a drop panics.
#[derive(Clone)]
struct Bursting(Arc<AtomicUsize>);

impl Drop for Bursting {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.0.fetch_sub(1, Ordering::SeqCst) == 0 {
            burst();
        }
    }
}

#[tokio::test]
async fn an_extension_whose_drop_panics_fails_its_request_only() {
    for refused in [false, true] {
        let mut bursts = 0;
        for calm in 0..10 {
            let world = Arc::<World>::default();
            let (client, coordinator) = layered(&world).await;
            if refused {
                world.then(401, INVALID_TOKEN, "");
            }
            let mut request = post(URI, "");
            request.extensions_mut().insert(Bursting(Arc::new(AtomicUsize::new(calm))));
            bursts += usize::from(panics(client.clone().oneshot(request)).await);
            world.answers.lock().unwrap().clear();
            assert_goes_on(client, &coordinator).await;
        }
        assert!((2..10).contains(&bursts), "the request's own and the copy for the replay: {bursts}");
    }
}

/// A body that panics at its second frame.
struct BurstingBody(bool);

impl Body for BurstingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if mem::replace(&mut self.0, true) {
            burst()
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a")))))
    }
}

#[tokio::test]
async fn a_request_body_that_panics_fails_its_request_only_and_is_not_replayed() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    // Reads in a task of its own, as the connection of a client does, and answers whatever comes of it.
    let api = service_fn(move |request: Request<ReplayBody<BurstingBody>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let _ = AssertUnwindSafe(request.into_body().collect()).catch_unwind().await;
            let refused = Response::builder().status(401).body(Full::<Bytes>::default());
            Ok::<_, BoxError>(refused.unwrap())
        }
    });
    let coordinator = coordinator().await;
    let layer = RefreshLayer::new(coordinator.clone(), "k").origin("https://api.example".parse().unwrap());
    let request = Request::post(URI).body(BurstingBody(false)).unwrap();
    let response = layer.layer(api).oneshot(request).await.unwrap();
    assert!(matches!(
        report(&response),
        Some(ReplayOutcome::NotReplayable(crate::NotReplayable::BodyFailed))
    ));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let world = Arc::<World>::default();
    assert_goes_on(layer.layer(world.api()), &coordinator).await;
}

#[tokio::test]
async fn an_answer_whose_body_panics_fails_its_request_only() {
    struct BurstingAnswer;
    impl Body for BurstingAnswer {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            burst()
        }
    }
    let api = service_fn(|_: Request<ReplayBody<Full<Bytes>>>| {
        let refused = Response::builder().status(401).body(UnsyncBoxBody::new(BurstingAnswer));
        std::future::ready(Ok::<_, BoxError>(refused.unwrap()))
    });
    let coordinator = coordinator().await;
    let layer = RefreshLayer::new(coordinator.clone(), "k").origin("https://api.example".parse().unwrap());
    assert!(panics(layer.layer(api).oneshot(post(URI, ""))).await);
    let world = Arc::<World>::default();
    assert_goes_on(layer.layer(world.api()), &coordinator).await;
}

/// Panics when it is woken.
struct BurstingWake;

impl Wake for BurstingWake {
    fn wake(self: Arc<Self>) {
        burst()
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test has a runtime to spawn on")]
async fn a_request_whose_waker_panics_keeps_no_other_waiting() {
    let world = Arc::<World>::default();
    let (client, coordinator) = layered(&world).await;
    for _ in 0..3 {
        world.then(401, INVALID_TOKEN, "");
    }
    let mut bursting = Box::pin(client.clone().oneshot(post(URI, "")));
    let waker = std::task::Waker::from(Arc::new(BurstingWake));
    // In tasks that run in this order, and before the refresh: what the time limit itself polls is not woken.
    let bursting = tokio::spawn(async move {
        assert!(bursting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        Some(bursting)
    });
    let others = [post(URI, ""), post(URI, "")].map(|request| tokio::spawn(client.clone().oneshot(request)));
    let answers = tokio::time::timeout(Duration::from_secs(20), futures_util::future::join_all(others)).await;
    for answer in answers.expect("they wait for ever") {
        assert_eq!(answer.unwrap().unwrap().status(), StatusCode::OK);
    }
    drop(bursting.await.unwrap());
    assert_goes_on(client, &coordinator).await;
}
