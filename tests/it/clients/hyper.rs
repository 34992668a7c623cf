//! A client of hyper-util, and whatever else is a tower service of `http` requests.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::combinators::BoxBody;
use tower::{Service, ServiceBuilder};
use tower_oauth_refresh::BoxFuture;

use super::client::{Call, Client, LIMIT, Outcome, Probe};
use crate::harness::{BoxError, World, try_send};

pub(super) struct Tower<S>(pub(super) S);

pub(super) fn open(world: &World, probe: &Probe) -> impl Client + use<> {
    let probe = probe.clone();
    let client = ServiceBuilder::new()
        .layer(world.layer().body_limit(LIMIT))
        .map_request(move |request: Request<_>| {
            probe.see(request.headers());
            request
        })
        .service(world.bare_for());
    Tower(client)
}

impl<S, R> Client for Tower<S>
where
    S: Service<Request<BoxBody<Bytes, Infallible>>, Response = Response<R>, Error = BoxError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    R: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    fn call(&self, call: Call) -> BoxFuture<'static, Outcome> {
        let client = self.0.clone();
        Box::pin(async move { Outcome::of(try_send(client, call.request()).await) })
    }
}
