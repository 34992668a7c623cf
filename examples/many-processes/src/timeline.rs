//! What a person reads.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;
use tower_oauth_refresh_testkit::AuthServer;

/// Lines with the time since the start.
pub(crate) struct Timeline {
    start: Instant,
    /// Who refreshed to which generation.
    refreshed: BTreeMap<u64, u32>,
    newest: Instant,
    started: BTreeMap<u32, Instant>,
    adopted: Vec<Duration>,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        let start = Instant::now();
        Self {
            start,
            refreshed: BTreeMap::new(),
            newest: start,
            started: BTreeMap::new(),
            adopted: Vec::new(),
        }
    }

    pub(crate) fn line(&self, pid: u32, text: impl Display) {
        println!("{:6.2} s  process {pid:<8} {text}", self.start.elapsed().as_secs_f64());
    }

    pub(crate) fn started(&mut self, pid: u32) {
        self.line(pid, "started");
        self.started.insert(pid, Instant::now());
    }

    pub(crate) fn refreshed(&mut self, pid: u32, generation: u64) {
        self.adoptions();
        self.line(pid, format!("refreshed: generation {generation}"));
        self.newest = Instant::now();
        self.refreshed.insert(generation, pid);
    }

    pub(crate) fn adopted(&mut self, pid: u32, generation: u64) {
        // Who came later found it there.
        let was_there = self.started.get(&pid).is_some_and(|started| *started < self.newest);
        if was_there && self.refreshed.keys().next_back() == Some(&generation) {
            self.adopted.push(self.newest.elapsed());
        }
    }

    /// Of the newest generation, by all who did not refresh it.
    pub(crate) fn adoptions(&mut self) {
        if let Some(last) = self.adopted.iter().max() {
            let (count, last) = (self.adopted.len(), last.as_millis());
            println!("{:28}taken over by {count} others, by the last of them after {last} ms", "");
        }
        self.adopted.clear();
    }

    /// The server's own account. Is it what was promised?
    pub(crate) fn ledger(&self, auth: &AuthServer, generations: u64) -> bool {
        println!("\nWhat the authorization server saw:");
        let ledger = auth.ledger();
        for refresh in ledger.refreshes() {
            let came = refresh.refresh_token.map(|hash| hash.to_string()).unwrap_or_default();
            let end = match (&refresh.generation, &refresh.error, refresh.status) {
                (Some(generation), _, _) => {
                    let who = self.refreshed.get(generation);
                    let who = who.map_or_else(|| "nobody alive".to_owned(), |pid| format!("process {pid}"));
                    format!("generation {generation}, to {who}")
                }
                (None, Some(error), _) => error.clone(),
                (None, None, _) => "lost on the way, and not worked on".to_owned(),
            };
            println!("  refresh token {came}  {end}");
        }
        let verdict = ledger.verdict();
        println!(
            "  {} refreshes, {} of them worked on; generation {generations}; {} at once at most; {} spent tokens sent \
             again; {} reuses detected",
            verdict.refreshes,
            verdict.refreshes_committed,
            verdict.max_in_flight_per_family,
            verdict.superseded_submitted,
            verdict.reuse_detections
        );
        verdict.is_clean()
            && verdict.reuse_detections + verdict.invalid_grants == 0
            && verdict.refreshes_committed as u64 + 1 == generations
    }
}
