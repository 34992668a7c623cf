//! Instructions of one request, counted by valgrind: the difference between two runs of this program, so that
//! its beginning and end do not count.

use std::collections::HashMap;
use std::process::Command;

use crate::Failure;
use crate::hot::WAYS;
use crate::verdict::Table;

const FEW: u32 = 1_000;
const MANY: u32 = 4_000;

/// Prints every way, and adds ours. Without valgrind it says so, and adds nothing.
///
/// # Errors
///
/// Valgrind says what nobody understands.
pub fn rows(table: &mut Table) -> Result<(), Failure> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("\ninstructions: NOT COUNTED, there is no valgrind (Debian: apt-get install valgrind)");
        return Ok(());
    }
    let mut found = HashMap::new();
    for way in WAYS {
        let each = (run(way.name, MANY)? - run(way.name, FEW)?) / f64::from(MANY - FEW);
        found.insert(way.name, each);
    }
    let floor = found["static header"];
    println!("\n{:<26} {:>12} {:>22}", "one request", "instructions", "over the static header");
    for way in WAYS {
        println!("{:<26} {:>12.0} {:>22.0}", way.name, found[way.name], found[way.name] - floor);
    }
    let over = |name: &str| found[name] - floor;
    table.at_most("ours, no replay: instructions over a static header", over("ours, no replay"), 180.0, "");
    let ready = over("ours, ready to replay");
    table.at_most("ours, ready to replay: instructions over a static header", ready, 950.0, "");
    table.at_most("… of what tower Retry adds", ready / over("tower Retry"), 0.85, "times");
    Ok(())
}

fn run(way: &str, times: u32) -> Result<f64, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["send", way, &times.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = said.lines().find_map(|line| line.split_once("I refs:").or(line.split_once("I   refs:")));
    let (_, count) = count.ok_or_else(|| format!("valgrind says: {said}"))?;
    Ok(count.trim().replace(',', "").parse()?)
}
