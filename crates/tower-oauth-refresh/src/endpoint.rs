//! The authorization server's token endpoint, as one client sees it.

pub(crate) mod classify;
mod members;
mod response;
