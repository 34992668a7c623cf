//! What holds across crates, in one binary.
//!
//! `tidy` reads the source tree and needs nothing, `behaviour` runs against the test kit's servers. `interop`
//! talks to a server that others wrote, `stores` to databases; what they need is installed and started by
//! `cargo xtask test`.
//! `tidy` reads the source tree and needs nothing. `interop` talks to a server that others wrote; what it
//! needs is installed by `cargo xtask test`, and so is what `stores_redis` needs.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also where its harness does"
)]

mod behaviour;
mod harness;
mod interop;
mod oidc;
mod stores;
mod stores_redis;
mod tidy;
