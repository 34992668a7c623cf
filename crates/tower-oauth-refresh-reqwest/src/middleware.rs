//! The layer as a middleware of `reqwest-middleware`.
//!
//! A middleware is lent the rest of its chain for the length of one call, and a layer wraps a service that it
//! may keep. So the service below the layer is a hatch, and the call itself, which has the chain, serves at it.

#[cfg(test)]
mod tests;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::{io, mem};

use bytes::Bytes;
use futures_util::future::Either;
use http::{Extensions, Request};
use http_body_util::Full;
use reqwest_middleware::{Error, Middleware, Next, Result};
use tower_layer::Layer as _;
use tower_oauth_refresh::{CredentialKey, RefreshError, RefreshLayer, ResponseFuture};
use tower_service::Service as _;

use crate::body::{self, BoxError};
use crate::hatch::{Hatch, Lent};

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

    /// The layer at work on a request, and where it meets its call.
    fn begin(&self, request: reqwest::Request, extensions: &Extensions) -> Result<(Hatch, Answering)> {
        let mut url = request.url().clone();
        // It is not sent, and the layer's requests have none.
        url.set_fragment(None);
        let hatch = Hatch::to(url);
        let mut request = Request::<reqwest::Body>::try_from(request)?;
        if let Some(key) = extensions.get::<CredentialKey>() {
            request.extensions_mut().insert(key.clone());
        }
        let mut client = self.layer.layer(hatch.clone());
        let answer = match body::in_memory(mem::take(request.body_mut())) {
            Ok(bytes) => Either::Left(client.call(request.map(|_| bytes))),
            Err(stream) => Either::Right(client.call(request.map(|_| stream))),
        };
        Ok((hatch, answer))
    }
}

type Answering = Either<ResponseFuture<Hatch, Full<Bytes>, Lent>, ResponseFuture<Hatch, reqwest::Body, Lent>>;

#[async_trait::async_trait]
impl Middleware for RefreshMiddleware {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        let (hatch, answer) = self.begin(request, extensions)?;
        let mut answer = pin!(answer);
        // Of the last answer, in case the layer has to do with its body.
        let mut url = None;
        loop {
            if let Some(request) = hatch.request() {
                let sent = next.clone().run(request, extensions).await;
                url = sent.as_ref().ok().map(|answer| answer.url().clone());
                hatch.answer(sent);
            }
            let step = poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Pending if hatch.has_request() => Poll::Ready(None),
                polled => polled.map(Some),
            });
            if let Some(answer) = step.await {
                return answer.map(|answer| Lent::restored(answer, url)).map_err(error);
            }
        }
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
