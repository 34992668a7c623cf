//! What to copy: an agent, one of several that share a login and know nothing of each other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;
use tower::{BoxError, Layer as _};
use tower_oauth_refresh::{
    ClientAuth, EventKind, Events, Origin, RefreshCoordinator, RefreshLayer, ReplayBody,
};
use tower_oauth_refresh_file::{FileStore, KeyFile};

use crate::transport::TowerClient;

type HttpClient = Client<HttpConnector, ReplayBody<Full<Bytes>>>;

/// The credential's name in the store.
pub(crate) const KEY: &str = "the person who logged in";
const PACE: Duration = Duration::from_millis(20);

/// What an agent is configured with. Where the token endpoint is, the login found out (RFC 9728, RFC 8414).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Setup {
    /// Of the MCP server; this is also what the tokens are asked for (RFC 8707).
    pub(crate) server: String,
    pub(crate) origin: String,
    pub(crate) token_endpoint: String,
    pub(crate) client_id: String,
    /// Where the agents of this machine keep the login.
    pub(crate) store: PathBuf,
}

/// What an agent has to tell, one line of JSON each.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Line {
    Connected,
    Refreshed(u64),
    Failed(String),
    /// It needs a person, and why.
    Ended {
        calls: usize,
        why: String,
    },
}

/// Calls a tool over and over, until the login is over.
pub(crate) async fn run(setup: &Setup) -> Result<(), BoxError> {
    let coordinator = coordinator(setup)?;
    let mut telling = JoinSet::new();
    telling.spawn(tell(coordinator.events()));

    let layer = RefreshLayer::new(coordinator.clone(), KEY).origin(setup.origin.parse::<Origin>()?);
    let config = StreamableHttpClientTransportConfig::with_uri(setup.server.as_str());
    let client = TowerClient(layer.layer(http_client()));
    let mcp = ().serve(StreamableHttpClientTransport::with_client(client, config)).await?;
    say(&Line::Connected);

    let mut calls = 0;
    let why = loop {
        let arguments = json!({ "a": calls, "b": 1 }).as_object().cloned().unwrap_or_default();
        match mcp.call_tool(CallToolRequestParams::new("add").with_arguments(arguments)).await {
            Ok(result) if result.structured_content == Some(json!({ "sum": calls + 1 })) => calls += 1,
            Ok(result) => say(&Line::Failed(format!("a wrong answer: {result:?}"))),
            // Was it for the token? This asks no server.
            Err(error) => match coordinator.token(KEY).await {
                Err(why) if why.needs_login() => break why,
                _ => say(&Line::Failed(error.to_string())),
            },
        }
        tokio::time::sleep(PACE).await;
    };
    coordinator.shutdown(Duration::from_secs(5)).await;
    say(&Line::Ended { calls, why: why.to_string() });
    Ok(())
}

/// Over the store that all agents of this machine have in common.
pub(crate) fn coordinator(setup: &Setup) -> Result<Arc<RefreshCoordinator>, BoxError> {
    let key = KeyFile::open_or_create(setup.store.join("key"))?;
    let store = FileStore::sealed(setup.store.join("credentials"), key)?;
    let auth = ClientAuth::none(setup.client_id.as_str());
    let builder = RefreshCoordinator::builder(setup.token_endpoint.parse()?, auth);
    // MCP wants it in every token request, whether or not the authorization server knows what to do with it.
    Ok(builder.parameter("resource", setup.server.as_str()).store(store).build(http_client())?)
}

fn http_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn tell(mut events: Events) {
    while let Some(event) = events.next().await {
        if let EventKind::Refreshed(generation) = event.kind {
            say(&Line::Refreshed(generation.get()));
        }
    }
}

fn say(line: &Line) {
    if let Ok(json) = serde_json::to_string(line) {
        println!("{json}");
    }
}
