//! End to end: hyper's client and server over loopback, and the layer's share of the client's processor time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::set_header::SetRequestHeader;
use tower_oauth_refresh::RefreshLayer;

use crate::Failure;
use crate::timing::{cpu, wall};
use crate::world::{Endpoint, KEY};

type Runs = Box<dyn FnMut(&Runtime) -> Result<f64, Failure>>;

/// Callers at once.
const CALLERS: usize = 64;
/// Of one turn.
const TURN: Duration = Duration::from_millis(200);

/// A client with a fixed header, and ours: each call is a turn, and gives seconds of the processor a request.
///
/// # Errors
///
/// Where there is no server, or no coordinator.
pub fn clients(runtime: &Runtime, http2: bool) -> Result<[Runs; 2], Failure> {
    let server = serve()?;
    let uri = format!("http://{server}/x");
    let mut header = HeaderValue::from_str(&format!("Bearer {}", "a".repeat(893)))?;
    header.set_sensitive(true);
    let fixed = SetRequestHeader::overriding(client(http2), AUTHORIZATION, header);
    let coordinator = Endpoint::of(Duration::from_secs(3600)).coordinator(|builder| builder)?;
    runtime.block_on(coordinator.install(KEY, Endpoint::login(Duration::from_secs(3600))))?;
    let layer = RefreshLayer::new(coordinator, KEY).origin(format!("http://{server}").parse()?);
    Ok([runs(fixed, uri.clone()), runs(layer.layer(client(http2)), uri)])
}

fn client<B>(http2: bool) -> Client<HttpConnector, B>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).http2_only(http2).build(connector)
}

fn runs<S, R>(service: S, uri: String) -> Runs
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + 'static,
    S::Error: Into<Failure>,
    R: http_body::Body,
    R::Error: Into<Failure>,
{
    Box::new(move |runtime| {
        let (began, used) = (wall(), cpu());
        let calls = join_all((0..CALLERS).map(|_| async {
            let mut calls = 0_u32;
            while began.elapsed() < TURN {
                let request = Request::post(&uri).body(Full::from("tea"))?;
                let answer = service.clone().oneshot(request).await.map_err(Into::into)?;
                answer.into_body().collect().await.map_err(Into::into)?;
                calls += 1;
            }
            Ok::<_, Failure>(calls)
        }));
        let calls: u32 = runtime.block_on(calls).into_iter().sum::<Result<_, _>>()?;
        Ok((cpu() - used).as_secs_f64() / f64::from(calls))
    })
}

/// A server on a thread of its own, until the program ends.
fn serve() -> Result<SocketAddr, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let answer = |request: Request<Incoming>| async {
        let _ = request.into_body().collect().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("{}")))
    };
    thread::spawn(move || {
        runtime.block_on(async {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                runtime.spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let service = hyper::service::service_fn(answer);
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
    });
    Ok(address)
}
