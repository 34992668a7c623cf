//! The tasks of a server, which end with it.

use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

#[derive(Debug)]
pub(crate) struct Tasks {
    runtime: Handle,
    /// `None` once stopped: a task that is just running must not start another.
    running: Mutex<Option<JoinSet<()>>>,
}

impl Tasks {
    /// Tasks on the current runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        Ok(Self { runtime, running: Mutex::new(Some(JoinSet::new())) })
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(running) = &mut *self.running.lock().unwrap_or_else(PoisonError::into_inner) {
            while running.try_join_next().is_some() {}
            running.spawn_on(task, &self.runtime);
        }
    }

    /// Aborts all. Idempotent.
    pub(crate) fn stop(&self) {
        // Dropped outside the lock: aborted tasks drop what they hold.
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(running);
    }
}
