//! What errors, events and the log say to whoever is on call.

use super::*;

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

#[tokio::test]
async fn a_slow_reader_of_events_is_told_how_many_it_missed() {
    let world = World::new();
    let mut events = world.coordinator.events();
    for _ in 0..300 {
        world.install(HOUR).await;
    }
    let first = events.next().await.unwrap();
    assert_eq!((first.missed, format!("{:?}", first.kind)), (44, "Installed(Generation(45))".to_owned()));
    for _ in 0..255 {
        assert_eq!(events.next().await.unwrap().missed, 0);
    }
    assert!(futures_util::FutureExt::now_or_never(events.next()).is_none());
}
