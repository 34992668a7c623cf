//! Many callers that find the token expired at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::source::Source;
use super::{Callers, runtime};
use crate::Failure;
use crate::timing::cpu;

/// A client at the end of its token.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtEnd {
    /// The source to begin with.
    pub(super) source: fn() -> Arc<Source>,
    pub(super) callers: fn(&Runtime, &Arc<Source>) -> Result<Callers, Failure>,
}

/// What it came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    /// Questions to the source.
    pub(super) asked: usize,
    /// The processor's seconds for a caller, from the answer until the last caller had its token.
    pub(super) each: f64,
}

/// As tasks on one thread: what they wait for, and the source, are on it too.
pub(super) fn meet(at_end: AtEnd, callers: u32) -> Result<Met, Failure> {
    let runtime = runtime()?;
    let source = (at_end.source)();
    let call = (at_end.callers)(&runtime, &source)?;
    runtime.block_on(async {
        let before = source.asked();
        let left = Arc::new(AtomicUsize::new(callers.try_into()?));
        let (sender, last) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        for _ in 0..callers {
            let (call, left, sender) = (call(), left.clone(), sender.clone());
            runtime.spawn(async move {
                if call.await
                    && left.fetch_sub(1, Ordering::Relaxed) == 1
                    && let Some(sender) = sender.lock().ok().and_then(|mut sender| sender.take())
                {
                    // Whoever waits for it is there until it has come.
                    sender.send(cpu()).ok();
                }
            });
        }
        settle(&source).await;
        source.release();
        drop(sender);
        let last = last.await.map_err(|_| "a caller got nothing")?;
        let answered = source.answered().ok_or("nothing was answered")?;
        let each = (last - answered).as_secs_f64() / f64::from(callers);
        Ok(Met { asked: source.asked() - before, each })
    })
}

/// Until nobody has come for a while. In real time, for some clients ask over a real connection; nothing is measured yet.
async fn settle(source: &Source) {
    let (mut quiet, mut seen) = (0, 0);
    while seen == 0 || quiet < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let asked = source.asked();
        quiet = if asked == seen { quiet + 1 } else { 0 };
        seen = asked;
    }
}
