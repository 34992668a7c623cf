use std::time::Duration;

use http::{Method, Version};
use tower_oauth_refresh::TokenSet;

use super::*;
use crate::ManualClock;
use crate::test_client::{TestClient, bearer, spawn};

type Control<'a> = dyn Fn(&AuthServer, &TokenSet) + 'a;

async fn servers() -> (AuthServer, ResourceServer) {
    let auth = AuthServer::start().await.unwrap();
    let api = ResourceServer::start(&auth).await.unwrap();
    (auth, api)
}

fn challenge(got: &crate::test_client::Got) -> &str {
    got.headers[header::WWW_AUTHENTICATE].to_str().unwrap()
}

#[tokio::test]
async fn a_good_token_gets_a_description_of_the_request() {
    let (auth, api) = servers().await;
    let token = auth.login().access_token;
    for (client, version) in [(TestClient::new(), Version::HTTP_11), (TestClient::http2(), Version::HTTP_2)] {
        let request = Request::put(api.url("/a/b?c=d"))
            .header(header::AUTHORIZATION, bearer(&token))
            .header("x-request-id", format!("{version:?}"));
        let got = client.send(request, "abc").await.unwrap();
        assert_eq!(got.status, StatusCode::OK);
        let echo = got.json();
        assert_eq!(
            (&echo["method"], &echo["path"], &echo["query"]),
            (&json!("PUT"), &json!("/a/b"), &json!("c=d"))
        );
        assert_eq!((&echo["body_length"], &echo["generation"]), (&json!(3), &json!(1)));
        assert_eq!(echo["body_sha256"], hex(&Sha256::digest("abc")));
        assert!(echo["headers"].get("authorization").is_none());
        let line = api.ledger().sends_of(&format!("{version:?}")).remove(0);
        assert_eq!((line.version, line.method, line.accepted), (version, Method::PUT, true));
        assert_eq!(line.token, Some(TokenHash::from(&token)));
        assert_eq!(line.body_len, Some(3));
    }
}

#[tokio::test]
async fn a_refusal_names_invalid_token_only_where_there_was_one() {
    let (_auth, api) = servers().await;
    let client = TestClient::new();
    let none = client.send(Request::get(api.url("/")), "").await.unwrap();
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    assert_eq!(challenge(&none), r#"Bearer realm="testkit""#);
    let unknown = client.get(&api, &"never-issued".into()).await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    assert!(challenge(&unknown).contains(r#"error="invalid_token""#));
}

#[tokio::test]
async fn a_token_is_refused_once_expired_or_revoked() {
    let clock = ManualClock::new();
    let auth = AuthServer::builder().clock(clock.clone()).start().await.unwrap();
    let api = ResourceServer::start(&auth).await.unwrap();
    let client = TestClient::new();
    let controls: [&Control; 5] = [
        &|auth, tokens| auth.revoke_access_token(&tokens.access_token),
        &|auth, tokens| auth.expire_access_token(&tokens.access_token),
        &|auth, _| auth.revoke_all_access_tokens(),
        &|auth, _| auth.revoke_all(),
        &|_, _| clock.advance(Duration::from_secs(3600)),
    ];
    for (index, control) in controls.into_iter().enumerate() {
        let tokens = auth.login();
        assert_eq!(client.get(&api, &tokens.access_token).await.status, StatusCode::OK);
        control(&auth, &tokens);
        assert_eq!(client.get(&api, &tokens.access_token).await.status, 401, "control {index}");
        let family_lives = index != 3;
        assert_eq!(auth.accepts(&tokens.refresh_token.unwrap()), family_lives, "control {index}");
    }
    assert_eq!(api.ledger().verdict().api_unauthorized, 5);
}

#[tokio::test]
async fn a_changed_lifetime_holds_for_the_next_token() {
    let clock = ManualClock::new();
    let auth = AuthServer::builder().clock(clock.clone()).start().await.unwrap();
    let api = ResourceServer::start(&auth).await.unwrap();
    auth.set_access_lifetime(Duration::from_secs(5));
    let tokens = auth.login();
    assert_eq!(tokens.expires_in, Some(Duration::from_secs(5)));
    clock.suspend_uncounted(Duration::from_secs(5));
    assert_eq!(TestClient::new().get(&api, &tokens.access_token).await.status, 401);
}

#[tokio::test]
async fn grpc_requests_are_refused_with_a_status_of_grpc() {
    let (_auth, api) = servers().await;
    let client = TestClient::http2();
    let request =
        Request::post(api.url("/pkg.Service/Method")).header("content-type", "application/grpc+proto");
    let got = client.send(request, "").await.unwrap();
    assert_eq!((got.status, &got.headers["grpc-status"]), (StatusCode::OK, &HeaderValue::from_static("16")));
    api.respond_next(Answer::grpc_unauthenticated_in_trailers());
    let got = client.send(Request::post(api.url("/")), "").await.unwrap();
    assert!(!got.headers.contains_key("grpc-status"));
    assert_eq!(got.trailers.unwrap()["grpc-status"], "16");
}

#[tokio::test]
async fn scripted_answers_come_whatever_the_token() {
    let (auth, api) = servers().await;
    let (client, token) = (TestClient::new(), auth.login().access_token);
    for answer in [Answer::bare_unauthorized(), Answer::insufficient_scope(), Answer::invalid_token()] {
        let expected = (answer.status, answer.headers.get(header::WWW_AUTHENTICATE).cloned());
        api.respond_next(answer);
        let got = client.get(&api, &token).await;
        assert_eq!((got.status, got.headers.get(header::WWW_AUTHENTICATE).cloned()), expected);
    }
    assert_eq!(client.get(&api, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_early_answer_comes_before_the_body_and_the_ledger_knows_none() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (_auth, api) = servers().await;
    api.fault(Fault::answer(Answer::invalid_token()).before_body());
    let authority = api.origin().authority().unwrap().to_string();
    let mut socket = tokio::net::TcpStream::connect(authority).await.unwrap();
    socket.write_all(b"PUT /big HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc").await.unwrap();
    let mut head = [0; 12];
    socket.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 401");
    let line = api.ledger().api_requests().remove(0);
    assert_eq!((line.body_len, line.status), (None, Some(StatusCode::UNAUTHORIZED)));
}

#[tokio::test]
async fn a_gate_holds_a_request_before_or_after_its_token_is_checked() {
    let (auth, api) = servers().await;
    for (after, status) in [(false, 401), (true, 200)] {
        let token = auth.login().access_token;
        let gate = if after { api.hold_after_check() } else { api.hold_before_check() };
        let request = Request::get(api.url("/")).header(header::AUTHORIZATION, bearer(&token));
        let held = spawn(async move { TestClient::new().send(request, "").await });
        gate.arrived().await;
        auth.revoke_access_token(&token);
        gate.release();
        assert_eq!(held.await.unwrap().unwrap().status, status);
    }
}

#[tokio::test]
async fn the_ledger_counts_sends_of_one_request_and_compares_their_bodies() {
    let (auth, api) = servers().await;
    let (client, token) = (TestClient::new(), auth.login().access_token);
    for (id, body) in [("a", "x"), ("a", "x"), ("b", "x"), ("c", "x"), ("c", "y"), ("c", "x")] {
        let request = Request::post(api.url("/"))
            .header(header::AUTHORIZATION, bearer(&token))
            .header("x-request-id", id);
        client.send(request, body).await.unwrap();
    }
    client.send(Request::get(api.url("/?access_token=abc")), "").await.unwrap();
    let verdict = api.ledger().verdict();
    assert_eq!((verdict.api_requests, verdict.api_unauthorized), (7, 1));
    assert_eq!((verdict.replays, verdict.max_sends_of_one_request), (3, 3));
    assert_eq!((verdict.altered_replays, verdict.tokens_in_query), (1, 1));
    assert_eq!(api.ledger().sends_of("a").len(), 2);
    assert_eq!(api.ledger().sends_of("a")[0].generation, Some(1));
}
