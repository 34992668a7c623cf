//! A strict token endpoint that allows so many refreshes a second, and the store behind the coordinator.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, sleep};
use tower_oauth_refresh::{BoxFuture, MemoryStore, Record, RecordBody, StoreError, Swap, Version};
use tower_oauth_refresh::{StoredKey, TokenSet, TokenStore};

use crate::run::{LIFE, Scale};

/// From the request to the answer.
const LATENCY: Duration = Duration::from_millis(50);

pub(crate) struct Endpoint {
    start: Instant,
    limit: u32,
    outage: std::ops::Range<usize>,
    jitter: bool,
    pub(crate) seen: Mutex<Seen>,
}

/// The far side's account.
pub(crate) struct Seen {
    /// Refresh tokens issued, of each credential.
    pub(crate) generations: Vec<u32>,
    /// Of each second.
    pub(crate) refreshed: Vec<u32>,
    pub(crate) asked: Vec<u32>,
    pub(crate) lost: usize,
}

impl Endpoint {
    pub(crate) fn new(scale: &Scale, jitter: bool, start: Instant) -> Self {
        let seconds = scale.seconds + 3600;
        let seen = Seen {
            generations: vec![0; scale.credentials],
            refreshed: vec![0; seconds],
            asked: vec![0; seconds],
            lost: 0,
        };
        Self { start, limit: scale.limit, outage: scale.outage.clone(), jitter, seen: Mutex::new(seen) }
    }

    pub(crate) async fn answer(&self, request: Request<Full<Bytes>>) -> io::Result<Response<Full<Bytes>>> {
        let Ok(body) = collected(request).await;
        sleep(LATENCY).await;
        let second = usize::try_from(self.start.elapsed().as_secs()).unwrap_or(usize::MAX);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut seen.asked, second);
        if self.outage.contains(&second) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if seen.refreshed.get(second).is_none_or(|taken| *taken >= self.limit) {
            return Ok(answer(429, String::new()));
        }
        let submitted = form_urlencoded::parse(&body).find(|(name, _)| name == "refresh_token");
        let token = submitted.as_ref().map(|(_, token)| token.as_ref()).unwrap_or_default();
        let Some(next) = seen.rotate(token) else {
            seen.lost += 1;
            return Ok(answer(400, r#"{"error":"invalid_grant"}"#.to_owned()));
        };
        count(&mut seen.refreshed, second);
        // What the server wishes for is taken as it is: no jitter of ours.
        let wish =
            if self.jitter { String::new() } else { format!(r#","refresh_in":{}"#, LIFE.as_secs() - 300) };
        let life = LIFE.as_secs();
        let text = format!(
            r#"{{"access_token":"{}","token_type":"Bearer","expires_in":{life},"refresh_token":"{next}"{wish}}}"#,
            access_token(&next)
        );
        Ok(answer(200, text))
    }
}

impl Seen {
    /// The refresh token after this one. `None`: it is not the newest.
    fn rotate(&mut self, token: &str) -> Option<String> {
        let (number, generation) = token.strip_prefix("rt-")?.split_once('-')?;
        let number: usize = number.parse().ok()?;
        let newest = self.generations.get_mut(number)?;
        (generation.parse() == Ok(*newest)).then(|| {
            *newest += 1;
            refresh_token(number, *newest)
        })
    }
}

fn refresh_token(number: usize, generation: u32) -> String {
    format!("rt-{number}-{generation}")
}

/// 256 bytes, as many servers' are long.
fn access_token(from: &str) -> String {
    format!("{from:a<256}")
}

pub(crate) fn login(number: usize) -> TokenSet {
    let refresh_token = refresh_token(number, 0);
    TokenSet::new(access_token(&refresh_token)).with_refresh_token(refresh_token).with_expires_in(LIFE)
}

async fn collected(request: Request<Full<Bytes>>) -> Result<Bytes, Infallible> {
    Ok(request.into_body().collect().await?.to_bytes())
}

fn count(of: &mut [u32], second: usize) {
    if let Some(count) = of.get_mut(second) {
        *count += 1;
    }
}

fn answer(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    if status == 429 {
        response.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
    }
    response
}

/// Counts what it is asked for.
#[derive(Clone)]
pub(crate) struct Counted {
    pub(crate) records: MemoryStore,
    pub(crate) loads: Arc<AtomicUsize>,
    pub(crate) swaps: Arc<AtomicUsize>,
}

impl TokenStore for Counted {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.loads.fetch_add(1, Relaxed);
        self.records.load(key)
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.swaps.fetch_add(1, Relaxed);
        self.records.compare_and_swap(key, expected, new)
    }
}

impl Counted {
    /// Reads and writes.
    pub(crate) fn calls(&self) -> (usize, usize) {
        (self.loads.load(Relaxed), self.swaps.load(Relaxed))
    }
}
