//! A gate that holds requests until the test opens it.
//!
//! Tests that sleep are slow where they pass and wrong where the machine is busy. A gate says when the
//! request has *arrived*, and lets it go on when the test has done what it wanted to do meanwhile.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Holds whoever reaches it until [`release`](Self::release). Clones are the same gate.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tower_oauth_refresh_testkit::Gate;
///
/// let gate = Gate::new();
/// let held = tokio::task::spawn({ let gate = gate.clone(); async move { gate.hold().await } });
/// gate.arrived().await;
/// assert!(!held.is_finished());
/// gate.release();
/// held.await.unwrap();
/// # }
/// ```
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    arrived: usize,
    /// Those who came up to this number may pass.
    admitted: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// Waits until somebody has reached the gate.
    pub async fn arrived(&self) {
        self.arrivals(1).await;
    }

    /// Waits until `count` in all have reached the gate.
    pub async fn arrivals(&self, count: usize) {
        // The sender lives in `self`, so the channel cannot close meanwhile.
        let _ = self.0.subscribe().wait_for(|state| state.arrived >= count).await;
    }

    /// How many have reached the gate so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.borrow().arrived
    }

    /// Opens the gate for good.
    pub fn release(&self) {
        self.0.send_modify(|state| state.open = true);
    }

    /// Lets the next one pass, in the order of arrival, and stays closed for the others.
    pub fn release_one(&self) {
        self.0.send_modify(|state| state.admitted += 1);
    }

    /// Reaches the gate and waits until it opens: for fakes of your own.
    pub async fn hold(&self) {
        let mut state = self.0.subscribe();
        let mut ticket = 0;
        self.0.send_modify(|state| {
            state.arrived += 1;
            ticket = state.arrived;
        });
        let _ = state.wait_for(|state| state.open || state.admitted >= ticket).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&*self.0.borrow()).finish()
    }
}
