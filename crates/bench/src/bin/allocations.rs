//! Prints the allocations of one request in each way. A program of its own, so that no time is measured and no
//! instruction counted under an allocator that counts.
#![expect(clippy::print_stdout, reason = "a command line tool")]

use bench::Failure;
use bench::hot::{Shared, WAYS};

fn main() -> Result<(), Failure> {
    let shared = Shared::new()?;
    for way in WAYS {
        let mut sender = way.sender(&shared);
        for _ in 0..10 {
            sender();
        }
        let used = allocation_counter::measure(|| (0..100).for_each(|_| sender()));
        println!("{}\t{}\t{}", way.name, used.count_total / 100, used.bytes_total / 100);
    }
    Ok(())
}
