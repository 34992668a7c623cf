//! A gRPC client whose calls carry a token that is kept alive.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tonic::service::Interceptor;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::BoxError;
use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, RefreshLayer, RefreshReport, ReplayOutcome};
use tower_oauth_refresh_testkit::AuthServer;
use tower_oauth_refresh_tonic::RefreshChannel;

/// What to copy: a generated client over a channel that has a token.
fn client(
    coordinator: Arc<RefreshCoordinator>,
    server: &str,
) -> Result<HealthClient<RefreshChannel>, BoxError> {
    let channel = Channel::from_shared(server.to_owned())?.connect_lazy();
    let layer = RefreshLayer::new(coordinator, "acme").relative_requests_to(server.parse()?);
    Ok(HealthClient::new(tower_oauth_refresh_tonic::wrap(&layer, channel)))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let auth = AuthServer::start().await?;
    let revoked = Revoked::default();
    let (address, serving) = serve(revoked.clone()).await?;

    let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let credentials = ClientAuth::basic(auth.client_id(), auth.client_secret());
    let coordinator = RefreshCoordinator::builder(auth.token_endpoint(), credentials).build(http)?;
    let login = auth.login();
    coordinator.install("acme", login.clone()).await?;
    let mut client = client(coordinator, &format!("http://{address}"))?;

    let calls = async {
        tell("a good token", &client.check(HealthCheckRequest::default()).await?);
        revoked.add(login.access_token.expose_secret());
        tell("a revoked token", &client.check(HealthCheckRequest::default()).await?);

        let mut changes = client.watch(HealthCheckRequest::default()).await?.into_inner();
        let first = changes.message().await?.ok_or("the stream says nothing")?;
        println!("a stream: begins with {:?}", first.status());
        Ok::<_, BoxError>(())
    };
    tokio::select! {
        done = calls => done?,
        ended = serving => ended?,
    }
    println!("refreshes at the authorization server: {}", auth.ledger().verdict().refreshes);
    Ok(())
}

fn tell<T>(call: &str, answer: &tonic::Response<T>) {
    let report = answer.extensions().get::<RefreshReport>();
    match report.map(|report| &report.outcome) {
        Some(ReplayOutcome::Replayed(generation)) => {
            println!("{call}: sent once more with generation {generation}");
        }
        _ => println!("{call}: accepted"),
    }
}

/// The tokens that the gRPC server takes no longer.
#[derive(Clone, Debug, Default)]
struct Revoked(Arc<Mutex<Vec<String>>>);

impl Revoked {
    fn add(&self, token: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("Bearer {token}"));
    }
}

impl Interceptor for Revoked {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let revoked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match request.metadata().get("authorization") {
            Some(token) if !revoked.iter().any(|revoked| token == revoked.as_str()) => Ok(request),
            _ => Err(Status::unauthenticated("the token is not good")),
        }
    }
}

/// A gRPC server, and the future that it lives in.
async fn serve(
    revoked: Revoked,
) -> Result<(SocketAddr, impl Future<Output = Result<(), tonic::transport::Error>>), BoxError> {
    let (_, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let incoming = TcpIncoming::from(listener);
    let layer = tonic::service::InterceptorLayer::new(revoked);
    Ok((address, Server::builder().layer(layer).add_service(health).serve_with_incoming(incoming)))
}
