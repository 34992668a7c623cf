//! How many calls of the store are under way at a time, and which one is next.
//!
//! As many as the store bears. More while they are not slower than a call alone, a quarter less when one was; what was too many
//! then is tried again only now and then. A store that makes one write after the other gets one or a few at a time, one
//! with a pool of connections as many as those.
//!
//! A received token set comes before everything else. Where the calls for such sets hang, as while a row is locked, one
//! place is left to others. Whatever has begun comes before what begins: so a flight
//! goes from its load to its mark without a queue between.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::machine::Rank;
use crate::clock::deadline;
use crate::foreign;

/// What is called. They need not take the same time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Load,
    Swap,
}

/// Lets store calls begin.
#[derive(Debug)]
pub(super) struct Limiter {
    /// A call that takes longer is none any more: its runtime stands still.
    longest: Duration,
    // A std mutex: held for some assignments, never across an await.
    state: Mutex<State>,
}

/// The right to make one call. It ends with this.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    limiter: &'a Limiter,
    granted: Granted,
}

/// A place in the queue.
struct Waiting<'a> {
    limiter: &'a Limiter,
    granted: oneshot::Receiver<Granted>,
}

#[derive(Debug)]
struct Queued {
    call: Call,
    since: Instant,
    tell: oneshot::Sender<Granted>,
}

#[derive(Clone, Copy, Debug)]
struct Granted {
    /// Of all calls.
    number: u64,
    rank: Rank,
    call: Call,
    began: Instant,
    /// How many were under way, with this one.
    level: f64,
    /// How often the limit had been lowered by then.
    lowered: u64,
}

#[derive(Debug)]
struct State {
    limit: f64,
    /// More than this at a time were too many the last time.
    ceiling: f64,
    lowered: u64,
    /// The newest load and the newest swap that was not slow.
    quick: [u64; 2],
    /// What a load and a swap take that wait for no other.
    alone: [Duration; 2],
    granted: u64,
    /// Of the newest call.
    last: Rank,
    /// Did the last call for a received set take as long as one that hangs?
    commits_hang: bool,
    /// How many have gone before the first of those that begin.
    overtaken: u32,
    /// By number.
    running: BTreeMap<u64, Granted>,
    commits: VecDeque<Queued>,
    begun: VecDeque<Queued>,
    new: VecDeque<Queued>,
}

/// Until it is known what the store bears.
const FIRST_LIMIT: f64 = 2.0;
/// More at a time do not make any store faster. A store that writes together what waits, as the file store does, gains up to
/// two calls for each exchange that is under way: the swap before it and the swap after another.
const HIGHEST_LIMIT: f64 = 200.0;
/// Beyond the ceiling the limit grows by one for so many calls, while they are not [`LONG`].
const PROBE_AFTER: f64 = 64.0;
/// What is taken for slow takes at least this long: a store may well pause for some milliseconds.
const SLOW: Duration = Duration::from_millis(100);
/// From here on it counts how long a call takes: a second later no request is sent any more.
const LONG: Duration = Duration::from_millis(600);
/// For so long a received token set waits for calls that are under way, and others for the call of a received set: such
/// calls may hang.
const COMMIT_PATIENCE: Duration = Duration::from_secs(1);
/// After so many calls that went before it, one that begins goes before those that have begun.
const OVERTAKEN: u32 = 5;

impl Limiter {
    pub(super) fn new(longest: Duration) -> Self {
        let state = State {
            limit: FIRST_LIMIT,
            ceiling: HIGHEST_LIMIT,
            lowered: 0,
            quick: [0; 2],
            alone: [Duration::MAX; 2],
            granted: 0,
            last: Rank::New,
            commits_hang: false,
            overtaken: 0,
            running: BTreeMap::new(),
            commits: VecDeque::new(),
            begun: VecDeque::new(),
            new: VecDeque::new(),
        };
        Self { longest, state: Mutex::new(state) }
    }

    /// Waits for its turn.
    ///
    /// Dropping it gives the turn to the next.
    pub(super) async fn permit(&self, rank: Rank, call: Call) -> Permit<'_> {
        let mut waiting = {
            let (tell, granted) = oneshot::channel();
            let since = deadline(Duration::ZERO);
            self.state().queue(rank).push_back(Queued { call, since, tell });
            Waiting { limiter: self, granted }
        };
        self.grant();
        loop {
            match timeout(COMMIT_PATIENCE, &mut waiting.granted).await {
                Ok(Ok(granted)) => return Permit { limiter: self, granted },
                // Nobody drops the sender without having used it.
                Ok(Err(_)) => std::future::pending().await,
                // Whoever holds what it waits for may never come back.
                Err(_) => self.grant(),
            }
        }
    }

    /// Lets begin what may begin.
    fn grant(&self) {
        loop {
            let Some((queued, granted)) = self.state().next(self.longest) else { return };
            // This wakes whoever waits, and that waker may panic: by then he has been told.
            if let Ok(Err(_)) = foreign::call(|| queued.tell.send(granted)) {
                // Went away.
                self.state().running.remove(&granted.number);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue(&mut self, rank: Rank) -> &mut VecDeque<Queued> {
        match rank {
            Rank::Commit => &mut self.commits,
            Rank::Begun => &mut self.begun,
            Rank::New => &mut self.new,
        }
    }

    /// The next call that may begin now.
    fn next(&mut self, longest: Duration) -> Option<(Queued, Granted)> {
        let now = deadline(Duration::ZERO);
        let hangs = |call: &Granted| if call.rank == Rank::Commit { COMMIT_PATIENCE } else { longest };
        self.running.retain(|_, call| now - call.began <= hangs(call));
        let (running, limit) = (self.running.len(), self.limit as usize);
        if running >= limit && !self.commit_is_late(now, limit) {
            return None;
        }
        let rank = if !self.commits.is_empty() && (running >= limit || !self.is_turn_of_others(limit)) {
            Rank::Commit
        } else if self.begun.is_empty() || !self.new.is_empty() && self.overtaken >= OVERTAKEN {
            self.overtaken = 0;
            Rank::New
        } else {
            self.overtaken = if self.new.is_empty() { 0 } else { self.overtaken + 1 };
            Rank::Begun
        };
        let queued = self.queue(rank).pop_front()?;
        self.granted += 1;
        self.last = rank;
        let level = (running + 1) as f64;
        let (number, lowered) = (self.granted, self.lowered);
        let granted = Granted { number, rank, call: queued.call, began: now, level, lowered };
        self.running.insert(granted.number, granted);
        Some((queued, granted))
    }

    fn commits(&self) -> usize {
        self.running.values().filter(|running| running.rank == Rank::Commit).count()
    }

    /// Has a received token set waited long enough for calls of others, which may hang?
    fn commit_is_late(&self, now: Instant, limit: usize) -> bool {
        self.commits.front().is_some_and(|first| now - first.since >= COMMIT_PATIENCE)
            && self.commits() < limit
    }

    /// While calls for received sets hang, one of several places is not for them, and of one every second turn.
    fn is_turn_of_others(&self, limit: usize) -> bool {
        let others_wait = !self.begun.is_empty() || !self.new.is_empty();
        self.commits_hang
            && others_wait
            && if limit > 1 { self.commits() + 1 >= limit } else { self.last == Rank::Commit }
    }

    fn ended(&mut self, granted: Granted) {
        let (running, took) = (self.running.len(), deadline(Duration::ZERO) - granted.began);
        if granted.rank == Rank::Commit {
            self.commits_hang = took >= COMMIT_PATIENCE;
        }
        if self.running.remove(&granted.number).is_none() {
            return;
        }
        let ([load, swap], [quick_load, quick_swap]) = (&mut self.alone, &mut self.quick);
        let (alone, quick) =
            if matches!(granted.call, Call::Load) { (load, quick_load) } else { (swap, quick_swap) };
        if granted.level <= 1.0 && self.granted == granted.number {
            // Also where the store has become slower for good.
            *alone = took;
        }
        *alone = took.min(*alone);
        let slow = took > SLOW.max((*alone + *alone / 2).min(LONG.max(*alone + *alone / 20)));
        if !slow {
            *quick = granted.number.max(*quick);
            let probes = *alone < LONG;
            self.fast(granted.level, running, probes);
        } else if took >= COMMIT_PATIENCE && *quick > granted.number {
            // One that began later was quick: it is not the store that is slow, but a record that is locked.
            self.limit = self.limit.max(FIRST_LIMIT);
            self.ceiling = self.ceiling.max(FIRST_LIMIT);
        } else if granted.lowered == self.lowered {
            // Once for all that were under way together.
            self.lowered += 1;
            self.limit = (self.limit * 0.75).min(self.limit - 1.0).max(1.0);
            self.ceiling = (granted.level - 1.0).max(self.limit);
        }
    }

    /// A call among so many was not slow.
    fn fast(&mut self, level: f64, running: usize, probes: bool) {
        if level > self.ceiling {
            self.ceiling = HIGHEST_LIMIT;
        }
        if running < self.limit as usize {
            return;
        }
        self.limit = if self.lowered == 0 {
            // Twice as many each round.
            (self.limit + 1.0).min(HIGHEST_LIMIT)
        } else if self.limit < self.ceiling {
            (self.limit + 1.0 / self.limit).min(self.ceiling)
        } else if probes {
            (self.limit + 1.0 / PROBE_AFTER).min(HIGHEST_LIMIT)
        } else {
            self.limit
        };
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.limiter.state().ended(self.granted);
        self.limiter.grant();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.granted.close();
        if let Ok(granted) = self.granted.try_recv() {
            self.limiter.state().running.remove(&granted.number);
            self.limiter.grant();
        }
    }
}

#[cfg(test)]
mod tests;
