//! Allocations of one request, and the size of its future.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Failure;
use crate::hot::{CountingClock, Shared, WAYS};
use crate::verdict::Table;

const REQUESTS: u32 = 100;

/// Prints every way, and adds ours.
///
/// # Errors
///
/// What building a coordinator says.
pub fn rows(table: &mut Table) -> Result<(), Failure> {
    let shared = Shared::new()?;
    println!("{:<26} {:>12} {:>12}", "one request", "allocations", "bytes");
    let mut bare = None;
    for way in WAYS {
        let mut sender = way.sender(&shared);
        for _ in 0..10 {
            sender();
        }
        let used = allocation_counter::measure(|| (0..REQUESTS).for_each(|_| sender()));
        let each = |count: u64| count as f64 / f64::from(REQUESTS);
        println!("{:<26} {:>12} {:>12}", way.name, each(used.count_total), each(used.bytes_total));
        // The request itself is made of some.
        let bare = *bare.get_or_insert(each(used.count_total));
        if way.name.starts_with("ours") && !way.name.contains("keyed") {
            let more = each(used.count_total) - bare;
            table.at_most(format!("{}: allocations more than bare", way.name), more, 0.0, "");
        }
    }
    table.at_most(
        "response future, beyond the inner one and the service",
        shared.future_size() as f64,
        64.0,
        "bytes",
    );
    let clock = Arc::new(CountingClock::default());
    let mut sender = WAYS[3].sender(&Shared::on(clock.clone())?);
    let before = clock.0.load(Ordering::Relaxed);
    (0..REQUESTS).for_each(|_| sender());
    let reads = (clock.0.load(Ordering::Relaxed) - before) as f64 / f64::from(REQUESTS);
    table.at_most("clock reads of a request, where the clock has no glance", reads, 1.0, "");
    Ok(())
}
