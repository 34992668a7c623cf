//! What holds across crates, in one binary.
//!
//! `tidy` reads the source tree and needs nothing. `interop` talks to a server that others wrote; what it
//! needs is installed by `cargo xtask test`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also where its harness does"
)]

mod interop;
mod oidc;
mod tidy;
