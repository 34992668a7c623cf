//! Request bodies that are sent a second time, or cannot be.

use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;
use tower::Layer as _;
use tower_oauth_refresh::{EventKind, NotReplayable, RefreshError, RefreshReport, ReplayOutcome};
use tower_oauth_refresh_testkit::{Answer, Fault};

use super::each_way;
use crate::harness::{Way, World, full, noise, send, sha256, start, try_send, until, within};

each_way! {
    a_body_in_memory_is_replayed_with_its_method_headers_and_query
    a_streamed_body_is_replayed_byte_for_byte
    a_body_beyond_the_limit_is_sent_once_and_its_refusal_surfaces
    a_body_that_fails_is_the_callers_error_and_not_replayed
    a_refusal_before_the_end_of_the_upload_loses_nothing
    refused_answers_do_not_leak_connections
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// A body that yields what is sent into the channel.
fn channel() -> (mpsc::UnboundedSender<Bytes>, StreamBody<Chunks>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let chunks = stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<Bytes>| async move {
        let chunk = receiver.recv().await?;
        Some((Ok(Frame::data(chunk)), receiver))
    });
    (sender, StreamBody::new(Box::pin(chunks)))
}

/// A body of unknown length, in pieces of this size.
fn streamed(bytes: &Bytes, piece: usize) -> StreamBody<Chunks> {
    let (sender, body) = channel();
    for start in (0..bytes.len()).step_by(piece) {
        sender.send(bytes.slice(start..bytes.len().min(start + piece))).unwrap();
    }
    body
}

async fn a_body_in_memory_is_replayed_with_its_method_headers_and_query(way: Way) {
    let world = World::start(way).await;
    world.install_revoked().await;
    let body = noise(40_000);
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(world.api.url("/a%20b?c=d&e"))
        .header(header::CONTENT_TYPE, "application/x-noise")
        .header("x-request-id", "1")
        .header("x-twice", "1")
        .body(full(body.clone()));
    let got = send(world.client(), request.unwrap()).await;
    assert_eq!((got.status, got.was_replayed()), (StatusCode::OK, true));
    let echo = got.echo();
    assert_eq!((echo["method"].as_str(), echo["path"].as_str()), (Some("PATCH"), Some("/a%20b")));
    assert_eq!((echo["query"].as_str(), echo["body_length"].as_u64()), (Some("c=d&e"), Some(40_000)));
    assert_eq!(echo["body_sha256"].as_str(), Some(&*sha256(&body)));
    assert_eq!(echo["headers"]["content-type"], "application/x-noise");
    assert_eq!(echo["headers"]["x-twice"], "1");
    let sends = world.auth.ledger().sends_of("1");
    assert_eq!(sends.len(), 2);
    assert!(sends.iter().all(|send| send.body_len == Some(40_000) && send.path == "/a%20b"));
    world.assert_clean();
}

async fn a_streamed_body_is_replayed_byte_for_byte(way: Way) {
    let world = World::start(way).await;
    for (id, piece) in [1, 7, 1000, 16 * 1024, 60_000].into_iter().enumerate() {
        world.install_revoked().await;
        let body = noise(if piece < 10 { 300 } else { 60_000 });
        let request = world.head(id).method(Method::PUT).body(streamed(&body, piece)).unwrap();
        let got = send(world.layer().layer(world.bare_for()), request).await;
        assert!(got.was_replayed(), "{piece}: {got:?}");
        assert_eq!(got.echo()["body_sha256"].as_str(), Some(&*sha256(&body)), "{piece}");
    }
    assert_eq!(world.seen(), (5, 10));
    world.assert_clean();
}

async fn a_body_beyond_the_limit_is_sent_once_and_its_refusal_surfaces(way: Way) {
    let world = World::start(way).await;
    world.install_revoked().await;
    let mut events = world.coordinator.events();
    let client = world.layer().body_limit(10_000).layer(world.bare_for());
    let request = world.head(0).method(Method::POST).body(streamed(&noise(20_000), 1000)).unwrap();
    let got = send(client.clone(), request).await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED);
    assert_eq!(got.not_replayable(), Some(NotReplayable::TooLarge));
    // The refresh goes on without it, and the next one of the kind gets through.
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    let body = noise(20_000);
    let request = world.head(1).method(Method::POST).body(streamed(&body, 1000)).unwrap();
    let got = send(client, request).await;
    assert_eq!(got.echo()["body_sha256"].as_str(), Some(&*sha256(&body)));
    assert_eq!(world.seen(), (1, 2));
    world.assert_clean();
}

async fn a_body_that_fails_is_the_callers_error_and_not_replayed(way: Way) {
    let world = World::start(way).await;
    world.install_revoked().await;
    let frames = [Ok(Frame::data(noise(1000))), Err(std::io::Error::other("the file is gone"))];
    let request = world.head(0).method(Method::POST).body(StreamBody::new(stream::iter(frames))).unwrap();
    let client = world.layer().layer(world.bare_for());
    let error = try_send(client, request).await.expect_err("half a body is no request");
    assert!(!error.is::<RefreshError>());
    assert_eq!(world.seen().0, 0);
    world.assert_clean();
}

async fn a_refusal_before_the_end_of_the_upload_loses_nothing(way: Way) {
    let world = World::start(way).await;
    world.install_revoked().await;
    world.api.fault(Fault::none().before_body());
    let (upload, body) = channel();
    upload.send("the first half, ".into()).unwrap();
    let request = world.head(0).method(Method::POST).body(body).unwrap();
    let exchange = start(send(world.layer().layer(world.bare_for()), request));
    within(world.auth.ledger().until(|verdict| verdict.refreshes_committed == 1)).await;
    upload.send("the second half".into()).unwrap();
    drop(upload);
    let got = within(exchange).await.unwrap();
    assert!(got.was_replayed(), "{got:?}");
    assert_eq!(got.echo()["body_sha256"].as_str(), Some(&*sha256(b"the first half, the second half")));
    assert_eq!(world.seen(), (1, 2));
    world.assert_clean();
}

async fn refused_answers_do_not_leak_connections(way: Way) {
    let world = World::start(way).await;
    let client = world.client();
    for id in 0..20 {
        world.install().await;
        world.api.respond_next(Answer::invalid_token().body(noise(10_000)));
        let mut request = world.request(id);
        request.headers_mut().insert("x-round", HeaderValue::from(id));
        let got = send(client.clone(), request).await;
        let Some(RefreshReport { outcome: ReplayOutcome::Replayed(_), .. }) = got.report else {
            panic!("{got:?}")
        };
    }
    assert_eq!(world.seen(), (20, 40));
    // One, or a few where the replay was quicker than the pool; a leak would need one for each.
    assert!(world.connections() <= 6, "{}", world.connections());
    world.assert_clean();
}
