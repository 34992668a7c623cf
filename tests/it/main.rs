//! What holds across crates, in one binary.
//!
//! `tidy` reads the source tree and needs nothing, `behaviour` runs against the test kit's servers, `clients` asks the
//! same of each client that people have, `processes` does so with several processes, killed and frozen, on each store,
//! `files` does to stores that are files what others do to files, and `secrets` goes over loopback. `interop` talks to a server that others wrote, `strong` does so with clients that
//! sign, and `stores` talks to databases. What these need is installed and started by `cargo xtask test`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also where its harness does"
)]

mod behaviour;
mod browser;
mod clients;
mod engines;
#[cfg(target_os = "linux")]
mod files;
mod harness;
mod interop;
mod oidc;
#[cfg(unix)]
mod processes;
mod secrets;
mod stores;
mod stores_redis;
mod strong;
mod tidy;
