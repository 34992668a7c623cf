//! HTTP/1.1 over the simulated network: hyper at both ends, and a connection for each request.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tower_oauth_refresh::NotSent;
use turmoil::net::{TcpListener, TcpStream};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

const PORT: u16 = 80;
/// A connection that is not there by then is given up.
const CONNECT_LIMIT: Duration = Duration::from_millis(800);

/// A connection to this host. Where there is none, nothing was sent.
pub(crate) async fn connect(host: &str) -> Result<SendRequest<Full<Bytes>>, BoxError> {
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect((host, PORT))).await;
    let stream = stream.map_err(NotSent::new)?.map_err(NotSent::new)?;
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends, and reads the answer to its end.
pub(crate) async fn send(
    mut over: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, BoxError> {
    whole(over.send_request(request).await?).await
}

/// Answers every request that comes to this host. The work is done whether or not its client waits for it.
pub(crate) async fn serve<F>(
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> turmoil::Result
where
    F: Future<Output = Result<Response<Full<Bytes>>, BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let work = tokio::spawn(answer(request));
            async move { work.await? }
        });
        tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// With the whole body.
pub(crate) async fn whole<B>(response: Response<B>) -> Result<Response<Full<Bytes>>, BoxError>
where
    B: BodyExt,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}
