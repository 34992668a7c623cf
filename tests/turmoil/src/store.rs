//! A store across the network, whose answers may be lost after it has written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tower_oauth_refresh::{BoxFuture, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version};

use crate::book::Book;
use crate::network::{BoxError, connect, send};
use crate::world::STORE;

/// The store as a process reaches it.
#[derive(Clone, Debug)]
pub(crate) struct NetStore;

/// What it keeps: it survives its network, not the end of the history.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<BTreeMap<String, Entry>>);

#[derive(Clone)]
struct Entry {
    version: String,
    bytes: Bytes,
    written: Duration,
}

impl Shelf {
    pub(crate) async fn answer(
        self: Arc<Self>,
        book: Arc<Book>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, BoxError> {
        let word = |name| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        let (key, expected, version) = (word("key").unwrap_or_default(), word("expected"), word("version"));
        let swaps = request.uri().path() == "/swap";
        let bytes = request.into_body().collect().await?.to_bytes();
        let mut entries = self.0.lock().unwrap();
        let found = entries.get(&key).cloned();
        if swaps && found.as_ref().map(|entry| &entry.version) == expected.as_ref() {
            match version {
                Some(version) => {
                    book.stored(&bytes);
                    entries.insert(key, Entry { version, bytes, written: book.now() });
                }
                None => drop(entries.remove(&key)),
            }
            return Ok(Response::new(Full::default()));
        }
        let answer = Response::builder().status(if swaps { StatusCode::CONFLICT } else { StatusCode::OK });
        let Some(found) = found else { return Ok(answer.body(Full::default())?) };
        let age = book.now().saturating_sub(found.written).as_millis().to_string();
        Ok(answer.header("version", found.version).header("age", age).body(Full::new(found.bytes))?)
    }
}

async fn ask(request: http::request::Builder, body: Vec<u8>) -> Result<Response<Full<Bytes>>, StoreError> {
    let asking = async {
        let over = connect(STORE).await?;
        send(over, request.method("POST").header("host", STORE).body(Full::from(body))?).await
    };
    asking.await.map_err(|error: BoxError| StoreError::unavailable(error))
}

async fn record(response: Response<Full<Bytes>>) -> Option<Record> {
    let word = |name| response.headers().get(name)?.to_str().ok()?.parse().ok();
    let (version, age): (u128, u128) = (word("version")?, word("age")?);
    let age = Duration::from_millis(u64::try_from(age).ok()?);
    let bytes = response.into_body().collect().await.ok()?.to_bytes();
    Some(Record::new(RecordBody::new(Version::from_bits(version), bytes.to_vec()), age))
}

fn about(path: &str, key: &StoredKey) -> http::request::Builder {
    Request::builder().uri(path).header("key", key.as_str().escape_default().to_string())
}

impl TokenStore for NetStore {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move { Ok(record(ask(about("/load", key), Vec::new()).await?).await) })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            let mut request = about("/swap", key);
            if let Some(expected) = expected {
                request = request.header("expected", expected.to_bits().to_string());
            }
            if let Some(new) = new {
                request = request.header("version", new.version().to_bits().to_string());
            }
            let answer = ask(request, new.map(|new| new.bytes().to_vec()).unwrap_or_default()).await?;
            match answer.status() {
                StatusCode::OK => Ok(Swap::Swapped),
                _ => Ok(Swap::Conflict(record(answer).await)),
            }
        })
    }
}
