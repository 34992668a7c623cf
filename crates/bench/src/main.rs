//! Prints the goals and what was measured. See `cargo xtask bench`.
#![expect(clippy::print_stdout, reason = "a command line tool")]

use bench::Failure;
use bench::hot::{Shared, Way};
use bench::verdict::Table;
use bench::{credentials, fan_in, instructions, times};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // What valgrind is given to count.
        ["send", way, times] => send(way, times.parse()?),
        ["--counted"] => counted()?.judge(),
        [] => {
            let mut table = counted()?;
            times::hot_path(&mut table)?;
            times::two_threads(&mut table)?;
            fan_in::resume(&mut table)?;
            table.judge()
        }
        _ => Err("usage: bench [--counted]".into()),
    }
}

/// The rows that are the same on every run and every machine.
fn counted() -> Result<Table, Failure> {
    let mut table = Table::default();
    bench::allocations::rows(&mut table)?;
    instructions::rows(&mut table)?;
    fan_in::requests(&mut table)?;
    fan_in::waiters(&mut table)?;
    credentials::rows(&mut table)?;
    println!();
    Ok(table)
}

fn send(way: &str, times: u32) -> Result<(), Failure> {
    let way = Way::named(way).ok_or("there is no such way")?;
    let mut sender = way.sender(&Shared::new()?);
    for _ in 0..times {
        sender();
    }
    Ok(())
}
