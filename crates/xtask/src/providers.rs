//! `cargo xtask providers`: what is written from `providers.json`, anew.

use crate::step::{Outcome, cargo, run as step};

pub(crate) fn run() -> Outcome {
    // The test that compares also writes, so that there is one opinion of what it should be.
    step(cargo(["test", "-p", "tower-oauth-refresh-providers", "--test", "it"]).env("PROVIDERS_WRITE", "1"))
}
