use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};

use super::{RefusedBody, ResponseBody};

type Shown = Arc<Mutex<Vec<HeaderMap>>>;

fn grpc_status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static(code))])
}

fn streamed<const N: usize>(
    frames: [Result<Frame<Bytes>, &'static str>; N],
) -> impl Body<Data = Bytes, Error = &'static str> + Unpin {
    StreamBody::new(futures_util::stream::iter(frames))
}

fn watched<R: Body>(body: R) -> (ResponseBody<R>, Shown) {
    let shown = Shown::default();
    let watcher = Arc::clone(&shown);
    let body = ResponseBody::watched(body, Box::new(move |seen| watcher.lock().unwrap().push(seen.clone())));
    (body, shown)
}

#[tokio::test]
async fn trailers_are_shown_when_they_pass_and_not_before() {
    let frames = [Ok(Frame::data(Bytes::from("ab"))), Ok(Frame::trailers(grpc_status("16")))];
    let (mut body, shown) = watched(streamed(frames));
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert!(shown.lock().unwrap().is_empty());
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), grpc_status("16"));
    assert_eq!(*shown.lock().unwrap(), [grpc_status("16")]);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn the_inner_body_comes_out_only_where_nothing_is_left_to_be_done_with_it() {
    assert!(ResponseBody::plain(Full::new(Bytes::from("ab"))).into_inner().is_ok());
    let (body, shown) = watched(streamed([Ok(Frame::trailers(grpc_status("16")))]));
    let body = body.into_inner().err().expect("its trailers are watched");
    body.collect().await.unwrap();
    assert_eq!(shown.lock().unwrap().len(), 1);
    let mut refused = RefusedBody::new(Full::new(Bytes::from("ab")));
    refused.read_ahead().await;
    let body = ResponseBody::refused(refused).into_inner().expect_err("some of it has been read");
    assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");
}

#[tokio::test]
async fn only_the_first_trailers_are_shown() {
    let frames = ["16", "0"].map(|code| Ok(Frame::trailers(grpc_status(code))));
    let (mut body, shown) = watched(streamed(frames));
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
    assert_eq!(*shown.lock().unwrap(), [grpc_status("16")]);
}

#[tokio::test]
async fn a_body_without_trailers_shows_none() {
    let (body, shown) = watched(Full::new(Bytes::from("ab")));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");
    assert!(shown.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_error_passes_and_shows_nothing() {
    let (mut body, shown) = watched(streamed([Err("reset")]));
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "reset");
    assert!(shown.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_plain_body_passes_its_trailers() {
    let body = ResponseBody::plain(streamed([Ok(Frame::trailers(grpc_status("0")))]));
    assert_eq!(body.collect().await.unwrap().trailers(), Some(&grpc_status("0")));
}

#[tokio::test]
async fn length_and_end_are_those_of_the_inner_body() {
    for body in [
        ResponseBody::plain(Full::new(Bytes::from("abc"))),
        ResponseBody::watched(Full::new(Bytes::from("abc")), Box::new(|_| {})),
    ] {
        let mut body = body;
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(3), false));
        body.frame().await.unwrap().unwrap();
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    }
}

#[tokio::test]
async fn a_refused_answer_read_ahead_is_whole_again() {
    for read_ahead in [false, true] {
        let frames = [
            Ok(Frame::data(Bytes::from("a"))),
            Ok(Frame::data(Bytes::from("b"))),
            Ok(Frame::trailers(grpc_status("16"))),
        ];
        let mut body = RefusedBody::new(streamed(frames));
        if read_ahead {
            body.read_ahead().await;
        }
        assert!(!body.is_end_stream());
        let whole = ResponseBody::refused(body).collect().await.unwrap();
        assert_eq!(whole.trailers(), Some(&grpc_status("16")));
        assert_eq!(whole.to_bytes(), "ab");
    }
}

#[tokio::test]
async fn reading_ahead_is_bounded_and_keeps_length_and_errors() {
    let mut body = RefusedBody::new(Full::new(Bytes::from(vec![7; 1000])));
    body.read_ahead().await;
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(1000), false));
    body.frame().await.unwrap().unwrap();
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));

    let endless =
        futures_util::stream::repeat_with(|| Ok::<_, &str>(Frame::data(Bytes::from(vec![0; 9000]))));
    let mut body = RefusedBody::new(StreamBody::new(endless));
    body.read_ahead().await;
    assert!(body.size_hint().lower() < 80_000);

    let mut body = RefusedBody::new(streamed([Ok(Frame::data(Bytes::from("a"))), Err("reset")]));
    body.read_ahead().await;
    assert_eq!(ResponseBody::refused(body).collect().await.unwrap_err(), "reset");
}

#[tokio::test]
async fn reading_ahead_is_bounded_where_frames_carry_nothing() {
    let mut frames = 0;
    let empty = futures_util::stream::repeat_with(move || {
        frames += 1;
        assert!(frames < 100_000, "all that comes is kept");
        Ok::<_, &str>(Frame::data(Bytes::new()))
    });
    let mut body = RefusedBody::new(StreamBody::new(empty));
    body.read_ahead().await;
    assert!(!body.is_end_stream());
}

#[test]
fn debug_shows_no_content() {
    let plain = ResponseBody::plain(Full::new(Bytes::from("canary")));
    assert_eq!(format!("{plain:?}"), "ResponseBody { watched: false, .. }");
    assert_eq!(format!("{:?}", watched(Empty::<Bytes>::new()).0), "ResponseBody { watched: true, .. }");
}

#[test]
fn a_body_behind_a_pin_is_a_body() {
    fn is_body<B: Body + Send + Sync>(_: &B) {}
    let pinned = Box::pin(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    is_body(&ResponseBody::plain(StreamBody::new(pinned)));
}
