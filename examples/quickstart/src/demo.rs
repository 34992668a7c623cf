//! Bad moments, one after the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::time::{Instant, interval, sleep, timeout};
use tower::BoxError;
use tower_oauth_refresh::RefreshCoordinator;
use tower_oauth_refresh_testkit::ApiRequest;

use crate::burst::Burst;
use crate::client::{self, Client};
use crate::servers::Servers;
use crate::timeline::Timeline;

struct Demo {
    servers: Servers,
    coordinator: Arc<RefreshCoordinator>,
    client: Client,
    timeline: Timeline,
    lifetime: Duration,
    answered: usize,
    failed: usize,
}

/// Runs it all. `true`: everything went as promised.
pub(crate) async fn run(dir: &Path, lifetime: Duration) -> Result<bool, BoxError> {
    let store = client::store(dir)?;
    let servers = Servers::start(dir, lifetime).await?;
    let http = servers.http_client()?;
    let coordinator =
        client::coordinator(servers.token_endpoint(), servers.client_auth(), store, http.clone())?;
    let client = client::client(coordinator.clone(), servers.api().origin().try_into()?, http);
    let timeline = Timeline::new(coordinator.events());
    let mut demo = Demo { servers, coordinator, client, timeline, lifetime, answered: 0, failed: 0 };

    let seconds = lifetime.as_secs();
    println!("Access tokens live {seconds} s. A refresh token that comes twice ends the login.\n");
    let start = client::pick_up_or_log_in(&demo.coordinator, || demo.servers.log_in()).await?;
    demo.timeline.begun(&start, dir);
    demo.fresh().await?;
    demo.expired().await?;
    demo.steady().await?;
    demo.revoked().await?;
    demo.dropped().await?;
    Ok(demo.end().await)
}

impl Demo {
    async fn fresh(&mut self) -> Result<(), BoxError> {
        let burst = self.burst("fresh", 100)?;
        self.timeline.line("fresh", "100 requests at once");
        self.answers(burst).await;
        Ok(())
    }

    async fn expired(&mut self) -> Result<(), BoxError> {
        sleep(self.lifetime).await;
        let gate = self.servers.hold_refresh();
        let burst = self.burst("expired", 120)?;
        gate.arrived().await;
        self.timeline.line("expired", "120 requests at once; the first sets off a refresh");
        self.waiting(&burst, "expired-").await?;
        gate.release();
        self.answers(burst).await;
        Ok(())
    }

    async fn steady(&mut self) -> Result<(), BoxError> {
        self.timeline.line("steady", "a request every 25 ms, while two tokens grow old");
        let mut tick = interval(Duration::from_millis(25));
        let (end, mut burst) = (Instant::now() + 2 * self.lifetime, Burst::new());
        while tick.tick().await < end {
            self.send(&mut burst, "steady")?;
            self.timeline.news();
        }
        self.answers(burst).await;
        Ok(())
    }

    async fn revoked(&mut self) -> Result<(), BoxError> {
        // A token that was refreshed a moment ago is not refreshed again because an API refuses it.
        sleep(self.lifetime.mul_f32(0.6)).await;
        self.servers.revoke_access_tokens();
        let (gate, ledger) = (self.servers.hold_refresh(), self.servers.ledger());
        let before = ledger.verdict().api_unauthorized;
        let burst = self.burst("revoked", 60)?;
        gate.arrived().await;
        let all = ledger.until(|verdict| verdict.api_unauthorized == before + 60);
        // Where the machine is so slow that the token expired on the way, some wait without being refused.
        let _ = timeout(Duration::from_secs(1), all).await;
        let refused = ledger.verdict().api_unauthorized - before;
        self.timeline.line("revoked", format!("60 requests at once, {refused} refused; one refresh for all"));
        gate.release();
        self.answers(burst).await;
        Ok(())
    }

    async fn dropped(&mut self) -> Result<(), BoxError> {
        sleep(self.lifetime).await;
        let gate = self.servers.hold_refresh();
        let alone = self.burst("dropped", 1)?;
        gate.arrived().await;
        alone.abandon().await;
        self.timeline.line("caller gone", "a request set off a refresh and was dropped; 40 others come");
        let burst = self.burst("after", 40)?;
        self.waiting(&burst, "after-").await?;
        gate.release();
        self.answers(burst).await;
        Ok(())
    }

    /// Stores what is left to store, and asks the other side how it was.
    async fn end(&self) -> bool {
        let stored = self.coordinator.shutdown(Duration::from_secs(5)).await;
        let seen = self.servers.ledger().verdict();
        let dropped = self.servers.ledger().sends_of("dropped-0").len();
        println!("\nThe ledger of the servers");
        println!("  requests          {} answered, {} failed", self.answered, self.failed);
        println!("  the dropped one   sent {dropped} times");
        println!("  replays           {}, {} of them altered", seen.replays, seen.altered_replays);
        println!("  refreshes         {}, at most {} at once", seen.refreshes, seen.max_in_flight_per_family);
        println!("  reuse detected    {} times", seen.reuse_detections);
        println!("\nRun it again, and it goes on from here.");
        stored && self.failed == 0 && dropped == 0 && seen.reuse_detections == 0 && seen.is_clean()
    }
}

impl Demo {
    fn burst(&self, name: &str, size: usize) -> Result<Burst, BoxError> {
        let mut burst = Burst::new();
        for _ in 0..size {
            self.send(&mut burst, name)?;
        }
        Ok(burst)
    }

    fn send(&self, burst: &mut Burst, name: &str) -> Result<(), BoxError> {
        let id = format!("{name}-{}", burst.size());
        let body = format!("order {id}: {}", "tea, ".repeat(500));
        let request = Request::post(self.servers.api().url("/orders"))
            .header("x-request-id", id)
            .body(Full::from(Bytes::from(body)))?;
        burst.send(&self.client, request);
        Ok(())
    }

    /// Of a burst that found no token, how many the API has not seen.
    async fn waiting(&self, burst: &Burst, name: &str) -> Result<(), BoxError> {
        burst.taken().await?;
        let seen = |request: &ApiRequest| request.request_id.as_ref().is_some_and(|id| id.starts_with(name));
        let sent = self.servers.ledger().api_requests().iter().filter(|r| seen(r)).count();
        self.timeline.line("", format!("{} wait for it", burst.size() - sent));
        Ok(())
    }

    async fn answers(&mut self, burst: Burst) {
        let answers = burst.answers().await;
        self.timeline.answers(&answers);
        self.answered += answers.answered;
        self.failed += answers.failed.len();
    }
}
