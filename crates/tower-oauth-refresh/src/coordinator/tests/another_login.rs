//! Another process logs in again, with tokens that have to be refreshed first.

use super::*;

/// A store that tells everybody of each change.
#[derive(Clone)]
struct Tells {
    store: Flaky,
    told: broadcast::Sender<KeyDigest>,
}

impl TokenStore for Tells {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.store.load(key)
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            let swap = self.store.compare_and_swap(key, expected, new).await?;
            if matches!(swap, Swap::Swapped) {
                let _ = self.told.send(key.digest());
            }
            Ok(swap)
        })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        let told = self.told.subscribe();
        Some(Box::pin(futures_util::stream::unfold(told, async |mut told| {
            Some((told.recv().await.ok()?, told))
        })))
    }
}

fn two(world: &World) -> [Arc<RefreshCoordinator>; 2] {
    let tells = Tells { store: world.store.clone(), told: broadcast::Sender::new(4096) };
    [(); 2].map(|()| {
        World::coordinator(&world.server, &world.store, &world.clock, |builder| builder.store(tells.clone()))
    })
}

async fn text(process: &Arc<RefreshCoordinator>) -> Result<String, RefreshError> {
    process.token("k").await.map(|token| token.expose_secret().to_owned())
}

/// The server refuses the login of both, for an hour. A person logs in again at the one. When does the other serve?
async fn served_after_another_login(lifetime: Duration) -> Duration {
    let world = World::new();
    let [here, there] = two(&world);
    there.install("k", world.server.login(SECOND * 60)).await.unwrap();
    assert_eq!(text(&here).await.unwrap(), "access-1");
    tokio::time::sleep(SECOND * 60).await;
    world.server.script([Reply::Status(400, r#"{"error":"other"}"#, Some("3600"))]);
    assert_eq!(text(&here).await.unwrap_err().kind(), ErrorKind::Refused);
    there.install("k", world.server.login(lifetime)).await.unwrap();
    let start = Instant::now();
    while text(&here).await.is_err() {
        tokio::time::sleep(SECOND).await;
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn what_was_said_of_one_login_does_not_bind_the_next() {
    let usable = served_after_another_login(HOUR).await;
    let only_refreshable = served_after_another_login(Duration::ZERO).await;
    assert!(usable <= SECOND * 2, "{usable:?}");
    assert!(only_refreshable <= SECOND * 2, "{only_refreshable:?}");
}

/// A request has its token and waits for its connection, while somebody logs in elsewhere.
async fn waits_for_its_connection(lifetime: Duration) -> Result<(), ErrorKind> {
    use tower::{Layer as _, Service as _, ServiceExt as _};
    let world = World::new();
    let [here, there] = two(&world);
    there.install("k", world.server.login(Duration::ZERO)).await.unwrap();
    let api = tower::service_fn(|_: Request<crate::ReplayBody<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let limit = Arc::new(Semaphore::new(1));
    let api = tower::limit::ConcurrencyLimit::with_semaphore(api, limit.clone());
    let layer = crate::RefreshLayer::new(here.clone(), "k").origin("https://api.example".parse().unwrap());
    let mut service = layer.layer(api);
    let request = Request::get("https://api.example/x").body(Full::<Bytes>::default()).unwrap();
    let sent = service.ready().await.unwrap().call(request);
    // All connections are taken.
    let taken = limit.clone().acquire_many_owned(limit.available_permits() as u32).await.unwrap();
    let sent = tokio::spawn(async move { sent.await.map(drop) });
    tokio::time::sleep(SECOND).await;
    there.install("k", world.server.login(lifetime)).await.unwrap();
    tokio::time::sleep(SECOND).await;
    drop(taken);
    limit.add_permits(1);
    let told = sent.await.unwrap();
    told.map_err(|error| error.downcast_ref::<RefreshError>().unwrap().kind())
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_hears_of_no_logout_that_nobody_made() {
    for lifetime in [HOUR, Duration::ZERO] {
        let told = waits_for_its_connection(lifetime).await;
        assert_ne!(told, Err(ErrorKind::LoggedOut), "{lifetime:?}");
    }
}

/// A refused request has its newer token, and its replay waits for its connection, while somebody logs in elsewhere.
async fn replay_waits_for_its_connection(lifetime: Duration) -> Result<http::StatusCode, ErrorKind> {
    use tower::{Layer as _, Service as _, ServiceExt as _};
    let world = World::new();
    let [here, there] = two(&world);
    there.install("k", world.server.login(HOUR)).await.unwrap();
    assert_eq!(text(&here).await.unwrap(), "access-1");
    let seen = Arc::new(AtomicUsize::new(0));
    let api = tower::service_fn(move |_: Request<crate::ReplayBody<Full<Bytes>>>| {
        let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let answer = Response::builder().status(if first { 401 } else { 200 });
            let answer = answer.header("www-authenticate", r#"Bearer error="invalid_token""#);
            Ok::<_, Infallible>(answer.body(Full::<Bytes>::default()).unwrap())
        }
    });
    let limit = Arc::new(Semaphore::new(1));
    let api = tower::limit::ConcurrencyLimit::with_semaphore(api, limit.clone());
    let layer = crate::RefreshLayer::new(here.clone(), "k").origin("https://api.example".parse().unwrap());
    let mut service = layer.layer(api);
    let request = Request::get("https://api.example/x").body(Full::<Bytes>::default()).unwrap();
    world.server.script([Reply::held()]);
    let sent = service.ready().await.unwrap().call(request);
    let sent = tokio::spawn(async move { sent.await.map(|answer| answer.status()) });
    world.server.arrived.notified().await;
    let taken = limit.clone().acquire_many_owned(limit.available_permits() as u32).await.unwrap();
    world.server.released.0.add_permits(1);
    tokio::time::sleep(SECOND).await;
    there.install("k", world.server.login(lifetime)).await.unwrap();
    tokio::time::sleep(SECOND).await;
    drop(taken);
    limit.add_permits(1);
    let told = tokio::time::timeout(HOUR, sent).await.unwrap().unwrap();
    told.map_err(|error| error.downcast_ref::<RefreshError>().unwrap().kind())
}

#[tokio::test(start_paused = true)]
async fn a_waiting_replay_hears_of_no_logout_that_nobody_made() {
    for lifetime in [HOUR, Duration::ZERO] {
        let told = replay_waits_for_its_connection(lifetime).await;
        assert_eq!(told, Err(ErrorKind::Aborted), "{lifetime:?}");
    }
}
