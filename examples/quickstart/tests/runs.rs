//! The program as a person runs it: once, and again. Each test takes as long as the program does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also where its harness does")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tower_oauth_refresh_testkit::{AuthServer, ResourceServer};

/// What it says on standard error, where it fails.
fn failing(options: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart")).args(options).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_wrong_option_is_named_with_what_is_wrong_about_it() {
    assert!(failing(&["--tokens"]).contains("invalid option '--tokens'"));
    assert!(failing(&["--tokens", "5"]).contains("invalid option '--tokens'"));
    assert!(failing(&["--token-lifetime"]).contains("missing argument for option '--token-lifetime'"));
    assert!(failing(&["--token-lifetime", "soon"]).contains("cannot parse argument \"soon\""));
    assert!(failing(&["--token-endpoint=https://auth.example/token"]).contains("--client-id is missing"));
    assert!(failing(&["--requests", "5"]).contains("--requests is for a real server"));
}

#[test]
fn failures_that_are_equal_are_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("refresh-token");
    fs::write(&file, "rt-1").unwrap();
    // Nobody listens at port 9 of this machine.
    let options = ["--token-endpoint", "http://127.0.0.1:9/token", "--client-id", "tool", "--requests", "50"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    let command = command.args(options).arg("--refresh-token-file").arg(&file).arg("--dir").arg(dir.path());
    let output = command.args(["--url", "http://127.0.0.1:9/things"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let failed: Vec<_> = text.lines().filter(|line| line.contains("FAILED")).collect();
    assert!(!output.status.success() && failed.len() == 1 && failed[0].contains("(50 times)"), "{text}");
}

fn quickstart(dir: &Path, options: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    let output = command.args(options).arg("--dir").arg(dir).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_second_run_goes_on_where_the_first_one_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let first = quickstart(dir.path(), &["--token-lifetime", "1"]);
    assert!(first.contains("logged in") && !first.contains("picked up"), "{first}");
    let generations = first.lines().filter_map(|line| line.split_once("generation ")?.1.parse::<u64>().ok());
    let last = generations.max().unwrap();
    assert!(last >= 4, "{first}");
    let second = quickstart(dir.path(), &["--token-lifetime", "1"]);
    assert!(second.contains(&format!("picked up generation {last} from ")), "{second}");
    assert!(!second.contains("logged in"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_somebody_runs_is_asked_with_the_refresh_token_of_the_file_only_once() {
    let auth = AuthServer::builder().client("tool", "s3cret %&").start().await.unwrap();
    let api = ResourceServer::start(&auth).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("refresh-token");
    let token = auth.login().refresh_token.unwrap();
    fs::write(&file, format!("{}\n", token.expose_secret())).unwrap();
    let (endpoint, url) = (auth.token_endpoint().to_string(), api.url("/things?limit=1"));
    let path = file.to_str().unwrap().to_owned();
    let run = async || {
        let given = [
            ("--token-endpoint", endpoint.clone()),
            ("--client-id", "tool".to_owned()),
            ("--client-secret", "s3cret %&".to_owned()),
            ("--refresh-token-file", path.clone()),
            ("--url", url.clone()),
            ("--requests", "30".to_owned()),
        ];
        let dir = dir.path().join("state");
        let run = move || {
            let options: Vec<&str> = given.iter().flat_map(|(name, value)| [*name, value]).collect();
            quickstart(&dir, &options)
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    let first = run().await;
    assert!(first.contains("logged in") && first.contains("30 answered"), "{first}");
    fs::remove_file(&file).unwrap();
    auth.revoke_all_access_tokens();
    let second = run().await;
    assert!(
        second.contains("picked up generation 2") && second.contains("30 of them sent once more"),
        "{second}"
    );
    let seen = auth.ledger().verdict();
    assert_eq!((seen.refreshes, seen.invalid_grants, seen.api_requests), (2, 0, 90));
    assert!(seen.is_clean(), "{seen:?}");
}
