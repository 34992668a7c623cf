//! Requests, and what became of each.
//!
//! The fate of a request is what its caller would act on. A status is the API's answer. Where the API
//! refused the token and no newer one was to be had, the API's own 401 comes with a `RefreshReport`, and
//! the reason given there is the fate: `login_dead` or `transient`, as if the request had never left.
//! A request to an origin that was not named is sent, without a token, and its status reported: `refused`
//! is only what the client kept back by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri, response};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tower::ServiceExt as _;
use tower_oauth_refresh::{ErrorKind, RefreshError, RefreshReport, ReplayOutcome};

use crate::dump::Seen;
use crate::open::{Api, Credential};
use crate::protocol::{Fire, Refusal, millis};

/// What all requests of a volley share.
struct Volley {
    api: Api,
    method: Method,
    url: Uri,
    tag: String,
    body: Bytes,
    /// Of the body, as the resource should answer it.
    sha256: String,
    deadline: Option<Duration>,
    cancel_at: Option<Instant>,
    seen: Arc<Seen>,
}

/// Sends them all and counts what became of them.
pub(crate) async fn fire(fire: &Fire, credential: &Credential, seen: &Arc<Seen>) -> Result<Value, Refusal> {
    let volley = Arc::new(Volley::new(fire, credential, seen)?);
    let (mut tasks, mut ended) = (JoinSet::new(), Vec::new());
    for i in 0..fire.n {
        tasks.spawn(volley.clone().attempt(i));
        if !fire.parallel {
            ended.extend(tasks.join_next().await);
        }
    }
    while let Some(end) = tasks.join_next().await {
        ended.push(end);
    }
    let (mut done, mut times) = (BTreeMap::<String, usize>::new(), Vec::new());
    for end in ended {
        let (fate, time) = end.unwrap_or_else(|_| ("other".to_owned(), Duration::ZERO));
        *done.entry(fate).or_default() += 1;
        times.push(time.as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len().saturating_sub(1) / 2);
    Ok(json!({ "done": done, "ms_p50": median, "ms_max": times.last() }))
}

impl Volley {
    fn new(fire: &Fire, credential: &Credential, seen: &Arc<Seen>) -> Result<Self, Refusal> {
        let unusable = |what| Refusal::Error(format!("the {what} is no such thing"));
        let body = Bytes::from(vec![b'x'; fire.body_bytes]);
        let sha256 = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        HeaderValue::from_str(&fire.tag).map_err(|_| unusable("tag"))?;
        Ok(Self {
            api: credential.api.clone(),
            method: fire.method.as_deref().unwrap_or("GET").parse().map_err(|_| unusable("method"))?,
            url: fire.url.parse().map_err(|_| unusable("url"))?,
            tag: fire.tag.clone(),
            body,
            sha256,
            deadline: millis(fire.deadline_ms),
            cancel_at: millis(fire.cancel_after_ms).and_then(|after| Instant::now().checked_add(after)),
            seen: seen.clone(),
        })
    }

    /// One request, and how long it took.
    async fn attempt(self: Arc<Self>, i: usize) -> (String, Duration) {
        let begun = Instant::now();
        let sent = async {
            match self.deadline {
                None => self.send(i).await,
                Some(limit) => timeout(limit, self.send(i)).await.unwrap_or_else(|_| "timeout".to_owned()),
            }
        };
        let fate = match self.cancel_at {
            None => sent.await,
            // Its turn never came.
            Some(at) if begun >= at => "cancelled".to_owned(),
            Some(at) => timeout_at(at, sent).await.unwrap_or_else(|_| "cancelled".to_owned()),
        };
        (fate, begun.elapsed())
    }

    async fn send(&self, i: usize) -> String {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.url.clone();
        if let Ok(id) = HeaderValue::try_from(format!("{}-{i}", self.tag)) {
            request.headers_mut().insert("x-req-id", id);
        }
        if !self.body.is_empty() {
            let octets = HeaderValue::from_static("application/octet-stream");
            request.headers_mut().insert(CONTENT_TYPE, octets);
        }
        let (parts, body) = match self.api.clone().oneshot(request).await {
            Ok(response) => response.into_parts(),
            Err(error) => {
                self.seen.error(&*error);
                return error.downcast_ref::<RefreshError>().map_or("other", no_token).to_owned();
            }
        };
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                self.seen.error(&error);
                return "other".to_owned();
            }
        };
        if let Some(refused) = self.reported(&parts) {
            return refused.to_owned();
        }
        if parts.status == StatusCode::OK && self.differs(&body) {
            return "body_mismatch".to_owned();
        }
        parts.status.as_u16().to_string()
    }

    /// The fate, where the API refused the token and the report says why there was no other.
    fn reported(&self, parts: &response::Parts) -> Option<&'static str> {
        let report = parts.extensions.get::<RefreshReport>()?;
        tracing::trace!(?report, "healed or not");
        let ReplayOutcome::Failed(error) = &report.outcome else { return None };
        self.seen.error(error);
        (error.needs_login() || error.is_transient()).then(|| no_token(error))
    }

    /// Does the API say that it got another body?
    fn differs(&self, answer: &[u8]) -> bool {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let hash = answer.get("sha256").or_else(|| answer.get("body_sha256")).and_then(Value::as_str);
        hash.is_some_and(|hash| !hash.eq_ignore_ascii_case(&self.sha256))
    }
}

fn no_token(error: &RefreshError) -> &'static str {
    if error.needs_login() {
        "login_dead"
    } else if error.is_transient() {
        "transient"
    } else if error.kind() == ErrorKind::Configuration {
        // The server refuses the client itself: no word of the protocol fits.
        "other"
    } else {
        "refused"
    }
}
