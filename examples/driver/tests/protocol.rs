//! The driver as its users meet it: a process, lines in, lines out; the servers say what truly happened.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also where its harness does"
)]

use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tower_oauth_refresh::TokenSet;
use tower_oauth_refresh_testkit::{AuthServer, Fault, ResourceServer};

struct Driver {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_driver"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, input, output }
    }

    async fn say(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.output.next_line().await.unwrap().expect("an answer")).unwrap()
    }

    async fn ask(&mut self, operation: Value) -> Value {
        self.say(&operation.to_string()).await;
        self.hear().await
    }

    async fn end(mut self) -> ExitStatus {
        drop(self.input);
        self.child.wait().await.unwrap()
    }
}

struct World {
    server: AuthServer,
    api: ResourceServer,
}

impl World {
    async fn begin() -> Self {
        let server = AuthServer::start().await.unwrap();
        let api = ResourceServer::start(&server).await.unwrap();
        Self { server, api }
    }

    /// An `open` with these tokens, expired already.
    fn open(&self, tokens: &TokenSet) -> Value {
        json!({
            "id": 1,
            "op": "open",
            "cred": "c",
            "token_endpoint": self.server.token_endpoint().to_string(),
            "revocation_endpoint": self.server.revocation_endpoint().to_string(),
            "client_id": self.server.client_id(),
            "client_secret": self.server.client_secret().expose_secret(),
            "auth": "basic",
            "access_token": tokens.access_token.expose_secret(),
            "refresh_token": tokens.refresh_token.as_ref().map(|token| token.expose_secret()),
            "expires_in": -5,
            "origins": [self.api.origin().to_string()],
            "store": null,
            "seed": true,
            "lease_ms": 3000,
            "exchange_ms": 2000,
            "challenge_min_age_ms": 0,
        })
    }

    fn fire(&self, n: usize) -> Value {
        json!({
            "id": 2,
            "op": "fire",
            "cred": "c",
            "url": self.api.url("/echo"),
            "n": n,
            "method": "POST",
            "body_bytes": 3000,
            "deadline_ms": null,
            "cancel_after_ms": null,
            "parallel": true,
            "tag": "t",
        })
    }
}

#[tokio::test]
async fn two_hundred_requests_with_an_expired_token_cost_one_refresh() {
    let world = World::begin().await;
    let mut driver = Driver::start();
    assert_eq!(driver.ask(world.open(&world.server.login())).await, json!({ "id": 1, "ok": true }));
    let fired = driver.ask(world.fire(200)).await;
    assert_eq!((&fired["id"], &fired["done"]), (&json!(2), &json!({ "200": 200 })));
    assert!(fired["ms_p50"].as_f64() <= fired["ms_max"].as_f64() && fired["ms_p50"].is_f64(), "{fired}");
    let verdict = world.server.ledger().verdict();
    assert_eq!((verdict.refreshes, verdict.api_requests), (1, 200));
    assert!(verdict.is_clean(), "{verdict:?}");
    assert!(driver.end().await.success());
}

#[tokio::test]
async fn a_dead_login_is_submitted_once_however_often_it_is_asked_for() {
    let world = World::begin().await;
    let tokens = world.server.login();
    world.server.revoke_all();
    let mut driver = Driver::start();
    driver.ask(world.open(&tokens)).await;
    for _ in 0..3 {
        assert_eq!(driver.ask(world.fire(50)).await["done"], json!({ "login_dead": 50 }));
    }
    assert_eq!(world.server.ledger().verdict().refreshes, 1);
    assert_eq!(world.server.ledger().verdict().api_requests, 0);
}

#[tokio::test]
async fn a_refusal_of_the_token_that_no_login_is_left_to_heal_is_a_dead_login() {
    let world = World::begin().await;
    let tokens = world.server.login();
    world.server.revoke_all();
    let mut driver = Driver::start();
    let mut open = world.open(&tokens);
    open["expires_in"] = json!(3600);
    driver.ask(open).await;
    assert_eq!(driver.ask(world.fire(20)).await["done"], json!({ "login_dead": 20 }));
    assert_eq!(world.server.ledger().verdict().refreshes, 1);
}

#[tokio::test]
async fn requests_end_at_their_deadline_or_when_dropped_and_the_refresh_goes_on() {
    for (limit, fate) in [("deadline_ms", "timeout"), ("cancel_after_ms", "cancelled")] {
        let world = World::begin().await;
        let held = world.server.hold_after_commit();
        let mut driver = Driver::start();
        driver.ask(world.open(&world.server.login())).await;
        let mut fire = world.fire(20);
        fire[limit] = json!(50);
        assert_eq!(driver.ask(fire).await["done"], json!({ fate: 20 }));
        held.release();
        assert_eq!(driver.ask(world.fire(20)).await["done"], json!({ "200": 20 }));
        assert_eq!(world.server.ledger().verdict().refreshes, 1);
    }
}

#[tokio::test]
async fn operations_are_taken_in_while_others_run() {
    let world = World::begin().await;
    let held = world.server.hold_before_commit();
    let mut driver = Driver::start();
    driver.ask(world.open(&world.server.login())).await;
    driver.say(&world.fire(3).to_string()).await;
    held.arrived().await;
    assert_eq!(driver.ask(json!({ "id": 3, "op": "dump" })).await["id"], 3);
    held.release();
    assert_eq!(driver.hear().await["id"], 2);
}

#[tokio::test]
async fn a_login_that_is_logged_out_is_revoked_and_over() {
    let world = World::begin().await;
    let mut driver = Driver::start();
    driver.ask(world.open(&world.server.login())).await;
    assert_eq!(driver.ask(json!({ "id": 7, "op": "logout", "cred": "c" })).await["ok"], true);
    assert_eq!(driver.ask(world.fire(2)).await["done"], json!({ "login_dead": 2 }));
    assert_eq!(world.server.ledger().verdict().revocations, 1);
    assert_eq!(world.server.ledger().verdict().refreshes, 0);
}

#[tokio::test]
async fn a_dump_shows_much_and_no_token() {
    let world = World::begin().await;
    let tokens = world.server.login();
    let mut driver = Driver::start();
    driver.ask(world.open(&tokens)).await;
    driver.ask(world.fire(2)).await;
    world.server.revoke_all();
    driver.ask(world.fire(2)).await;
    let dump = driver.ask(json!({ "id": 9, "op": "dump" })).await["text"].as_str().unwrap().to_owned();
    for shown in ["hyper_util", "refreshed", "AccessToken(redacted)", "RefreshCoordinator", "InvalidGrant"] {
        assert!(dump.contains(shown), "no {shown} in {dump}");
    }
    let mut secrets = vec![tokens.access_token.expose_secret().to_owned()];
    secrets.push(tokens.refresh_token.unwrap().expose_secret().to_owned());
    secrets.push(world.server.client_secret().expose_secret().to_owned());
    for secret in secrets {
        assert!(!dump.contains(&secret), "the dump gives {secret} away");
    }
    // Nor the tokens that only the two of them know.
    let words = dump.split(|c: char| !c.is_ascii_alphanumeric() && !"-._~+/".contains(c));
    assert!(words.filter(|word| word.len() > 8).all(|word| world.server.family_of(word).is_none()));
}

#[tokio::test]
async fn what_cannot_be_done_is_answered_and_nothing_breaks() {
    let world = World::begin().await;
    let mut driver = Driver::start();
    assert_eq!(driver.ask(json!({ "id": 1, "op": "fly" })).await, json!({ "id": 1, "unsupported": true }));
    let mut open = world.open(&world.server.login());
    open["store"] = json!({ "kind": "clay tablets" });
    assert_eq!(driver.ask(open.clone()).await, json!({ "id": 1, "unsupported": true }));
    open["store"] = Value::Null;
    open["origins"] = json!(["http://api.example"]);
    assert!(driver.ask(open).await["error"].is_string());
    for line in ["{", "[]", "7", "{\"id\":5}", "\u{0}", "{\"op\":\"fire\",\"n\":\"tok_secret\"}"] {
        driver.say(line).await;
        let answer = driver.hear().await;
        assert!(answer["error"].is_string() && !answer.to_string().contains("tok_secret"), "{answer}");
    }
    assert!(driver.ask(world.fire(1)).await["error"].is_string());
    assert!(driver.end().await.success());
}

#[tokio::test]
async fn the_end_of_input_leaves_the_answer_of_a_refresh_its_time() {
    let world = World::begin().await;
    let held = world.server.hold_after_commit();
    let mut driver = Driver::start();
    driver.ask(world.open(&world.server.login())).await;
    let mut fire = world.fire(1);
    fire["deadline_ms"] = json!(50);
    assert_eq!(driver.ask(fire).await["done"], json!({ "timeout": 1 }));
    held.arrived().await;
    let mut ended = pin!(driver.end());
    // Nothing but the refresh is left to wait for.
    assert!(timeout(Duration::from_millis(300), &mut ended).await.is_err());
    held.release();
    assert!(ended.await.success());
    assert!(world.server.ledger().refreshes()[0].delivered);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more() {
    let world = World::begin().await;
    world.server.fault(Fault::drop_connection());
    let mut driver = Driver::start();
    driver.ask(world.open(&world.server.login())).await;
    assert_eq!(driver.ask(world.fire(5)).await["done"], json!({ "200": 5 }));
    assert_eq!(world.server.ledger().verdict().refreshes, 2);
}

#[tokio::test]
async fn what_one_driver_stored_in_a_file_another_one_takes_up() {
    let world = World::begin().await;
    let folder = tempfile::tempdir().unwrap();
    let mut open = world.open(&world.server.login());
    open["store"] = json!({ "kind": "file", "path": folder.path().join("credentials") });
    for seed in [true, false, false] {
        open["seed"] = json!(seed);
        let mut driver = Driver::start();
        assert_eq!(driver.ask(open.clone()).await["ok"], true);
        assert_eq!(driver.ask(world.fire(3)).await["done"], json!({ "200": 3 }));
        assert!(driver.end().await.success());
    }
    assert_eq!(world.server.ledger().verdict().refreshes, 1);
}
