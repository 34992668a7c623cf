//! One refresh, however many need it.

use std::task::{Context, Wake};

use futures_util::FutureExt as _;

use super::*;
use crate::coordinator::outcome::Held;
use crate::store::record::{LoginId, Tokens};

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_one_refresh() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let loads = world.store.faults.loads.load(Ordering::SeqCst);
    let callers = (0..1000).map(|_| world.token());
    for told in futures_util::future::join_all(callers).await {
        assert_eq!(told.unwrap(), "access-2");
    }
    assert_eq!(world.server.submissions(), 1);
    assert_eq!(world.store.faults.loads.load(Ordering::SeqCst), loads + 1, "not one for each");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_the_header_gets_it_ready_made_and_sensitive_and_refreshed_like_a_token() {
    let world = World::new();
    world.install(HOUR).await;
    let valid = world.coordinator.authorization("k").await.unwrap();
    assert_eq!(valid, "Bearer access-1");
    assert!(valid.is_sensitive());
    world.install(Duration::ZERO).await;
    let (header, token) = tokio::join!(world.coordinator.authorization("k"), world.token());
    assert_eq!(header.unwrap(), format!("Bearer {}", token.unwrap()));
    assert_eq!(world.server.submissions(), 1);
    assert_eq!(world.coordinator.authorization("?").await.unwrap_err().kind(), ErrorKind::NotInstalled);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_exactly_like_a_success() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.always(Reply::Status(503, "", Some("60")));
    let start = Instant::now();
    for told in futures_util::future::join_all((0..50).map(|_| world.token())).await {
        let error = told.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_at().is_some());
    }
    assert_eq!(world.server.submissions(), 1);
    assert!(start.elapsed() < SECOND, "not one after the other");
}

#[tokio::test(start_paused = true)]
async fn a_caller_ends_by_its_own_deadline_and_the_refresh_goes_on() {
    let world = World::with(|builder| builder.wait_limit(SECOND));
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let start = Instant::now();
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), SECOND);
    tokio::time::sleep(SECOND).await;
    world.server.released.0.add_permits(1);
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_of_an_older_generation_costs_no_refresh() {
    let world = World::new();
    world.install(HOUR).await;
    let slot = world.coordinator.slot(&"k".into());
    let used = slot.current.load_full().unwrap();
    assert_eq!(world.refuse().await.unwrap().unwrap(), "access-2");
    for _ in 0..200 {
        assert!(matches!(
            world.coordinator.refused(&slot, used.id(), OriginId::default()),
            Refusal::Replay(_)
        ));
    }
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_credential_that_hangs_does_not_delay_another() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Silent]);
    let hung = world.ask();
    world.server.arrived.notified().await;
    let start = Instant::now();
    world.coordinator.install("other", world.server.login(Duration::ZERO)).await.unwrap();
    world.coordinator.token("other").await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    hung.abort();
}

#[tokio::test(start_paused = true)]
async fn two_coordinators_on_one_store_still_refresh_once() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let neighbour = world.neighbour();
    // Time enough for the other one to send its own.
    let release = async {
        tokio::time::sleep(SECOND * 5).await;
        world.server.released.0.add_permits(1);
    };
    let (ours, theirs, ()) = tokio::join!(world.token(), neighbour.token("k"), release);
    assert_eq!(ours.unwrap(), "access-2");
    assert_eq!(theirs.unwrap().expose_secret(), "access-2");
    assert_eq!(world.server.submissions(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_another_process_looks_when_the_store_tells_of_this_very_credential() {
    let world = World::new();
    let (tells, _told) = broadcast::channel(8);
    *world.store.faults.tells.lock().unwrap() = Some(tells.clone());
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let neighbour = world.neighbour();
    let theirs = tokio::spawn(async move { neighbour.token("k").await });
    world.server.arrived.notified().await;
    let ours = world.ask();
    let looks = async || {
        tokio::time::sleep(SECOND / 1000).await;
        world.store.faults.loads.load(Ordering::SeqCst)
    };
    // What is told sooner waits for this.
    tokio::time::sleep(SECOND / 20).await;
    let before = looks().await;
    tells.send(world.coordinator.stored_key("another").digest()).unwrap();
    assert_eq!(looks().await, before);
    tells.send(world.coordinator.stored_key("k").digest()).unwrap();
    assert_eq!(looks().await, before + 1);
    world.server.released.0.add_permits(1);
    assert_eq!(ours.await.unwrap().unwrap().expose_secret(), "access-2");
    theirs.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn coordinators_for_different_resources_never_share_a_token() {
    let world = World::new();
    // What they say is the same where names, values and pairs are put together without a mark between them.
    let all: [&[(&str, &str)]; 11] = [
        &[],
        &[("resource", "https://other.example/")],
        &[("resource", "https://other.example/"), ("resource", "https://third.example/")],
        &[("audience", "https://other.example/")],
        &[("scope", "a")],
        &[("scope", "a b")],
        &[("scope", "a+b")],
        &[("audience", "a scope=b")],
        &[("audience", "a"), ("scope", "b")],
        &[("a", "b"), ("bc", "d")],
        &[("a", "bb"), ("c", "d")],
    ];
    let coordinators = all.map(|parameters| {
        World::coordinator(&world.server, &world.store, &world.clock, |builder| {
            parameters.iter().fold(builder, |all, (name, value)| all.parameter(*name, *value))
        })
    });
    for (number, one) in coordinators.iter().enumerate() {
        assert_eq!(one.token("k").await.unwrap_err().kind(), ErrorKind::NotInstalled, "{:?}", all[number]);
        one.install("k", world.server.login(HOUR)).await.unwrap();
    }
    for (number, one) in coordinators.iter().enumerate() {
        assert_eq!(one.token("k").await.unwrap().expose_secret(), format!("access-{}", number + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_known_by_its_issuer_keeps_its_logins_where_its_token_endpoint_moves() {
    let store = MemoryStore::new();
    let at = |endpoint: &'static str, issuer: Option<&str>| {
        let endpoint = http::Uri::from_static(endpoint);
        let builder = RefreshCoordinator::builder(endpoint, ClientAuth::none("c")).store(store.clone());
        let builder = issuer.map_or(builder.clone(), |issuer| builder.issuer(issuer));
        let nobody = tower::service_fn(|_: Request<Full<Bytes>>| async {
            Err::<Response<Full<Bytes>>, _>("nobody is to be asked")
        });
        builder.build(nobody).unwrap()
    };
    let issuer = Some("https://as.example");
    at("https://as.example/token", issuer).install("k", TokenSet::new("access")).await.unwrap();
    let moved = at("https://as.example/v2/token", issuer);
    assert_eq!(moved.token("k").await.unwrap().expose_secret(), "access");
    for (endpoint, issuer) in [
        ("https://as.example/token", Some("https://other.example")),
        ("https://as.example/token", None),
        ("https://as.example", None),
    ] {
        let other = at(endpoint, issuer);
        assert_eq!(other.token("k").await.unwrap_err().kind(), ErrorKind::NotInstalled);
    }
}

#[tokio::test(start_paused = true)]
async fn the_channel_exists_only_while_a_flight_does() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.token().await.unwrap();
    tokio::task::yield_now().await;
    assert!(world.coordinator.slot(&"k".into()).state().flight.is_none());

    // It has told its waiters, and goes on.
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let waiting = world.ask();
    world.server.arrived.notified().await;
    world.store.faults.down.store(true, Ordering::SeqCst);
    world.server.released.0.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Unpersisted);
    assert!(world.coordinator.slot(&"k".into()).state().flight.is_some());
    world.store.faults.down.store(false, Ordering::SeqCst);
    assert!(world.coordinator.shutdown(SECOND * 2).await);
    assert!(world.coordinator.slot(&"k".into()).state().flight.is_none());
}

#[tokio::test(start_paused = true)]
async fn events_tell_what_happened_in_order() {
    let world = World::new();
    let mut events = world.coordinator.events();
    world.install(Duration::ZERO).await;
    world.token().await.unwrap();
    world.coordinator.logout("k").await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(format!("{:?}", events.next().now_or_never().flatten().unwrap().kind));
    }
    assert_eq!(
        kinds,
        ["Installed(Generation(1))", "RefreshStarted", "Refreshed(Generation(2))", "LoggedOut"]
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_wakes_finds_the_new_token_published() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let mut caller = std::pin::pin!(world.token());
    let (slot, found) = (world.coordinator.slot(&"k".into()), Arc::<Mutex<Vec<_>>>::default());
    let waker = Arc::new(CallsWhenWoken({
        let found = found.clone();
        // Another thread may poll at once.
        move || found.lock().unwrap().push(slot.current.load_full().unwrap().generation().get())
    }));
    assert!(caller.as_mut().poll(&mut Context::from_waker(&waker.into())).is_pending());
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(*found.lock().unwrap(), [2]);
    assert_eq!(caller.await.unwrap(), "access-2");
}

struct CallsWhenWoken<F>(F);

impl<F: Fn() + Send + Sync> Wake for CallsWhenWoken<F> {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

/// The classifier, the log, and a waker: for its own credential and for another one.
async fn callbacks_that_call_back() -> [usize; 3] {
    let world = World::new();
    let inner: Arc<std::sync::OnceLock<Arc<RefreshCoordinator>>> = Arc::default();
    let called: Arc<[AtomicUsize; 3]> = Arc::default();
    let call_back = {
        let (inner, called) = (inner.clone(), called.clone());
        move |from: usize| {
            called[from].fetch_add(1, Ordering::SeqCst);
            let coordinator = inner.get().unwrap();
            for key in ["k", "other"] {
                let slot = coordinator.slot(&key.into());
                drop(coordinator.token_for(&slot));
                // What most calls need, and one that finds a valid token does not.
                drop(slot.state());
            }
            drop(format!("{coordinator:?}"));
        }
    };
    let coordinator = World::coordinator(&world.server, &world.store, &world.clock, |builder| {
        let call_back = call_back.clone();
        builder.classifier(move |_, class| {
            call_back(0);
            class
        })
    });
    inner.set(coordinator.clone()).unwrap();
    coordinator.install("k", world.server.login(Duration::ZERO)).await.unwrap();
    let _log = tracing::subscriber::set_default(Log({
        let call_back = call_back.clone();
        move |_: &tracing::Event<'_>| call_back(1)
    }));
    let mut waiting = std::pin::pin!(coordinator.token("k"));
    let waker = Arc::new(CallsWhenWoken(move || call_back(2))).into();
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(coordinator.token("k").await.unwrap().expose_secret(), "access-2");
    [0, 1, 2].map(|from| called[from].load(Ordering::SeqCst))
}

#[test]
fn a_callback_may_call_the_coordinator_back() {
    let (ends, ended) = std::sync::mpsc::channel();
    // On a thread of its own: one that waits for itself never ends.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        ends.send(runtime.unwrap().block_on(callbacks_that_call_back())).unwrap();
    });
    let called = ended.recv_timeout(SECOND * 30).expect("it waits for itself, or has failed");
    assert!(called.iter().all(|times| *times > 0), "{called:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_the_server_asked_for_is_kept_by_the_neighbours_too() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::Status(503, "", Some("30"))]);
    world.token().await.unwrap_err();
    for _ in 0..29 {
        let error = world.neighbour().token("k").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(world.server.submissions(), 1);
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(world.neighbour().token("k").await.unwrap().expose_secret(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn an_older_set_of_the_same_login_never_takes_the_place_of_a_newer_one() {
    let world = World::new();
    let slot = world.coordinator.slot(&"k".into());
    // The last: a store that lost a write has had a generation twice.
    for (login, generation, token, left) in [
        (1, 5, "a", (1, 5, "a")),
        (1, 4, "b", (1, 5, "a")),
        (1, 6, "c", (1, 6, "c")),
        (2, 3, "d", (2, 3, "d")),
        (2, 3, "e", (2, 3, "e")),
    ] {
        let held = Held {
            login: LoginId(login),
            generation: Generation::new(generation),
            tokens: Tokens::received(&TokenSet::new(token), None),
            obtained: world.clock.now(),
        };
        let current = world.coordinator.current(&slot, held).unwrap();
        slot.publish(&mut slot.state(), Arc::new(current));
        let current = slot.current.load_full().unwrap();
        let token = current.access_token();
        assert_eq!((current.id().login.0, current.generation().get(), token.expose_secret()), left);
    }
}

#[tokio::test]
async fn a_parameter_named_again_is_replaced_and_only_resources_repeat() {
    let parameters = |given: &[(&str, &str)]| {
        let world = World::with(|builder| {
            given.iter().fold(builder, |all, (name, value)| all.parameter(*name, *value))
        });
        world
            .coordinator
            .stored_key("k")
            .as_str()
            .split(' ')
            .filter(|word| word.contains('='))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let given = [("scope", "a"), ("audience", "x"), ("scope", "b"), ("audience", "y")];
    assert_eq!(parameters(&given), ["audience=y", "scope=b"]);
    let resources = [("resource", "a"), ("resource", "b"), ("resource", "a")];
    assert_eq!(parameters(&resources), ["resource=a", "resource=b"]);
}
