use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Full};

use super::*;

const URL: &str = "https://api.example/things";

fn hatch() -> Hatch {
    Hatch::to(URL.parse().unwrap())
}

fn call(hatch: &mut Hatch, body: &'static str) -> Answer {
    hatch.call(Request::post(URL).body(Full::new(Bytes::from(body))).unwrap())
}

fn answer(body: &'static str) -> Result<reqwest::Response> {
    Ok(Response::new(body).into())
}

#[tokio::test]
async fn each_request_is_passed_out_once_and_gets_its_own_answer() {
    let mut hatch = hatch();
    assert!(hatch.request().is_none());
    for body in ["first", "second", "third"] {
        let mut sent = call(&mut hatch, body);
        assert!((&mut sent).now_or_never().is_none(), "the answer before was not for this one");
        let request = hatch.request().unwrap();
        assert_eq!(
            (request.url().as_str(), request.body().unwrap().as_bytes()),
            (URL, Some(body.as_bytes()))
        );
        assert!(!hatch.has_request() && hatch.request().is_none());
        hatch.answer(answer(body));
        if body != "first" {
            assert_eq!(sent.await.unwrap().into_body().collect().await.unwrap().to_bytes(), body);
        }
    }
}

#[tokio::test]
async fn a_body_is_its_own_answers_whatever_is_sent_after_it() {
    let mut hatch = hatch();
    let sent = call(&mut hatch, "first");
    hatch.answer(answer("first"));
    let first = sent.await.unwrap().into_body();
    let sent = call(&mut hatch, "second");
    hatch.answer(answer("second"));
    assert_eq!(first.size_hint().exact(), Some(5));
    assert_eq!(first.collect().await.unwrap().to_bytes(), "first");
    assert_eq!(sent.await.unwrap().into_body().collect().await.unwrap().to_bytes(), "second");
}
