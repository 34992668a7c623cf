//! The one door to code that is not ours.
//!
//! Stores, transports, clocks, closures, wakers and the subscribers of a log belong to others. Any call of them may
//! panic, and so may the drop of what they hand over. A panic that unwinds a refresh would take a received token
//! set with it, so whoever works on a credential makes such calls through here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// The call panicked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panicked;

/// Calls `code`.
pub(crate) fn call<T>(code: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        // What was thrown is not ours either.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            #[expect(clippy::mem_forget, reason = "its drop would panic as well, and so on")]
            std::mem::forget(again);
        }
        Panicked
    })
}

/// Polls `future`. Its panic is the output, and its drop panics nowhere.
pub(crate) fn guarded<F: Future>(future: F) -> Guarded<F> {
    Guarded(Some(Box::pin(future)))
}

/// See [`guarded`].
#[derive(Debug)]
pub(crate) struct Guarded<F>(Option<Pin<Box<F>>>);

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.0 else { return Poll::Ready(Err(Panicked)) };
        let polled = call(|| future.as_mut().poll(cx));
        if matches!(polled, Ok(Poll::Pending)) {
            return Poll::Pending;
        }
        // Not within the poll: a panic of its drop would take the output with it.
        let future = self.0.take();
        let _ = call(|| drop(future));
        polled.map_or_else(|panicked| Poll::Ready(Err(panicked)), |polled| polled.map(Ok))
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        let future = self.0.take();
        let _ = call(|| drop(future));
    }
}

/// A value whose drop may panic, and does so nowhere.
#[derive(Debug)]
pub(crate) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        let _ = call(|| drop(value));
    }
}

/// Wakes whoever `waker` wakes, and panics nowhere: one of many that wait must not keep the others from being woken.
pub(crate) fn contained(waker: &Waker) -> Waker {
    Waker::from(Arc::new(ContainedWaker(Contained::new(waker.clone()))))
}

struct ContainedWaker(Contained<Waker>);

impl Wake for ContainedWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let _ = call(|| self.0.get().map(Waker::wake_by_ref));
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;

    use super::*;

    /// Panics when it is dropped, with one like it.
    #[derive(Debug)]
    struct Bomb(u32);

    impl Drop for Bomb {
        fn drop(&mut self) {
            if let Some(left) = self.0.checked_sub(1) {
                std::panic::panic_any(Self(left));
            }
        }
    }

    #[test]
    fn no_panic_of_a_call_or_of_what_it_threw_comes_through() {
        assert!(call(|| std::panic::panic_any(Bomb(3))).is_err());
        assert!(matches!(call(|| 1), Ok(1)));
        drop(Contained::new(Bomb(1)));
    }

    #[test]
    fn the_output_of_a_future_outlives_a_panic_of_its_drop() {
        let bomb = Bomb(1);
        let future = std::future::poll_fn(move |_| {
            let _ = &bomb;
            Poll::Ready(1)
        });
        assert!(matches!(guarded(future).now_or_never(), Some(Ok(1))));
        let bomb = Bomb(1);
        let never = async move {
            let _bomb = bomb;
            pending::<()>().await;
        };
        assert!(guarded(never).now_or_never().is_none());
        let panics = ready(()).map(|()| panic!("polled"));
        assert!(matches!(guarded(panics).now_or_never(), Some(Err::<(), _>(_))));
    }

    #[test]
    fn a_waker_that_panics_wakes_quietly() {
        struct Loud;
        impl Wake for Loud {
            fn wake(self: Arc<Self>) {
                panic!("woken");
            }
        }
        let waker = contained(&Waker::from(Arc::new(Loud)));
        waker.wake_by_ref();
        waker.wake();
    }
}
