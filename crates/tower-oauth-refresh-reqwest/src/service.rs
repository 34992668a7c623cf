//! `reqwest` as a service of `http` requests, as the layer and `tower`'s own want one.

use std::fmt;
use std::future;
use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use reqwest::{ResponseBuilderExt as _, Url};
use tower_oauth_refresh::BoxFuture;
use tower_service::Service;

use crate::body::{self, BoxError};

/// A `reqwest::Client`, or whatever else is a service of `reqwest`'s requests, as a service of `http` requests.
///
/// Bodies stream both ways; a `Full<Bytes>` stays in memory, also under the layer, so that `reqwest` can send it
/// again after a redirect that keeps the method. An answer turned back, by `reqwest::Response::from`, has the URL it came from.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};
/// use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, RefreshLayer, TokenSet};
/// use tower_oauth_refresh_reqwest::ReqwestService;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let token_endpoint = service_fn(async |_: Request<Full<Bytes>>| {
/// #     Err::<Response<Full<Bytes>>, _>(BoxError::from("not asked"))
/// # });
/// # let auth = ClientAuth::basic("client-id", "client-secret");
/// # let coordinator =
/// #     RefreshCoordinator::builder("https://auth.example/token".parse()?, auth).build(token_endpoint)?;
/// # coordinator.install("acme", TokenSet::new("at-1")).await?;
/// // In earnest `reqwest::Client::new()`. This one answers by itself.
/// let client = service_fn(async |request: reqwest::Request| {
///     let seen = request.headers()["authorization"].to_str().unwrap_or("").to_owned();
///     Ok::<_, reqwest::Error>(reqwest::Response::from(Response::new(seen)))
/// });
/// let client = ServiceBuilder::new()
///     .layer(RefreshLayer::new(coordinator, "acme").origin("https://api.example".parse()?))
///     .service(ReqwestService::new(client));
///
/// let order = Request::post("https://api.example/orders").body(Full::<Bytes>::from("tea"))?;
/// let answer = reqwest::Response::from(client.oneshot(order).await?.map(reqwest::Body::wrap));
/// assert_eq!(answer.text().await?, "Bearer at-1");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of the client; and `reqwest`'s `builder` kind for a request without a scheme and a host.
///
/// # Cancel safety
///
/// Dropping the future is dropping `reqwest`'s: the server may have acted on the request, or may yet.
#[derive(Clone)]
pub struct ReqwestService<S = reqwest::Client> {
    client: S,
}

impl<S> ReqwestService<S> {
    /// `client` as a service of `http` requests.
    pub fn new(client: S) -> Self {
        Self { client }
    }
}

impl<S, B> Service<Request<B>> for ReqwestService<S>
where
    S: Service<reqwest::Request, Response = reqwest::Response>,
    S::Future: Send + 'static,
    S::Error: From<reqwest::Error> + Send + 'static,
    B: Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    type Response = Response<reqwest::Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match outbound(request, None) {
            Ok(request) => {
                let answer = self.client.call(request);
                Box::pin(async move { Ok(inbound(answer.await?)) })
            }
            Err(error) => Box::pin(future::ready(Err(error.into()))),
        }
    }
}

/// The client's own `Debug` may show default headers.
impl<S> fmt::Debug for ReqwestService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestService").finish_non_exhaustive()
    }
}

/// The request for `reqwest`; with its URL, where that is at hand and need not be parsed.
pub(crate) fn outbound<B>(request: Request<B>, url: Option<Url>) -> reqwest::Result<reqwest::Request>
where
    B: Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    let (mut head, body) = request.into_parts();
    let body = body::outbound(body);
    let Some(url) = url else { return Request::from_parts(head, body).try_into() };
    if head.extensions.is_empty() {
        let mut request = reqwest::Request::new(head.method, url);
        *request.version_mut() = head.version;
        mem::swap(request.headers_mut(), &mut head.headers);
        *request.body_mut() = Some(body);
        return Ok(request);
    }
    // What is in the extensions, a time limit for one, goes along in no other way than by this conversion. So it
    // gets what costs least to parse.
    head.uri = Uri::from_static("http://a");
    let mut request = reqwest::Request::try_from(Request::from_parts(head, body))?;
    *request.url_mut() = url;
    Ok(request)
}

/// The answer, with what it takes to turn it back: `reqwest` leaves the URL behind.
fn inbound(answer: reqwest::Response) -> Response<reqwest::Body> {
    from(Some(answer.url().clone()), answer.into())
}

/// An answer that tells `reqwest` where it came from.
pub(crate) fn from<B>(url: Option<Url>, mut answer: Response<B>) -> Response<B> {
    if let Some(url) = url
        && let Ok(url) = Response::builder().url(url).body(())
    {
        answer.extensions_mut().extend(url.into_parts().0.extensions);
    }
    answer
}
