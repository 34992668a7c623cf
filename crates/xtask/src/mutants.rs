//! `cargo xtask mutants [PART…]`: every small change to the engine and the classifier, and whether a unit test
//! notices. Takes hours; `docs/mutants.md` of the core says what it found.

use crate::step::{Outcome, Stop, cargo, output, run as step};

/// What is changed, part by part.
const PARTS: &[(&str, &[&str])] = &[
    ("machine", &["coordinator/machine.rs", "coordinator/machine/*.rs", "coordinator/policy.rs"]),
    (
        "engine",
        &[
            "coordinator.rs",
            "coordinator/driver.rs",
            "coordinator/flight.rs",
            "coordinator/gate.rs",
            "coordinator/login.rs",
            "coordinator/slot.rs",
            "coordinator/slots.rs",
        ],
    ),
    (
        "classifier",
        &["endpoint/classify.rs", "endpoint/members.rs", "endpoint/response.rs", "store/record.rs"],
    ),
];

pub(crate) fn run(names: &[&str]) -> Outcome {
    if output("cargo", &["mutants", "--version"]).is_none() {
        return Err(Stop::Because("it needs cargo-mutants: cargo install cargo-mutants --locked".to_owned()));
    }
    for (name, files) in PARTS.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        let mut command = cargo(["mutants", "--package", "tower-oauth-refresh", "--no-shuffle"]);
        for file in *files {
            command.arg("--file").arg(format!("crates/tower-oauth-refresh/src/{file}"));
        }
        command.args(["--timeout", "120", "--output", &format!("target/mutants/{name}"), "--", "--lib"]);
        step(&mut command)?;
    }
    Ok(())
}
