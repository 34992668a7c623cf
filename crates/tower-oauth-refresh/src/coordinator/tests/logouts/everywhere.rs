//! Logins that end in one process, and what the others do that hold a valid token of them.

use futures_util::stream;
use tokio::sync::broadcast::error::RecvError;

use super::*;

/// A store that tells everybody of each change.
#[derive(Clone)]
struct Telling {
    store: Flaky,
    told: broadcast::Sender<KeyDigest>,
    trouble: Arc<Trouble>,
}

#[derive(Default)]
struct Trouble {
    subscribed: AtomicUsize,
    /// So many subscriptions end, or panic, as soon as they are polled.
    ends: AtomicUsize,
    panics: AtomicUsize,
}

impl Telling {
    fn new(store: &Flaky) -> Self {
        Self { store: store.clone(), told: broadcast::Sender::new(4096), trouble: Arc::default() }
    }

    fn processes(&self, world: &World, count: usize) -> Vec<Arc<RefreshCoordinator>> {
        let build = |_| {
            World::coordinator(&world.server, &world.store, &world.clock, |builder| {
                builder.store(self.clone())
            })
        };
        (0..count).map(build).collect()
    }

    fn loads(&self) -> usize {
        self.store.faults.loads.load(Ordering::SeqCst)
    }

    fn subscribed(&self) -> usize {
        self.trouble.subscribed.load(Ordering::SeqCst)
    }
}

fn one_less(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl TokenStore for Telling {
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
        Some(Box::pin(stream::unfold((self.told.subscribe(), false), async |(mut told, begun)| {
            if !begun {
                self.trouble.subscribed.fetch_add(1, Ordering::SeqCst);
                assert!(!one_less(&self.trouble.panics), "the stream panics");
                if one_less(&self.trouble.ends) {
                    return None;
                }
            }
            loop {
                match told.recv().await {
                    Ok(key) => return Some((key, (told, true))),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })))
    }
}

async fn token_of(process: &Arc<RefreshCoordinator>) -> Result<String, ErrorKind> {
    let token = process.token("k").await.map_err(|error| error.kind())?;
    Ok(token.expose_secret().to_owned())
}

/// The flight of a request that was refused with a token that was accepted before.
fn refused(process: &Arc<RefreshCoordinator>) -> Waiter {
    let slot = process.slot(&"k".into());
    let used = slot.current.load_full().unwrap();
    slot.accepted(used.id(), OriginId::default());
    match process.refused(&slot, used.id(), OriginId::default()) {
        Refusal::Wait(waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

/// A login that all of `count` processes hold a token of.
async fn held_by(count: usize) -> (World, Telling, Vec<Arc<RefreshCoordinator>>) {
    let world = World::new();
    let telling = Telling::new(&world.store);
    let processes = telling.processes(&world, count);
    processes[0].install("k", world.server.login(HOUR)).await.unwrap();
    for process in &processes {
        assert_eq!(token_of(process).await.unwrap(), "access-1");
    }
    // What they heard of that is over.
    tokio::time::sleep(SECOND).await;
    (world, telling, processes)
}

// ===== what ends =====

#[tokio::test(start_paused = true)]
async fn a_login_ends_in_every_process_within_a_second() {
    for (forgotten, server_keeps) in [(false, false), (false, true), (true, false)] {
        let (world, _, processes) = held_by(8).await;
        world.server.keeps.store(server_keeps, Ordering::SeqCst);
        let mut events = processes[1].events();
        if forgotten {
            processes[0].forget("k").await.unwrap();
        } else {
            let _ = processes[0].logout("k").await.unwrap();
        }
        tokio::time::sleep(SECOND).await;
        for process in &processes {
            assert!(process.slot(&"k".into()).current.load().is_none());
            let error = token_of(process).await.unwrap_err();
            assert!(matches!(error, ErrorKind::LoggedOut | ErrorKind::NotInstalled));
        }
        assert!(matches!(within(events.next()).await.unwrap().kind, EventKind::LoggedOut));
        assert_eq!(world.server.submissions(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn without_news_of_changes_a_token_is_served_until_it_expires() {
    let world = World::new();
    world.install(HOUR).await;
    assert_eq!(world.token().await.unwrap(), "access-1");
    let _ = world.neighbour().logout("k").await.unwrap();
    tokio::time::sleep(HOUR / 2).await;
    assert_eq!(world.token().await.unwrap(), "access-1");
    tokio::time::sleep(HOUR / 2).await;
    assert!(world.token().await.unwrap_err().needs_login());
}

#[tokio::test(start_paused = true)]
async fn a_verdict_of_the_server_ends_the_login_in_every_process() {
    let (world, _, processes) = held_by(4).await;
    let mut events = processes[1].events();
    world.server.script([Reply::Status(400, r#"{"error":"invalid_grant"}"#, None)]);
    assert_eq!(refused(&processes[0]).wait().await.unwrap_err().kind(), ErrorKind::InvalidGrant);
    tokio::time::sleep(SECOND).await;
    for process in &processes {
        assert!(process.slot(&"k".into()).current.load().is_none());
        assert_eq!(token_of(process).await, Err(ErrorKind::InvalidGrant));
    }
    crate::tests::until(&mut events, |kind| matches!(kind, EventKind::Failed(_))).await;
}

#[tokio::test(start_paused = true)]
async fn another_login_replaces_the_token_in_every_process() {
    let (world, _, processes) = held_by(4).await;
    processes[3].install("k", world.server.login(HOUR)).await.unwrap();
    tokio::time::sleep(SECOND).await;
    for process in &processes {
        assert_eq!(token_of(process).await.unwrap(), "access-2");
    }
    // One that cannot be used yet is refreshed by whoever needs it first.
    processes[3].install("k", world.server.login(Duration::ZERO)).await.unwrap();
    tokio::time::sleep(SECOND).await;
    for process in &processes {
        assert_eq!(token_of(process).await.unwrap(), "access-4");
    }
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_access_token_no_header_holds_ends_the_one_before() {
    let (world, _, processes) = held_by(4).await;
    let mut login = world.server.login(HOUR);
    login.access_token = "line\nbreak".to_owned().into();
    processes[3].install("k", login).await.unwrap();
    tokio::time::sleep(SECOND).await;
    for process in &processes {
        assert_eq!(token_of(process).await.unwrap(), "access-3");
    }
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_refresh_brought_is_taken_over_before_it_is_needed() {
    let (world, telling, processes) = held_by(4).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(token_of(&processes[0]).await.unwrap(), "access-2");
    tokio::time::sleep(SECOND).await;
    let loads = telling.loads();
    for process in &processes {
        assert_eq!(token_of(process).await.unwrap(), "access-2");
    }
    assert_eq!((telling.loads(), world.server.submissions()), (loads, 1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_set_back_takes_no_newer_token_away() {
    let (world, telling, processes) = held_by(2).await;
    let before = world.stored().await.unwrap();
    refused(&processes[0]).wait().await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(token_of(&processes[1]).await.unwrap(), "access-2");
    world.overwrite_with(&before).await;
    telling.told.send(world.coordinator.stored_key("k").digest()).unwrap();
    tokio::time::sleep(SECOND).await;
    for process in &processes {
        assert_eq!(token_of(process).await.unwrap(), "access-2");
    }
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_credential_that_was_logged_out_is_asked_for_anew() {
    let world = World::new();
    let telling = Telling::new(&world.store);
    let server = world.server.clone();
    let service = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let set = server.login(HOUR);
        let body = format!(r#"{{"access_token":"{}","expires_in":3600}}"#, set.access_token.expose_secret());
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body))))
    });
    let build = || {
        let uri = http::Uri::from_static("https://as.example/token");
        RefreshCoordinator::builder(uri, ClientAuth::basic("c", "s"))
            .grant(Grant::ClientCredentials)
            .store(telling.clone())
            .clock(world.clock.clone())
            .build(service.clone())
            .unwrap()
    };
    let (here, elsewhere) = (build(), build());
    assert_eq!(token_of(&here).await.unwrap(), "access-1");
    assert_eq!(token_of(&elsewhere).await.unwrap(), "access-1");
    let _ = elsewhere.logout("k").await.unwrap();
    tokio::time::sleep(SECOND).await;
    let status = here.status("k").await.unwrap();
    assert!(status.is_none_or(|status| status.error.is_none()), "no end holds for it");
    assert_eq!(token_of(&here).await.unwrap(), "access-2");
}

// ===== at the same time as other work =====

#[tokio::test(start_paused = true)]
async fn a_logout_elsewhere_does_not_wait_for_a_refresh_under_way() {
    let (world, _, processes) = held_by(2).await;
    world.server.script([Reply::held()]);
    let waiter = refused(&processes[1]);
    world.server.arrived.notified().await;
    let logs_out = processes[0].clone();
    let logout = tokio::spawn(async move { logs_out.logout("k").await });
    tokio::time::sleep(SECOND).await;
    assert_eq!(token_of(&processes[1]).await, Err(ErrorKind::LoggedOut));
    world.server.released.0.add_permits(1);
    assert!(waiter.wait().await.unwrap_err().needs_login());
    let _ = logout.await.unwrap().unwrap();
    assert!(world.revoked_both().0.contains(&"refresh-2".to_owned()), "what it brought is given back");
}

#[tokio::test(start_paused = true)]
async fn a_token_read_before_a_logout_and_published_after_it_is_dropped() {
    let (world, telling, processes) = held_by(1).await;
    let late = telling.processes(&world, 1).remove(0);
    world.store.faults.late.store(true, Ordering::SeqCst);
    let asks = late.clone();
    let asked = tokio::spawn(async move { token_of(&asks).await });
    world.store.faults.has_read.notified().await;
    let _ = processes[0].logout("k").await.unwrap();
    tokio::time::sleep(SECOND).await;
    world.store.faults.may_answer.notify_one();
    assert_eq!(asked.await.unwrap().unwrap(), "access-1");
    tokio::time::sleep(SECOND).await;
    assert!(token_of(&late).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_read_the_store_before_a_logout_is_not_believed() {
    let (world, _, processes) = held_by(2).await;
    assert!(refused(&processes[0]).wait().await.is_ok());
    world.store.faults.late.store(true, Ordering::SeqCst);
    let waiter = refused(&processes[1]);
    world.store.faults.has_read.notified().await;
    let _ = processes[0].logout("k").await.unwrap();
    tokio::time::sleep(SECOND).await;
    world.store.faults.may_answer.notify_one();
    assert!(waiter.wait().await.unwrap_err().needs_login());
    for _ in 0..5 {
        assert!(token_of(&processes[1]).await.is_err());
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_begun_during_the_look_is_not_ended_by_it() {
    let (world, _, processes) = held_by(2).await;
    world.store.faults.late.store(true, Ordering::SeqCst);
    // Removed by hand: a logout would load by itself.
    let stored = processes[0].stored_key("k");
    let version = world.store.records.load(&stored).await.unwrap().unwrap().body.version();
    processes[0].store.compare_and_swap(&stored, Some(version), None).await.unwrap();
    world.store.faults.has_read.notified().await;
    for process in &processes {
        process.install("k", world.server.login(HOUR)).await.unwrap();
    }
    world.store.faults.may_answer.notify_one();
    for _ in 0..100 {
        tokio::time::sleep(SECOND / 100).await;
        assert!(processes.iter().all(|process| process.slot(&"k".into()).current.load().is_some()));
    }
    for process in &processes {
        assert_eq!(token_of(process).await.unwrap(), "access-3");
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_is_looked_at_again_until_the_store_answers() {
    let (world, _, processes) = held_by(2).await;
    let _ = processes[0].logout("k").await.unwrap();
    world.store.faults.down.store(true, Ordering::SeqCst);
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(token_of(&processes[1]).await.unwrap(), "access-1");
    world.store.faults.down.store(false, Ordering::SeqCst);
    tokio::time::sleep(SECOND * 60).await;
    assert!(token_of(&processes[1]).await.is_err());
}

// ===== what it costs =====

#[tokio::test(start_paused = true)]
async fn a_change_costs_one_load_in_each_process_that_holds_the_token() {
    const CREDENTIALS: usize = 1000;
    const PROCESSES: usize = 50;
    let world = World::new();
    let telling = Telling::new(&world.store);
    let processes = telling.processes(&world, PROCESSES);
    let writer = telling.processes(&world, 1).remove(0);
    let install = async |round: usize| {
        for number in 0..CREDENTIALS {
            let set = TokenSet::new(format!("access-{round}-of-{number}"))
                .with_refresh_token(format!("refresh-{round}-of-{number}"))
                .with_expires_in(HOUR);
            writer.install(format!("{number}"), set).await.unwrap();
        }
    };
    install(1).await;
    for number in 0..CREDENTIALS {
        for process in [number % PROCESSES, (number + 1) % PROCESSES] {
            processes[process].token(format!("{number}")).await.unwrap();
        }
    }
    tokio::time::sleep(SECOND).await;
    let before = telling.loads();
    install(2).await;
    tokio::time::sleep(SECOND).await;
    // Of each install one by itself, and one for its own change; and one of each of the two that hold the token.
    let loads = telling.loads() - before;
    assert!((3 * CREDENTIALS..=4 * CREDENTIALS).contains(&loads), "{loads}");
    for (number, process) in processes.iter().enumerate() {
        let token = process.token(format!("{number}")).await.unwrap();
        assert_eq!(token.expose_secret(), format!("access-2-of-{number}"));
        assert!(process.slots.len() <= 2 * CREDENTIALS / PROCESSES);
    }
    assert_eq!(telling.loads() - before, loads);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_looked_at_once() {
    let (_, telling, processes) = held_by(2).await;
    let before = telling.loads();
    for _ in 0..1000 {
        telling.told.send(processes[0].stored_key("k").digest()).unwrap();
        telling.told.send(processes[0].stored_key("another").digest()).unwrap();
        telling.told.send(StoredKey::from("of another namespace").digest()).unwrap();
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(telling.loads() - before, 2);
    // And changes that never stop are looked at a few times in a second.
    for _ in 0..1000 {
        telling.told.send(processes[0].stored_key("k").digest()).unwrap();
        tokio::time::sleep(SECOND / 100).await;
    }
    assert!((2 * 20..=2 * 110).contains(&(telling.loads() - before)));
}

// ===== how long it listens =====

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_or_panics_is_asked_for_again() {
    let world = World::new();
    let telling = Telling::new(&world.store);
    telling.trouble.ends.store(3, Ordering::SeqCst);
    telling.trouble.panics.store(3, Ordering::SeqCst);
    let processes = telling.processes(&world, 2);
    processes[0].install("k", world.server.login(HOUR)).await.unwrap();
    token_of(&processes[1]).await.unwrap();
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(telling.subscribed(), 2 + 6);
    let _ = processes[0].logout("k").await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert!(token_of(&processes[1]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_store_without_changes_any_more_is_asked_seldom() {
    let world = World::new();
    let telling = Telling::new(&world.store);
    telling.trouble.ends.store(usize::MAX, Ordering::SeqCst);
    let process = telling.processes(&world, 1).remove(0);
    process.install("k", world.server.login(HOUR * 2)).await.unwrap();
    tokio::time::sleep(HOUR).await;
    assert!((100..=130).contains(&telling.subscribed()), "{}", telling.subscribed());
}

#[tokio::test(start_paused = true)]
async fn nobody_listens_before_a_token_is_held_nor_after_the_end() {
    let (world, telling, processes) = held_by(3).await;
    let [first, second, third] = processes.try_into().unwrap();
    let idle = telling.processes(&world, 1);
    assert_eq!((telling.told.receiver_count(), telling.subscribed()), (3, 3), "one task each");
    drop(first);
    assert!(second.shutdown(SECOND).await);
    tokio::time::sleep(SECOND).await;
    assert_eq!(telling.told.receiver_count(), 1);
    // A shutdown is the end: no use starts it again.
    second.install("k", world.server.login(HOUR)).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(telling.told.receiver_count(), 1);
    drop((second, third, idle));
    tokio::time::sleep(SECOND).await;
    assert_eq!(telling.told.receiver_count(), 0);
}

#[test]
fn a_listener_whose_runtime_has_ended_is_started_again() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (world, telling, processes) = runtime().block_on(held_by(2));
    assert_eq!(telling.told.receiver_count(), 0);
    runtime().block_on(async {
        for process in &processes {
            process.install("k", world.server.login(HOUR)).await.unwrap();
        }
        tokio::time::sleep(SECOND).await;
        let _ = processes[0].logout("k").await.unwrap();
        tokio::time::sleep(SECOND).await;
        assert!(token_of(&processes[1]).await.is_err());
    });
}
