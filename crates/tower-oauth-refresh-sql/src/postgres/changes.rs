//! Who changed what, between processes.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sqlx::Executor as _;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tokio::runtime::Handle;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tower_oauth_refresh::{BoxStream, KeyDigest};

const CHANNEL: &str = "tower_oauth_refresh";
const TELL: &str = "SELECT pg_notify($1, digest) FROM unnest($2::text[]) AS digest";
/// More than a process writes while one statement runs; what is over it, waiters find by polling.
const MOST: usize = 1024;

/// A connection on which nothing was heard for so long may be dead, and nobody would tell.
const QUIET: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(10);
/// Before the next try to connect, doubling.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// One task that listens, shared by all who wait, and one that tells, while there is something to tell. The first
/// ends with the store, and with the first change that nobody waits for.
#[derive(Debug)]
pub(super) struct Changes {
    heard: broadcast::Sender<KeyDigest>,
    listener: Arc<Mutex<Option<AbortHandle>>>,
    outbox: Arc<Mutex<Outbox>>,
}

#[derive(Debug, Default)]
struct Outbox {
    digests: Vec<KeyDigest>,
    is_told: bool,
}

impl Changes {
    /// Without a runtime there is nobody to listen.
    pub(super) fn subscribe(&self, pool: &PgPool) -> Option<BoxStream<'static, KeyDigest>> {
        let runtime = Handle::try_current().ok()?;
        let subscription = self.heard.subscribe();
        let mut listener = locked(&self.listener);
        // Its runtime may have ended before the store.
        if listener.as_ref().is_none_or(AbortHandle::is_finished) {
            let ear = Ear { heard: self.heard.clone(), listener: self.listener.clone() };
            *listener = Some(runtime.spawn(listen(pool.clone(), ear)).abort_handle());
        }
        Some(stream::unfold(subscription, next).boxed())
    }

    /// Tells everybody who listens, soon.
    pub(super) fn tell(&self, pool: &PgPool, changed: impl IntoIterator<Item = KeyDigest>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut outbox = locked(&self.outbox);
        let room = MOST.saturating_sub(outbox.digests.len());
        outbox.digests.extend(changed.into_iter().take(room));
        let is_told = mem::replace(&mut outbox.is_told, true);
        // A runtime that is ending drops the task at once, and that one takes the outbox to give it back.
        drop(outbox);
        if !is_told {
            let telling = Telling { outbox: self.outbox.clone(), is_given_back: false };
            drop(runtime.spawn(tell(pool.clone(), telling)));
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self { heard: broadcast::channel(MOST).0, listener: Arc::default(), outbox: Arc::default() }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if let Some(listener) = locked(&self.listener).take() {
            listener.abort();
        }
    }
}

async fn next(
    mut subscription: broadcast::Receiver<KeyDigest>,
) -> Option<(KeyDigest, broadcast::Receiver<KeyDigest>)> {
    loop {
        match subscription.recv().await {
            Ok(key) => return Some((key, subscription)),
            // Too slow, and some were missed.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

/// The right to empty the outbox, given back however its task ends.
struct Telling {
    outbox: Arc<Mutex<Outbox>>,
    is_given_back: bool,
}

impl Telling {
    /// `None`: the outbox is empty, and whoever fills it again has to begin anew.
    fn take(&mut self) -> Option<Vec<KeyDigest>> {
        let mut outbox = locked(&self.outbox);
        outbox.is_told = !outbox.digests.is_empty();
        self.is_given_back = !outbox.is_told;
        outbox.is_told.then(|| mem::take(&mut outbox.digests))
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        // Otherwise its runtime ended under it.
        if !self.is_given_back {
            locked(&self.outbox).is_told = false;
        }
    }
}

async fn tell(pool: PgPool, mut telling: Telling) {
    while let Some(digests) = telling.take() {
        // What was written is written: nobody is to hear of this.
        let payloads: Vec<_> = digests.into_iter().map(payload).collect();
        let _ = sqlx::query(TELL).bind(CHANNEL).bind(payloads).execute(&pool).await;
    }
}

/// A digest as it stands in a notification.
fn payload(digest: KeyDigest) -> String {
    format!("{:032x}", digest.to_bits())
}

fn read(told: &str) -> Option<KeyDigest> {
    let digest = KeyDigest::from_bits(u128::from_str_radix(told, 16).ok()?);
    (payload(digest) == told).then_some(digest)
}

/// Who is told of what a listener hears.
struct Ear {
    heard: broadcast::Sender<KeyDigest>,
    listener: Arc<Mutex<Option<AbortHandle>>>,
}

impl Ear {
    /// `false`: nobody waits, and whoever waits next starts another listener.
    fn hear(&self, told: &str) -> bool {
        if read(told).is_none_or(|digest| self.heard.send(digest).is_ok()) {
            return true;
        }
        // Before this lock somebody may have begun to wait.
        let mut listener = locked(&self.listener);
        let is_waited_for = self.heard.receiver_count() > 0;
        if !is_waited_for {
            *listener = None;
        }
        is_waited_for
    }
}

/// Why a connection is no longer listened to.
enum End {
    Lost,
    Unwanted,
}

async fn listen(pool: PgPool, ear: Ear) {
    let listening = async {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok(mut listener) = connect(&pool).await {
                pause = FIRST_PAUSE;
                if let End::Unwanted = hear(&mut listener, &ear).await {
                    return;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    // Not one of its connections, but nobody is left to wait.
    let _: Result<(), _> = pool.close_event().do_until(listening).await;
}

/// Not one of the pool's connections, of which there may be only one.
async fn connect(pool: &PgPool) -> sqlx::Result<PgListener> {
    let own = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let own = own.connect_lazy_with(pool.connect_options().as_ref().clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.ignore_pool_close_event(true);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Until the connection is lost for good, or nobody waits any more.
async fn hear(listener: &mut PgListener, ear: &Ear) -> End {
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(told))) if !ear.hear(told.payload()) => return End::Unwanted,
            // Told, or lost and there again.
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return End::Lost,
            Err(_) => match timeout(ANSWER, listener.execute("SELECT 1")).await {
                Ok(Ok(_)) => {}
                _ => return End::Lost,
            },
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
