//! Whose turn it is to write, among the tasks of this process.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

/// A queue of writers, which is left where it stands still.
///
/// It is SQLite that sees to it that one writes at a time, by having the others poll. The queue is there so that
/// those of one process need not.
#[derive(Debug, Default)]
pub(super) struct Turns {
    // A std mutex: held for an assignment, never across an await.
    queue: std::sync::Mutex<Arc<Mutex<()>>>,
}

/// A turn takes milliseconds. What holds one for longer may be a call on a runtime that nobody drives any more, and it
/// may hold it for ever.
const STANDSTILL: Duration = Duration::from_secs(2);

impl Turns {
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        loop {
            let queue = self.queue();
            if let Ok(turn) = timeout(STANDSTILL, queue.clone().lock_owned()).await {
                return turn;
            }
            self.leave(&queue);
        }
    }

    pub(super) fn queue(&self) -> Arc<Mutex<()>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whoever comes from now on forms a new one, unless there is one already.
    fn leave(&self, queue: &Arc<Mutex<()>>) {
        let mut newest = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&newest, queue) {
            *newest = Arc::default();
        }
    }
}
