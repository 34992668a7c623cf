//! `cargo xtask mutants [PART…]`: every small change to the engine and the classifier, and whether a unit test
//! notices. Takes hours; `docs/mutants.md` of the core says what it found.
//!
//! The tests of a change end with the first that fails, by [`until_failure`]. Many a change makes one test fail at
//! once and another one wait for ever: that is a failure, and no time limit has to find it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::step::{Outcome, Stop, cargo, output, root, run as step};

struct Part {
    name: &'static str,
    files: &'static [&'static str],
    /// Only these are run: the tests beside what is changed.
    tests: &'static [&'static str],
}

/// What is changed, part by part.
const PARTS: &[Part] = &[
    Part {
        name: "machine",
        files: &["coordinator/machine.rs", "coordinator/machine/*.rs", "coordinator/policy.rs"],
        tests: &["coordinator::machine", "coordinator::policy"],
    },
    Part {
        name: "engine",
        files: &[
            "coordinator.rs",
            "coordinator/driver.rs",
            "coordinator/flight.rs",
            "coordinator/gate.rs",
            "coordinator/holder.rs",
            "coordinator/keep_fresh.rs",
            "coordinator/login.rs",
            "coordinator/slot.rs",
            "coordinator/slots.rs",
        ],
        tests: &[
            "coordinator::tests",
            "coordinator::gate",
            "coordinator::holder",
            "coordinator::slots",
            "service",
        ],
    },
    Part {
        name: "classifier",
        files: &["endpoint/classify.rs", "endpoint/members.rs", "endpoint/response.rs", "store/record.rs"],
        tests: &["endpoint", "store::record"],
    },
];

pub(crate) fn run(names: &[&str]) -> Outcome {
    if output("cargo", &["mutants", "--version"]).is_none() {
        return Err(Stop::Because("it needs cargo-mutants: cargo install cargo-mutants --locked".to_owned()));
    }
    let this = std::env::current_exe().map_err(|error| Stop::Because(error.to_string()))?;
    let runner = format!("target.'cfg(all())'.runner=['{}', 'until-failure']", this.display());
    let chosen = PARTS.iter().filter(|part| names.is_empty() || names.contains(&part.name));
    // A change that nobody noticed is no reason not to try the next part.
    let outcomes: Vec<_> = chosen.map(|part| mutate(part, &runner)).collect();
    outcomes.into_iter().collect()
}

fn mutate(part: &Part, runner: &str) -> Outcome {
    let found = root().join("target/mutants");
    std::fs::create_dir_all(&found)
        .map_err(|error| Stop::Because(format!("cannot make {}: {error}", found.display())))?;
    let mut command =
        cargo(["mutants", "--package", "tower-oauth-refresh", "--no-shuffle", "--timeout", "60"]);
    // More threads than cores: a test that waits for ever keeps one.
    command.env("RUST_TEST_THREADS", "12").env("CARGO_PROFILE_DEV_DEBUG", "0");
    for file in part.files {
        command.arg("--file").arg(format!("crates/tower-oauth-refresh/src/{file}"));
    }
    command.args(["--cargo-arg=--config", &format!("--cargo-arg={runner}")]);
    command.arg("--output").arg(found.join(part.name)).args(["--", "--lib", "--"]).args(part.tests);
    step(&mut command)
}

/// `cargo xtask until-failure PROGRAM [ARGUMENT…]`: runs a program of tests, and ends it where one fails.
pub(crate) fn until_failure(program: &str, arguments: &[&str]) -> Outcome {
    let cannot = |error: std::io::Error| Stop::Because(format!("cannot run `{program}`: {error}"));
    let mut tests = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let mut failed = false;
    for line in tests.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(cannot)?;
        writeln!(std::io::stdout(), "{line}").map_err(cannot)?;
        if line.starts_with("test ") && line.ends_with(" ... FAILED") {
            failed = true;
            tests.kill().map_err(cannot)?;
            break;
        }
    }
    let ended = tests.wait().map_err(cannot)?;
    if failed || !ended.success() { Err(Stop::Exited(101)) } else { Ok(()) }
}
