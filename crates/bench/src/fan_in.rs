//! Fan-in: many callers of one refresh, and what each of them costs.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, oneshot};
use tower_oauth_refresh::CredentialKey;

use crate::Failure;
use crate::timing::wall;
use crate::world::{Endpoint, KEY};

/// How callers wait.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Way {
    /// A channel of one message: the least that does what ours does.
    Broadcast,
    /// `futures::Shared`, for reference.
    Shared,
    /// [`tower_oauth_refresh::RefreshCoordinator::token`], of callers that have the key.
    Ours,
}

/// All ways, in the order of the table.
pub const WAYS: [Way; 3] = [Way::Broadcast, Way::Shared, Way::Ours];

type Waiting = Pin<Box<dyn Future<Output = bool> + Send>>;

/// What releases the callers.
enum Release {
    Broadcast(broadcast::Sender<Arc<str>>),
    Shared(oneshot::Sender<Arc<str>>),
    Ours(Endpoint),
}

impl Release {
    fn now(self) {
        match self {
            Self::Broadcast(sender) => drop(sender.send("token".into())),
            Self::Shared(sender) => drop(sender.send("token".into())),
            Self::Ours(endpoint) => endpoint.release(),
        }
    }
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);

impl Way {
    /// `callers` that wait, and what lets them go. `None`: they have no token at all.
    fn callers(self, runtime: &Runtime, callers: usize) -> Result<(Vec<Waiting>, Release), Failure> {
        Ok(match self {
            Self::Broadcast => {
                let (sender, _) = broadcast::channel(1);
                let each = || -> Waiting {
                    let mut receiver = sender.subscribe();
                    Box::pin(async move { receiver.recv().await.is_ok() })
                };
                ((0..callers).map(|_| each()).collect(), Release::Broadcast(sender))
            }
            Self::Shared => {
                let (sender, receiver) = oneshot::channel::<Arc<str>>();
                let shared = receiver.shared();
                let each = || -> Waiting { Box::pin(shared.clone().map(|told| told.is_ok())) };
                ((0..callers).map(|_| each()).collect(), Release::Shared(sender))
            }
            Self::Ours => {
                let endpoint = Endpoint::held(YEAR);
                let coordinator = endpoint.coordinator(|builder| builder)?;
                runtime.block_on(coordinator.install(KEY, Endpoint::login(Duration::ZERO)))?;
                let key = CredentialKey::from(KEY);
                let each = || -> Waiting {
                    let (coordinator, key) = (coordinator.clone(), key.clone());
                    Box::pin(async move { coordinator.token(key).await.is_ok() })
                };
                ((0..callers).map(|_| each()).collect(), Release::Ours(endpoint))
            }
        })
    }
}

/// The moment the first caller was woken.
#[derive(Default)]
struct First {
    at: OnceLock<Instant>,
    woken: AtomicBool,
}

impl Wake for First {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Relaxed) {
            self.at.get_or_init(wall);
        }
    }
}

/// Seconds for a caller between the first of them being woken and the last having its token, all polled by
/// hand on one thread.
///
/// # Errors
///
/// Where a caller got none.
pub fn resume(way: Way, callers: usize) -> Result<f64, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut waiting, release) = way.callers(&runtime, callers)?;
    let first = Arc::new(First::default());
    let waker = Waker::from(first.clone());
    let mut context = Context::from_waker(&waker);
    let entered = runtime.enter();
    for caller in &mut waiting {
        if caller.as_mut().poll(&mut context).is_ready() {
            return Err("a caller did not wait".into());
        }
    }
    release.now();
    drop(entered);
    runtime.block_on(async {
        while first.at.get().is_none() {
            tokio::task::yield_now().await;
        }
    });
    let _entered = runtime.enter();
    for caller in &mut waiting {
        if caller.as_mut().poll(&mut context) != Poll::Ready(true) {
            return Err("a caller got nothing".into());
        }
    }
    let began = first.at.get().copied().unwrap_or_else(wall);
    Ok(began.elapsed().as_secs_f64() / f64::from(u32::try_from(callers)?))
}

/// Seconds until the last of so many tasks on two workers has its token.
///
/// # Errors
///
/// Where a caller got none.
pub fn tasks(way: Way, callers: usize) -> Result<f64, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (waiting, release) = way.callers(&runtime, callers)?;
    let polled = Arc::new(tokio::sync::Semaphore::new(0));
    let each = |mut caller: Waiting| {
        let polled = polled.clone();
        runtime.spawn(async move {
            let mut seen = false;
            std::future::poll_fn(move |context| {
                let poll = caller.as_mut().poll(context);
                if !std::mem::replace(&mut seen, true) {
                    polled.add_permits(1);
                }
                poll
            })
            .await
        })
    };
    let tasks: Vec<_> = waiting.into_iter().map(each).collect();
    runtime.block_on(async {
        polled.acquire_many(u32::try_from(callers)?).await?.forget();
        let began = wall();
        release.now();
        for task in tasks {
            if !task.await? {
                return Err("a caller got nothing".into());
            }
        }
        Ok(began.elapsed().as_secs_f64())
    })
}

/// How often the endpoint is asked for the token that so many callers lack.
///
/// # Errors
///
/// Where a caller got none.
pub fn refreshes(callers: usize) -> Result<usize, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let endpoint = Endpoint::of(YEAR);
    let coordinator = endpoint.coordinator(|builder| builder)?;
    runtime.block_on(async {
        coordinator.install(KEY, Endpoint::login(Duration::ZERO)).await?;
        let each = |_| {
            let coordinator = coordinator.clone();
            runtime.spawn(async move { coordinator.token(KEY).await })
        };
        let tasks: Vec<_> = (0..callers).map(each).collect();
        for task in tasks {
            task.await??;
        }
        Ok(endpoint.asked())
    })
}

/// What one caller needs while it waits, beyond its future: allocations; and the bytes of its future.
///
/// # Errors
///
/// What making callers says.
pub fn waiter(way: Way, measure: impl Fn(&mut dyn FnMut()) -> u64) -> Result<(u64, usize), Failure> {
    const CALLERS: usize = 1000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut waiting, release) = way.callers(&runtime, CALLERS + 1)?;
    let mut context = Context::from_waker(Waker::noop());
    let bytes = waiting.first().map_or(0, |caller| size_of_val(&**caller));
    let _entered = runtime.enter();
    let (first, others) = waiting.split_first_mut().ok_or("no callers")?;
    // The flight, and what only its first caller does.
    let mut stayed = first.as_mut().poll(&mut context).is_pending();
    let allocations = measure(&mut || {
        for caller in &mut *others {
            stayed &= caller.as_mut().poll(&mut context).is_pending();
        }
    });
    release.now();
    if stayed { Ok((allocations / CALLERS as u64, bytes)) } else { Err("a caller did not wait".into()) }
}
