//! What is broken on purpose, and the tests that have to fail for it.
//!
//! One table for each part of the documentation that makes promises. Every row of `docs/failure-modes.md` and every
//! promise of `docs/reliability.md` has at least one.

mod attacks;
mod beyond;
mod bound;
mod endpoint;
mod engines;
mod examples;
mod fleets;
mod flight;
mod logouts;
mod mistakes;
mod promises;
mod recent;
mod replay;
mod rotation;
mod rules;
mod sharing;
mod stores;
mod time;

/// One change to the product code.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What no longer holds.
    pub(crate) breaks: &'static str,
    /// The promises of `docs/reliability.md` that this breaks (`I1`, …). Rows of `docs/failure-modes.md` are known by
    /// the tests that they name.
    pub(crate) rows: &'static [&'static str],
    /// From the root of the workspace.
    pub(crate) file: &'static str,
    /// Stands there once.
    pub(crate) find: &'static str,
    pub(crate) replace: &'static str,
    /// Each of these must fail: `path.rs::name`, below the core's `src` or from the root of the workspace. With none,
    /// the command runs the core's unit tests and prints those that fail.
    pub(crate) caught_by: &'static [&'static str],
}

pub(crate) fn all() -> impl Iterator<Item = &'static Fault> {
    [
        mistakes::FAULTS,
        rules::FAULTS,
        attacks::answers::FAULTS,
        attacks::flights::FAULTS,
        attacks::logins::FAULTS,
        attacks::stores::FAULTS,
        rotation::FAULTS,
        stores::FAULTS,
        flight::FAULTS,
        sharing::FAULTS,
        bound::FAULTS,
        promises::FAULTS,
        recent::FAULTS,
        replay::FAULTS,
        endpoint::FAULTS,
        time::FAULTS,
        fleets::FAULTS,
        logouts::FAULTS,
        beyond::FAULTS,
        engines::FAULTS,
        examples::FAULTS,
    ]
    .into_iter()
    .flatten()
}
