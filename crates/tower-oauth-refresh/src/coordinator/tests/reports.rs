//! What errors, events and the log say to whoever is on call.

use futures_util::FutureExt as _;

use super::*;
use crate::tests::captured_log::CapturedLog;

#[tokio::test]
async fn an_error_names_credential_client_and_endpoint() {
    let world =
        World::with(|builder| builder.parameter("resource", "s3cr3t").parameter("audience", "s3cr3t"));
    let client = ClientAuth::none("app 7");
    let other =
        RefreshCoordinator::builder(http::Uri::from_static("https://as.example/token?s3cr3t"), client);
    let other = other.issuer("https://issuer.example/x").build(world.server.service()).unwrap();
    for (coordinator, named) in [
        (&world.coordinator, r#""k" of client "c" at https://as.example/token with audience, resource"#),
        (&other, r#""k" of client "app 7" at https://issuer.example/x (https://as.example/token)"#),
    ] {
        let errors = [
            coordinator.token("k").await.unwrap_err(),
            coordinator.token("k").await.unwrap_err(),
            coordinator.install("k", TokenSet::from_refresh_token("")).await.unwrap_err(),
            coordinator.login_if_needed("k", async |_| Err("no".into())).await.unwrap_err(),
        ];
        for error in errors {
            let said = error.to_string();
            assert!(said.ends_with(&format!(": {named}")), "{said}");
            assert!(format!("{error:?}").contains("as.example/token"), "{error:?}");
            assert!(!said.contains("s3cr3t"), "{said}");
        }
    }
    let error = world.coordinator.token("a\nb").await.unwrap_err();
    assert!(error.to_string().contains(r#""a\nb" of client"#), "{error}");
}

#[tokio::test]
async fn an_endpoint_is_the_same_however_it_is_spelled() {
    let stored = |endpoint: &'static str| {
        let builder = RefreshCoordinator::builder(http::Uri::from_static(endpoint), ClientAuth::none("c"));
        builder.build(Arc::<Server>::default().service()).unwrap().stored_key("k")
    };
    for spelled in ["https://AS.Example/token", "HTTPS://as.example:443/token", "https://as.example./token"] {
        assert_eq!(stored(spelled), stored("https://as.example/token"), "{spelled}");
    }
    assert_eq!(stored("https://as.example"), stored("https://as.example/"));
    assert_eq!(stored("https://as.example/token").as_str(), "https://as.example/token c / k");
    for other in [
        "https://as.example:8443/token",
        "https://as.example/Token",
        "https://as.example/token/",
        "https://as.example/token?p=1",
        "https://as.example.evil/token",
    ] {
        assert_ne!(stored(other), stored("https://as.example/token"), "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_line_of_a_failure_has_its_cause() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    let cause = std::io::Error::other("the disk\nis full");
    *world.store.faults.error.lock().unwrap() = Some(Box::new(cause));
    let (log, _guard) = CapturedLog::listen();
    world.token().await.unwrap_err();
    let line = log.line("refresh failed");
    assert!(line.starts_with("WARN") && line.contains(r"the disk\nis full"), "{line}");
    assert!(line.contains("as.example/token") && line.contains("client"), "{line}");
}

/// Its text is not ours.
#[derive(Debug)]
struct Speechless;

impl fmt::Display for Speechless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Speechless {}

#[tokio::test(start_paused = true)]
async fn a_cause_that_panics_when_it_is_shown_takes_no_log_line_with_it() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    *world.store.faults.error.lock().unwrap() = Some(Box::new(Speechless));
    let (log, _guard) = CapturedLog::listen();
    world.token().await.unwrap_err();
    assert!(log.line("refresh failed").contains("Store"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_that_is_left_alone_is_logged_once() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.token().await.unwrap();
    let (log, _guard) = CapturedLog::listen();
    let mut events = world.coordinator.events();
    for _ in 0..3 {
        assert!(world.refuse().await.is_none(), "it is too fresh");
        tokio::time::sleep(SECOND).await;
    }
    assert!(log.line("left alone").starts_with("WARN"));
    assert!(
        matches!(within(events.next()).await.unwrap().kind, EventKind::LeftAlone(generation) if generation.get() == 2)
    );
}

#[tokio::test]
async fn a_slow_reader_of_events_is_told_how_many_it_missed() {
    let world = World::new();
    let mut events = world.coordinator.events();
    for _ in 0..300 {
        world.install(HOUR).await;
    }
    let first = within(events.next()).await.unwrap();
    assert_eq!((first.missed, format!("{:?}", first.kind)), (44, "Installed(Generation(45))".to_owned()));
    for _ in 0..255 {
        assert_eq!(within(events.next()).await.unwrap().missed, 0);
    }
    assert!(futures_util::FutureExt::now_or_never(events.next()).is_none());
}

#[tokio::test(start_paused = true)]
async fn tokens_that_can_never_be_sent_are_not_installed_and_replace_nothing() {
    let world = World::new();
    world.install(HOUR).await;
    let mut foreign = TokenSet::new("access");
    foreign.token_type = "MAC".to_owned();
    for set in [
        TokenSet::new("line\nbreak"),
        TokenSet::new(""),
        TokenSet::from_refresh_token(""),
        TokenSet::from_refresh_token("of a file\n"),
        TokenSet::new("access").with_refresh_token("of a file\r\n"),
        foreign,
        TokenSet::new("access").with_refresh_token("refresh").with_bound_key(crate::BoundKey::new(*b"key")),
    ] {
        let error = world.coordinator.install("k", set.clone()).await.unwrap_err();
        assert!(!error.is_transient() && !error.needs_login(), "{set:?}: {error}");
        assert!(std::error::Error::source(&error).is_some(), "{error:?}");
        assert_eq!(world.token().await.unwrap(), "access-1");
        let login = world.coordinator.login_if_needed("new", async |_| Ok(set.clone())).await;
        assert_eq!(login.unwrap_err().kind(), error.kind());
        assert!(world.coordinator.status("new").await.unwrap().is_none());
    }
    assert_eq!(world.server.submissions(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_keys_are_proven_an_unbound_access_token_alone_is_not_installed() {
    let world = World::with(|builder| builder.dpop());
    world.coordinator.install("k", TokenSet::new("access")).await.unwrap_err();
    world.coordinator.install("k", world.server.login(HOUR)).await.unwrap();
}

fn failures(events: &mut Events) -> Vec<RefreshError> {
    let mut found = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        if let EventKind::Failed(error) = event.kind {
            found.push(error);
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn an_error_says_what_the_token_endpoint_answered() {
    for (reply, code) in [
        (Reply::Status(503, "", Some("60")), "http_503"),
        (Reply::Status(400, r#"{"error":"temporarily_unavailable"}"#, Some("60")), "temporarily_unavailable"),
        (Reply::Status(200, "<html>", None), "unusable_answer"),
        (Reply::Lost, "no_answer"),
    ] {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.always(reply);
        let error = world.token().await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert!(error.to_string().contains(code), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_stands_is_an_event_once() {
    let dead = Reply::Status(400, r#"{"error":"invalid_grant"}"#, None);
    for (reply, waits) in [(dead, 0), (Reply::Status(503, "", Some("60")), 0)] {
        let world = World::with(|builder| builder.wait_limit(SECOND * waits));
        world.install(Duration::ZERO).await;
        let mut events = world.coordinator.events();
        world.server.always(reply);
        for _ in 0..30 {
            world.token().await.unwrap_err();
            tokio::time::sleep(SECOND).await;
        }
        assert_eq!(failures(&mut events).len(), 1);
    }
}

/// `docs/operating.md` has these.
#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_request_as_long_as_the_page_says() {
    let down = || Reply::Status(503, "", None);
    for (reply, lasts, least, most, kind) in [
        (down(), 4, 9, 11, None),
        (Reply::Status(429, "", None), 4, 9, 11, None),
        (down(), 3600, 20, 24, Some(ErrorKind::Unavailable)),
        (Reply::Silent, 3600, 20, 20, Some(ErrorKind::InDoubt)),
        (Reply::Status(200, "<html>", None), 3600, 0, 0, Some(ErrorKind::InDoubt)),
        (Reply::Status(503, "", Some("60")), 3600, 0, 0, Some(ErrorKind::Unavailable)),
    ] {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.always(reply);
        let start = Instant::now();
        let caller = world.ask();
        let ends = tokio::time::sleep(SECOND * lasts);
        tokio::pin!(caller, ends);
        let told = tokio::select! {
            told = &mut caller => told,
            () = &mut ends => {
                *world.server.always.lock().unwrap() = None;
                caller.await
            }
        };
        let took = start.elapsed();
        assert_eq!(told.unwrap().err().map(|error| error.kind()), kind);
        assert!((SECOND * least..SECOND * (most + 1)).contains(&took), "{lasts} s: {took:?}");
    }
}
