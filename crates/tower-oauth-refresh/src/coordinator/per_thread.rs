//! Copies of a value, so that threads do not contend for the count of its holders.
//!
//! Cloning one `Arc` (or one header value) on every request from two cores makes each wait for the other's
//! cache line, which costs as much as all else that is done to attach a token. Each thread keeps to a copy of
//! its own instead; where there are more threads than copies, some share one.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// One value of every thread.
#[derive(Debug)]
pub(crate) struct PerThread<T> {
    first: T,
    others: Box<[T]>,
}

/// More cores than this share copies: they cost memory.
const MAX_COPIES: usize = 16;

static COPIES: LazyLock<usize> =
    LazyLock::new(|| available_parallelism().map_or(1, usize::from).min(MAX_COPIES));

thread_local! {
    static NUMBER: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % *COPIES
    };
}

impl<T> PerThread<T> {
    pub(crate) fn new(mut copy: impl FnMut() -> T) -> Self {
        Self { first: copy(), others: (1..*COPIES).map(|_| copy()).collect() }
    }

    /// The copy of this thread.
    pub(crate) fn mine(&self) -> &T {
        // A thread that is ending has no number any more.
        let number = NUMBER.try_with(|number| *number).unwrap_or(0);
        self.others.get(number).unwrap_or(&self.first)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_keeps_to_one_copy_and_others_take_another() {
        let mut number = 0;
        let copies = PerThread::new(|| {
            number += 1;
            number
        });
        let taken: HashSet<_> = thread::scope(|scope| {
            let takers: Vec<_> = (0..32)
                .map(|_| {
                    scope.spawn(|| {
                        let mine = *copies.mine();
                        assert!((0..10).all(|_| *copies.mine() == mine));
                        mine
                    })
                })
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), *COPIES);
    }
}
