//! Stores whose calls wait for others, or hang for some credentials, while a received token set is to be stored.

use std::collections::HashSet;

use super::*;

/// Swaps of some keys hang, as of rows that somebody else has locked, or of one shard.
#[derive(Clone)]
struct Stuck {
    store: Flaky,
    keys: Arc<Mutex<HashSet<String>>>,
    /// Loads, too.
    loads: bool,
}

impl TokenStore for Stuck {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            if self.loads && self.keys.lock().unwrap().contains(key.as_str()) {
                std::future::pending::<()>().await;
            }
            self.store.load(key).await
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            if self.keys.lock().unwrap().contains(key.as_str()) {
                std::future::pending::<()>().await;
            }
            // A quick store.
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.store.compare_and_swap(key, expected, new).await
        })
    }
}

/// A coordinator, and `stuck` credentials whose answers have come while their rows are locked.
async fn beside(stuck: usize, loads: bool) -> (World, Arc<RefreshCoordinator>, Arc<Mutex<HashSet<String>>>) {
    let world = World::new();
    let keys = Arc::<Mutex<HashSet<String>>>::default();
    let store = Stuck { store: world.store.clone(), keys: keys.clone(), loads };
    let (server, held) = (world.server.clone(), Arc::new(Semaphore::new(0)));
    let permits = held.clone();
    let service = BoxCloneSyncService::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (server, held) = (server.clone(), held.clone());
        async move {
            use http_body_util::BodyExt as _;
            let body: Result<_, Infallible> = request.into_body().collect().await;
            let form: HashMap<String, String> =
                form_urlencoded::parse(&body.unwrap().to_bytes()).into_owned().collect();
            let token = form.get("refresh_token").cloned().unwrap_or_default();
            if token.starts_with("stuck") {
                server.arrived.notify_one();
                held.acquire().await.unwrap().forget();
            }
            let body = format!(
                r#"{{"access_token":"new-{token}","token_type":"Bearer","expires_in":3600,"refresh_token":"{token}+"}}"#
            );
            Ok::<_, std::io::Error>(Response::new(Full::<Bytes>::from(body)))
        }
    }));
    let uri = http::Uri::from_static("https://as.example/token");
    let coordinator = RefreshCoordinator::builder(uri, ClientAuth::none("c"))
        .store(store)
        .clock(world.clock.clone())
        .build(service)
        .unwrap();
    let set = |name: String| {
        TokenSet::new(format!("old-{name}")).with_refresh_token(name).with_expires_in(Duration::ZERO)
    };
    for number in 0..stuck {
        coordinator.install(format!("stuck-{number}"), set(format!("stuck-{number}"))).await.unwrap();
    }
    for number in 0..OTHERS {
        coordinator.install(format!("other-{number}"), set(format!("other-{number}"))).await.unwrap();
    }
    for number in 0..stuck {
        let coordinator = coordinator.clone();
        tokio::spawn(async move { coordinator.token(format!("stuck-{number}")).await });
        world.server.arrived.notified().await;
    }
    for number in 0..stuck {
        let key = coordinator.stored_key(format!("stuck-{number}"));
        keys.lock().unwrap().insert(key.as_str().to_owned());
    }
    permits.add_permits(stuck);
    (world, coordinator, keys)
}

async fn text(process: &Arc<RefreshCoordinator>) -> Result<String, RefreshError> {
    process.token("k").await.map(|token| token.expose_secret().to_owned())
}

const OTHERS: usize = 20;

async fn ask_all(coordinator: &Arc<RefreshCoordinator>) -> (usize, Vec<ErrorKind>) {
    let asks: Vec<_> = (0..OTHERS)
        .map(|number| {
            let (coordinator, key) = (coordinator.clone(), format!("other-{number}"));
            tokio::spawn(async move { coordinator.token(key).await })
        })
        .collect();
    let (mut served, mut errors) = (0, Vec::new());
    for ask in asks {
        match ask.await.unwrap() {
            Ok(_) => served += 1,
            Err(error) => errors.push(error.kind()),
        }
    }
    errors.dedup();
    (served, errors)
}

/// Two rows are locked by somebody when the answers of their refreshes come. All others can be read and written.
#[tokio::test(start_paused = true)]
async fn two_locked_rows_stop_no_other_credential() {
    let (_world, coordinator, _keys) = beside(2, false).await;
    tokio::time::sleep(SECOND * 10).await;
    let (served, errors) = ask_all(&coordinator).await;
    assert_eq!(served, OTHERS, "{errors:?}");
}

/// Two credentials are on a shard that hangs when the answers of their refreshes come.
#[tokio::test(start_paused = true)]
async fn two_credentials_on_a_shard_that_hangs_stop_no_other() {
    let (_world, coordinator, _keys) = beside(2, true).await;
    tokio::time::sleep(SECOND * 10).await;
    let asked = tokio::time::timeout(HOUR, coordinator.logout("other-0")).await;
    assert!(asked.is_ok(), "a logout of another credential, whose record can be read and written, hangs");
}

/// Before a swap is made, so long is waited for other writers. One that is dropped meanwhile has not happened.
#[derive(Clone)]
struct Queueing {
    store: Flaky,
    waits: Arc<Mutex<Duration>>,
}

impl TokenStore for Queueing {
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
            let waits = *self.waits.lock().unwrap();
            tokio::time::sleep(waits).await;
            self.store.compare_and_swap(key, expected, new).await
        })
    }
}

async fn two_processes_on_a_store_whose_writers_wait(waits: Duration) -> (Vec<String>, Vec<String>) {
    let world = World::new();
    let queue = Arc::new(Mutex::new(Duration::ZERO));
    let store = Queueing { store: world.store.clone(), waits: queue.clone() };
    let processes = [(); 2].map(|()| {
        World::coordinator(&world.server, &world.store, &world.clock, |builder| builder.store(store.clone()))
    });
    processes[0].install("k", world.server.login(Duration::ZERO)).await.unwrap();
    *queue.lock().unwrap() = waits;
    let asks = processes.clone().map(|process| {
        tokio::spawn(async move {
            // As long as somebody wants a token.
            for _ in 0..60 {
                match text(&process).await {
                    Ok(token) => return token,
                    Err(error) if error.needs_login() => return format!("{:?}", error.kind()),
                    Err(_) => tokio::time::sleep(SECOND).await,
                }
            }
            "nothing".to_owned()
        })
    });
    let mut told = Vec::new();
    for ask in asks {
        told.push(ask.await.unwrap());
    }
    (world.server.submitted.lock().unwrap().clone(), told)
}

#[tokio::test(start_paused = true)]
async fn no_token_is_spent_twice_where_writers_wait_for_each_other() {
    let mut twice = Vec::new();
    for millis in [500, 900, 1100, 1300, 1500, 1800, 2000, 2500, 3000, 4000, 4900] {
        let (submitted, _) = two_processes_on_a_store_whose_writers_wait(Duration::from_millis(millis)).await;
        let spent: HashSet<_> = submitted.iter().collect();
        if spent.len() < submitted.len() {
            twice.push(millis);
        }
    }
    assert!(twice.is_empty(), "a spent token was submitted again where swaps wait {twice:?} ms");
}

/// All calls of this process wait for so long before they are made: its pool of connections is busy. A call that is
/// dropped while it waits has not happened.
#[derive(Clone)]
struct BusyPool {
    store: Flaky,
    waits: Arc<Mutex<Duration>>,
}

impl TokenStore for BusyPool {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let waits = *self.waits.lock().unwrap();
            tokio::time::sleep(waits).await;
            self.store.load(key).await
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            let waits = *self.waits.lock().unwrap();
            tokio::time::sleep(waits).await;
            self.store.compare_and_swap(key, expected, new).await
        })
    }
}

/// What the server was sent.
async fn a_pool_gets_busy(waits: Duration) -> Vec<String> {
    let world = World::new();
    let busy = Arc::new(Mutex::new(Duration::ZERO));
    let store = BusyPool { store: world.store.clone(), waits: busy.clone() };
    let here = World::coordinator(&world.server, &world.store, &world.clock, |builder| builder.store(store));
    let there = world.neighbour();
    here.install("k", world.server.login(Duration::ZERO)).await.unwrap();
    world.server.script([Reply::held()]);
    let asks = |process: Arc<RefreshCoordinator>| {
        tokio::spawn(async move {
            for _ in 0..60 {
                match text(&process).await {
                    Ok(token) => return token,
                    Err(error) if error.needs_login() => return format!("{:?}", error.kind()),
                    Err(_) => tokio::time::sleep(SECOND).await,
                }
            }
            "nothing".to_owned()
        })
    };
    let asked_here = asks(here.clone());
    world.server.arrived.notified().await;
    let asked_there = asks(there.clone());
    *busy.lock().unwrap() = waits;
    world.server.released.0.add_permits(1);
    asked_here.await.unwrap();
    asked_there.await.unwrap();
    world.server.submitted.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_every_call_within_its_limit_loses_no_login() {
    let mut twice = Vec::new();
    for millis in [0, 500, 900, 1100, 1500, 2000, 3000, 4000, 4900] {
        let submitted = a_pool_gets_busy(Duration::from_millis(millis)).await;
        if submitted.len() > 1 {
            twice.push(millis);
        }
    }
    assert!(twice.is_empty(), "a spent token was submitted again where calls take {twice:?} ms");
}
