//! Prints the goals and what was measured. See `cargo xtask bench`.
#![expect(clippy::print_stdout, reason = "a command line tool")]

use bench::Failure;
use bench::hot::{Shared, WAYS, Way};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // What valgrind is given to count.
        ["send", way, times] => send(way, times.parse()?),
        _ => sizes(),
    }
}

fn send(way: &str, times: u32) -> Result<(), Failure> {
    let way = Way::named(way).ok_or("there is no such way")?;
    let mut sender = way.sender(&Shared::new()?);
    for _ in 0..times {
        sender();
    }
    Ok(())
}

fn sizes() -> Result<(), Failure> {
    println!("{}", Shared::new()?.future_size());
    println!("{}", WAYS.len());
    Ok(())
}
