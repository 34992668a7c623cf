//! What was seen of a history: by the store, by the network under the token endpoint, and by those who asked.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use tower_oauth_refresh::{Clock, Now};

use crate::world::WORKERS;

/// The time of the history is here too: it moves when the simulation does.
#[derive(Debug, Default)]
pub(crate) struct Book {
    now_ms: AtomicU64,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) sent: Vec<Sent>,
    pub(crate) received: Vec<Received>,
    pub(crate) fates: BTreeMap<String, u64>,
    /// Of each request, at the API.
    pub(crate) sends: HashMap<String, u64>,
    /// What the last request of each process and credential came to.
    pub(crate) last: BTreeMap<(usize, &'static str), String>,
    /// How often each process was started.
    pub(crate) lives: [u64; WORKERS.len()],
    pub(crate) done: usize,
    /// Processes that could not let go of a refresh in the end.
    pub(crate) flights_left: usize,
    /// Everything that was said, in one number: the same for the same history.
    pub(crate) trace: u64,
    /// Refresh tokens in the order in which they were seen; a story calls them by that.
    names: Vec<String>,
    story: Vec<String>,
}

/// A refresh token on its way to the token endpoint.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) worker: usize,
    pub(crate) token: String,
    pub(crate) at: Duration,
    /// When its sender had an answer, or none would come any more.
    pub(crate) until: Option<Duration>,
}

/// A refresh token that a process has in its hands.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) parent: String,
    pub(crate) token: String,
    pub(crate) worker: usize,
    pub(crate) life: u64,
    pub(crate) at: Duration,
    /// When the store first had it.
    pub(crate) stored: Option<Duration>,
}

/// Open until it is dropped.
pub(crate) struct Sending {
    book: Arc<Book>,
    index: usize,
}

/// Time as one host has it.
#[derive(Clone, Debug)]
pub(crate) struct SimClock {
    pub(crate) book: Arc<Book>,
    pub(crate) wall_off: Arc<AtomicI64>,
}

impl Book {
    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::SeqCst))
    }

    pub(crate) fn passes(&self, to: Duration) {
        self.now_ms.store(u64::try_from(to.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap()
    }

    pub(crate) fn say(&self, what: &str) {
        let now = self.now();
        self.pages().say(now, what);
    }

    pub(crate) fn story(&self) -> Vec<String> {
        self.pages().story.clone()
    }

    /// A process starts: its how manyeth life is it?
    pub(crate) fn starts(&self, worker: usize) -> u64 {
        let mut pages = self.pages();
        pages.lives[worker] += 1;
        pages.lives[worker]
    }

    /// A process has come to its end, and all of its refreshes have, or not.
    pub(crate) fn ends(&self, flights_ended: bool) {
        let mut pages = self.pages();
        pages.done += 1;
        pages.flights_left += usize::from(!flights_ended);
    }

    pub(crate) fn sends(self: &Arc<Self>, worker: usize, token: &str) -> Sending {
        let now = self.now();
        let mut pages = self.pages();
        let name = pages.name(token);
        pages.say(now, &format!("{} sends {name}", WORKERS[worker]));
        pages.sent.push(Sent { worker, token: token.to_owned(), at: now, until: None });
        Sending { book: self.clone(), index: pages.sent.len() - 1 }
    }

    pub(crate) fn received(&self, worker: usize, life: u64, parent: &str, token: &str) {
        let now = self.now();
        let mut pages = self.pages();
        let (name, spent) = (pages.name(token), pages.name(parent));
        pages.say(now, &format!("{} has {name} for {spent}", WORKERS[worker]));
        let (parent, token) = (parent.to_owned(), token.to_owned());
        pages.received.push(Received { parent, token, worker, life, at: now, stored: None });
    }

    /// The store has these bytes now.
    pub(crate) fn stored(&self, record: &[u8]) {
        let now = self.now();
        let mut pages = self.pages();
        let holds = |token: &str| record.windows(token.len()).any(|window| window == token.as_bytes());
        let waiting = pages.received.iter_mut().filter(|set| set.stored.is_none());
        let Some(set) = { waiting }.find(|set| holds(&set.token)) else { return };
        set.stored = Some(now);
        let token = set.token.clone();
        let name = pages.name(&token);
        pages.say(now, &format!("the store has {name}"));
    }
}

impl Pages {
    fn say(&mut self, now: Duration, what: &str) {
        self.trace = BuildHasherDefault::<DefaultHasher>::default().hash_one((self.trace, now, what));
        self.story.push(format!("{:>7.2} s  {what}", now.as_secs_f64()));
    }

    fn name(&mut self, token: &str) -> String {
        let known = self.names.iter().position(|name| name == token);
        let number = known.unwrap_or_else(|| {
            self.names.push(token.to_owned());
            self.names.len() - 1
        });
        format!("t{number}")
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let now = self.book.now();
        self.book.pages().sent[self.index].until = Some(now);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        let boot = Duration::from_secs(3600) + self.book.now();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + boot;
        let off = Duration::from_secs(self.wall_off.load(Ordering::SeqCst).unsigned_abs());
        let is_ahead = self.wall_off.load(Ordering::SeqCst) > 0;
        Now::new(if is_ahead { wall + off } else { wall - off }, boot)
    }
}
