//! What the layer costs, beside the least that any design would cost and what others cost.
//!
//! `cargo xtask bench` runs it all and prints the goals with a verdict each. Counts come first (allocations,
//! instructions, bytes, requests), for they are the same on every machine; times are ratios to a floor of the
//! same run, measured turn by turn.
#![expect(clippy::print_stdout, reason = "a command line tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a measurement that fails has to be seen"
)]

pub mod allocations;
pub mod credentials;
pub mod fan_in;
pub mod hot;
pub mod instructions;
pub mod times;
pub mod verdict;

/// Anything that keeps a measurement from being made.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
