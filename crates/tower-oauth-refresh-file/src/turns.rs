//! Whose turn it is to write, among the tasks of this process.
//!
//! A turn is given to a write that begins, on a thread for blocking, and never to a future that waits: that may be on
//! a runtime which nobody drives any more, and nobody else would ever write.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tower_oauth_refresh::{StoreError, Swap};

type Swapped = Result<Swap, StoreError>;

/// In order, and one at a time: they take one blocking thread, not one each.
#[derive(Default)]
pub(crate) struct Turns {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Write>,
    is_taken: bool,
}

struct Write {
    runtime: Handle,
    work: Box<dyn FnOnce() -> Swapped + Send>,
    done: oneshot::Sender<Swapped>,
}

/// Passed on when it is dropped: at the end of the write, or because its runtime has ended before it began.
struct Turn(Arc<Turns>);

impl Turns {
    /// Does the work when it is its turn, if somebody still waits for it then. What has begun is finished.
    pub(crate) async fn write(self: &Arc<Self>, work: impl FnOnce() -> Swapped + Send + 'static) -> Swapped {
        let runtime = Handle::try_current().map_err(StoreError::unavailable)?;
        let (done, swapped) = oneshot::channel();
        self.enter(Write { runtime, work: Box::new(work), done });
        let ended =
            |_| Err(StoreError::unavailable("the write panicked, or its runtime ended before it began"));
        swapped.await.unwrap_or_else(ended)
    }

    fn enter(self: &Arc<Self>, write: Write) {
        let mut queue = self.queue();
        if queue.is_taken {
            return queue.waiting.push_back(write);
        }
        queue.is_taken = true;
        // A runtime that has ended drops the turn at once, and that one takes the queue to pass itself on.
        drop(queue);
        Turn(self.clone()).begin(write);
    }

    fn next(&self) -> Option<Write> {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front();
        queue.is_taken = next.is_some();
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn begin(self, Write { runtime, work, done }: Write) {
        drop(runtime.spawn_blocking(move || {
            let turn = self;
            let swapped = work();
            drop(turn);
            // The call may have been dropped meanwhile.
            let _ = done.send(swapped);
        }));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A call that was dropped while it waited has not happened.
        let next = std::iter::from_fn(|| self.0.next()).find(|write| !write.done.is_closed());
        if let Some(next) = next {
            Self(self.0.clone()).begin(next);
        }
    }
}
