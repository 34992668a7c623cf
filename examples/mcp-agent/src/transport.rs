//! What to copy: the HTTP of rmcp's client, sent through a tower service.
//!
//! rmcp writes the messages and keeps the session, and leaves sending them to a [`StreamableHttpClient`]. This one
//! sends them with any service of `http` requests: with the layer's, which brings the token along, replays what the
//! server refused for an old one, and gives it to no other origin.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Builder;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::common::http_header::{
    EVENT_STREAM_MIME_TYPE, HEADER_LAST_EVENT_ID, HEADER_SESSION_ID, JSON_MIME_TYPE,
};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, InsufficientScopeError, SseError, StreamableHttpClient, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use tower::{BoxError, Service, ServiceExt as _};

/// Longer answers are none; those that come as events have no end to wait for.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
const ACCEPTED_TYPES: HeaderValue = HeaderValue::from_static("text/event-stream, application/json");

/// A service of requests as rmcp's client wants it.
#[derive(Clone, Debug)]
pub(crate) struct TowerClient<S>(pub(crate) S);

/// Why there is no answer: no token, or no connection.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct NotSent(#[from] BoxError);

type Headers = HashMap<HeaderName, HeaderValue>;
type Error = StreamableHttpError<NotSent>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

impl<S, B> TowerClient<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError> + Clone + Sync,
{
    /// Sends one request. The answer is not 401, 403 or, in a session, 404: these are errors.
    async fn send(&self, request: Builder, body: Bytes) -> Result<Response<B>, Error> {
        let request = request.body(Full::new(body)).map_err(|error| not_sent(error.into()))?;
        let in_session = request.headers().contains_key(HEADER_SESSION_ID);
        let answer = self.0.clone().oneshot(request).await.map_err(not_sent)?;
        let challenge = || header(&answer, WWW_AUTHENTICATE.as_str()).unwrap_or_default();
        match answer.status() {
            // The layer has tried what it can.
            StatusCode::UNAUTHORIZED => Err(Error::AuthRequired(AuthRequiredError::new(challenge()))),
            StatusCode::FORBIDDEN => {
                Err(Error::InsufficientScope(InsufficientScopeError::new(challenge(), None)))
            }
            StatusCode::NOT_FOUND if in_session => Err(Error::SessionExpired),
            _ => Ok(answer),
        }
    }
}

impl<S, B> StreamableHttpClient for TowerClient<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    type Error = NotSent;

    // Of the token it knows nothing, and so `_auth_header` is none.
    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _auth_header: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let request = request(Method::POST, &uri, session, headers).header(CONTENT_TYPE, JSON_MIME_TYPE);
        let answer = self.send(request, serde_json::to_vec(&message)?.into()).await?;
        if matches!(answer.status(), StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let session = header(&answer, HEADER_SESSION_ID);
        if answer.status().is_success() && is(&answer, EVENT_STREAM_MIME_TYPE) {
            return Ok(StreamableHttpPostResponse::Sse(events(answer), session));
        }
        // An error of the protocol comes with a status of its own.
        if is(&answer, JSON_MIME_TYPE) {
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await.map_err(not_sent)?;
            let message: ServerJsonRpcMessage = serde_json::from_slice(&body.to_bytes())?;
            return Ok(StreamableHttpPostResponse::Json(message, session));
        }
        Err(unexpected(&answer))
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _auth_header: Option<String>,
        headers: Headers,
    ) -> Result<(), Error> {
        let request = request(Method::DELETE, &uri, Some(session), headers);
        let answer = self.send(request, Bytes::new()).await?;
        match answer.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(Error::ServerDoesNotSupportDeleteSession),
            status if status.is_success() => Ok(()),
            _ => Err(unexpected(&answer)),
        }
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        headers: Headers,
    ) -> Result<Events, Error> {
        let mut request = request(Method::GET, &uri, session, headers);
        if let Some(id) = last_event_id {
            request = request.header(HEADER_LAST_EVENT_ID, id);
        }
        let answer = self.send(request, Bytes::new()).await?;
        match answer.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(Error::ServerDoesNotSupportSse),
            status if status.is_success() && is(&answer, EVENT_STREAM_MIME_TYPE) => Ok(events(answer)),
            _ => Err(unexpected(&answer)),
        }
    }
}

fn request(method: Method, uri: &str, session: Option<Arc<str>>, headers: Headers) -> Builder {
    let mut request = Request::builder().method(method).uri(uri).header(ACCEPT, ACCEPTED_TYPES);
    if let Some(session) = session {
        request = request.header(HEADER_SESSION_ID, &*session);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
}

fn events<B>(answer: Response<B>) -> Events
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    SseStream::new(answer.into_body()).boxed()
}

fn is<B>(answer: &Response<B>, kind: &str) -> bool {
    header(answer, CONTENT_TYPE.as_str()).is_some_and(|found| found.starts_with(kind))
}

fn header<B>(answer: &Response<B>, name: &str) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(ToOwned::to_owned)
}

fn not_sent(error: BoxError) -> Error {
    Error::Client(NotSent(error))
}

fn unexpected<B>(answer: &Response<B>) -> Error {
    Error::UnexpectedServerResponse(format!("status {}", answer.status()).into())
}

#[cfg(test)]
mod tests;
