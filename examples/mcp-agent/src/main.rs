//! Several agents, each a process, that share one login at an MCP server.
//!
//! `cargo run -p mcp-agent` starts an authorization server that ends a login when a refresh token comes twice, an MCP
//! server that wants its tokens, and agents that call a tool of it all the time. They begin with a token that has been
//! revoked, and those that follow live for a second. In the end the grant is withdrawn, and each agent says that it
//! needs a new login. The verdict is what the servers saw.
//!
//! What to copy is in `agent.rs` and `transport.rs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program to watch")]

mod agent;
mod server;
mod show;
mod transport;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // An agent gets its configuration as its one argument.
    let kept = match std::env::args().nth(1) {
        None => show::run().await,
        Some(setup) => match serde_json::from_str(&setup) {
            Ok(setup) => agent::run(&setup).await.map(|()| true),
            Err(_) => Err("it is started without arguments".into()),
        },
    };
    match kept {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("not everything went as promised");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("mcp-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
