//! One history: a coordinator, whose store and server answer when they are told to.

mod act;
mod check;
mod far;

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::runtime::Runtime;

pub(super) use self::act::{Act, Begin};
use self::far::{Call, Far, Gated, Gates, Hand, What, service};
use super::super::*;
use crate::coordinator::slot::Told;

const SHORT: Duration = Duration::from_millis(700);
const LONG: Duration = Duration::from_secs(6);
const EXCHANGE_LIMIT: Duration = Duration::from_secs(4);
const WAIT_LIMIT: Duration = Duration::from_secs(45);
/// Of the runtime, until everything has happened that can.
const TURNS: usize = 12;
/// Undisturbed, every history has ended by then.
const STEPS: usize = 300;

pub(super) struct Room {
    pub(super) story: Vec<Act>,
    /// The choices that repeat it.
    pub(super) history: Vec<usize>,
    begin: Begin,
    runtime: Option<Runtime>,
    coordinator: Arc<RefreshCoordinator>,
    slot: Arc<Slot>,
    gates: Arc<Gates>,
    far: Arc<Mutex<Far>>,
    hand: Arc<Hand>,
    asking: Vec<Asking>,
    flights: usize,
    logout: Option<Task<Result<Logout, RefreshError>>>,
    install: Option<Task<Result<Generation, RefreshError>>>,
    shutdown: Option<Task<bool>>,
    /// What the last request was told that waited.
    told: Option<Result<String, RefreshError>>,
    /// Logins that had begun when it was asked to log out.
    logins: usize,
    /// How the logout ended.
    ended: Option<Logout>,
    /// Is the shutdown over?
    closed: bool,
}

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A request that waits.
struct Asking {
    /// Of which flight.
    flight: usize,
    waiting: Task<Told>,
}

impl Room {
    pub(super) fn new(begin: Begin) -> Self {
        let (gates, far, hand) =
            (Arc::<Gates>::default(), Arc::<Mutex<Far>>::default(), Arc::<Hand>::default());
        let records = MemoryStore::with_clock(hand.clone());
        let uri = http::Uri::from_static;
        let store = Gated { gates: gates.clone(), far: far.clone(), records };
        let coordinator = RefreshCoordinator::builder(uri("https://as.example/token"), ClientAuth::none("c"))
            .revocation_endpoint(uri("https://as.example/revoke"))
            .exchange_limit(EXCHANGE_LIMIT)
            .wait_limit(WAIT_LIMIT)
            .clock(hand.clone())
            .store(store)
            .build(service(gates.clone(), far.clone()))
            .unwrap();
        let slot = coordinator.slot(&"k".into());
        let mut room = Self {
            story: Vec::new(),
            history: Vec::new(),
            begin,
            runtime: Some(runtime()),
            coordinator,
            slot,
            gates,
            far,
            hand,
            asking: Vec::new(),
            flights: 0,
            logout: None,
            install: None,
            shutdown: None,
            told: None,
            logins: 0,
            ended: None,
            closed: false,
        };
        room.gates.open.store(true, Ordering::SeqCst);
        let lifetime = if begin == Begin::Due { SECOND * 1000 } else { Duration::ZERO };
        let tokens = room.with_far(|far| far.log_in(lifetime));
        let install = room.coordinator.install("k", tokens);
        room.runtime.as_ref().unwrap().block_on(install).unwrap();
        room.gates.open.store(false, Ordering::SeqCst);
        if begin == Begin::Due {
            room.pass(SECOND * 950);
        }
        room.play(Act::Ask);
        room
    }

    pub(super) fn play(&mut self, act: Act) {
        self.story.push(act);
        let context = self.runtime.as_ref().unwrap().handle().clone();
        let entered = context.enter();
        match act {
            Act::Go if self.gates.calls().is_empty() => {
                drop(entered);
                self.pass(SHORT);
                return self.settle();
            }
            Act::Go | Act::Linger => drop(self.gates.end_oldest(act)),
            Act::Fail | Act::FailAfter | Act::Panic | Act::InvalidGrant => self.hurt(act),
            Act::Overtake => self.gates.end_newest(),
            Act::Ask => {
                let new = !self.flies();
                match self.coordinator.token_for(&self.slot) {
                    Token::Wait(waiter) => self.ask(waiter, new),
                    Token::Ready(_) | Token::Fail(_) => {}
                }
            }
            Act::Refused => {
                let (used, new) = (self.slot.current.load_full(), !self.flies());
                if let Some(used) = used
                    && let Refusal::Wait(waiter) =
                        self.coordinator.refused(&self.slot, used.id(), OriginId::default())
                {
                    self.ask(waiter, new);
                }
            }
            Act::DropFirst => drop(self.asking.remove(0)),
            Act::DropLast => drop(self.asking.pop()),
            Act::Logout => {
                let coordinator = self.coordinator.clone();
                self.logins = self.with_far(|far| far.logins.len());
                self.logout = Some(Box::pin(async move { coordinator.logout("k").await }));
            }
            Act::Install => {
                let (coordinator, tokens) = (self.coordinator.clone(), self.with_far(|far| far.log_in(HOUR)));
                self.install = Some(Box::pin(async move { coordinator.install("k", tokens).await }));
            }
            Act::Shutdown => {
                let coordinator = self.coordinator.clone();
                self.shutdown = Some(Box::pin(async move { coordinator.shutdown(WAIT_LIMIT).await }));
            }
            Act::Short | Act::Long => {
                drop(entered);
                self.pass(if act == Act::Short { SHORT } else { LONG });
                return self.settle();
            }
            Act::Abort => {
                drop(entered);
                return self.abort();
            }
            Act::End => {}
        }
        drop(entered);
        self.settle();
    }

    fn ask(&mut self, waiter: Waiter, new: bool) {
        self.flights += usize::from(new);
        self.asking.push(Asking { flight: self.flights, waiting: Box::pin(async { waiter.wait().await }) });
    }

    fn hurt(&mut self, act: Act) {
        let (what, done) = self.gates.end_oldest(act);
        let loses = match what {
            // The answer is lost, or the grant is dead.
            What::Send => done || matches!(act, Act::FailAfter | Act::InvalidGrant),
            What::Revoke => true,
            What::Load | What::Swap => false,
        };
        self.with_far(|far| far.excused |= loses);
    }

    fn abort(&mut self) {
        self.with_far(|far| far.excused |= !far.lost().is_empty());
        drop(self.runtime.take());
        self.gates.calls().clear();
        self.runtime = Some(runtime());
        self.settle();
        // The operations went with the runtime that ran them.
        self.check(self.asking.is_empty(), "a waiter outlives the runtime of its flight");
        self.check(!self.flies(), "a flight outlives its runtime");
    }

    fn pass(&mut self, time: Duration) {
        self.hand.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
        self.runtime.as_ref().unwrap().block_on(tokio::time::advance(time));
    }

    /// Lets everything happen that now can, and looks.
    fn settle(&mut self) {
        let context = self.runtime.take().unwrap();
        context.block_on(async {
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
        });
        let entered = context.enter();
        self.hear();
        if let Some(Ok(told)) = poll(&mut self.logout) {
            self.ended = Some(told);
        }
        poll(&mut self.install);
        if let Some(all) = poll(&mut self.shutdown) {
            self.closed = all;
        }
        drop(entered);
        self.runtime = Some(context);
        // Nobody waits for it any more: what was to be revoked has not been, and an answer is lost.
        let loses = |call: &Call| call.end.is_closed() && (call.what == What::Revoke || call.done);
        let loses = self.gates.calls().iter().any(loses);
        self.with_far(|far| far.excused |= loses);
        self.gates.calls().retain(|call| !call.end.is_closed());
        self.look();
    }

    /// Waiters of one flight that are told at once are told the same, and all of them are.
    fn hear(&mut self) {
        let mut told: Vec<(usize, Option<String>)> = Vec::new();
        let mut still = Vec::new();
        for mut asking in std::mem::take(&mut self.asking) {
            let outcome = match asking.waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(told) => {
                    let told = told.map(|current| bearer(&current));
                    self.told = Some(told.clone());
                    Some(told.unwrap_or_else(|error| format!("{:?}", error.kind())))
                }
                Poll::Pending => None,
            };
            // Its own time limit is nobody else's.
            if outcome.as_deref() != Some("TimedOut") {
                told.push((asking.flight, outcome.clone()));
            }
            if outcome.is_none() {
                still.push(asking);
            }
        }
        self.asking = still;
        let cut =
            [Act::Abort, Act::Panic, Act::Install, Act::Logout].iter().any(|act| self.story.contains(act));
        let aborted = told.iter().any(|(_, outcome)| outcome.as_deref() == Some("Aborted"));
        self.check(cut || !aborted, "a waiter is told of an end that nothing brought about");
        let same = |(flight, outcome): &(usize, Option<String>)| {
            told.iter().all(|(other, also)| other != flight || also == outcome)
        };
        self.check(
            told.iter().all(same),
            &format!("waiters of one flight are told different things: {told:?}"),
        );
    }

    fn flies(&self) -> bool {
        self.slot.state().flight.is_some()
    }

    fn is_operating(&self) -> bool {
        self.logout.is_some() || self.install.is_some() || self.shutdown.is_some()
    }

    fn with_far<T>(&self, look: impl FnOnce(&mut Far) -> T) -> T {
        look(&mut self.far.lock().unwrap())
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn bearer(current: &Current) -> String {
    current.access_token().expose_secret().to_owned()
}

fn poll<T>(task: &mut Option<Task<T>>) -> Option<T> {
    match task.as_mut()?.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ended) => {
            *task = None;
            Some(ended)
        }
        Poll::Pending => None,
    }
}
