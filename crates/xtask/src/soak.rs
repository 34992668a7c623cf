//! `cargo xtask soak [--minutes N] [--seed N]`: real processes on real stores, through proxies that hurt what
//! passes, and what came of it in figures.

use crate::prepare;
use crate::step::{Outcome, cargo, run as step};

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let databases = prepare::databases()?;
    step(cargo(["run", "--quiet", "--package", "soak", "--"]).args(arguments).envs(databases.variables()))
}
