//! Many callers of one refresh.

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, broadcast};
use tower_oauth_refresh::{AccessToken, ClientAuth, RefreshCoordinator, RefreshError, TokenSet};

use crate::Failure;
use crate::hot::KEY;
use crate::times::{median, thread_time};
use crate::verdict::Table;

/// A token endpoint that counts, and answers when it is told to.
struct Endpoint {
    requests: AtomicU32,
    may_answer: Semaphore,
}

struct Herd {
    runtime: Runtime,
    endpoint: Arc<Endpoint>,
    coordinator: Arc<RefreshCoordinator>,
}

type Waiting = Pin<Box<dyn Future<Output = Result<AccessToken, RefreshError>>>>;

impl Herd {
    /// A credential whose token has expired.
    fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = Arc::new(Endpoint { requests: AtomicU32::new(0), may_answer: Semaphore::new(0) });
        let server = endpoint.clone();
        let service = tower::service_fn(move |_: Request<Full<Bytes>>| {
            let server = server.clone();
            async move {
                server.requests.fetch_add(1, Ordering::Relaxed);
                drop(server.may_answer.acquire().await);
                let answer =
                    br#"{"access_token":"new","token_type":"Bearer","expires_in":3600,"refresh_token":"r"}"#;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(answer))))
            }
        });
        let uri = Uri::from_static("https://auth.example/token");
        let coordinator = RefreshCoordinator::builder(uri, ClientAuth::none("bench")).build(service)?;
        let login = TokenSet::new("old").with_refresh_token("rt").with_expires_in(Duration::ZERO);
        runtime.block_on(coordinator.install(KEY, login))?;
        Ok(Self { runtime, endpoint, coordinator })
    }

    /// So many callers that wait, and a refresh that has its answer and has not been told to look.
    fn waiting(&self, callers: usize) -> Vec<Waiting> {
        let _entered = self.runtime.enter();
        let mut all: Vec<Waiting> = (0..callers)
            .map(|_| {
                let coordinator = self.coordinator.clone();
                Box::pin(async move { coordinator.token(KEY).await }) as Waiting
            })
            .collect();
        all.iter_mut().for_each(|one| assert!(poll(one).is_none(), "it waits"));
        all
    }

    /// Lets the endpoint answer, and sees the refresh through.
    fn answer(&self) -> Result<(), Failure> {
        self.endpoint.may_answer.add_permits(1);
        self.runtime.block_on(self.coordinator.token(KEY))?;
        Ok(())
    }
}

fn poll<T>(one: &mut Pin<Box<dyn Future<Output = T>>>) -> Option<T> {
    match one.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// One request to the token endpoint, for however many.
///
/// # Errors
///
/// What building a coordinator says.
pub fn requests(table: &mut Table) -> Result<(), Failure> {
    for callers in [10, 1_000, 100_000] {
        let herd = Herd::new()?;
        let mut waiting = herd.waiting(callers);
        herd.answer()?;
        let served = waiting.iter_mut().filter_map(poll).filter(Result::is_ok).count();
        let requests = f64::from(herd.endpoint.requests.load(Ordering::Relaxed));
        let all = if served == callers { requests } else { f64::INFINITY };
        table.at_most(format!("token requests for {callers} callers, all served"), all, 1.0, "");
    }
    Ok(())
}

/// What a caller costs while it waits.
///
/// # Errors
///
/// What building a coordinator says.
pub fn waiters(table: &mut Table) -> Result<(), Failure> {
    let herd = Herd::new()?;
    let _first = herd.waiting(1);
    let _entered = herd.runtime.enter();
    let mut one: Waiting = Box::pin({
        let coordinator = herd.coordinator.clone();
        async move { coordinator.token(KEY).await }
    });
    let used = allocation_counter::measure(|| assert!(poll(&mut one).is_none(), "it waits"));
    table.at_most("a waiter: allocations", used.count_total as f64, 0.0, "");
    Ok(())
}

const ROUNDS: usize = 21;

/// The time until the last of many has its token, against a channel alone.
///
/// # Errors
///
/// What building a coordinator says.
pub fn resume(table: &mut Table) -> Result<(), Failure> {
    println!("{:<26} {:>12} {:>12}", "resuming a waiter, ns", "ours", "channel");
    for callers in [10, 1_000, 100_000] {
        let rounds = if callers > 10_000 { 5 } else { ROUNDS };
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let herd = Herd::new()?;
            let mut waiting = herd.waiting(callers);
            herd.answer()?;
            ours.push(spent(callers, || waiting.iter_mut().for_each(|one| drop(black_box(poll(one))))));
            floor.push(channel(callers));
        }
        let (ours, floor) = (median(ours), median(floor));
        println!("{callers:<26} {ours:>12.0} {floor:>12.0}");
        table.at_most(
            format!("resuming {callers} waiters: of the channel's time"),
            ours / floor,
            1.05,
            "times",
        );
    }
    println!();
    Ok(())
}

fn channel(callers: usize) -> f64 {
    let (sender, _) = broadcast::channel::<Result<Arc<AccessToken>, RefreshError>>(1);
    let mut waiting: Vec<Pin<Box<dyn Future<Output = Option<AccessToken>>>>> = (0..callers)
        .map(|_| {
            let mut told = sender.subscribe();
            Box::pin(async move { told.recv().await.ok()?.ok().map(|token| AccessToken::clone(&token)) })
                as Pin<Box<_>>
        })
        .collect();
    waiting.iter_mut().for_each(|one| drop(poll(one)));
    let _ = sender.send(Ok(Arc::new(AccessToken::from("new"))));
    spent(callers, || waiting.iter_mut().for_each(|one| drop(black_box(poll(one)))))
}

fn spent(callers: usize, work: impl FnOnce()) -> f64 {
    let before = thread_time();
    work();
    (thread_time() - before).as_nanos() as f64 / callers as f64
}
