//! A command-line program that logs in once, keeps its tokens sealed, and may run many times at once.
//!
//! `cargo run -p login-cli -- --help`. What to copy is in `account.rs`, `login/` and `key.rs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod account;
mod key;
mod login;
mod outbound;
mod settings;

use std::process::ExitCode;

use tower::BoxError;
use tower_oauth_refresh::{Logout, RefreshError};

use self::account::Account;
use self::settings::Settings;

const HELP: &str = "\
login-cli login            log in, in a browser on this machine (authorization code flow with PKCE)
login-cli login --device   log in, in a browser anywhere (device flow)
login-cli call URL         a GET request with the access token
login-cli status           what is stored
login-cli logout           revoke the login and forget it";

/// For scripts: nothing but a person at `login` can help.
const LOGIN_NEEDED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("login-cli: {error}");
            let refused = error.downcast_ref::<RefreshError>();
            if refused.is_some_and(RefreshError::needs_login) {
                eprintln!("run: login-cli login");
                return ExitCode::from(LOGIN_NEEDED);
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(words: &[&str]) -> Result<(), BoxError> {
    let account = async || Account::open(Settings::read()?).await;
    match words {
        ["login"] => {
            let account = account().await?;
            end_former(&account).await?;
            account.keep(&login::in_browser(&account).await?).await
        }
        ["login", "--device"] => {
            let account = account().await?;
            end_former(&account).await?;
            account.keep(&login::with_device_code(&account).await?).await
        }
        ["call", url] => call(&account().await?, url).await,
        ["status"] => status(&account().await?).await,
        ["logout"] => log_out(&account().await?).await,
        _ => {
            println!("{HELP}");
            Ok(())
        }
    }
}

async fn end_former(account: &Account) -> Result<(), BoxError> {
    match account.end_former().await? {
        Logout::NothingStored => {}
        Logout::Revoked => eprintln!("the login before has been revoked"),
        _ => eprintln!("the server may still know the login before"),
    }
    Ok(())
}

async fn call(account: &Account, url: &str) -> Result<(), BoxError> {
    let answer = account.get(url).await?;
    println!("{}", String::from_utf8_lossy(answer.body()));
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(format!("{url} answers {status}").into()) }
}

async fn status(account: &Account) -> Result<(), BoxError> {
    let Some(status) = account.status().await? else {
        println!("not logged in");
        return Ok(());
    };
    println!("generation {}, key in {}", status.generation, account.place);
    match (status.error, account.left(status.expires_at)) {
        (Some(error), _) => println!("{error}"),
        (None, Some(left)) if left.is_zero() => println!("expired, and will be refreshed when it is needed"),
        (None, Some(left)) => println!("expires in {} s", left.as_secs()),
        (None, None) => println!("does not say when it expires"),
    }
    Ok(())
}

async fn log_out(account: &Account) -> Result<(), BoxError> {
    println!(
        "{}",
        match account.log_out().await? {
            Logout::Revoked => "logged out, and the server has revoked the login",
            Logout::NothingStored => "there was nothing to log out of",
            _ => "logged out here; the server may still know the login",
        }
    );
    Ok(())
}
