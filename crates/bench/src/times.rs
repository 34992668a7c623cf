//! Time of one request, as a ratio to a floor of the same run: all ways take turns, and medians count.

use std::sync::Barrier;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Failure;
use crate::hot::{Shared, WAYS, Way};
use crate::verdict::Table;

const ROUNDS: usize = 31;
const REQUESTS: u32 = 10_000;

/// One thread, every way.
///
/// # Errors
///
/// What building a coordinator says.
pub fn hot_path(table: &mut Table) -> Result<(), Failure> {
    let shared = Shared::new()?;
    let mut senders: Vec<_> = WAYS.iter().map(|way| way.sender(&shared)).collect();
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); WAYS.len()];
    for round in 0..ROUNDS {
        for turn in 0..WAYS.len() {
            let which = (turn + round) % WAYS.len();
            rounds[which].push(spent(|| (0..REQUESTS).for_each(|_| senders[which]())));
        }
    }
    println!("{:<26} {:>12} {:>12}", "one request", "ns", "over bare");
    let found: Vec<f64> = rounds.into_iter().map(median).collect();
    for (way, ns) in WAYS.iter().zip(&found) {
        println!("{:<26} {ns:>12.0} {:>12.0}", way.name, ns - found[0]);
    }
    println!();
    let of = |name: &str| WAYS.iter().position(|way| way.name == name).map_or(f64::NAN, |at| found[at]);
    let floor = of("static header");
    table.at_most("ours, no replay: time of a static header's", of("ours, no replay") / floor, 1.15, "times");
    let added = (of("ours, ready to replay") - floor) / (of("tower Retry") - floor);
    table.at_most("ours, ready to replay: of the time that Retry adds", added, 0.85, "times");
    Ok(())
}

/// Two threads that send with one token, against one.
///
/// # Errors
///
/// What building a coordinator says.
pub fn two_threads(table: &mut Table) -> Result<(), Failure> {
    for name in ["ours, no replay", "ours, ready to replay", "ours, cloned per request"] {
        let way = Way::named(name).ok_or("there is no such way")?;
        let shared = Shared::new()?;
        let ratios = (0..ROUNDS).map(|_| side_by_side(way, &shared) / alone(way, &shared)).collect();
        table.at_most(format!("{name}: two threads to one"), median(ratios), 1.10, "times");
    }
    Ok(())
}

fn alone(way: Way, shared: &Shared) -> f64 {
    let mut sender = way.sender(shared);
    spent(|| (0..REQUESTS).for_each(|_| sender()))
}

fn side_by_side(way: Way, shared: &Shared) -> f64 {
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut sender = way.sender(shared);
                start.wait();
                spent(|| (0..REQUESTS).for_each(|_| sender()))
            })
        });
        let times: Vec<f64> = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        times.iter().sum::<f64>() / times.len() as f64
    })
}

/// Of this thread's processor, for each request: what others do meanwhile does not count.
fn spent(work: impl FnOnce()) -> f64 {
    let before = thread_time();
    work();
    (thread_time() - before).as_nanos() as f64 / f64::from(REQUESTS)
}

pub(crate) fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
