//! Bound tokens end to end: a real coordinator and layer, over real sockets, against servers that demand proofs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also where its harness does")]

mod dpop;
mod logs;
mod refusals;
mod world;
