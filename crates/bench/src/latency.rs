//! Latency over rotations: what a caller feels of a refresh, by tokio's stopped clock, so that it is the same on
//! every machine: 64 callers with 20 ms of thought, an API that takes 1 ms, a token endpoint that takes 50 ms.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_oauth_refresh::{RefreshLayer, ReplayBody, TokenSet};

use crate::Failure;
use crate::world::{Endpoint, KEY, TokioClock};

/// A way to run.
#[derive(Clone, Copy, Debug)]
pub struct Regime {
    /// As the plot calls it.
    pub name: &'static str,
    ahead: bool,
    says: bool,
    outage: bool,
}

/// All of them.
pub const REGIMES: [Regime; 3] = [
    Regime { name: "refreshed ahead", ahead: true, says: true, outage: false },
    Regime {
        name: "refreshed ahead, endpoint down for a fifth of a life",
        ahead: true,
        says: true,
        outage: true,
    },
    Regime { name: "on a 401", ahead: false, says: false, outage: false },
];

const LIFE: Duration = Duration::from_secs(30);
const ROTATIONS: u32 = 10;
const TAKES: Duration = Duration::from_millis(50);
const CALLERS: u64 = 64;
/// Where in its window each refresh ahead begins is drawn from this.
const SEED: u64 = 1;

/// What the callers felt.
#[derive(Clone, Debug)]
pub struct Felt {
    /// When a call began, and how long it took.
    pub calls: Vec<(Duration, Duration)>,
    /// Refused answers of the API.
    pub refused: usize,
    /// Questions to the endpoint.
    pub asked: usize,
    /// How often it was out of order.
    pub failed: usize,
    /// Calls that ended with an error.
    pub lost: usize,
}

impl Felt {
    /// The latency that this share of the calls stays below.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Duration {
        let mut taken: Vec<Duration> = self.calls.iter().map(|(_, taken)| *taken).collect();
        taken.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position in a list")]
        let at = (taken.len().saturating_sub(1) as f64 * share) as usize;
        taken.get(at).copied().unwrap_or_default()
    }

    /// Calls that took longer than half a refresh.
    #[must_use]
    pub fn slow(&self) -> usize {
        self.calls.iter().filter(|(_, taken)| *taken > TAKES / 2).count()
    }
}

impl Regime {
    /// Ten lives of a token.
    ///
    /// # Errors
    ///
    /// Where a call fails.
    pub fn run(self) -> Result<Felt, Failure> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
        runtime.block_on(self.felt())
    }

    async fn felt(self) -> Result<Felt, Failure> {
        let fails = self.outage.then(|| (LIFE * 4, LIFE / 5));
        let endpoint = Endpoint::slow(LIFE, TAKES, fails, self.says);
        let clock = TokioClock::start();
        let adjusted =
            endpoint.coordinator(|builder| builder.refresh_ahead(self.ahead).clock(clock).seed(SEED))?;
        let login = if self.says { Endpoint::login(LIFE) } else { unsaid() };
        adjusted.install(KEY, login).await?;
        let refused = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (judge, count) = (endpoint.clone(), refused.clone());
        let api = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
            let header = request.headers().get(AUTHORIZATION);
            let good = header.is_some_and(|header| judge.accepts(header.as_bytes()));
            let status = if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            count.fetch_add(usize::from(!good), std::sync::atomic::Ordering::Relaxed);
            async move {
                sleep(Duration::from_millis(1)).await;
                Response::builder().status(status).body(Full::<Bytes>::default())
            }
        });
        let client = RefreshLayer::new(adjusted, KEY).origin("https://api.example".parse()?).layer(api);
        let began = Instant::now();
        let mut callers = tokio::task::JoinSet::new();
        for number in 0..CALLERS {
            let client = client.clone();
            callers.spawn(async move {
                sleep(Duration::from_micros(number * 300)).await;
                let (mut calls, mut lost) = (Vec::new(), 0);
                while began.elapsed() < LIFE * ROTATIONS {
                    let start = Instant::now();
                    let request = Request::post("https://api.example/x").body(Full::from("tea"))?;
                    let answer = client.clone().oneshot(request).await;
                    lost += usize::from(!answer.is_ok_and(|answer| answer.status() == StatusCode::OK));
                    calls.push((start - began, start.elapsed()));
                    sleep(Duration::from_millis(20)).await;
                }
                Ok::<_, Failure>((calls, lost))
            });
        }
        let (mut calls, mut lost) = (Vec::new(), 0);
        while let Some(of_one) = callers.join_next().await {
            let of_one = of_one??;
            calls.extend(of_one.0);
            lost += of_one.1;
        }
        let refused = refused.load(std::sync::atomic::Ordering::Relaxed);
        Ok(Felt { calls, lost, refused, asked: endpoint.asked(), failed: endpoint.failed() })
    }
}

/// A login whose server does not say how long its token lives.
fn unsaid() -> TokenSet {
    TokenSet::new("a".repeat(893)).with_refresh_token("rt")
}

/// One panel a regime: the slowest call of each tenth of a second, on a logarithmic axis.
#[must_use]
pub fn plot(runs: &[(Regime, Felt)]) -> String {
    const WIDTH: f64 = 760.0;
    const HEIGHT: f64 = 120.0;
    let total = (LIFE * ROTATIONS).as_secs_f64();
    let mut svg = String::new();
    let panels = f64::from(u32::try_from(runs.len()).unwrap_or(0));
    let high = panels * (HEIGHT + 50.0) + 30.0;
    let _ = write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {high}" font-family="sans-serif" font-size="12"><rect width="860" height="{high}" fill="white"/>"#
    );
    let y = |seconds: f64| HEIGHT * (1.0 - (seconds * 1000.0).max(0.5).log10().clamp(-0.31, 2.0) / 2.0);
    let mut top = 30.0;
    for (regime, felt) in runs {
        let p = |share| felt.percentile(share).as_secs_f64() * 1000.0;
        let _ = write!(
            svg,
            r#"<g transform="translate(60 {top})"><text y="-8">{}: p50 {:.0} ms, p99 {:.0} ms, p99.9 {:.0} ms, {} of {} calls slow, {} failed</text>"#,
            regime.name,
            p(0.5),
            p(0.99),
            p(0.999),
            felt.slow(),
            felt.calls.len(),
            felt.lost
        );
        for (at, label) in [(0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms")] {
            let y = y(at);
            let _ = write!(
                svg,
                r##"<line x2="{WIDTH}" y1="{y:.1}" y2="{y:.1}" stroke="#ccc"/><text x="-8" y="{:.1}" text-anchor="end">{label}</text>"##,
                y + 4.0
            );
        }
        let _ = write!(svg, r##"<path fill="none" stroke="#06c" d=""##);
        for (place, (at, slowest)) in slowest(felt).into_iter().enumerate() {
            let step = if place == 0 { 'M' } else { 'L' };
            let _ = write!(svg, "{step}{:.1} {:.1}", at / total * WIDTH, y(slowest));
        }
        let _ = write!(svg, r#""/></g>"#);
        top += HEIGHT + 50.0;
    }
    let _ = write!(
        svg,
        r#"<text x="60" y="{:.0}">0 s</text><text x="820" y="{:.0}" text-anchor="end">{total:.0} s, a token lives {} s</text></svg>"#,
        top - 28.0,
        top - 28.0,
        LIFE.as_secs()
    );
    svg
}

/// In every tenth of a second, in seconds.
fn slowest(felt: &Felt) -> Vec<(f64, f64)> {
    let mut buckets = std::collections::BTreeMap::<u128, f64>::new();
    for (at, taken) in &felt.calls {
        let slowest = buckets.entry(at.as_millis() / 100).or_default();
        *slowest = slowest.max(taken.as_secs_f64());
    }
    let middle = |bucket: u128| (f64::from(u32::try_from(bucket).unwrap_or(0)) + 0.5) / 10.0;
    buckets.into_iter().map(|(bucket, slowest)| (middle(bucket), slowest)).collect()
}
