//! Many processes with many tasks each, and tokens that hardly live.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Semaphore;
use tower_oauth_refresh_testkit::Rotation;

use super::protocol::{Fate, Happened, Moment, Order, Reply};
use super::stores::{StoreKind, on_each_store};
use super::team::World;

const PROCESSES: usize = 8;
const TASKS: usize = 50;
const LIFETIME: Duration = Duration::from_secs(2);
const GENERATIONS: usize = 20;
/// No worker attaches a token that is older. One that arrives later was on its way meanwhile.
const SENT_UNTIL: Duration = Duration::from_millis(1900);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_refresh_once_a_generation() {
    on_each_store(herd).await;
}

#[expect(clippy::print_stdout, reason = "a figure, for whoever asks for the output")]
async fn herd(kind: StoreKind) {
    // One store after the other: on two processors, and beside other tests, the servers of four herds would
    // fall behind by more than a token lives.
    static TURN: Semaphore = Semaphore::const_new(1);
    let _turn = TURN.acquire().await;
    let world = World::with_lifetime(kind, Rotation::Strict, Duration::from_secs(10), LIFETIME).await;
    let mut workers = world.workers(PROCESSES).await;
    let login = world.log_in().await;
    for worker in &mut workers {
        let Reply::Working = worker.ask(Order::Work(TASKS)).await else { panic!("it does not work") };
    }
    while world.refreshes(&login).len() < GENERATIONS {
        tokio::time::sleep(LIFETIME / 4).await;
    }
    let (mut fates, mut events) = (BTreeMap::new(), Vec::new());
    for worker in &mut workers {
        worker.order(&Order::Rest).await;
    }
    for mut worker in workers {
        let Reply::Rested(told) = worker.reply().await else { panic!("it does not rest") };
        for (fate, times) in told {
            *fates.entry(fate).or_insert(0) += times;
        }
        events.extend(worker.end().await);
    }

    let verdict = world.auth.ledger().verdict();
    let generations = world.known().await.generation - login.generation;
    assert_eq!(verdict.refreshes as u64, generations, "{kind:?}: {verdict:?}");
    assert!(verdict.is_clean(), "{kind:?}: {verdict:?}");
    assert_eq!(
        (verdict.reuse_detections, verdict.invalid_grants, verdict.superseded_submitted),
        (0, 0, 0),
        "{kind:?}: {verdict:?}"
    );
    let served = fates.remove(&Fate::Served).unwrap_or_default();
    let youngest = ages_of_refused(&world).into_iter().min();
    assert!(youngest.is_none_or(|age| age >= SENT_UNTIL), "{kind:?}: refused at {youngest:?}, {fates:?}");
    let failures: Vec<_> = events.iter().filter(|(what, _)| matches!(what, Happened::Failed(_))).collect();
    assert!(
        fates.is_empty(),
        "{kind:?}: {served} were served, and {fates:?}; {failures:?}; where the API refused, the machine was too \
         slow: the youngest token was {youngest:?} old on arrival"
    );
    let adoption = Adoption::of(&events);
    assert_eq!(adoption.refreshed as u64, generations, "{kind:?}: each is told once");
    println!(
        "{kind:?}: {PROCESSES} processes of {TASKS} tasks, {generations} generations, {served} requests, {} of \
         them sent twice; from commit to adoption elsewhere: {adoption}",
        verdict.replays
    );
}

/// How old the tokens were that the API refused, when they arrived. The login's own is not among them.
fn ages_of_refused(world: &World) -> Vec<Duration> {
    let ledger = world.auth.ledger();
    let refreshes = ledger.refreshes();
    let issued = |token| refreshes.iter().find(|refresh| refresh.issued_access_token == Some(token));
    let refused = ledger.api_requests().into_iter().filter(|request| !request.accepted);
    refused.filter_map(|request| Some(request.at.since(issued(request.token?)?.at))).collect()
}

/// How long it took until others had what one committed.
struct Adoption {
    refreshed: usize,
    sorted: Vec<Duration>,
}

impl Adoption {
    fn of(events: &[(Happened, Moment)]) -> Self {
        let refreshed: BTreeMap<u64, Moment> = events
            .iter()
            .filter_map(|(what, at)| match what {
                Happened::Refreshed(generation) => Some((*generation, *at)),
                _ => None,
            })
            .collect();
        let adopted = events.iter().filter_map(|(what, at)| match what {
            Happened::Adopted(generation) => Some(at.saturating_sub(*refreshed.get(generation)?)),
            _ => None,
        });
        let mut sorted: Vec<_> = adopted.collect();
        sorted.sort();
        Self { refreshed: refreshed.len(), sorted }
    }

    fn quantile(&self, part: f64) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((last as f64 * part) as usize).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Adoption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [median, most, all] = [0.5, 0.95, 1.0].map(|part| self.quantile(part).as_millis());
        write!(f, "median {median} ms, 95 % {most} ms, all {all} ms ({} times)", self.sorted.len())
    }
}
