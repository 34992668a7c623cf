//! Prints the goals and what was measured. See `cargo xtask bench`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::process::ExitCode;

use bench::Failure;
use bench::goals::{Counts, counted, timed};
use bench::hot::{Shared, Way};
use bench::latency::plot;
use bench::table::{Row, Table, Verdict};

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // What valgrind is given to count.
        ["send", way, times] => send(way, times.parse()?).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "peers")]
        ["peers", way, times] => send_as_peer(way, times.parse()?).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "peers")]
        ["--peers"] => {
            println!("{}", bench::peers::report()?);
            Ok(ExitCode::SUCCESS)
        }
        ["--counted"] => report(false, None),
        [] => report(true, None),
        ["--plot", path] => report(true, Some(path)),
        _ => Err("usage: bench [--counted | --peers | --plot FILE]".into()),
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

#[cfg(feature = "peers")]
fn send_as_peer(way: &str, times: u32) -> Result<(), Failure> {
    let runtime = bench::peers::runtime()?;
    let _entered = runtime.enter();
    let mut sender = bench::peers::Way::named(way).ok_or("there is no such way")?.sender(&runtime)?;
    for _ in 0..times {
        sender();
    }
    Ok(())
}

fn report(times: bool, path: Option<&str>) -> Result<ExitCode, Failure> {
    let (mut rows, felt) = counted(&Counts::take()?)?;
    if let Some(path) = path {
        std::fs::write(path, plot(&felt))?;
    }
    if times {
        rows.extend(timed()?);
        rows.sort_by_key(|row| row.id);
    }
    println!("{}", Table(&rows));
    let broken = |row: &&Row| row.counted && row.verdict() == Verdict::Missed;
    let broken: Vec<_> = rows.iter().filter(broken).map(|row| row.id).collect();
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("missed, though counted: {}", broken.join(", "));
    Ok(ExitCode::FAILURE)
}
