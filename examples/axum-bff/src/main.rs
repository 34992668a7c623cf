//! `cargo run -p axum-bff`, then open the address it prints.
//!
//! Without an argument it brings its own authorization server and API, npm's `oidc-provider`, for which Node
//! must be there. With one it takes the provider that the file describes: a JSON object with the members of
//! [`Provider`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it says where to look")]

mod own_provider;

use std::process::ExitCode;
use std::sync::Arc;

use axum_bff::{Backend, MovableClock, Provider, pages};
use tokio::net::TcpListener;
use tower::BoxError;

use self::own_provider::OwnProvider;

/// The one address at which browsers find it: the redirect URI is registered with it.
const ADDRESS: &str = "127.0.0.1:8080";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum-bff: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    let listener = TcpListener::bind(std::env::var("LISTEN").as_deref().unwrap_or(ADDRESS)).await?;
    // Behind a proxy that speaks TLS, as in earnest, it is the proxy's.
    let here = format!("http://{}", listener.local_addr()?);
    let origin = std::env::var("PUBLIC_ORIGIN").unwrap_or(here);

    let mut own = None;
    let provider: Provider = match std::env::args().nth(1) {
        Some(file) => serde_json::from_slice(&std::fs::read(file)?)?,
        None => own.insert(OwnProvider::start(&origin).await?).provider.clone(),
    };
    let backend = Backend::new(provider, &origin, Arc::new(MovableClock::default()))?;
    println!("Open {origin}, and stop it with ctrl-c.");
    let served = async { axum::serve(listener, pages(backend.clone())).await };
    // Not a graceful shutdown of the pages, which stay connected for as long as somebody looks at them.
    tokio::select! {
        ended = served => ended?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    backend.shutdown().await;
    Ok(())
}
