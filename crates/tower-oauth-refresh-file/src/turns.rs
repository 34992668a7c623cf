//! Whose turn it is, among the tasks of this process that want the same done.
//!
//! Whoever has the turn does what all who wait then want, at once: one reading of the file answers every load, one
//! writing of it all swaps. A turn is given to a call that begins, on a thread for blocking, and never to a future that
//! waits: that may be on a runtime which nobody drives any more, and nobody else would ever go on.

use std::collections::VecDeque;
use std::fmt;
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tower_oauth_refresh::StoreError;

/// What is done together, one round at a time, on one blocking thread.
pub(crate) trait Call: Send + Sized + 'static {
    /// Does nobody wait for it any more?
    fn is_dropped(&self) -> bool;

    /// Does this one and those that [wait](Turn::waiting), and answers each.
    fn carry_out(self, turn: Turn<Self>);
}

pub(crate) struct Turns<C> {
    queue: Mutex<Queue<C>>,
    arrived: Condvar,
}

struct Queue<C> {
    waiting: VecDeque<(Handle, C)>,
    is_taken: bool,
}

/// Passed on when it is dropped: at the end of a round, or because its runtime has ended before it began.
pub(crate) struct Turn<C: Call>(Arc<Turns<C>>);

/// A round that is to begin on another thread, until it does.
type Round<C> = Arc<Mutex<Option<(Turn<C>, C)>>>;

impl<C: Call> Turns<C> {
    /// Has the call carried out that `call` makes of the sender of its answer. One that is dropped before has not
    /// happened; what has begun is finished.
    pub(crate) async fn enter<T>(
        self: Arc<Self>,
        call: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> C,
    ) -> Result<T, StoreError> {
        let runtime = Handle::try_current().map_err(StoreError::unavailable)?;
        let (answer, answered) = oneshot::channel();
        self.queue_or_begin(runtime, call(answer));
        let ended = |_| {
            let why = "the call panicked, or its runtime ended or could start no thread before it began";
            Err(StoreError::unavailable(why))
        };
        answered.await.unwrap_or_else(ended)
    }

    fn queue_or_begin(self: Arc<Self>, runtime: Handle, call: C) {
        let mut queue = self.queue();
        if queue.is_taken {
            queue.waiting.push_back((runtime, call));
            return self.arrived.notify_one();
        }
        queue.is_taken = true;
        // A runtime that has ended drops the turn at once, and that one takes the queue to pass itself on.
        drop(queue);
        Turn(self).begin(&runtime, call);
    }

    fn next(&self) -> Option<(Handle, C)> {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front();
        queue.is_taken = next.is_some();
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue<C>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Call> Turn<C> {
    fn begin(self, runtime: &Handle, call: C) {
        let round = Arc::new(Mutex::new(Some((self, call))));
        let on_thread = round.clone();
        let carry_out = move || {
            if let Some((turn, call)) = begun(&on_thread) {
                call.carry_out(turn);
            }
        };
        // Where tokio can start no thread it panics, and keeps what it was to run until it can: perhaps for ever, while
        // all others wait for the turn.
        if catch_unwind(AssertUnwindSafe(|| drop(runtime.spawn_blocking(carry_out)))).is_err() {
            drop(begun(&round));
        }
    }

    /// Waits until there are so many calls, with the one that has the turn, but for no longer than this.
    pub(crate) fn gather(&self, calls: usize, at_most: Duration) {
        let queue = self.0.queue();
        let too_few = |queue: &mut Queue<C>| queue.waiting.len() + 1 < calls;
        drop(self.0.arrived.wait_timeout_while(queue, at_most, too_few));
    }

    /// How many wait.
    pub(crate) fn waiting_count(&self) -> usize {
        self.0.queue().waiting.len()
    }

    /// Takes all that wait, in their order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = C> + use<C> {
        let waiting = take(&mut self.0.queue().waiting);
        waiting.into_iter().map(|(_, call)| call).filter(|call| !call.is_dropped())
    }
}

/// The round, for whoever is first to take it.
fn begun<C: Call>(round: &Round<C>) -> Option<(Turn<C>, C)> {
    round.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl<C: Call> Drop for Turn<C> {
    fn drop(&mut self) {
        // A call that was dropped while it waited has not happened.
        let next = std::iter::from_fn(|| self.0.next()).find(|(_, call)| !call.is_dropped());
        if let Some((runtime, next)) = next {
            Self(self.0.clone()).begin(&runtime, next);
        }
    }
}

impl<C> Default for Turns<C> {
    fn default() -> Self {
        let queue = Queue { waiting: VecDeque::new(), is_taken: false };
        Self { queue: Mutex::new(queue), arrived: Condvar::new() }
    }
}

impl<C> fmt::Debug for Turns<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

// Elsewhere a thread may be started with any stack.
#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
mod tests {
    use std::pin::Pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};
    use tokio::time::error::Elapsed;
    use tokio::time::timeout;

    use super::*;

    /// Keeps its turn until it is told not to.
    struct Held {
        until: Option<mpsc::Receiver<()>>,
        answer: oneshot::Sender<Result<(), StoreError>>,
    }

    impl Call for Held {
        fn is_dropped(&self) -> bool {
            self.answer.is_closed()
        }

        fn carry_out(self, turn: Turn<Self>) {
            let _ = self.until.map(|until| until.recv());
            drop(turn);
            let _ = self.answer.send(Ok(()));
        }
    }

    fn begin(runtime: &Runtime, call: Pin<&mut impl Future>) {
        let _entered = runtime.enter();
        assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    /// Gathers so many, or as many as come in so long, and answers how many there were.
    struct Gathers {
        calls: usize,
        at_most: Duration,
        answer: oneshot::Sender<Result<usize, StoreError>>,
    }

    impl Call for Gathers {
        fn is_dropped(&self) -> bool {
            self.answer.is_closed()
        }

        fn carry_out(self, turn: Turn<Self>) {
            turn.gather(self.calls, self.at_most);
            let waiting = turn.waiting_count();
            let others: Vec<_> = turn.waiting().collect();
            assert_eq!(others.len(), waiting);
            let all = others.len() + 1;
            for call in others.into_iter().chain([self]) {
                let _ = call.answer.send(Ok(all));
            }
        }
    }

    #[test]
    fn a_round_that_gathers_begins_when_enough_are_there_or_the_time_is_up() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let turns = Arc::new(Turns::default());
        let gather = |calls, at_most| turns.clone().enter(move |answer| Gathers { calls, at_most, answer });
        let mut calls = [(); 3].map(|()| Box::pin(gather(3, Duration::MAX)));
        for call in &mut calls {
            begin(&runtime, call.as_mut());
        }
        assert_eq!(calls.map(|call| runtime.block_on(call).unwrap()), [3; 3]);
        assert_eq!(runtime.block_on(gather(1, Duration::MAX)).unwrap(), 1);
        assert_eq!(runtime.block_on(gather(2, Duration::from_millis(1))).unwrap(), 1);
    }

    #[test]
    fn a_round_that_gathers_does_not_begin_before_enough_are_there() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let turns = Arc::new(Turns::default());
        let gather =
            || Box::pin(turns.clone().enter(|answer| Gathers { calls: 2, at_most: Duration::MAX, answer }));
        let (mut first, mut second) = (gather(), gather());
        begin(&runtime, first.as_mut());
        // One that does not wait would have ended by now, or the test passes.
        std::thread::sleep(Duration::from_millis(20));
        begin(&runtime, first.as_mut());
        begin(&runtime, second.as_mut());
        assert_eq!([first, second].map(|call| runtime.block_on(call).unwrap()), [2; 2]);
        assert_eq!(format!("{turns:?}"), "Turns { .. }");
    }

    fn end<T>(runtime: &Runtime, call: impl Future<Output = T>) -> Result<T, Elapsed> {
        runtime.block_on(async { timeout(Duration::from_secs(20), call).await })
    }

    #[test]
    fn where_no_thread_can_be_started_a_call_fails_and_no_other() {
        let runs = Builder::new_current_thread().enable_time().build().unwrap();
        // No thread with such a stack can be started.
        let starved = Builder::new_current_thread().enable_time().thread_stack_size(1 << 46).build().unwrap();
        let turns = Arc::new(Turns::default());
        let enter = |until| turns.clone().enter(move |answer| Held { until, answer });
        let (go, until) = mpsc::channel();
        let mut calls = [enter(Some(until)), enter(None), enter(None), enter(None)].map(Box::pin);
        for (call, runtime) in calls.iter_mut().zip([&runs, &starved, &starved, &runs]) {
            begin(runtime, call.as_mut());
        }
        go.send(()).unwrap();
        let carried_out = calls.map(|call| end(&runs, call).unwrap().is_ok());
        assert_eq!(carried_out, [true, false, false, true]);
        // Nobody has the turn any more.
        assert!(end(&starved, enter(None)).unwrap().is_err());
        assert!(end(&runs, enter(None)).unwrap().is_ok());
    }
}
