//! The points at which a worker kills or freezes itself, all of them around the shipped code.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tower::{Service, service_fn};
use tower_oauth_refresh::{
    BoxFuture, BoxStream, Clock, KeyDigest, Now, Record, RecordBody, StoreError, StoredKey, Swap,
    SystemClock, TokenStore, Version,
};

use super::protocol::Said;
use super::worker::say;
use crate::harness::BoxError;

/// Where a worker is caught, in the order of a refresh. In flight it is its parent that catches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Point {
    BeforeLease,
    AfterLease,
    AnswerRead,
    BeforeCommit,
    AfterCommit,
    /// The store's answer has been heard, and nobody has been told.
    BeforePublish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Trap {
    KillAt(Point),
    FreezeAt(Point),
}

/// Counts what the first refresh of a worker does, and springs its trap.
#[derive(Debug)]
pub(super) struct Points {
    trap: Option<Trap>,
    swaps: AtomicUsize,
    committed: AtomicUsize,
}

impl Points {
    pub(super) fn new(trap: Option<Trap>) -> Arc<Self> {
        Arc::new(Self { trap, swaps: AtomicUsize::new(0), committed: AtomicUsize::new(0) })
    }

    fn reached(&self, point: Point) {
        let signal = match self.trap {
            Some(Trap::KillAt(trap)) if trap == point => Signal::KILL,
            Some(Trap::FreezeAt(trap)) if trap == point => Signal::STOP,
            _ => return,
        };
        say(&Said::Trapped);
        kill_process(getpid(), signal).expect("may signal itself");
        // A stop may reach another thread first: this one must not run on meanwhile.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The store of a worker: its first swap takes the lease, its second commits.
pub(super) struct Watched {
    pub(super) store: Arc<dyn TokenStore>,
    pub(super) points: Arc<Points>,
    /// See [`Assignment::elsewhere`](super::protocol::Assignment::elsewhere).
    pub(super) elsewhere: bool,
}

impl Watched {
    /// Renames the boot that the mark's holder belongs to. Nothing else in a record is called so.
    fn seen(&self, record: Record) -> Record {
        if !self.elsewhere {
            return record;
        }
        let text = std::str::from_utf8(record.body.bytes()).expect("records are not sealed");
        let text = text.replace(r#""boot":""#, r#""boot":"not "#);
        // The content begins behind this member and ends before the last brace. Its checksum stands in front of it.
        let (head, content) = text.split_once(r#","record":"#).expect("a record has content");
        let content = content.strip_suffix('}').expect("a record ends with a brace");
        let (head, _) = head.split_once(r#""sum":""#).expect("a record has a checksum");
        let sum: String = Sha256::digest(content).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let text = format!(r#"{head}"sum":"{sum}","record":{content}}}"#);
        Record::new(RecordBody::new(record.body.version(), text.into_bytes()), record.age)
    }
}

impl TokenStore for Watched {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move { Ok(self.store.load(key).await?.map(|record| self.seen(record))) })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            let swap = self.points.swaps.fetch_add(1, Ordering::SeqCst);
            let (before, after) = match swap {
                0 => (Point::BeforeLease, Point::AfterLease),
                1 => (Point::BeforeCommit, Point::AfterCommit),
                _ => return self.store.compare_and_swap(key, expected, new).await,
            };
            self.points.reached(before);
            let swapped = self.store.compare_and_swap(key, expected, new).await?;
            if let Swap::Conflict(found) = swapped {
                return Ok(Swap::Conflict(found.map(|record| self.seen(record))));
            }
            self.points.reached(after);
            self.points.committed.fetch_add(usize::from(swap == 1), Ordering::SeqCst);
            Ok(swapped)
        })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        self.store.changes()
    }
}

/// The machine's clock. The first who reads it after the commit is the flight, about to publish.
pub(super) struct WatchedClock(pub(super) Arc<Points>);

impl Clock for WatchedClock {
    fn now(&self) -> Now {
        if self.0.committed.load(Ordering::SeqCst) > 0 {
            self.0.reached(Point::BeforePublish);
        }
        SystemClock::default().now()
    }
}

impl fmt::Debug for WatchedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchedClock")
    }
}

/// The transport of the token endpoint.
pub(super) fn watched(
    client: Client<HttpConnector, Full<Bytes>>,
    points: Arc<Points>,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ 'static {
    service_fn(move |request| {
        let (client, points) = (client.clone(), points.clone());
        async move {
            let (parts, body) = client.request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            points.reached(Point::AnswerRead);
            Ok(Response::from_parts(parts, Full::from(body)))
        }
    })
}
