//! The layer as a middleware of `reqwest-middleware`.
//!
//! A middleware is lent the rest of its chain for the length of one call, and a layer wraps a service that it
//! may keep. So the service below the layer is a mailbox, and the call itself, which has the chain, serves it.

use std::error::Error as StdError;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Extensions, Request};
use http_body::Body;
use reqwest_middleware::{Error, Middleware, Next, Result};
use tokio::sync::{mpsc, oneshot};
use tower_layer::Layer as _;
use tower_oauth_refresh::{BoxFuture, CredentialKey, RefreshError, RefreshLayer};
use tower_service::Service;

use crate::body;
use crate::service::ReqwestService;

type BoxError = Box<dyn StdError + Send + Sync>;

/// A [`RefreshLayer`] in the chain of a `reqwest_middleware::ClientWithMiddleware`.
///
/// It is the layer, with all that this says: the token is attached for the origins that were named, one refresh
/// runs for all who need it, and a refused request is sent once more, with its body byte for byte. What comes
/// after it in the chain sees both sends; tracing and retries go before it, signatures after it. The
/// [`RefreshReport`](tower_oauth_refresh::RefreshReport) is in the extensions of the response.
///
/// Streams are recorded as they go, up to [`RefreshLayer::body_limit`]; larger ones are sent once.
/// [`RefreshLayer::credential_from_extension`] finds the [`CredentialKey`] that the request was given
/// by `with_extension`.
///
/// ```
/// use bytes::Bytes;
/// use http::{Extensions, Request, Response};
/// use http_body_util::Full;
/// use reqwest_middleware::{ClientBuilder, Next};
/// use tower::{BoxError, service_fn};
/// use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, RefreshLayer, TokenSet};
/// use tower_oauth_refresh_reqwest::RefreshMiddleware;
///
/// # struct Api;
/// # #[async_trait::async_trait]
/// # impl reqwest_middleware::Middleware for Api {
/// #     async fn handle(
/// #         &self,
/// #         request: reqwest::Request,
/// #         _: &mut Extensions,
/// #         _: Next<'_>,
/// #     ) -> reqwest_middleware::Result<reqwest::Response> {
/// #         let status = if request.headers()["authorization"] == "Bearer at-2" { 201 } else { 401 };
/// #         let mut response = Response::new("");
/// #         *response.status_mut() = status.try_into().unwrap();
/// #         Ok(response.into())
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let _ = rustls::crypto::ring::default_provider().install_default();
/// # let token_endpoint = service_fn(async |_: Request<Full<Bytes>>| {
/// #     let answer = r#"{"access_token": "at-2", "refresh_token": "rt-2", "expires_in": 3600}"#;
/// #     Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(answer)))
/// # });
/// # let auth = ClientAuth::basic("client-id", "client-secret");
/// # let coordinator =
/// #     RefreshCoordinator::builder("https://auth.example/token".parse()?, auth).build(token_endpoint)?;
/// coordinator.install("acme", TokenSet::new("at-1").with_refresh_token("rt-1")).await?;
/// let layer = RefreshLayer::new(coordinator, "acme").origin("https://api.example".parse()?);
/// let client = ClientBuilder::new(reqwest::Client::new())
///     .with(RefreshMiddleware::new(layer))
/// #   .with(Api) // answers in place of the network, and wants `at-2`
///     .build();
///
/// // Refused with `at-1`, refreshed, sent once more with `at-2`:
/// assert_eq!(client.post("https://api.example/orders").body("tea").send().await?.status(), 201);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of the chain pass through. Where there is no usable token at all, nothing is sent, and the error is an
/// `Error::Middleware` that downcasts to [`RefreshError`].
///
/// # Cancel safety
///
/// Dropping the request abandons it: the API may have acted on it, or may yet. A refresh that it waited for
/// goes on at the authorization server and in the store.
#[derive(Clone, Debug)]
pub struct RefreshMiddleware {
    layer: RefreshLayer,
}

impl RefreshMiddleware {
    /// `layer` as a middleware.
    #[must_use]
    pub fn new(layer: RefreshLayer) -> Self {
        Self { layer }
    }

    async fn send<B>(
        &self,
        request: Request<B>,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response>
    where
        B: Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + Sync + Unpin + 'static,
    {
        let (mailbox, mut calls) = mpsc::unbounded_channel();
        let mut client = self.layer.layer(ReqwestService::new(Chain(mailbox)));
        let mut answer = pin!(client.call(request));
        let answer = loop {
            match select(answer.as_mut(), pin!(calls.recv())).await {
                Either::Left((answer, _)) => break answer,
                Either::Right((Some((request, reply)), _)) => {
                    // The layer waits for this and nothing else; it always takes what comes.
                    let _ = reply.send(next.clone().run(request, extensions).await);
                }
                // Nothing more will be sent; what is left is the layer's.
                Either::Right((None, _)) => break answer.await,
            }
        };
        answer.map(|answer| answer.map(reqwest::Body::wrap).into()).map_err(error)
    }
}

#[async_trait::async_trait]
impl Middleware for RefreshMiddleware {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        let mut request = Request::<reqwest::Body>::try_from(request)?;
        if let Some(key) = extensions.get::<CredentialKey>() {
            request.extensions_mut().insert(key.clone());
        }
        let (parts, body) = request.into_parts();
        match body::in_memory(body) {
            Ok(bytes) => self.send(Request::from_parts(parts, bytes), extensions, next).await,
            Err(stream) => self.send(Request::from_parts(parts, stream), extensions, next).await,
        }
    }
}

type Call = (reqwest::Request, oneshot::Sender<Result<reqwest::Response>>);

/// The rest of the chain, as whoever serves the mailbox runs it.
#[derive(Clone)]
struct Chain(mpsc::UnboundedSender<Call>);

impl Service<reqwest::Request> for Chain {
    type Response = reqwest::Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<reqwest::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        let (reply, answer) = oneshot::channel();
        // Not received, it is dropped, and so is the reply.
        let _ = self.0.send((request, reply));
        Box::pin(async move { answer.await.map_err(Error::middleware)? })
    }
}

/// The chain's own error, or the layer's in the chain's words.
fn error(error: BoxError) -> Error {
    error.downcast::<Error>().map(|error| *error).unwrap_or_else(|error| {
        match error.downcast::<RefreshError>() {
            Ok(error) => Error::middleware(*error),
            Err(error) => Error::middleware(io::Error::other(error)),
        }
    })
}
