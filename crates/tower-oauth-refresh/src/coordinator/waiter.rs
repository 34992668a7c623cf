//! Waiting for the outcome of a flight.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::slot::Told;
use crate::error::{ErrorKind, RefreshError};

/// Waits for the outcome of a flight.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(super) told: broadcast::Receiver<Told>,
    pub(super) limit: Duration,
}

impl Waiter {
    /// The flight's outcome, or this waiter's own time limit.
    // No `async fn`: that would hold its arguments beside what is made of them, for each who waits.
    pub(crate) fn wait(self) -> impl Future<Output = Told> + Send {
        let Self { mut told, limit } = self;
        let outcome = async move {
            loop {
                match told.recv().await {
                    Ok(told) => return told,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Err(RefreshError::new(ErrorKind::Aborted)),
                }
            }
        };
        let late = |_| Err(RefreshError::new(ErrorKind::TimedOut));
        tokio::time::timeout(limit, outcome).map(move |told| told.unwrap_or_else(late))
    }
}
