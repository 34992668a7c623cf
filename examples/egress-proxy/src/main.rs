//! A local port whose requests get an access token: for programs in any language.
//!
//! `cargo run -p egress-proxy -- egress.json`; README.md has the file. What to copy is in `proxy.rs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it says where it listens")]

mod caller;
mod config;
mod hop;
mod proxy;
mod refusal;

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tower::BoxError;

use self::config::Config;
use self::proxy::Proxy;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("egress-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    let file = std::env::args().nth(1).ok_or("usage: egress-proxy <configuration file>")?;
    let config: Config = serde_json::from_slice(&std::fs::read(file)?)?;
    if !config.listen.ip().is_loopback() {
        return Err("it listens on loopback only: whoever reaches the port has the power of the token".into());
    }
    let listener = TcpListener::bind(config.listen).await?;
    let port = listener.local_addr()?.port();
    let proxy = Proxy::open(&config, port).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let routes = Router::new().fallback(proxy::forward).with_state(proxy.clone());
    let served = async { axum::serve(listener, routes).await };
    tokio::select! {
        ended = served => ended?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    // A refresh that is under way is not left behind.
    proxy.coordinator.shutdown(Duration::from_secs(30)).await;
    Ok(())
}
