//! The hot path: one request with a valid token, in every way that is compared.
//!
//! Each way is the same request to the same service below, which answers at once: a parsed URI, four headers,
//! a body in memory, a token of 900 bytes. Only what is wrapped around that service differs.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use tower::retry::{Policy, Retry};
use tower::{Layer as _, Service};
use tower_http::follow_redirect::FollowRedirect;
use tower_http::set_header::SetRequestHeader;
use tower_oauth_refresh::{ClientAuth, CredentialKey, RefreshCoordinator, RefreshLayer, TokenSet};

use crate::Failure;

/// A request's body, as in most of this program.
pub type RequestBody = Full<Bytes>;

/// One way to send, ready to be used by one thread: every call sends one request to its end.
pub type Send = Box<dyn FnMut()>;

/// A way to send, by name.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// As the table and the command line call it.
    pub name: &'static str,
    make: fn(&Shared) -> Send,
}

/// What all threads of a way share.
#[derive(Clone, Debug)]
pub struct Shared {
    token: HeaderValue,
    ready: Client,
    attach: Client,
    keyed: Client,
}

type Client = tower_oauth_refresh::Refresh<Api>;

/// Every way. The first is the floor of the others.
pub const WAYS: &[Way] = &[
    Way { name: "bare", make: |_| send(Api, false) },
    Way { name: "static header", make: |shared| send(with_header(&shared.token), false) },
    Way { name: "ours, no replay", make: |shared| send(shared.attach.clone(), false) },
    Way { name: "ours, ready to replay", make: |shared| send(shared.ready.clone(), false) },
    Way { name: "ours, cloned per request", make: |shared| send_by_clones(shared.ready.clone()) },
    Way { name: "ours, keyed", make: |shared| send(shared.keyed.clone(), true) },
    Way { name: "tower Retry", make: |shared| send(Retry::new(Once, with_header(&shared.token)), false) },
    Way {
        name: "FollowRedirect",
        make: |shared| send(FollowRedirect::new(with_header(&shared.token)), false),
    },
];

impl Way {
    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        WAYS.iter().copied().find(|way| way.name == name)
    }

    /// For one thread.
    #[must_use]
    pub fn sender(self, shared: &Shared) -> Send {
        (self.make)(shared)
    }
}

impl Shared {
    /// # Errors
    ///
    /// What building a coordinator or installing a credential says.
    pub fn new() -> Result<Self, Failure> {
        let token = "t".repeat(893);
        let coordinator = coordinator(&token)?;
        let origin: tower_oauth_refresh::Origin = "https://api.example".parse()?;
        let fixed = || RefreshLayer::new(coordinator.clone(), KEY).origin(origin.clone());
        let keyed = RefreshLayer::credential_from_extension(coordinator.clone()).origin(origin.clone());
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))?;
        header.set_sensitive(true);
        Ok(Self {
            token: header,
            ready: fixed().layer(Api),
            // Nothing that has bytes can be sent again, so nothing is kept.
            attach: fixed().body_limit(0).layer(Api),
            keyed: keyed.layer(Api),
        })
    }

    /// The bytes that the response future has more than the one it wraps and the service it must own.
    #[must_use]
    pub fn future_size(&self) -> usize {
        let mut client = self.ready.clone();
        let future = client.call(Template::new(false).request());
        size_of_val(&future)
            - size_of::<Api>()
            - size_of::<Ready<Result<Response<RequestBody>, Infallible>>>()
    }
}

/// The credential of every way.
const KEY: &str = "acme";

fn coordinator(token: &str) -> Result<Arc<RefreshCoordinator>, Failure> {
    let endpoint = Uri::from_static("https://auth.example/token");
    let coordinator =
        RefreshCoordinator::builder(endpoint, ClientAuth::none("bench")).build(tower::service_fn(
            |_: Request<Full<Bytes>>| ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))),
        ))?;
    let login = TokenSet::new(token).with_refresh_token("rt").with_expires_in(Duration::from_secs(3600));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(coordinator.install(KEY, login))?;
    Ok(coordinator)
}

// ===== what is below =====

/// Answers at once.
#[derive(Clone, Copy, Debug)]
pub struct Api;

impl<B> Service<Request<B>> for Api {
    type Response = Response<RequestBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        drop(black_box(request));
        ready(Ok(Response::new(Full::default())))
    }
}

// ===== what is around it =====

type WithHeader = SetRequestHeader<Api, HeaderValue>;

fn with_header(token: &HeaderValue) -> WithHeader {
    SetRequestHeader::overriding(Api, AUTHORIZATION, token.clone())
}

/// A retry after a 401, as tower's documentation has it.
#[derive(Clone, Copy, Debug)]
struct Once;

impl<E> Policy<Request<RequestBody>, Response<RequestBody>, E> for Once {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<RequestBody>,
        result: &mut Result<Response<RequestBody>, E>,
    ) -> Option<Ready<()>> {
        let refused = matches!(result, Ok(response) if response.status() == StatusCode::UNAUTHORIZED);
        refused.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        let mut copy = Request::new(request.body().clone());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}

// ===== sending =====

/// Made once by each thread, so that requests of two threads share nothing by themselves.
pub(crate) struct Template {
    uri: Uri,
    headers: [(HeaderName, HeaderValue); 4],
    body: Bytes,
    key: Option<CredentialKey>,
}

impl Template {
    pub(crate) fn new(keyed: bool) -> Self {
        Self {
            uri: "https://api.example/orders/17?full=yes".parse().unwrap_or_default(),
            headers: [
                (ACCEPT, HeaderValue::from_static("application/json")),
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (USER_AGENT, HeaderValue::from_static("bench")),
                (HeaderName::from_static("x-request-id"), HeaderValue::from_static("0123456789abcdef")),
            ],
            body: Bytes::from_static(b"{\"tea\": 1}"),
            key: keyed.then(|| CredentialKey::from(KEY)),
        }
    }

    pub(crate) fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        for (name, value) in &self.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        if let Some(key) = &self.key {
            request.extensions_mut().insert(key.clone());
        }
        request
    }
}

pub(crate) fn send<S>(mut service: S, keyed: bool) -> Send
where
    S: Service<Request<RequestBody>> + 'static,
{
    let template = Template::new(keyed);
    Box::new(move || send_one(&mut service, &template))
}

fn send_by_clones<S>(service: S) -> Send
where
    S: Service<Request<RequestBody>> + Clone + 'static,
{
    let template = Template::new(false);
    Box::new(move || send_one(&mut service.clone(), &template))
}

fn send_one<S: Service<Request<RequestBody>>>(service: &mut S, template: &Template) {
    let mut context = Context::from_waker(Waker::noop());
    let ready = service.poll_ready(&mut context).is_ready();
    let future = pin!(service.call(template.request()));
    let answered = matches!(future.poll(&mut context), Poll::Ready(Ok(_)));
    assert!(ready && answered, "a request with a valid token never waits");
}
