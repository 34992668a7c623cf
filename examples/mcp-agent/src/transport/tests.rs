use http::header::AUTHORIZATION;
use tower::service_fn;

use super::*;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const PONG: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const FAULT: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}"#;

/// What comes of one message, where the answer is this.
async fn post(
    status: u16,
    kind: &'static str,
    body: &'static str,
    session: Option<&str>,
) -> Result<StreamableHttpPostResponse, Error> {
    let service = service_fn(move |request: Request<Full<Bytes>>| async move {
        assert!(!request.headers().contains_key(AUTHORIZATION));
        let answer = Response::builder().status(status).header(CONTENT_TYPE, kind);
        let answer = answer.header(WWW_AUTHENTICATE, "Bearer x").header("mcp-session-id", "s");
        Ok::<_, BoxError>(answer.body(Full::<Bytes>::from(body)).unwrap())
    });
    let message = serde_json::from_str(PING).unwrap();
    TowerClient(service)
        .post_message("http://x/mcp".into(), message, session.map(Into::into), None, <_>::default())
        .await
}

#[tokio::test]
async fn an_answer_is_taken_for_what_its_status_and_type_say() {
    use StreamableHttpPostResponse as Answer;
    let session = |found: Option<String>| assert_eq!(found.as_deref(), Some("s"));
    match post(200, JSON_MIME_TYPE, PONG, None).await.unwrap() {
        Answer::Json(ServerJsonRpcMessage::Response(_), found) => session(found),
        other => panic!("{other:?}"),
    }
    match post(200, "text/event-stream; charset=utf-8", "data: {}\n\n", None).await.unwrap() {
        Answer::Sse(mut events, found) => {
            session(found);
            assert_eq!(events.next().await.unwrap().unwrap().data.as_deref(), Some("{}"));
        }
        other => panic!("{other:?}"),
    }
    let accepted = post(202, "", "", Some("s")).await;
    assert!(matches!(accepted, Ok(Answer::Accepted)), "{accepted:?}");
    let fault = post(400, JSON_MIME_TYPE, FAULT, None).await;
    assert!(matches!(fault, Ok(Answer::Json(ServerJsonRpcMessage::Error(_), _))), "{fault:?}");
    for (status, in_session, told) in [
        (401, None, "AuthRequired"),
        (403, None, "InsufficientScope"),
        (404, Some("s"), "SessionExpired"),
        (404, None, "UnexpectedServerResponse"),
        (502, Some("s"), "UnexpectedServerResponse"),
    ] {
        let error = post(status, "text/html", "<html>", in_session).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(told), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_request_that_was_not_sent_says_why() {
    let service = service_fn(|_| async { Err::<Response<Full<Bytes>>, _>(BoxError::from("log in again")) });
    let error =
        TowerClient(service).get_stream("http://x/mcp".into(), None, None, None, <_>::default()).await;
    let error = error.err().unwrap();
    assert_eq!(error.to_string(), "Client error: log in again");
    assert!(matches!(error, Error::Client(NotSent(_))));
}
