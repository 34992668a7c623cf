//! Each fault over real HTTP, on HTTP/1.1 and HTTP/2 where the two could differ.

use serde_json::json;
use tokio::task::JoinHandle;
use tower_oauth_refresh::RefreshToken;

use super::*;
use crate::test_client::{Failure, Got, TestClient, basic, encode, form_request, spawn};
use crate::{AuthServer, Rotation, TokenRequest};

struct Bench {
    server: AuthServer,
    client: TestClient,
    token: RefreshToken,
}

impl Bench {
    async fn new(client: TestClient) -> Self {
        let server = AuthServer::builder().rotation(Rotation::UntilNewTokenUsed).start().await.unwrap();
        let token = server.login().refresh_token.unwrap();
        Self { server, client, token }
    }

    async fn http1() -> Self {
        Self::new(TestClient::new()).await
    }

    async fn both() -> [Self; 2] {
        [Self::http1().await, Self::new(TestClient::http2()).await]
    }

    async fn refresh(&self) -> Result<Got, Failure> {
        self.client.refresh(&self.server, &self.token).await
    }

    fn spawn_refresh(&self, client: &TestClient) -> JoinHandle<Result<Got, Failure>> {
        let (client, request) = (client.clone(), form_request(self.server.token_endpoint()));
        let basic = basic(&self.server.client_id(), self.server.client_secret().expose_secret());
        let form = encode(&[("grant_type", "refresh_token"), ("refresh_token", self.token.expose_secret())]);
        spawn(async move { client.send(request.header(header::AUTHORIZATION, basic), form).await })
    }

    fn last(&self) -> TokenRequest {
        self.server.ledger().refreshes().pop().unwrap()
    }
}

fn unavailable() -> Answer {
    Answer::new(StatusCode::SERVICE_UNAVAILABLE).header(header::RETRY_AFTER, HeaderValue::from_static("5"))
}

#[tokio::test]
async fn an_answer_comes_without_or_after_the_commit() {
    let bench = Bench::http1().await;
    for (fault, committed) in
        [(Fault::answer(unavailable()), false), (Fault::answer(unavailable()).after_commit(), true)]
    {
        bench.server.fault(fault);
        let got = bench.refresh().await.unwrap();
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(got.headers[header::RETRY_AFTER], "5");
        assert_eq!((bench.last().committed, bench.last().delivered), (committed, true));
    }
    assert!(bench.refresh().await.is_ok());
    assert!(!bench.last().successor_delivered, "the 503 named no successor");
}

#[tokio::test]
async fn a_dropped_connection_loses_the_request_or_the_answer() {
    for bench in Bench::both().await {
        for (fault, committed) in
            [(Fault::drop_connection(), false), (Fault::drop_connection().after_commit(), true)]
        {
            bench.server.fault(fault);
            assert!(bench.refresh().await.is_err());
            let line = bench.last();
            assert_eq!((line.committed, line.delivered, line.status), (committed, false, None));
        }
        assert_eq!(bench.refresh().await.unwrap().status, StatusCode::OK);
        assert_eq!(bench.server.ledger().verdict().max_in_flight_per_family, 1);
    }
}

#[tokio::test]
async fn a_cut_body_breaks_off_at_every_byte() {
    for bench in Bench::both().await {
        let whole = bench.refresh().await.unwrap().body.len();
        for at in 0..whole {
            bench.server.fault(Fault::cut_body_at(at));
            assert!(bench.refresh().await.is_err(), "cut at {at}");
            assert!(bench.last().committed && !bench.last().delivered);
        }
        bench.server.fault(Fault::cut_body_at(whole));
        assert_eq!(bench.refresh().await.unwrap().body.len(), whole, "nothing left to cut");
        assert!(bench.last().delivered);
    }
}

#[tokio::test]
async fn a_cut_body_of_http_1_arrives_up_to_the_cut() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = AuthServer::start().await.unwrap();
    server.fault(Fault::answer(Answer::html()).after_commit());
    server.fault(Fault { end: End::Cut(7), ..Fault::none() });
    let whole = "{\"error\":\"invalid_request\"";
    let authority = server.token_endpoint().authority().unwrap().to_string();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut socket = tokio::net::TcpStream::connect(&authority).await.unwrap();
        let head = "POST /token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        answers.push(String::from_utf8(answer).unwrap());
    }
    let (head, body) = answers[1].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, &whole[..7]);
    assert!(head.starts_with("HTTP/1.1 400") && head.contains("content-length: "), "{head}");
}

#[tokio::test]
async fn a_page_of_html_comes_after_the_commit() {
    let bench = Bench::http1().await;
    bench.server.fault(Fault::not_json());
    let got = bench.refresh().await.unwrap();
    assert_eq!(got.headers[header::CONTENT_TYPE], "text/html");
    assert!(serde_json::from_slice::<Value>(&got.body).is_err());
    assert!(bench.last().committed);
}

#[tokio::test]
async fn members_of_the_answer_are_left_out_merged_and_altered() {
    let bench = Bench::http1().await;
    bench.server.fault(Fault::omit_refresh_token());
    bench.server.fault(Fault::merge(json!({ "expires_in": "3600", "refresh_token": null })));
    bench.server.fault(Fault::alter(|members| members.retain(|name, _| name == "token_type")));
    let got = bench.refresh().await.unwrap().json();
    assert!(got.get("refresh_token").is_none() && got.get("access_token").is_some());
    let got = bench.refresh().await.unwrap().json();
    assert_eq!((&got["expires_in"], &got["refresh_token"]), (&json!("3600"), &Value::Null));
    assert_eq!(bench.refresh().await.unwrap().json(), json!({ "token_type": "Bearer" }));
    assert!(bench.last().superseded && !bench.last().successor_delivered, "none named the successor");
}

#[tokio::test]
async fn a_redirect_commits_nothing() {
    let bench = Bench::http1().await;
    bench.server.fault(Fault::redirect(HeaderValue::from_static("http://127.0.0.1:9/token")));
    let got = bench.refresh().await.unwrap();
    assert_eq!(got.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(got.headers[header::LOCATION], "http://127.0.0.1:9/token");
    assert!(!bench.last().committed);
}

#[tokio::test]
async fn a_gate_holds_a_request_before_or_after_the_commit() {
    let bench = Bench::http1().await;
    for committed in [false, true] {
        let gate =
            if committed { bench.server.hold_after_commit() } else { bench.server.hold_before_commit() };
        let held = bench.spawn_refresh(&bench.client);
        gate.arrived().await;
        assert_eq!(bench.last().committed, committed);
        assert!(!held.is_finished() && !bench.last().delivered);
        gate.release();
        assert_eq!(held.await.unwrap().unwrap().status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_served_all_the_same_and_no_longer_counted() {
    for bench in Bench::both().await {
        let gate = bench.server.hold_before_commit();
        let held = bench.spawn_refresh(&TestClient::new());
        gate.arrived().await;
        held.abort();
        assert!(held.await.unwrap_err().is_cancelled());
        assert_eq!(bench.refresh().await.unwrap().status, StatusCode::OK);
        assert_eq!(bench.last().in_flight, 1, "the first client is gone");
        gate.release();
        bench.server.ledger().until(|verdict| verdict.refreshes_committed == 2).await;
        assert!(!bench.server.ledger().refreshes()[0].delivered);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_takes_paused_time() {
    let bench = Bench::http1().await;
    bench.server.fault(Fault::delay(Duration::from_secs(20)));
    let start = tokio::time::Instant::now();
    bench.refresh().await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(20));
}

#[tokio::test]
async fn queued_faults_come_first_in_order_then_the_standing_one_until_cleared() {
    let bench = Bench::http1().await;
    let teapot = |code| Fault::answer(Answer::new(StatusCode::from_u16(code).unwrap()));
    bench.server.always(teapot(500));
    bench.server.fault(teapot(501));
    bench.server.fault(teapot(502));
    for expected in [501, 502, 500, 500] {
        assert_eq!(bench.refresh().await.unwrap().status, expected);
    }
    assert_eq!(bench.last().fault.as_deref(), Some("answer 500"));
    bench.server.clear();
    assert_eq!(bench.refresh().await.unwrap().status, StatusCode::OK);
    assert_eq!(bench.last().fault, None);
}

#[tokio::test]
async fn a_fault_names_its_steps_and_no_more() {
    let gate = Gate::new();
    let everything = Fault::cut_body_at(3).delayed(Duration::from_secs(1)).held_before_commit(&gate);
    assert_eq!(everything.to_string(), "delay, hold, commit, cut the body at 3");
    let secret = Fault::answer(Answer::json(StatusCode::OK, &json!({ "access_token": "abcdefgh" })));
    assert!(!format!("{secret:?} {secret}").contains("abcdefgh"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_one_after_another_never_count_as_at_once() {
    let bench = Bench::http1().await;
    for round in 0..100 {
        match round % 4 {
            0 => bench.server.fault(Fault::drop_connection().after_commit()),
            1 => bench.server.fault(Fault::cut_body_at(round)),
            _ => {}
        }
        let client = if round % 8 < 4 { bench.client.clone() } else { TestClient::http2() };
        let got = client.refresh(&bench.server, &bench.token).await;
        assert_eq!(got.is_ok(), round % 4 > 1);
    }
    let verdict = bench.server.ledger().verdict();
    assert_eq!((verdict.refreshes, verdict.max_in_flight_per_family), (100, 1));
}
