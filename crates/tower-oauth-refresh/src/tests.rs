//! What the tests of several modules use.

pub(crate) mod captured_log;
mod shown;

use std::time::Duration;

use crate::{EventKind, Events};

/// Nothing that a test waits for takes longer, on a busy machine or in paused time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Fails a test that would hang: at once where tokio's clock is paused.
pub(crate) async fn within<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, awaited).await.expect("what the test waits for does not come")
}

/// Reads events up to the first of this kind.
pub(crate) async fn until(events: &mut Events, is_it: impl Fn(&EventKind) -> bool) {
    within(async { while !is_it(&events.next().await.unwrap().kind) {} }).await;
}
