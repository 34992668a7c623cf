//! What attacks have found, brought back: the rows F01 to F61 of `docs/failure-modes.md`.

pub(crate) mod answers;
pub(crate) mod flights;
pub(crate) mod logins;
pub(crate) mod stores;
