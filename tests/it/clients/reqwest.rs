//! `reqwest`, as a tower service and with middlewares; it is the token endpoint's transport too.

use http::Extensions;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};
use tower::ServiceBuilder;
use tower_oauth_refresh::{BoxFuture, Builder, RefreshError, RefreshLayer, RefreshReport};
use tower_oauth_refresh_reqwest::{RefreshMiddleware, ReqwestService, Transport};

use super::client::{Call, Client, LIMIT, Outcome, Probe, said};
use super::hyper::Tower;
use super::tls::Tls;
use crate::harness::World;

pub(super) fn open(world: &mut World, probe: &Probe) -> impl Client + use<> {
    let client = client(world.builder(), world, builder);
    stack(world.layer(), client, probe)
}

/// Over TLS, to both servers.
pub(super) fn open_tls(world: &mut World, tls: &Tls, probe: &Probe) -> impl Client + use<> {
    let certificate = reqwest::Certificate::from_der(&tls.certificate.der()).unwrap();
    let client = client(tls.builder(world), world, || builder().tls_certs_only([certificate.clone()]));
    stack(tls.layer(world), client, probe)
}

fn stack(layer: RefreshLayer, client: reqwest::Client, probe: &Probe) -> impl Client + use<> {
    let probe = probe.clone();
    let below = ServiceBuilder::new()
        .map_request(move |request: reqwest::Request| {
            probe.see(request.headers());
            request
        })
        .service(client);
    Tower(ServiceBuilder::new().layer(layer.body_limit(LIMIT)).service(ReqwestService::new(below)))
}

pub(super) fn open_chain(world: &mut World, probe: &Probe) -> impl Client + use<> {
    let client = client(world.builder(), world, builder);
    let refresh = RefreshMiddleware::new(world.layer().body_limit(LIMIT));
    Chain(ClientBuilder::new(client).with(refresh).with(probe.clone()).build())
}

/// A client for the API, after one for the token endpoint of its coordinator.
fn client(
    coordinator: Builder,
    world: &mut World,
    builder: impl Fn() -> reqwest::ClientBuilder,
) -> reqwest::Client {
    world.coordinator = coordinator.build(Transport::new(builder()).unwrap()).unwrap();
    builder().build().unwrap()
}

/// As it comes, redirects included. No proxy that the machine may name.
fn builder() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

struct Chain(ClientWithMiddleware);

impl Client for Chain {
    fn call(&self, call: Call) -> BoxFuture<'static, Outcome> {
        let request = call.request().map(reqwest::Body::wrap);
        let (client, request) = (self.0.clone(), reqwest::Request::try_from(request).unwrap());
        Box::pin(async move {
            match client.execute(request).await {
                Ok(answer) => {
                    let said = said(answer.extensions().get::<RefreshReport>());
                    let status = Some(answer.status().as_u16());
                    answer.bytes().await.unwrap();
                    Outcome { status, said }
                }
                Err(Error::Middleware(error)) => {
                    let kind = error.downcast_ref::<RefreshError>().unwrap().kind();
                    Outcome { status: None, said: format!("{kind:?}") }
                }
                Err(error) => panic!("{error:?}"),
            }
        })
    }
}

#[async_trait::async_trait]
impl Middleware for Probe {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        self.see(request.headers());
        next.run(request, extensions).await
    }
}
