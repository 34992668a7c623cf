//! Over real HTTP: the endpoints, then each rotation rule; faults are in `fault/tests.rs`.

use std::time::Duration;

use http::{Request, StatusCode, header};

use super::*;
use crate::test_client::{TestClient, basic, encode, form_request, spawn};
use crate::{Answer, ClientAuthentication, ManualClock, ResourceServer, TokenHash};

async fn server() -> AuthServer {
    AuthServer::start().await.unwrap()
}

fn refresh_token(tokens: &TokenSet) -> RefreshToken {
    tokens.refresh_token.clone().unwrap()
}

#[tokio::test]
async fn a_refresh_yields_a_new_generation_and_spends_the_old_token() {
    let (server, client) = (server().await, TestClient::new());
    let old = refresh_token(&server.login());
    let got = client.refresh(&server, &old).await.unwrap();
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(got.json()["token_type"], "Bearer");
    assert_eq!(got.json()["expires_in"], 3600);
    let new = got.refresh_token();
    assert!(server.accepts(&new) && !server.accepts(&old));
    let line = &server.ledger().refreshes()[0];
    assert_eq!(line.refresh_token, Some(TokenHash::from(&old)));
    assert_eq!(line.issued_refresh_token, Some(TokenHash::from(&new)));
    assert_eq!(line.issued_access_token, Some(TokenHash::from(&got.access_token())));
    assert_eq!((line.generation, line.in_flight, line.committed, line.delivered), (Some(2), 1, true, true));
    assert_eq!(line.client_authentication, Some(ClientAuthentication::Basic));
    assert_eq!(line.family, server.family_of(old.expose_secret()));
    assert_eq!(line.parameters, [("grant_type".to_owned(), "refresh_token".to_owned())]);
}

#[tokio::test]
async fn http_2_with_prior_knowledge_is_served_on_the_same_port() {
    let (server, client) = (server().await, TestClient::http2());
    let got = client.refresh(&server, &refresh_token(&server.login())).await.unwrap();
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(server.ledger().refreshes()[0].version, http::Version::HTTP_2);
}

#[tokio::test]
async fn a_client_asks_for_tokens_of_its_own() {
    let server = AuthServer::builder().scope("read").start().await.unwrap();
    let api = ResourceServer::start(&server).await.unwrap();
    let client = TestClient::new();
    let form = [("grant_type", "client_credentials")];
    let got = client.form(&server, server.token_endpoint(), &form).await.unwrap();
    assert_eq!(got.json()["scope"], "read");
    assert!(got.json().get("refresh_token").is_none());
    assert_eq!(client.get(&api, &got.access_token()).await.status, StatusCode::OK);
    assert_eq!(server.ledger().token_requests()[0].family, Some(FamilyId::CLIENT));
    server.revoke_all();
    assert_eq!(client.get(&api, &got.access_token()).await.status, StatusCode::UNAUTHORIZED);
    let again = client.form(&server, server.token_endpoint(), &form).await.unwrap();
    assert_eq!(client.get(&api, &again.access_token()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn each_way_of_client_authentication_is_accepted_only_where_it_is_allowed() {
    use ClientAuthentication::{Basic, None, Post};
    let accepted = |allowed: Option<ClientAuthentication>| async move {
        let mut builder = AuthServer::builder();
        if let Some(way) = allowed {
            builder = builder.client_authentication(way);
        }
        let (server, client) = (builder.start().await.unwrap(), TestClient::new());
        let (id, secret) = (server.client_id(), server.client_secret().expose_secret().to_owned());
        let grant = ("grant_type", "client_credentials");
        let public = [grant, ("client_id", id.as_str())];
        let post = [grant, ("client_id", id.as_str()), ("client_secret", secret.as_str())];
        let mut accepted = Vec::new();
        if client.form(&server, server.token_endpoint(), &[grant]).await.unwrap().status == 200 {
            accepted.push(Basic);
        }
        for (way, form) in [(Post, &post[..]), (None, &public[..])] {
            let got = client.send(form_request(server.token_endpoint()), encode(form)).await.unwrap();
            if got.status == 200 {
                accepted.push(way);
            }
        }
        let seen = server.ledger().token_requests();
        assert_eq!(
            seen.iter().filter_map(|line| line.client_authentication).collect::<Vec<_>>(),
            [Basic, Post, None]
        );
        accepted
    };
    assert_eq!(accepted(Option::None).await, [Basic, Post]);
    assert_eq!(accepted(Some(Basic)).await, [Basic]);
    assert_eq!(accepted(Some(Post)).await, [Post]);
    assert_eq!(accepted(Some(None)).await, [None]);
}

#[tokio::test]
async fn a_wrong_secret_is_invalid_client_and_names_the_scheme() {
    let (server, client) = (server().await, TestClient::new());
    let form = encode(&[("grant_type", "client_credentials")]);
    let wrong = basic(&server.client_id(), "guess");
    let request = form_request(server.token_endpoint()).header(header::AUTHORIZATION, wrong);
    let got = client.send(request, form.clone()).await.unwrap();
    assert_eq!((got.status, got.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    assert!(got.headers.contains_key(header::WWW_AUTHENTICATE));
    let old = basic(&server.client_id(), server.client_secret().expose_secret());
    server.set_client_secret("new");
    let request = form_request(server.token_endpoint()).header(header::AUTHORIZATION, old);
    assert_eq!(client.send(request, form).await.unwrap().error(), "invalid_client");
}

#[tokio::test]
async fn requests_that_break_the_rfc_are_refused_with_its_codes() {
    let (server, client) = (server().await, TestClient::new());
    let token = refresh_token(&server.login());
    let token = token.expose_secret();
    let secret = server.client_secret();
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("invalid_request", &[]),
        ("invalid_request", &[("grant_type", "refresh_token")]),
        ("invalid_request", &[("grant_type", "refresh_token"), ("refresh_token", "")]),
        ("invalid_request", &[("grant_type", "a"), ("grant_type", "b")]),
        ("invalid_request", &[("grant_type", "x"), ("client_secret", secret.expose_secret())]),
        ("unsupported_grant_type", &[("grant_type", "password")]),
    ];
    for (code, form) in cases {
        let got = client.form(&server, server.token_endpoint(), form).await.unwrap();
        assert_eq!((got.status, got.error().as_str()), (StatusCode::BAD_REQUEST, code), "{form:?}");
    }
    let scope = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", "more")];
    assert_eq!(client.form(&server, server.token_endpoint(), &scope).await.unwrap().error(), "invalid_scope");
    let json = Request::post(server.token_endpoint()).header(header::CONTENT_TYPE, "application/json");
    assert_eq!(client.send(json, "{}").await.unwrap().error(), "invalid_request");
    let get = Request::get(server.token_endpoint());
    assert_eq!(client.send(get, "").await.unwrap().status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(server.accepts(&token.into()), "nothing of this spent the token");
}

#[tokio::test]
async fn a_refresh_may_ask_for_less_scope_and_the_grant_keeps_the_rest() {
    let server = AuthServer::builder().scope("read write").start().await.unwrap();
    let client = TestClient::new();
    let token = refresh_token(&server.login());
    let narrow =
        [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret()), ("scope", "read")];
    let got = client.form(&server, server.token_endpoint(), &narrow).await.unwrap();
    assert_eq!(got.json()["scope"], "read");
    let got = client.refresh(&server, &got.refresh_token()).await.unwrap();
    assert_eq!(got.json()["scope"], "read write");
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_family_and_an_unknown_token_is_no_error() {
    let (server, client) = (server().await, TestClient::new());
    let (mine, other) = (server.login(), server.login());
    let revoke = async |token: &str| {
        let form = [("token", token), ("token_type_hint", "refresh_token")];
        client.form(&server, server.revocation_endpoint(), &form).await.unwrap().status
    };
    assert_eq!(revoke("unknown").await, StatusCode::OK);
    server.fault_revocation(Fault::answer(Answer::new(StatusCode::SERVICE_UNAVAILABLE)));
    assert_eq!(revoke(refresh_token(&mine).expose_secret()).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(server.accepts(&refresh_token(&mine)));
    assert_eq!(revoke(refresh_token(&mine).expose_secret()).await, StatusCode::OK);
    assert!(!server.accepts(&refresh_token(&mine)));
    assert!(server.accepts(&refresh_token(&other)));
    let lines = server.ledger().revocations();
    assert_eq!(lines.iter().map(|line| line.committed).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(lines[2].is_refresh_token, Some(true));
    assert_eq!(lines[2].hint.as_deref(), Some("refresh_token"));
}

#[tokio::test]
async fn revoking_an_access_token_ends_only_that() {
    let (server, client) = (server().await, TestClient::new());
    let api = ResourceServer::start(&server).await.unwrap();
    let tokens = server.login();
    let form = [("token", tokens.access_token.expose_secret())];
    client.form(&server, server.revocation_endpoint(), &form).await.unwrap();
    assert_eq!(client.get(&api, &tokens.access_token).await.status, StatusCode::UNAUTHORIZED);
    assert!(server.accepts(&refresh_token(&tokens)));
}

#[tokio::test]
async fn refresh_tokens_expire_by_lifetime_or_on_request() {
    let clock = ManualClock::new();
    let builder = AuthServer::builder().clock(clock.clone()).refresh_lifetime(Duration::from_secs(60));
    let server = builder.start().await.unwrap();
    let (one, two) = (refresh_token(&server.login()), refresh_token(&server.login()));
    server.expire_refresh_token(&one);
    assert!(!server.accepts(&one) && server.accepts(&two));
    clock.advance(Duration::from_secs(59));
    assert!(server.accepts(&two));
    clock.advance(Duration::from_secs(1));
    let got = TestClient::new().refresh(&server, &two).await.unwrap();
    assert_eq!(got.error(), "invalid_grant");
    assert_eq!(server.ledger().verdict().reuse_detections, 0);
}

#[tokio::test]
async fn tokens_are_long_unlike_and_the_same_for_the_same_seed() {
    let of_seed = async |seed| AuthServer::builder().seed(seed).start().await.unwrap().login();
    let (one, same, other) = (of_seed(1).await, of_seed(1).await, of_seed(2).await);
    let text = |tokens: &TokenSet| refresh_token(tokens).expose_secret().to_owned();
    assert_eq!(text(&one), text(&same));
    assert_ne!(text(&one), text(&other));
    assert!(text(&one).len() >= 40 && one.access_token.expose_secret().len() >= 40);
    assert!(['/', '+', '='].iter().all(|trap| text(&one).contains(*trap)), "form encoding matters");
}

#[tokio::test]
async fn a_dropped_server_refuses_connections_and_closes_those_it_had() {
    let (server, client) = (server().await, TestClient::new());
    let tokens = server.login();
    let gate = server.hold_before_commit();
    let (endpoint, id) = (server.token_endpoint(), server.client_id());
    let held = spawn({
        let (client, request) = (client.clone(), form_request(endpoint.clone()));
        async move { client.send(request, "grant_type=x").await }
    });
    gate.arrived().await;
    drop(server);
    assert!(held.await.unwrap().is_err());
    assert!(client.send(form_request(endpoint), "grant_type=x").await.is_err(), "{id} {tokens:?}");
}

#[tokio::test]
async fn nothing_printable_holds_a_token_or_the_secret() {
    let server = AuthServer::builder().client("app", "a-very-secret-word").start().await.unwrap();
    let api = ResourceServer::start(&server).await.unwrap();
    let client = TestClient::new();
    let tokens = server.login();
    let old = refresh_token(&tokens);
    let odd = [
        ("grant_type", "refresh_token"),
        ("refresh_token", old.expose_secret()),
        ("note", tokens.access_token.expose_secret()),
        ("word", "a-very-secret-word"),
    ];
    let got = client.form(&server, server.token_endpoint(), &odd).await.unwrap();
    client.get(&api, &got.access_token()).await;
    let hint = [("token", old.expose_secret()), ("token_type_hint", old.expose_secret())];
    client.form(&server, server.revocation_endpoint(), &hint).await.unwrap();
    let printed = format!("{server:?} {api:?} {:?} {:?}", server.ledger(), AuthServer::builder());
    assert!(printed.contains("note"), "the ledger is there");
    for secret in [
        old.expose_secret(),
        got.refresh_token().expose_secret(),
        tokens.access_token.expose_secret(),
        got.access_token().expose_secret(),
        "a-very-secret-word",
    ] {
        for window in secret.as_bytes().windows(8) {
            assert!(!printed.contains(std::str::from_utf8(window).unwrap()));
        }
    }
}

mod rotations;
