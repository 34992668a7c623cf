//! Against a real server of `tonic`, which refuses tokens where gRPC servers do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also where its harness does")]

mod streams;

use std::collections::HashSet;
use std::error::Error as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::StatusCode;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower_oauth_refresh::{
    ClientAuth, EventKind, RefreshCoordinator, RefreshError, RefreshLayer, RefreshReport, TokenSet,
};
use tower_oauth_refresh_testkit::{Answer, AuthServer, Fault};
use tower_oauth_refresh_tonic::{RefreshChannel, wrap};

use self::streams::Streams;

/// Larger bodies are not kept for a replay.
const LIMIT: usize = 1000;

type Messages = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

/// What the server saw: each call's token.
#[derive(Clone, Debug, Default)]
struct Strict {
    seen: Arc<Mutex<Vec<String>>>,
    revoked: Arc<Mutex<HashSet<String>>>,
}

impl Strict {
    fn check<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let token = request.metadata().get("authorization").map_or("", |token| token.to_str().unwrap());
        self.seen.lock().unwrap().push(token.to_owned());
        let good = token.starts_with("Bearer ") && !self.revoked.lock().unwrap().contains(token);
        good.then_some(()).ok_or_else(|| Status::unauthenticated("the token is not good"))
    }

    fn revoke(&self, tokens: &TokenSet) {
        self.revoked.lock().unwrap().insert(format!("Bearer {}", tokens.access_token.expose_secret()));
    }

    fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[tonic::async_trait]
impl Health for Strict {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Self::check(self, &request)?;
        // Says how much arrived.
        let status = i32::try_from(request.get_ref().service.len()).unwrap();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    type WatchStream = Messages;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Messages>, Status> {
        // One who asks for `late` is refused at the end only.
        let verdict = Self::check(self, &request);
        let late = request.get_ref().service == "late";
        if !late {
            verdict.clone()?;
        }
        let first = Ok(HealthCheckResponse { status: 1 });
        let end = stream::iter(verdict.err().map(Err));
        Ok(Response::new(Box::pin(stream::iter([first]).chain(end))))
    }
}

struct World {
    auth: AuthServer,
    api: Strict,
    server: String,
    coordinator: Arc<RefreshCoordinator>,
    channel: RefreshChannel,
    client: HealthClient<RefreshChannel>,
}

impl World {
    async fn start() -> Self {
        let auth = AuthServer::start().await.unwrap();
        let api = Strict::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let health = HealthServer::new(api.clone());
        let routes = Server::builder().add_service(health).add_service(Streams(api.clone()));
        let serving = routes.serve_with_incoming(TcpIncoming::from(listener));
        tokio::runtime::Handle::current().spawn(serving);

        let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let credentials = ClientAuth::basic(auth.client_id(), auth.client_secret());
        let coordinator =
            RefreshCoordinator::builder(auth.token_endpoint(), credentials).build(http).unwrap();
        let layer =
            RefreshLayer::new(coordinator.clone(), "acme").relative_requests_to(server.parse().unwrap());
        let channel = Channel::from_shared(server.clone()).unwrap().connect_lazy();
        let channel = wrap(&layer.body_limit(LIMIT), channel);
        let client = HealthClient::new(channel.clone());
        Self { auth, api, server, coordinator, channel, client }
    }

    /// Logs in, with an access token that the server refuses.
    async fn install_revoked(&self) {
        let tokens = self.auth.login();
        self.coordinator.install("acme", tokens.clone()).await.unwrap();
        self.api.revoke(&tokens);
    }

    /// Logs in, with an access token that is not sent any more.
    async fn install_expired(&self) {
        let tokens = self.auth.login().with_expires_in(Duration::ZERO);
        self.coordinator.install("acme", tokens).await.unwrap();
    }

    fn refreshes(&self) -> usize {
        self.auth.ledger().verdict().refreshes
    }
}

fn asking(service: impl Into<String>) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

#[tokio::test]
async fn fifty_unary_calls_that_are_refused_need_one_refresh() {
    let world = World::start().await;
    world.install_revoked().await;
    let calls: JoinSet<_> = (0..50)
        .map(|_| {
            let mut client = world.client.clone();
            async move { client.check(asking("sixteen letters!")).await }
        })
        .collect();
    for answer in calls.join_all().await {
        let answer = answer.unwrap();
        assert_eq!(answer.get_ref().status, 16, "the message is there the second time too");
    }
    assert_eq!(world.refreshes(), 1);
    assert!((50..=100).contains(&world.api.calls()));
}

#[tokio::test]
async fn a_stream_that_is_refused_before_it_begins_is_healed() {
    let mut world = World::start().await;
    world.install_revoked().await;
    let answer = world.client.watch(asking("")).await.unwrap();
    assert!(answer.extensions().get::<RefreshReport>().is_some(), "it says that it was sent once more");
    assert_eq!(answer.into_inner().message().await.unwrap().unwrap().status, 1);
    assert_eq!((world.refreshes(), world.api.calls()), (1, 2));
}

#[tokio::test]
async fn a_refusal_in_later_trailers_is_the_end_of_the_stream_and_of_the_token() {
    let mut world = World::start().await;
    world.install_revoked().await;
    let mut events = world.coordinator.events();
    let mut stream = world.client.watch(asking("late")).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unauthenticated);
    let refreshed = async { while !matches!(events.next().await.unwrap().kind, EventKind::Refreshed(_)) {} };
    timeout(Duration::from_secs(60), refreshed).await.expect("a refresh");
    assert_eq!(world.api.calls(), 1, "the stream is not begun anew");
    world.client.check(asking("")).await.unwrap();
    assert_eq!((world.refreshes(), world.api.calls()), (1, 2), "the next call has the new token");
}

#[tokio::test]
async fn a_message_over_the_limit_is_sent_once() {
    let mut world = World::start().await;
    world.install_revoked().await;
    let status = world.client.check(asking("x".repeat(2 * LIMIT))).await.unwrap_err();
    assert_eq!((status.code(), world.api.calls()), (Code::Unauthenticated, 1));
}

#[tokio::test]
async fn a_call_without_a_usable_token_is_not_made_and_says_why() {
    let mut world = World::start().await;
    let status = world.client.check(asking("")).await.unwrap_err();
    let error = status.source().unwrap().downcast_ref::<RefreshError>().unwrap();
    assert!(error.needs_login());
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(world.api.calls(), 0);
}

#[tokio::test]
async fn a_passing_failure_of_the_token_endpoint_is_unavailable() {
    let mut world = World::start().await;
    world.install_expired().await;
    world.auth.always(Fault::answer(Answer::new(StatusCode::SERVICE_UNAVAILABLE)));
    let status = world.client.check(asking("")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.source().unwrap().downcast_ref::<RefreshError>().unwrap().is_transient());
    assert_eq!(world.api.calls(), 0);
}

#[tokio::test]
async fn a_call_that_the_coordinator_cannot_serve_is_a_failed_precondition() {
    let mut world = World::start().await;
    world.install_expired().await;
    world.coordinator.shutdown(Duration::ZERO).await;
    let status = world.client.check(asking("")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
}

#[tokio::test]
async fn the_deadline_of_a_call_ends_its_wait_for_a_token() {
    let mut world = World::start().await;
    world.install_expired().await;
    let gate = world.auth.hold_before_commit();
    let mut request = Request::new(asking(""));
    request.set_timeout(Duration::from_millis(50));
    let call = timeout(Duration::from_secs(10), world.client.check(request)).await;
    assert_eq!(call.expect("it outlives its deadline").unwrap_err().code(), Code::Cancelled);
    gate.release();
    world.client.check(asking("")).await.unwrap();
    assert_eq!(world.refreshes(), 1, "the refresh has gone on");
}

#[test]
fn a_channel_whose_runtime_has_ended_fails_and_does_not_hang_and_the_next_one_finds_the_token() {
    let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let world = servers.block_on(World::start());
    let current_thread = || Builder::new_current_thread().enable_all().build().unwrap();
    let connect = || {
        let layer = RefreshLayer::new(world.coordinator.clone(), "acme");
        let layer = layer.relative_requests_to(world.server.parse().unwrap());
        HealthClient::new(wrap(&layer, Channel::from_shared(world.server.clone()).unwrap().connect_lazy()))
    };
    let mut first = current_thread().block_on(async {
        world.install_revoked().await;
        let mut client = connect();
        client.check(asking("")).await.unwrap();
        client
    });
    current_thread().block_on(async {
        let call = timeout(Duration::from_secs(10), first.check(asking(""))).await;
        assert_eq!(call.expect("it hangs").unwrap_err().code(), Code::Unknown);
        connect().check(asking("")).await.unwrap();
    });
    assert_eq!(world.refreshes(), 1);
}
