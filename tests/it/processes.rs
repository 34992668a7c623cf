//! Real processes on one credential: many at once, killed, frozen, and logged out under one another.
//!
//! Each test starts this very binary again as [`worker`]s, which speak by lines. They run the shipped code as it
//! is: what kills or freezes one at a named point sits around its store, its transport and its clock. What the
//! servers' ledger and the store say counts, not what a worker believes.
//!
//! Most of the time is spent waiting for tokens to expire and for marks to grow old, in real time. Each test
//! therefore takes all stores at once.

mod freezes;
mod herd;
mod kills;
mod logins;
mod points;
mod protocol;
mod stores;
mod team;
mod worker;
