//! A generated client of `tonic`, and a server of it that asks the API about every token.

use std::error::Error as _;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::StatusCode;
use http_body_util::Full;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceBuilder;
use tower_oauth_refresh::{BoxFuture, RefreshError, RefreshReport, ReplayBody};
use tower_oauth_refresh_tonic::{RefreshChannel, wrap};

use super::client::{Call, Client, LIMIT, Outcome, Probe, said};
use crate::harness::{HttpClient, World, full, send, start};

type Messages = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

pub(super) async fn open(world: &World, probe: &Probe) -> impl Client + use<> {
    let gateway = Gateway { http: world.bare(), url: world.api.url("/things") };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let routes = Server::builder().add_service(HealthServer::new(gateway));
    start(routes.serve_with_incoming(TcpIncoming::from(listener)));

    let probe = probe.clone();
    let channel = ServiceBuilder::new()
        .map_request(move |request: http::Request<tonic::body::Body>| {
            probe.see(request.headers());
            request
        })
        .service(Channel::from_shared(server.clone()).unwrap().connect_lazy());
    let layer = world.layer().relative_requests_to(server.parse().unwrap()).body_limit(LIMIT);
    Grpc { channel: wrap(&layer, channel), api: world.api.url("") }
}

struct Grpc<S> {
    channel: RefreshChannel<S>,
    api: String,
}

impl<S> Client for Grpc<S>
where
    S: tower::Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<crate::harness::BoxError>,
{
    fn call(&self, call: Call) -> BoxFuture<'static, Outcome> {
        let mut client = if call.origin == self.api {
            HealthClient::new(self.channel.clone())
        } else {
            HealthClient::with_origin(self.channel.clone(), call.origin.parse().unwrap())
        };
        let service = String::from_utf8(call.body.to_vec()).unwrap();
        let mut request = Request::new(HealthCheckRequest { service });
        request.metadata_mut().insert("x-request-id", call.id.into());
        Box::pin(async move {
            match client.check(request).await {
                Ok(answer) => {
                    Outcome { status: Some(200), said: said(answer.extensions().get::<RefreshReport>()) }
                }
                Err(status) => {
                    let ours = status.source().and_then(|source| source.downcast_ref::<RefreshError>());
                    match ours {
                        Some(error) => Outcome { status: None, said: format!("{:?}", error.kind()) },
                        None if status.code() == Code::Unauthenticated => {
                            Outcome { status: Some(401), said: String::new() }
                        }
                        None => panic!("{status:?}"),
                    }
                }
            }
        })
    }
}

/// Passes each call on to the API, so that the ledger sees it, and refuses what the API refuses.
struct Gateway {
    http: HttpClient<Full<Bytes>>,
    url: String,
}

#[tonic::async_trait]
impl Health for Gateway {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let mut call = http::Request::post(&self.url);
        for name in ["authorization", "x-request-id"] {
            if let Some(value) = request.metadata().get(name) {
                call = call.header(name, value.as_bytes());
            }
        }
        let call = call.body(ReplayBody::plain(full(request.into_inner().service))).unwrap();
        match send(self.http.clone(), call).await.status {
            StatusCode::OK => Ok(Response::new(HealthCheckResponse { status: 1 })),
            _ => Err(Status::unauthenticated("the token is not good")),
        }
    }

    type WatchStream = Messages;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Messages>, Status> {
        Ok(Response::new(Box::pin(stream::empty())))
    }
}
