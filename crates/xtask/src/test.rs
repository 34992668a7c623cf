//! `cargo xtask test`: every test there is, documentation examples and foreign servers included.

use crate::prepare;
use crate::step::{Outcome, cargo, run as step};

/// What no machine can do without a person.
const LEFT_OUT: &str = "the keychain of this machine (to test it, unlock it: \
     cargo test -p tower-oauth-refresh-keyring --features platform -- --ignored)";

/// Arguments go to `cargo test`: a filter, `--package x`, `-- --nocapture`.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let services = prepare::everything()?;
    let narrowed = arguments.iter().any(|argument| matches!(*argument, "-p" | "--package"));
    let scope: &[&str] = if narrowed { &[] } else { &["--workspace"] };
    step(cargo(["test"]).args(scope).args(arguments).envs(services.variables()))?;
    if arguments.is_empty() {
        eprintln!("test: NOT TESTED: {LEFT_OUT}");
    }
    Ok(())
}
