//! What every client can be asked to do, and what it says then.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use tower_oauth_refresh::{BoxFuture, RefreshReport, ReplayOutcome};
use tower_oauth_refresh_testkit::ResourceServer;

use super::tls::Tls;
use super::{backend, grpc, hyper, reqwest};
use crate::harness::{BoxError, Front, Got, Way, World, kind};

/// Larger bodies are not kept for a replay.
pub(super) const LIMIT: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    HyperUtil,
    HyperUtilTls,
    Reqwest,
    ReqwestTls,
    ReqwestMiddleware,
    Tonic,
    AxumBackEnd,
}

/// A client under the layer.
pub(super) trait Client: Send + Sync {
    fn call(&self, call: Call) -> BoxFuture<'static, Outcome>;
}

/// One request, to `/things` of an origin.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The ledger knows it by this.
    pub(super) id: usize,
    pub(super) origin: String,
    /// Letters, sent as a stream.
    pub(super) body: Bytes,
}

/// What the caller learns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Of the answer, in HTTP's terms. `None`: an error of ours, and nothing was sent.
    pub(super) status: Option<u16>,
    /// What the report says, or the error.
    pub(super) said: String,
}

/// Sees what leaves the layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Probe(Arc<Mutex<Vec<bool>>>);

/// A client and the servers that it talks to.
pub(super) struct Stage {
    pub(super) world: World,
    /// Between the two, for some.
    pub(super) tls: Option<Tls>,
    pub(super) client: Arc<dyn Client>,
    pub(super) probe: Probe,
}

/// An API that nobody may send a token to.
pub(super) struct Other {
    pub(super) url: String,
    _server: ResourceServer,
    _front: Option<Front>,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::HyperUtil,
        Self::HyperUtilTls,
        Self::Reqwest,
        Self::ReqwestTls,
        Self::ReqwestMiddleware,
        Self::Tonic,
        Self::AxumBackEnd,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HyperUtil => "hyper-util",
            Self::HyperUtilTls => "hyper-util over TLS",
            Self::Reqwest => "reqwest",
            Self::ReqwestTls => "reqwest over TLS",
            Self::ReqwestMiddleware => "reqwest-middleware",
            Self::Tonic => "tonic",
            Self::AxumBackEnd => "axum back end",
        }
    }
}

impl Stage {
    pub(super) async fn set(kind: Kind) -> Self {
        let mut world = World::start(Way { http2: false, sealed: false }).await;
        let probe = Probe::default();
        let mut tls = None;
        let client: Arc<dyn Client> = match kind {
            Kind::HyperUtil => Arc::new(hyper::open(&world, &probe)),
            Kind::HyperUtilTls => {
                let tls = tls.insert(Tls::before(&world).await);
                Arc::new(hyper::open_tls(&mut world, tls, &probe))
            }
            Kind::Reqwest => Arc::new(reqwest::open(&mut world, &probe)),
            Kind::ReqwestTls => {
                let tls = tls.insert(Tls::before(&world).await);
                Arc::new(reqwest::open_tls(&mut world, tls, &probe))
            }
            Kind::ReqwestMiddleware => Arc::new(reqwest::open_chain(&mut world, &probe)),
            Kind::Tonic => Arc::new(grpc::open(&world, &probe).await),
            Kind::AxumBackEnd => Arc::new(backend::open(&world, &probe).await),
        };
        Self { world, tls, client, probe }
    }

    /// Where the client finds the API.
    fn origin(&self) -> String {
        self.tls.as_ref().map_or_else(|| self.world.api.url(""), |tls| tls.api.url(""))
    }

    /// Another API, as the client finds it.
    pub(super) async fn other(&self) -> Other {
        let server = ResourceServer::start(&self.world.auth).await.unwrap();
        match &self.tls {
            None => Other { url: server.url(""), _server: server, _front: None },
            Some(tls) => {
                let front = tls.certificate.front(&server.origin()).await;
                Other { url: front.url(""), _server: server, _front: Some(front) }
            }
        }
    }

    /// A small request to the API.
    pub(super) fn call(&self, id: usize) -> BoxFuture<'static, Outcome> {
        self.call_with(id, "tea")
    }

    pub(super) fn call_with(&self, id: usize, body: impl Into<Bytes>) -> BoxFuture<'static, Outcome> {
        self.client.call(Call { id, origin: self.origin(), body: body.into() })
    }
}

impl Call {
    /// As a request whose body has no known length.
    pub(super) fn request(&self) -> Request<BoxBody<Bytes, Infallible>> {
        let pieces: Vec<_> = self.body.chunks(1000).map(Bytes::copy_from_slice).collect();
        let frames = pieces.into_iter().map(|piece| Ok(Frame::data(piece)));
        let body = StreamBody::new(stream::iter(frames)).boxed();
        let request = Request::post(format!("{}/things", self.origin)).header("x-request-id", self.id);
        request.body(body).unwrap()
    }
}

impl Outcome {
    pub(super) fn of(result: Result<Got, BoxError>) -> Self {
        match result {
            Ok(got) => Self { status: Some(got.status.as_u16()), said: said(got.report.as_ref()) },
            Err(error) => Self { status: None, said: format!("{:?}", kind(&error)) },
        }
    }
}

impl Probe {
    pub(super) fn see(&self, headers: &HeaderMap) {
        let token = headers.get(AUTHORIZATION);
        self.0.lock().unwrap().extend(token.map(http::HeaderValue::is_sensitive));
    }

    /// For each token that passed: was it marked?
    pub(super) fn marked(&self) -> Vec<bool> {
        self.0.lock().unwrap().clone()
    }
}

pub(super) fn said(report: Option<&RefreshReport>) -> String {
    match report.map(|report| &report.outcome) {
        None => String::new(),
        Some(ReplayOutcome::Replayed(_)) => "replayed".to_owned(),
        Some(ReplayOutcome::NotReplayable(why)) => why.to_string(),
        Some(ReplayOutcome::Failed(error)) => format!("{:?}", error.kind()),
        Some(other) => format!("{other:?}"),
    }
}
