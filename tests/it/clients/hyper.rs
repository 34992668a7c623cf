//! A client of hyper-util, and whatever else is a tower service of `http` requests.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::TokioExecutor;
use tower::{Service, ServiceBuilder};
use tower_oauth_refresh::{BoxFuture, RefreshLayer, ReplayBody};

use super::client::{Call, Client, LIMIT, Outcome, Probe};
use super::tls::Tls;
use crate::harness::{BoxError, World, try_send};

type Body = BoxBody<Bytes, Infallible>;

pub(super) struct Tower<S>(pub(super) S);

pub(super) fn open(world: &World, probe: &Probe) -> impl Client + use<> {
    stack(world.layer(), world.bare_for(), probe)
}

/// Over TLS, to both servers.
pub(super) fn open_tls(world: &mut World, tls: &Tls, probe: &Probe) -> impl Client + use<> {
    let client = Http::builder(TokioExecutor::new());
    let transport = client.build::<_, Full<Bytes>>(tls.certificate.connector());
    world.coordinator = tls.builder(world).build(transport).unwrap();
    stack(tls.layer(world), client.build(tls.certificate.connector()), probe)
}

fn stack<C>(layer: RefreshLayer, http: Http<C, ReplayBody<Body>>, probe: &Probe) -> impl Client + use<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let probe = probe.clone();
    let client = ServiceBuilder::new()
        .layer(layer.body_limit(LIMIT))
        .map_request(move |request: Request<_>| {
            probe.see(request.headers());
            request
        })
        .service(http);
    Tower(client)
}

impl<S, R> Client for Tower<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = BoxError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    R: http_body::Body<Data: Send, Error: Into<BoxError>> + Send,
{
    fn call(&self, call: Call) -> BoxFuture<'static, Outcome> {
        let client = self.0.clone();
        Box::pin(async move { Outcome::of(try_send(client, call.request()).await) })
    }
}
