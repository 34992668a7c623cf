//! The program as a person runs it, and as many scripts run it at once.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also where its harness does"
)]

mod front;
mod program;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use self::program::Program;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a browser shows, or where it is sent.
async fn get(url: &str) -> String {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::get(url).body(Full::default()).unwrap();
    let answer = timeout(PATIENCE, client.request(request)).await.unwrap().unwrap();
    match answer.headers().get(header::LOCATION) {
        Some(location) => location.to_str().unwrap().to_owned(),
        None => {
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(body.to_vec()).unwrap()
        }
    }
}

#[tokio::test]
async fn a_login_in_the_browser_comes_back_to_this_process_alone() {
    let program = Program::installed(3600).await;
    let (mut process, _output, line) = program.begin(&["login"]).await;
    let back = get(line.strip_prefix("Open ").unwrap()).await;
    let (callback, _) = back.split_once('?').unwrap();
    assert!(callback.starts_with("http://127.0.0.1:"), "{back}");
    for stray in [callback.to_owned(), format!("{callback}?code=theirs&state=theirs")] {
        assert!(get(&stray).await.contains("not the answer"), "{stray}");
    }
    assert!(get(&back).await.contains("You are logged in"));
    assert!(timeout(PATIENCE, process.wait()).await.unwrap().unwrap().success());

    let (code, said) = program.run(&["call", &program.api.url("/me")]).await;
    assert!(code == Some(0) && said.contains(r#""path":"/me""#), "{said}");
    let (_, said) = program.run(&["status"]).await;
    assert!(said.contains("generation 1, key in a file") && said.contains("expires in 3"), "{said}");
    assert_eq!(program.auth.ledger().refreshes().len(), 0);
}

#[tokio::test]
async fn a_login_with_a_code_lasts_until_logout_which_the_server_confirms() {
    let program = Program::installed(3600).await;
    let (code, said) = program.run(&["call", &program.api.url("/me")]).await;
    assert!(code == Some(2) && said.contains("run: login-cli login"), "{code:?} {said}");
    let (code, said) = program.run(&["login", "--device"]).await;
    assert!(code == Some(0) && said.contains("type the code WDJB-MJHT"), "{code:?} {said}");
    let (code, said) = program.run(&["call", &program.api.url("/me")]).await;
    assert!(code == Some(0), "{said}");

    let (code, said) = program.run(&["logout"]).await;
    assert!(code == Some(0) && said.contains("the server has revoked"), "{said}");
    assert_eq!(program.auth.ledger().revocations().len(), 2, "the refresh token and the access token");
    let (code, said) = program.run(&["call", &program.api.url("/me")]).await;
    assert!(code == Some(2) && said.contains("run: login-cli login"), "{code:?} {said}");
    assert_eq!(program.api.ledger().api_requests().len(), 1, "nothing was sent without a login");
}

#[tokio::test]
async fn a_second_login_ends_the_first_one_at_the_server() {
    let program = Program::installed(3600).await;
    let (_, said) = program.run(&["login", "--device"]).await;
    assert!(!said.contains("the login before"), "{said}");
    let (code, said) = program.run(&["login", "--device"]).await;
    assert!(code == Some(0) && said.contains("the login before has been revoked"), "{code:?} {said}");
    assert_eq!(program.auth.ledger().revocations().len(), 2, "the refresh token and the access token");
    let (code, said) = program.run(&["call", &program.api.url("/me")]).await;
    assert!(code == Some(0), "the second one lives: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_at_once_when_the_token_has_expired_refresh_once() {
    let program = Program::installed(1).await;
    program.run(&["login", "--device"]).await;
    let expired = async { while !program.run(&["status"]).await.1.contains("expired") {} };
    timeout(PATIENCE, expired).await.expect("a second passes");

    let url = program.api.url("/me");
    let words = ["call", url.as_str()];
    let call = || program.run(&words);
    let all = tokio::join!(call(), call(), call(), call(), call(), call(), call(), call());
    for (code, said) in <[_; 8]>::from(all) {
        assert!(code == Some(0) && said.contains(r#""generation":2"#), "{code:?} {said}");
    }
    let refreshes = program.auth.ledger().refreshes();
    assert_eq!((refreshes.len(), refreshes.iter().filter(|refresh| refresh.superseded).count()), (1, 0));
    let requests = program.api.ledger().api_requests();
    assert_eq!((requests.len(), requests.iter().filter(|request| request.accepted).count()), (8, 8));
    assert!(program.home().join("credentials").exists());
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let program = Program::installed(3600).await;
    std::fs::remove_file(program.home().join("provider.json")).unwrap();
    let (code, said) = program.run(&["status"]).await;
    assert!(code == Some(1) && said.contains("device_authorization_endpoint"), "{said}");
    let (code, said) = program.run(&["--help"]).await;
    assert!(code == Some(0) && said.contains("login --device"), "{said}");
}
