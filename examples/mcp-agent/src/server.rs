//! The other side: an MCP server with one tool, and nothing without a token.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::AUTHORIZATION;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::BoxError;
use tower_oauth_refresh_testkit::ResourceServer;

/// Listens until it is dropped.
pub(crate) struct Server {
    pub(crate) origin: String,
    _serving: JoinSet<()>,
}

/// Knows whether a token is good, and writes down each that it is asked about.
struct Guard {
    judge: ResourceServer,
    client: Client<HttpConnector, Body>,
}

#[derive(Clone)]
struct Calculator;

impl Server {
    /// At `/mcp`, for the tokens that `judge` takes.
    pub(crate) async fn start(judge: ResourceServer) -> Result<Self, BoxError> {
        let guard = Arc::new(Guard { judge, client: Client::builder(TokioExecutor::new()).build_http() });
        let sessions = Arc::new(LocalSessionManager::default());
        let mcp =
            StreamableHttpService::new(|| Ok(Calculator), sessions, StreamableHttpServerConfig::default());
        let routes = Router::new().nest_service("/mcp", mcp).layer(from_fn_with_state(guard, check));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { origin, _serving: serving })
    }
}

/// Shows the token to the test kit, whose refusal is the answer.
async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut question = Request::get(guard.judge.url(request.uri().path()));
    if let (Some(headers), Some(token)) = (question.headers_mut(), request.headers().get(AUTHORIZATION)) {
        headers.insert(AUTHORIZATION, token.clone());
    }
    let Ok(question) = question.body(Body::empty()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match guard.client.request(question).await {
        Ok(good) if good.status().is_success() => next.run(request).await,
        Ok(refusal) => refusal.map(Body::new),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

impl ServerHandler for Calculator {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let number = json!({ "type": "integer" });
        let schema =
            json!({ "type": "object", "properties": { "a": number, "b": number }, "required": ["a", "b"] });
        let schema = schema.as_object().cloned().unwrap_or_default();
        Ok(ListToolsResult::with_all_items(vec![Tool::new("add", "Adds two numbers", schema)]))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let number = |name| call.arguments.as_ref().and_then(|given| given.get(name)).and_then(Value::as_i64);
        match (call.name.as_ref(), number("a"), number("b")) {
            ("add", Some(a), Some(b)) => Ok(CallToolResult::structured(json!({ "sum": a + b })).into()),
            ("add", ..) => Err(ErrorData::invalid_params("add needs the integers a and b", None)),
            _ => Err(ErrorData::invalid_params("the one tool is add", None)),
        }
    }
}
