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
