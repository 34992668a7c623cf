//! `cargo xtask ci`: what the server runs, in the order that fails soonest.

use crate::step::{Outcome, cargo, output, root, run as step};
use crate::{bench, check, doc, explore, fuzz, simulate, test};

pub(crate) fn run() -> Outcome {
    let mut left_out = Vec::new();
    check::lints()?;
    if output("cargo", &["deny", "--version"]).is_some() {
        step(&mut cargo(["deny", "check", "bans", "licenses", "sources"]))?;
    } else {
        left_out.push("licences, bans and sources (to check them: cargo install cargo-deny --locked)");
    }
    doc::run()?;
    if root().join("examples/quickstart/Cargo.toml").exists() {
        step(&mut cargo(["run", "--manifest-path", "examples/quickstart/Cargo.toml"]))?;
    } else {
        left_out.push("the quickstart (there is no examples/quickstart)");
    }
    test::run(&[])?;
    bench::lints()?;
    bench::run(&["--counted"])?;
    fuzz::slice()?;
    simulate::run(&["--histories", "1_000_000"])?;
    simulate::run(&["--histories", "1_000_000", "--fresh"])?;
    explore::slice()?;
    for what in &left_out {
        eprintln!("ci: NOT CHECKED: {what}");
    }
    Ok(())
}
