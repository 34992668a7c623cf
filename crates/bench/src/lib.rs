//! What the layer costs, beside the least that any design would cost and what others cost.
//!
//! `cargo xtask bench` runs it all and prints the goals with a verdict each. Counts come first (allocations,
//! instructions, bytes, requests), for they are the same on every machine; times are ratios to a floor of the
//! same run, measured turn by turn.

pub mod bodies;
pub mod durable;
pub mod fan_in;
pub mod goals;
pub mod hot;
pub mod latency;
pub mod loopback;
pub mod many;
#[cfg(feature = "peers")]
pub mod peers;
pub mod proof;
pub mod table;
pub mod timing;
pub mod world;

/// Anything that keeps a measurement from being made.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
