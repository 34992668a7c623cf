//! OAuth 2.0 credentials kept alive under gRPC clients of `tonic`.
//!
//! A `tonic` channel takes bodies of `tonic`'s own type, which the layer's are not: [`wrap`] puts the layer of
//! [`tower_oauth_refresh`] around a channel, and a map of bodies between them. Generated clients take what comes
//! out in place of the channel.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tonic::body::Body;
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! use tower::{BoxError, service_fn};
//! use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, RefreshLayer, TokenSet};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let token_endpoint = service_fn(async |_: Request<Full<Bytes>>| {
//! #     let answer = r#"{"access_token": "at-2", "refresh_token": "rt-2", "expires_in": 3600}"#;
//! #     Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(answer)))
//! # });
//! # let auth = ClientAuth::basic("client-id", "client-secret");
//! # let coordinator =
//! #     RefreshCoordinator::builder("https://auth.example/token".parse()?, auth).build(token_endpoint)?;
//! # coordinator.install("acme", TokenSet::new("at-1").with_refresh_token("rt-1")).await?;
//! // In earnest `Channel::from_static("https://api.example").connect_lazy()`. This one answers by itself.
//! let channel = service_fn(async |request: Request<Body>| {
//!     let good = request.headers()["authorization"] == "Bearer at-2";
//!     let answer = Response::builder().header("content-type", "application/grpc");
//!     let answer = answer.header("grpc-status", if good { "12" } else { "16" });
//!     Ok::<_, BoxError>(answer.body(Body::empty())?)
//! });
//! // A channel is connected to one server, and its requests name none: say which it is.
//! let layer = RefreshLayer::new(coordinator, "acme").relative_requests_to("https://api.example".parse()?);
//! let mut client = HealthClient::new(tower_oauth_refresh_tonic::wrap(&layer, channel));
//!
//! // Refused with `at-1`, refreshed, sent once more with `at-2`; the caller sees what came of that:
//! let status = client.check(HealthCheckRequest::default()).await.unwrap_err();
//! assert_eq!(status.code(), tonic::Code::Unimplemented);
//! # Ok(())
//! # }
//! ```
//!
//! # What heals, and what does not
//!
//! | the server says `UNAUTHENTICATED` | then |
//! | --- | --- |
//! | in place of an answer (*trailers-only*), as for every unary call that it refuses | the call is sent once more |
//! | in the trailers of a stream that began well | the stream ends with it, and the next call refreshes first |
//!
//! A stream of requests is recorded as it goes, up to [`RefreshLayer::body_limit`]; a larger one is sent once.
//!
//! # Errors
//!
//! Where there is no usable token at all, nothing is sent, and the `tonic::Status` has the
//! [`RefreshError`](tower_oauth_refresh::RefreshError) as its [`source`](std::error::Error::source):
//!
//! | the error | code |
//! | --- | --- |
//! | [needs a login](tower_oauth_refresh::RefreshError::needs_login) | `Unauthenticated` |
//! | [is transient](tower_oauth_refresh::RefreshError::is_transient) | `Unavailable` |
//! | too many requests wait | `ResourceExhausted` |
//! | any other: configuration, misuse | `FailedPrecondition` |
//!
//! A refusal that cannot be healed is the server's own `UNAUTHENTICATED`; the
//! [`RefreshReport`](tower_oauth_refresh::RefreshReport) that says why stays below `tonic`, whose `Status`
//! has no extensions. After a replay it is in those of the `tonic::Response`.
//!
//! # Deadlines
//!
//! The deadline of a call ([`tonic::Request::set_timeout`]) includes the wait for a token, and ends it as it ends a
//! call of `tonic`. The [timeout of a channel](tonic::transport::Endpoint::timeout) counts for each attempt by
//! itself.
//!
//! # TLS
//!
//! None is chosen here: enable `tls-ring` and one of the root stores of `tonic` in your own manifest.

mod call;

use std::error::Error as StdError;
use std::task::{Context, Poll};

use http::Request;
use tonic::body::Body;
use tonic::transport::Channel;
use tower_layer::Layer as _;
use tower_oauth_refresh::{Refresh, RefreshLayer, ReplayBody};
use tower_service::Service;

pub use self::call::Call;

type BoxError = Box<dyn StdError + Send + Sync>;

/// A channel whose calls carry a token, for the fields of your own types: `HealthClient<RefreshChannel>`.
/// Made by [`wrap`].
#[derive(Clone, Debug)]
pub struct RefreshChannel<S = Channel> {
    inner: Refresh<GrpcBodies<S>>,
}

/// `channel` under `layer`, for generated clients.
///
/// The layer says which server the channel is connected to, by
/// [`relative_requests_to`](RefreshLayer::relative_requests_to); without that no call gets a token. Interceptors
/// go around the outcome; one that sets `authorization` itself turns the layer off for its calls.
///
/// A channel belongs to the runtime where it was made: its calls fail when that has ended, and wait for as long as
/// nobody drives it. The coordinator does not, and a new channel finds its tokens.
///
/// # Cancel safety
///
/// Dropping a call abandons it: the server may have acted on it, or may yet. A refresh that it waited for goes on
/// at the authorization server and in the store.
pub fn wrap<S>(layer: &RefreshLayer, channel: S) -> RefreshChannel<S> {
    RefreshChannel { inner: layer.layer(GrpcBodies { channel }) }
}

impl<S> Service<Request<Body>> for RefreshChannel<S>
where
    Refresh<GrpcBodies<S>>: Service<Request<Body>, Error = BoxError>,
{
    type Response = <Refresh<GrpcBodies<S>> as Service<Request<Body>>>::Response;
    type Error = BoxError;
    type Future = Call<<Refresh<GrpcBodies<S>> as Service<Request<Body>>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let deadline = call::deadline(request.headers());
        Call::new(self.inner.call(request), deadline)
    }
}

/// A channel below the layer: takes the layer's bodies for `tonic`'s.
#[derive(Clone, Debug)]
pub struct GrpcBodies<S> {
    channel: S,
}

impl<S: Service<Request<Body>>> Service<Request<ReplayBody<Body>>> for GrpcBodies<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReplayBody<Body>>) -> S::Future {
        self.channel.call(request.map(Body::new))
    }
}
