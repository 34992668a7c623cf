//! Executors that are not tokio.

use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use futures_util::FutureExt as _;
use tokio::runtime::Builder as RuntimeBuilder;
use tower::{BoxError, Layer as _, ServiceExt as _};

use super::trial::runtime;
use super::*;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future on this thread when it is woken, and knows nothing of tokio.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let began = std::time::Instant::now();
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        assert!(began.elapsed() < SECOND * 30, "it hangs");
        std::thread::park_timeout(SECOND * 30);
    }
}

/// A request through the layer: the token that arrived.
fn request(world: &World) -> impl Future<Output = Result<String, BoxError>> + Send + Unpin + use<> {
    let layer = crate::RefreshLayer::new(world.coordinator.clone(), "k");
    let api = tower::service_fn(|request: Request<_>| async move {
        let token = request.headers()[http::header::AUTHORIZATION].to_str().unwrap().to_owned();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(token)))
    });
    let api = layer.origin("https://api.example".parse().unwrap()).layer(api);
    let request = Request::get("https://api.example/").body(Full::<Bytes>::default()).unwrap();
    Box::pin(async move {
        use http_body_util::BodyExt as _;
        let answer = api.oneshot(request).await?;
        let body = answer.into_body().collect().await.map_err(|_| "no body")?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    })
}

fn kind(told: Result<String, BoxError>) -> Option<ErrorKind> {
    told.unwrap_err().downcast_ref::<RefreshError>().map(RefreshError::kind)
}

#[test]
fn a_valid_token_needs_no_runtime() {
    let world = runtime().block_on(async {
        let world = World::new();
        world.install(HOUR).await;
        world
    });
    assert_eq!(block_on(request(&world)).unwrap(), "Bearer access-1");
    assert_eq!(block_on(world.token()).unwrap(), "access-1");
}

#[test]
fn a_refresh_without_a_runtime_fails_at_once() {
    let world = runtime().block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world
    });
    assert_eq!(kind(block_on(request(&world))), Some(ErrorKind::NoRuntime));
    for error in [
        block_on(world.coordinator.token("k")).map(drop),
        block_on(world.coordinator.status("k")).map(drop),
        block_on(world.coordinator.install("k", TokenSet::new("a"))).map(drop),
        block_on(world.coordinator.logout("k")).map(drop),
        block_on(world.coordinator.forget("k")),
    ] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NoRuntime);
    }
    // What failed has left nothing behind.
    assert!(block_on(world.coordinator.shutdown(SECOND)));
    assert_eq!(world.server.submissions(), 0);
}

#[test]
fn a_refresh_begun_on_a_runtime_that_runs_is_heard_of_elsewhere() {
    let runs = RuntimeBuilder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let world = runs.block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world
    });
    let mut answer = {
        let _entered = runs.enter();
        let mut answer = request(&world);
        world.server.script([Reply::held()]);
        assert!((&mut answer).now_or_never().is_none());
        answer
    };
    world.server.released.0.add_permits(1);
    assert_eq!(block_on(&mut answer).unwrap(), "Bearer access-2");
}

#[test]
fn a_refresh_whose_runtime_has_ended_is_heard_of_elsewhere() {
    let ends = runtime();
    let (_world, answer) = ends.block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Silent]);
        let mut answer = request(&world);
        assert!((&mut answer).now_or_never().is_none());
        world.server.arrived.notified().await;
        (world, answer)
    });
    drop(ends);
    assert_eq!(kind(block_on(answer)), Some(ErrorKind::Aborted));
}

#[test]
fn a_request_first_polled_on_a_runtime_that_ended_ends_on_another() {
    let ends = runtime();
    let (world, mut answer) = ends.block_on(async {
        let world = World::with(|builder| builder.wait_limit(SECOND));
        world.install(Duration::ZERO).await;
        world.server.script([Reply::held()]);
        let mut answer = request(&world);
        assert!((&mut answer).now_or_never().is_none());
        (world, answer)
    });
    drop(ends);
    let told = runtime().block_on(async { tokio::time::timeout(SECOND * 5, &mut answer).await });
    assert_eq!(kind(told.expect("it hangs")), Some(ErrorKind::Aborted));
    assert_eq!(world.server.submissions(), 0);
}

#[test]
fn a_shutdown_that_outlives_its_runtime_ends() {
    let ends = runtime();
    let stands_still = runtime();
    let world = stands_still.block_on(async {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::Silent]);
        drop(world.ask());
        world.server.arrived.notified().await;
        world
    });
    let mut shutdown = Box::pin(world.coordinator.shutdown(SECOND));
    assert!(ends.block_on(async { (&mut shutdown).now_or_never() }).is_none());
    drop(ends);
    assert!(!block_on(shutdown), "a flight is under way");
}
