//! What is still to come: one fault a request, then the standing one.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(crate) struct Script<F>(Mutex<Lines<F>>);

#[derive(Debug)]
struct Lines<F> {
    queue: VecDeque<F>,
    standing: Option<F>,
}

impl<F: Clone> Script<F> {
    pub(crate) fn push(&self, fault: F) {
        self.lines().queue.push_back(fault);
    }

    pub(crate) fn stand(&self, fault: F) {
        self.lines().standing = Some(fault);
    }

    pub(crate) fn clear(&self) {
        let mut lines = self.lines();
        lines.queue.clear();
        lines.standing = None;
    }

    pub(crate) fn next(&self) -> Option<F> {
        let mut lines = self.lines();
        lines.queue.pop_front().or_else(|| lines.standing.clone())
    }

    fn lines(&self) -> MutexGuard<'_, Lines<F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Default for Script<F> {
    fn default() -> Self {
        Self(Mutex::new(Lines { queue: VecDeque::new(), standing: None }))
    }
}
