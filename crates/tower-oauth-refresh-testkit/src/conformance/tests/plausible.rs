//! Stores as somebody in a hurry writes them: each works in every test that its author would think of.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, Weak};

use tokio::sync::Mutex as Turn;
use tokio::task::yield_now;
use tower_oauth_refresh::{Clock, Now};

use super::*;
use crate::ManualClock;

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// And rewrites one file, in which all records are.
    LocksEachKey,
    LoadsInTwoReads,
    ReadsTheAgeByItself,
    LivesWhileAHandleIsOpen,
    CountsAgesFromItsOpening,
    ConflictsWithWhatItReadBefore,
    Expires,
    CutsKeysAt2000,
    ComparesHalfOfTheVersion,
    /// The time of the write, and in a statement of its own the rest.
    TouchesAndThenWrites,
}
use Flaw::*;

pub(super) const ALL: [Flaw; 10] = [
    LocksEachKey,
    LoadsInTwoReads,
    ReadsTheAgeByItself,
    LivesWhileAHandleIsOpen,
    CountsAgesFromItsOpening,
    ConflictsWithWhatItReadBefore,
    Expires,
    CutsKeysAt2000,
    ComparesHalfOfTheVersion,
    TouchesAndThenWrites,
];

const MONTH: Duration = Duration::from_secs(30 * 86_400);

#[derive(Clone)]
struct Row {
    body: RecordBody,
    written: Now,
}

type Rows = HashMap<StoredKey, Row>;

/// What the handles of one store share.
struct Shared {
    rows: Mutex<Rows>,
    turns: Mutex<HashMap<StoredKey, Arc<Turn<()>>>>,
}

/// Where handles come from.
pub(super) struct Plausible {
    flaw: Flaw,
    clock: ManualClock,
    _kept: Option<Arc<Shared>>,
    open: Mutex<Weak<Shared>>,
}

pub(super) struct Opened {
    flaw: Flaw,
    moved: ManualClock,
    start: Now,
    opened: Now,
    shared: Arc<Shared>,
}

impl Plausible {
    pub(super) fn new(flaw: Flaw) -> Self {
        let shared = Arc::new(Shared { rows: Mutex::default(), turns: Mutex::default() });
        let open = Mutex::new(Arc::downgrade(&shared));
        let kept = (flaw != LivesWhileAHandleIsOpen).then_some(shared);
        Self { flaw, clock: ManualClock::new(), _kept: kept, open }
    }

    pub(super) fn open(&self) -> Opened {
        let mut open = self.open.lock().unwrap();
        let none = || Arc::new(Shared { rows: Mutex::default(), turns: Mutex::default() });
        let shared = open.upgrade().unwrap_or_else(none);
        *open = Arc::downgrade(&shared);
        let moved = self.clock.clone();
        let mut opened =
            Opened { flaw: self.flaw, start: ManualClock::new().now(), opened: space::now(), moved, shared };
        opened.opened = opened.now();
        opened
    }

    /// The first promise that it breaks, of so many versions of the suite.
    pub(super) async fn violation(&self, version: u32) -> Option<Violation> {
        let open = async || self.open();
        for (promise, _) in promises(version) {
            if let Err(violation) = check(promise, &open).await {
                return Some(violation);
            }
        }
        let later = async |passed| self.clock.advance(passed);
        if version > 1 { check_lasting(&open, &later).await.err() } else { None }
    }
}

impl Opened {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.shared.rows.lock().unwrap()
    }

    /// The machine's time, moved on by the test.
    fn now(&self) -> Now {
        space::now().after(self.moved.now().since(self.start))
    }

    fn key(&self, key: &StoredKey) -> StoredKey {
        match self.flaw {
            CutsKeysAt2000 => key.as_str().chars().take(2000).collect::<String>().into(),
            _ => key.clone(),
        }
    }

    /// Whether it is there at all, as this store sees it.
    fn lives(&self, row: &Row) -> bool {
        self.flaw != Expires || self.now().since(row.written) < MONTH
    }

    fn row(&self, key: &StoredKey) -> Option<Row> {
        self.rows().get(key).filter(|row| self.lives(row)).cloned()
    }

    fn record(&self, row: &Row) -> Record {
        let (now, age) = (self.now(), self.now().since(row.written));
        let counts_from_opening = self.flaw == CountsAgesFromItsOpening;
        let age = if counts_from_opening { age.min(now.since(self.opened)) } else { age };
        Record::new(row.body.clone(), age)
    }

    fn is(&self, found: Option<Version>, expected: Option<Version>) -> bool {
        let high = |version: Version| version.to_bits() >> 64;
        match self.flaw {
            ComparesHalfOfTheVersion => found.map(high) == expected.map(high),
            _ => found == expected,
        }
    }

    /// One statement.
    fn write(&self, key: &StoredKey, expected: Option<Version>, new: Option<&RecordBody>) -> bool {
        let written = self.now();
        let mut rows = self.rows();
        let found = rows.get(key).filter(|row| self.lives(row)).map(|row| row.body.version());
        if !self.is(found, expected) {
            return false;
        }
        match new {
            Some(body) => drop(rows.insert(key.clone(), Row { body: body.clone(), written })),
            None => drop(rows.remove(key)),
        }
        true
    }

    /// Reads the file, changes it, and writes it, in the turn of this key.
    async fn rewrite(&self, key: &StoredKey, expected: Option<Version>, new: Option<&RecordBody>) -> Swap {
        let turn = self.shared.turns.lock().unwrap().entry(key.clone()).or_default().clone();
        let _turn = turn.lock().await;
        let mut file = self.rows().clone();
        yield_now().await;
        if file.get(key).map(|row| row.body.version()) != expected {
            return Swap::Conflict(file.get(key).map(|row| self.record(row)));
        }
        match new {
            Some(body) => drop(file.insert(key.clone(), Row { body: body.clone(), written: self.now() })),
            None => drop(file.remove(key)),
        }
        *self.rows() = file;
        Swap::Swapped
    }
}

impl TokenStore for Opened {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let key = self.key(key);
            let Some(first) = self.row(&key) else { return Ok(None) };
            let record = self.record(&first);
            if !matches!(self.flaw, LoadsInTwoReads | ReadsTheAgeByItself) {
                return Ok(Some(record));
            }
            yield_now().await;
            let Some(second) = self.row(&key) else { return Ok(None) };
            Ok(Some(match self.flaw {
                LoadsInTwoReads => {
                    let bytes = second.body.bytes().to_vec();
                    Record::new(RecordBody::new(first.body.version(), bytes), record.age)
                }
                _ => Record::new(first.body, self.record(&second).age),
            }))
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            let key = self.key(key);
            let before = self.row(&key);
            match self.flaw {
                LocksEachKey => return Ok(self.rewrite(&key, expected, new).await),
                ConflictsWithWhatItReadBefore => yield_now().await,
                TouchesAndThenWrites => {
                    let now = self.now();
                    let version = before.as_ref().map(|row| row.body.version());
                    if let Some(row) = self.rows().get_mut(&key).filter(|_| version == expected) {
                        row.written = now;
                    }
                    yield_now().await;
                }
                _ => {}
            }
            if self.write(&key, expected, new) {
                return Ok(Swap::Swapped);
            }
            let found = if self.flaw == ConflictsWithWhatItReadBefore { before } else { self.row(&key) };
            Ok(Swap::Conflict(found.map(|row| self.record(&row))))
        })
    }
}
