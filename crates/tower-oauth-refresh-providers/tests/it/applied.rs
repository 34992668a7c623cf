//! What a preset changes about a coordinator, seen by the server; and that it changes nothing unconfirmed.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{BoxError, service_fn};
use tower_oauth_refresh::{ClientAuth, ErrorKind, MemoryStore, RefreshCoordinator, TokenSet};
use tower_oauth_refresh_providers::{
    self as providers, AUTH0, GITLAB, HUBSPOT, KEYCLOAK, OKTA, Preset, Rotation, SALESFORCE, TWITCH, WHOOP,
    ZOOM,
};

/// Refreshes once and logs out: what arrived, as address and body.
async fn arrived_at(preset: Preset) -> Vec<(String, String)> {
    arrived(preset, "https://auth.example/token").await
}

async fn arrived(preset: Preset, token_endpoint: &str) -> Vec<(String, String)> {
    let arrived = Arc::<Mutex<Vec<_>>>::default();
    let ledger = arrived.clone();
    let server = service_fn(move |request: Request<Full<Bytes>>| {
        let ledger = ledger.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
            ledger.lock().expect("unpoisoned").push((head.uri.to_string(), body));
            let tokens = r#"{"access_token":"at-2","refresh_token":"rt-2","expires_in":3600}"#;
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(tokens)))
        }
    });
    let endpoint = token_endpoint.parse().expect("an address");
    let builder = RefreshCoordinator::builder(endpoint, ClientAuth::none("client"));
    let coordinator = builder.provider(preset).build(server).expect("a coordinator");
    coordinator.install("key", TokenSet::from_refresh_token("rt-1")).await.expect("installed");
    coordinator.token("key").await.expect("a token");
    coordinator.logout("key").await.expect("logged out");
    arrived.lock().expect("unpoisoned").clone()
}

#[tokio::test(start_paused = true)]
async fn a_confirmed_revocation_endpoint_is_told_of_a_logout() {
    let arrived = arrived(TWITCH, TWITCH.token_endpoint.expect("known").value).await;
    let known = TWITCH.revocation.expect("known").value;
    let revoked: Vec<_> = arrived.iter().filter(|(address, _)| address == known).collect();
    assert_eq!(revoked.len(), 2, "the refresh token and the access token: {arrived:?}");
    assert!(revoked.iter().any(|(_, body)| body.contains("token=rt-2")), "{arrived:?}");
}

/// The addresses that a logout sends tokens to, with this token endpoint.
async fn revoked_at(preset: Preset, token_endpoint: &str) -> Vec<String> {
    let arrived = arrived(preset, token_endpoint).await;
    arrived.into_iter().map(|(address, _)| address).filter(|address| address != token_endpoint).collect()
}

#[tokio::test(start_paused = true)]
async fn a_revocation_endpoint_is_where_the_token_endpoint_is() {
    for (preset, token, revoke) in [
        (
            KEYCLOAK,
            "https://id.example/auth/realms/a/protocol/openid-connect/token",
            "https://id.example/auth/realms/a/protocol/openid-connect/revoke",
        ),
        (
            OKTA,
            "https://acme.okta.com/oauth2/default/v1/token",
            "https://acme.okta.com/oauth2/default/v1/revoke",
        ),
        (AUTH0, "https://login.acme.example/oauth/token", "https://login.acme.example/oauth/revoke"),
        (
            SALESFORCE,
            "https://test.salesforce.com/services/oauth2/token",
            "https://test.salesforce.com/services/oauth2/revoke",
        ),
    ] {
        assert_eq!(revoked_at(preset, token).await, [revoke, revoke], "{}", preset.id);
    }
    let elsewhere = revoked_at(KEYCLOAK, "https://id.example/something/else").await;
    assert!(elsewhere.is_empty(), "nothing is guessed: {elsewhere:?}");
}

#[tokio::test(start_paused = true)]
async fn no_token_of_another_server_is_sent_to_the_one_that_a_preset_names() {
    for preset in providers::ALL {
        let known = preset.token_endpoint.and_then(|fact| fact.value.strip_prefix("https://"));
        let Some((_, path)) = known.and_then(|known| known.split_once('/')) else { continue };
        if path.contains('{') {
            continue;
        }
        for address in revoked_at(preset, &format!("https://elsewhere.example/{path}")).await {
            assert!(address.starts_with("https://elsewhere.example/"), "{}: {address}", preset.id);
        }
    }
    let revoke = "https://gitlab.corp.example/oauth/revoke";
    assert_eq!(revoked_at(GITLAB, "https://gitlab.corp.example/oauth/token").await, [revoke, revoke]);
}

#[tokio::test(start_paused = true)]
async fn every_preset_revokes_on_logout_or_says_that_it_does_not() {
    for preset in providers::ALL {
        let endpoint = preset.token_endpoint.map_or("https://auth.example/token", |fact| fact.value);
        let endpoint = endpoint.replace(['{', '}'], "");
        let endpoint =
            if endpoint.starts_with('/') { format!("https://auth.example{endpoint}") } else { endpoint };
        let says = preset.gaps.iter().any(|gap| gap.contains("logout does not revoke"));
        let no_login = preset.rotation.is_some_and(|fact| fact.value == Rotation::NoRefreshToken);
        assert_eq!(revoked_at(preset, &endpoint).await.is_empty(), says || no_login, "{}", preset.id);
    }
}

#[tokio::test]
async fn a_login_survives_that_the_token_endpoint_moves() {
    let store = MemoryStore::new();
    let nobody =
        service_fn(async |_: Request<Full<Bytes>>| Err::<Response<Full<Bytes>>, _>("nobody is asked"));
    let at = |endpoint: &str| {
        let builder =
            RefreshCoordinator::builder(endpoint.parse().expect("a URL"), ClientAuth::none("client"));
        builder.provider(HUBSPOT).store(store.clone()).build(nobody).expect("a coordinator")
    };
    let login = TokenSet::new("at-1").with_refresh_token("rt-1");
    at("https://api.hubapi.com/oauth/v1/token").install("key", login).await.expect("installed");
    let moved = at("https://api.hubapi.com/oauth/2026-03/token").status("key").await.expect("a status");
    assert!(moved.is_some());
    let elsewhere = at("https://sandbox.example/oauth/v1/token").status("key").await.expect("a status");
    assert!(elsewhere.is_none(), "another server has other logins");
}

#[tokio::test(start_paused = true)]
async fn own_rules_and_parameters_beside_a_preset_keep_what_it_knows() {
    let sent = Arc::<Mutex<String>>::default();
    let seen = sent.clone();
    let server = service_fn(move |request: Request<Full<Bytes>>| {
        let seen = seen.clone();
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            *seen.lock().expect("unpoisoned") = String::from_utf8(body.to_vec())?;
            let dead = r#"{"error":"Bad Request","status":400,"message":"Invalid refresh token"}"#;
            Ok::<_, BoxError>(Response::builder().status(400).body(Full::<Bytes>::from(dead))?)
        }
    });
    let endpoint = "https://auth.example/token".parse().expect("an address");
    let builder = RefreshCoordinator::builder(endpoint, ClientAuth::none("client"));
    let builder = builder.provider(WHOOP).parameter("scope", "offline read:sleep");
    let builder = builder.provider(TWITCH).classifier(|_, class| class);
    let coordinator = builder.build(server).expect("a coordinator");
    coordinator.install("key", TokenSet::from_refresh_token("rt-1")).await.expect("installed");
    let error = coordinator.token("key").await.expect_err("the refresh token is dead");
    assert_eq!(error.kind(), ErrorKind::InvalidGrant);
    let sent = sent.lock().expect("unpoisoned").clone();
    assert_eq!(sent.matches("scope=").count(), 1, "RFC 6749 3.2: {sent}");
    assert!(sent.contains("scope=offline+read%3Asleep"), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_fact_can_be_read_and_changes_nothing() {
    let revocation = ZOOM.revocation.expect("listed");
    assert!(revocation.value.starts_with("https://"));
    assert_eq!(revocation.confirmed(), None);
    let arrived = arrived_at(ZOOM).await;
    assert_eq!(arrived.len(), 1, "the refresh, and no logout: {arrived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_a_refresh_needs_is_sent() {
    let arrived = arrived_at(WHOOP).await;
    let (_, body) = arrived.first().expect("a request");
    assert!(body.contains("scope=offline"), "{body}");
}

#[test]
fn a_client_authenticates_as_the_provider_is_known_to_want() {
    let twitch = TWITCH.client_auth("id", "secret").expect("confirmed");
    assert!(format!("{twitch:?}").contains("post"), "{twitch:?}");
    let listed = tower_oauth_refresh_providers::ENTRA;
    assert!(listed.client_auth.is_some() && listed.client_auth("id", "secret").is_none(), "not confirmed");
}
