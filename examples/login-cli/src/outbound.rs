//! HTTP towards the authorization server and the API.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::BoxError;
use tower_oauth_refresh::ReplayBody;

/// One client for everything; the layer goes around a clone of it. It follows no redirects.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, ReplayBody<Full<Bytes>>>;

const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 1024 * 1024;

pub(crate) fn http_client() -> Result<HttpClient, BoxError> {
    let tls = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().enable_http2();
    Ok(Client::builder(TokioExecutor::new()).build(tls.build()))
}

/// One exchange without the layer: how the `oauth2` crate sends its requests.
///
/// # Cancel safety
///
/// The server may or may not have seen the request.
pub(crate) async fn exchange(http: HttpClient, request: Request<Vec<u8>>) -> io::Result<Response<Vec<u8>>> {
    let request = request.map(|body| ReplayBody::from(Bytes::from(body)));
    let exchange = async { read(http.request(request).await.map_err(io::Error::other)?).await };
    tokio::time::timeout(PATIENCE, exchange).await.map_err(io::Error::other)?
}

/// An answer, read to its end.
pub(crate) async fn read<B>(answer: Response<B>) -> io::Result<Response<Vec<u8>>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, LARGEST).collect().await.map_err(io::Error::other)?;
    Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
}
