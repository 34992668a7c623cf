//! Through a real client and server: what matters is what arrives.

#![expect(clippy::disallowed_methods, reason = "a test has a runtime to spawn on")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::script::trailers;
use crate::replay::ReplayBody;

const LIMIT: usize = 1024;

/// An upload that goes on when the test says so.
struct Upload {
    frames: mpsc::UnboundedReceiver<Frame<Bytes>>,
    left: Option<u64>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frames.poll_recv(cx);
        if let (Poll::Ready(Some(frame)), Some(left)) = (&frame, &mut self.left) {
            *left -= frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        frame.map(|frame| frame.map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// What the server saw of a body that it read to the end.
#[derive(Debug, PartialEq)]
struct Seen {
    framing: [Option<String>; 2],
    body: Result<(Bytes, Option<HeaderMap>), ()>,
}

struct Server {
    address: SocketAddr,
    /// Bodies in the order in which their requests ended.
    seen: mpsc::UnboundedReceiver<Seen>,
    /// Tells how each connection ended.
    closed: mpsc::UnboundedReceiver<()>,
}

/// Answers `/early` at once with 401 and goes on reading, `/` after the whole body.
async fn server(version: Version) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, seen) = mpsc::unbounded_channel();
    let (tell_closed, closed) = mpsc::unbounded_channel();
    let tell = Arc::new(tell);
    drop(tokio::task::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tell, tell_closed) = (Arc::clone(&tell), tell_closed.clone());
            let service = service_fn(move |request| answer(request, Arc::clone(&tell)));
            drop(tokio::task::spawn(async move {
                let io = TokioIo::new(stream);
                let _ = if version == Version::HTTP_2 {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await
                } else {
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
                };
                let _ = tell_closed.send(());
            }));
        }
    }));
    Server { address, seen, closed }
}

async fn answer(
    request: Request<Incoming>,
    tell: Arc<mpsc::UnboundedSender<Seen>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let early = request.uri().path() == "/early";
    let framing = [CONTENT_LENGTH, TRANSFER_ENCODING]
        .map(|name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned()));
    let read = async move {
        let body = match request.into_body().collect().await {
            Ok(body) => {
                let trailers = body.trailers().cloned();
                Ok((body.to_bytes(), trailers))
            }
            Err(_) => Err(()),
        };
        tell.send(Seen { framing, body }).unwrap();
    };
    let mut response = Response::new(Full::default());
    if early {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        drop(tokio::task::spawn(read));
    } else {
        read.await;
    }
    Ok(response)
}

type HttpClient = Client<HttpConnector, ReplayBody<Upload>>;

fn client(version: Version) -> HttpClient {
    Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build_http()
}

async fn send(
    client: &HttpClient,
    address: SocketAddr,
    path: &str,
    body: ReplayBody<Upload>,
) -> Response<Incoming> {
    let request = Request::post(format!("http://{address}{path}")).body(body).unwrap();
    client.request(request).await.unwrap()
}

fn upload(length: Option<u64>) -> (mpsc::UnboundedSender<Frame<Bytes>>, Upload) {
    let (sender, frames) = mpsc::unbounded_channel();
    (sender, Upload { frames, left: length })
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

/// 401 while the upload waits, after `sent` of its frames were there to be read.
async fn early_401_then_replay(version: Version, sent: usize, length: Option<u64>) {
    let mut server = server(version).await;
    let client = client(version);
    let (sender, body) = upload(length);
    let mut frames = ["one, ", "two, ", "three"].into_iter();
    for frame in frames.by_ref().take(sent) {
        sender.send(data(frame)).unwrap();
    }

    let (first, replay) = ReplayBody::recorded(body, LIMIT);
    let refused = send(&client, server.address, "/early", first).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    refused.into_body().collect().await.unwrap();

    let second = replay.again().unwrap().0;
    let end = length.is_none().then(|| trailers("t"));
    for frame in frames {
        sender.send(data(frame)).unwrap();
    }
    if let Some(trailers) = end.clone() {
        sender.send(Frame::trailers(trailers)).unwrap();
    }
    drop(sender);
    let accepted = send(&client, server.address, "/", second).await;
    assert_eq!(accepted.status(), StatusCode::OK);

    let mut seen = [server.seen.recv().await.unwrap(), server.seen.recv().await.unwrap()];
    seen.sort_by_key(|seen| seen.body.is_ok());
    let [first, second] = seen;
    assert_eq!(first.body, Err(()), "a cut body is never taken for a whole one");
    // HTTP/1.1 leaves out trailers that its head did not announce.
    let end = end.filter(|_| version == Version::HTTP_2);
    assert_eq!(second.body, Ok((Bytes::from("one, two, three"), end)));
    assert_eq!(first.framing, second.framing);
}

#[tokio::test]
async fn an_early_401_over_http1_is_followed_by_the_complete_body() {
    for sent in 0..=2 {
        early_401_then_replay(Version::HTTP_11, sent, Some(15)).await;
        early_401_then_replay(Version::HTTP_11, sent, None).await;
    }
}

#[tokio::test]
async fn an_early_401_over_http2_is_followed_by_the_complete_body() {
    for sent in 0..=2 {
        early_401_then_replay(Version::HTTP_2, sent, Some(15)).await;
        early_401_then_replay(Version::HTTP_2, sent, None).await;
    }
}

#[tokio::test]
async fn the_connection_of_a_stalled_first_attempt_is_closed_by_the_replay() {
    let mut server = server(Version::HTTP_11).await;
    let client = client(Version::HTTP_11);
    let (sender, body) = upload(None);
    let (first, replay) = ReplayBody::recorded(body, LIMIT);
    let refused = send(&client, server.address, "/early", first).await;
    refused.into_body().collect().await.unwrap();
    // The upload stays silent: nothing but the takeover can wake the connection.
    let second = replay.again().unwrap().0;
    // The bound only turns a hang into a failure.
    timeout(Duration::from_secs(30), server.closed.recv()).await.unwrap().unwrap();
    assert_eq!(server.seen.recv().await.unwrap().body, Err(()));
    drop((sender, second));
}

#[tokio::test]
async fn a_body_refused_after_its_end_arrives_twice_the_same() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for length in [None, Some(6)] {
            let mut server = server(version).await;
            let client = client(version);
            let (sender, body) = upload(length);
            for text in ["ab", "cdef"] {
                sender.send(data(text)).unwrap();
            }
            drop(sender);
            let (first, replay) = ReplayBody::recorded(body, LIMIT);
            send(&client, server.address, "/", first).await;
            send(&client, server.address, "/", replay.again().unwrap().0).await;
            let first = server.seen.recv().await.unwrap();
            assert_eq!(first.body, Ok((Bytes::from("abcdef"), None)));
            assert_eq!(first, server.seen.recv().await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_body_in_memory_keeps_its_content_length_in_the_replay() {
    let mut server = server(Version::HTTP_11).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Full<Bytes>>>();
    let (first, replay) = ReplayBody::recorded(Full::new(Bytes::from("abcdef")), LIMIT);
    for body in [first, replay.again().unwrap().0, Bytes::from("abcdef").into()] {
        let request = Request::post(format!("http://{}/", server.address)).body(body).unwrap();
        client.request(request).await.unwrap();
        let seen = server.seen.recv().await.unwrap();
        assert_eq!(seen.framing, [Some("6".to_owned()), None]);
        assert_eq!(seen.body, Ok((Bytes::from("abcdef"), None)));
    }
}

#[tokio::test]
async fn an_empty_body_stays_empty_in_the_replay() {
    let mut server = server(Version::HTTP_11).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Empty<Bytes>>>();
    let (first, replay) = ReplayBody::recorded(Empty::new(), LIMIT);
    let mut framings = Vec::new();
    for body in [first, replay.again().unwrap().0] {
        let request = Request::get(format!("http://{}/", server.address)).body(body).unwrap();
        client.request(request).await.unwrap();
        framings.push(server.seen.recv().await.unwrap());
    }
    assert_eq!(framings[0], framings[1]);
    assert_eq!(framings[0].body, Ok((Bytes::new(), None)));
}
