//! The hours.

use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use allocation_counter::measure;
use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep_until};
use tower_oauth_refresh::{ClientAuth, CredentialKey, MemoryStore, RefreshCoordinator};
use tower_oauth_refresh::{Clock, Now};

use crate::endpoint::{Counted, Endpoint, login};

#[cfg(test)]
mod tests;

pub(crate) const LIFE: Duration = Duration::from_secs(3600);
/// Each credential is asked for once in so many seconds.
const EVERY: usize = 120;
const HOUR: usize = 3600;

/// What is run.
pub(crate) struct Scale {
    pub(crate) credentials: usize,
    /// Refreshes a second that the endpoint allows.
    pub(crate) limit: u32,
    pub(crate) seconds: usize,
    pub(crate) outage: Range<usize>,
    pub(crate) restart: usize,
}

/// What came of it.
pub(crate) struct Figures {
    pub(crate) idle_bytes: i64,
    pub(crate) stored_bytes: i64,
    pub(crate) most_bytes: u64,
    pub(crate) refreshed: Vec<u32>,
    pub(crate) asked: Vec<u32>,
    pub(crate) fewest: u32,
    pub(crate) most: u32,
    pub(crate) loads: usize,
    pub(crate) swaps: usize,
    pub(crate) longest: usize,
    pub(crate) starved: usize,
    pub(crate) lost: usize,
}

impl Scale {
    /// 500 refreshes a second for a million.
    pub(crate) fn of(credentials: usize) -> Self {
        Self {
            credentials,
            limit: u32::try_from(credentials / 2000).unwrap_or(u32::MAX).max(1),
            seconds: 3 * HOUR + 600,
            outage: HOUR + 1200..HOUR + 1800,
            restart: 2 * HOUR + 900,
        }
    }
}

/// Everything, on this thread.
pub(crate) fn run(scale: &Scale, jitter: bool) -> Figures {
    let mut figures = None;
    let info = measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        figures = runtime.ok().map(|runtime| runtime.block_on(hours(scale, jitter)));
    });
    let Some(figures) = figures else { unreachable!("a runtime can be built") };
    Figures { most_bytes: info.bytes_max, ..figures }
}

/// Follows tokio's clock.
#[derive(Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Now {
        let passed = LIFE + self.0.elapsed();
        Now::new(UNIX_EPOCH + LIFE * 500_000 + passed, passed)
    }
}

struct Asked {
    /// When each last had a token.
    had: Vec<u32>,
    longest: usize,
}

impl Asked {
    fn ask(
        &mut self,
        coordinator: &Arc<RefreshCoordinator>,
        key: &CredentialKey,
        number: usize,
        second: usize,
    ) {
        // A caller that does not wait: the refresh goes on without it.
        let told = coordinator.token(key.clone()).now_or_never();
        if let (Some(Ok(_)), Some(had)) = (told, self.had.get_mut(number)) {
            self.longest = self.longest.max(second.saturating_sub(*had as usize + EVERY));
            *had = u32::try_from(second).unwrap_or(u32::MAX);
        }
    }
}

async fn hours(scale: &Scale, jitter: bool) -> Figures {
    let start = Instant::now();
    let clock = Arc::new(Paused(start));
    let store = Counted {
        records: MemoryStore::with_clock(clock.clone()),
        loads: Arc::default(),
        swaps: Arc::default(),
    };
    let endpoint = Arc::new(Endpoint::new(scale, jitter, start));
    let build = |seed| coordinator(&endpoint, &store, &clock, seed);
    let mut coordinator = build(1);
    let keys: Vec<_> =
        (0..scale.credentials).map(|n| CredentialKey::from(format!("customer/{n:019}"))).collect();
    let mut asked = Asked { had: Vec::with_capacity(keys.len()), longest: 0 };
    let (mut before, mut idle_bytes, mut stored_bytes) = ((0, 0), 0, 0);
    for second in 0..scale.seconds {
        // The logins, evenly in the first hour but for its last ten minutes.
        let due = (keys.len() * (second + 1) / (HOUR - 600)).min(keys.len());
        for (number, key) in keys.iter().enumerate().take(due).skip(asked.had.len()) {
            // A text of its own, which counts.
            let _ = coordinator.install(key.as_str(), login(number)).await;
            asked.had.push(u32::try_from(second).unwrap_or(u32::MAX));
        }
        // Not always at the same second of the minute.
        let first = (second + second / EVERY * 37) % EVERY;
        for (number, key) in keys.iter().enumerate().take(due).skip(first).step_by(EVERY) {
            asked.ask(&coordinator, key, number, second);
        }
        if second == HOUR - 600 {
            before = store.calls();
        }
        if second == scale.restart {
            coordinator.shutdown(Duration::from_secs(30)).await;
            let old = std::mem::replace(&mut coordinator, build(2));
            idle_bytes = -measure(|| drop(old)).bytes_current / keys.len() as i64;
        }
        sleep_until(start + Duration::from_secs(second as u64 + 1)).await;
    }
    coordinator.shutdown(Duration::from_secs(30)).await;
    drop(coordinator);
    let calls = store.calls();
    stored_bytes -= measure(|| drop(store)).bytes_current / keys.len() as i64;
    let patience = scale.seconds.saturating_sub(1800);
    let starved = asked.had.iter().filter(|had| (**had as usize) < patience).count();
    let mut seen = endpoint.seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.refreshed.truncate(scale.seconds);
    seen.asked.truncate(scale.seconds);
    Figures {
        idle_bytes,
        stored_bytes,
        most_bytes: 0,
        refreshed: std::mem::take(&mut seen.refreshed),
        asked: std::mem::take(&mut seen.asked),
        fewest: seen.generations.iter().min().copied().unwrap_or(0),
        most: seen.generations.iter().max().copied().unwrap_or(0),
        loads: calls.0 - before.0,
        swaps: calls.1 - before.1,
        longest: asked.longest,
        starved,
        lost: seen.lost,
    }
}

/// With a seed the same run comes again, and a tenth of its time is not spent on asking the system for lots.
fn coordinator(
    endpoint: &Arc<Endpoint>,
    store: &Counted,
    clock: &Arc<Paused>,
    seed: u64,
) -> Arc<RefreshCoordinator> {
    let endpoint = endpoint.clone();
    let service = tower::service_fn(move |request| {
        let endpoint = endpoint.clone();
        async move { endpoint.answer(request).await }
    });
    let address = http::Uri::from_static("https://as.example/token");
    let builder = RefreshCoordinator::builder(address, ClientAuth::none("million"))
        .store(store.clone())
        .clock(clock.clone())
        .room(2_000_000)
        .seed(seed);
    match builder.build(service) {
        Ok(coordinator) => coordinator,
        Err(error) => unreachable!("{error}"),
    }
}

impl Figures {
    pub(crate) fn refreshes(&self) -> u64 {
        self.refreshed.iter().copied().map(u64::from).sum()
    }

    /// Of the seconds in which the endpoint was asked at all.
    pub(crate) fn percentile(&self, percent: usize) -> u32 {
        let mut busy: Vec<_> = self
            .refreshed
            .iter()
            .zip(&self.asked)
            .filter(|(_, asked)| **asked > 0)
            .map(|(done, _)| *done)
            .collect();
        busy.sort_unstable();
        let at = (busy.len().saturating_sub(1)) * percent / 100;
        busy.get(at).copied().unwrap_or(0)
    }

    pub(crate) fn most_asked(&self) -> u32 {
        self.asked.iter().max().copied().unwrap_or(0)
    }

    pub(crate) fn asked_per_refresh(&self) -> f64 {
        self.asked.iter().copied().map(f64::from).sum::<f64>() / self.refreshes() as f64
    }

    pub(crate) fn per_refresh(&self, calls: usize) -> f64 {
        calls as f64 / self.refreshes() as f64
    }
}
