//! A process that stands still for a while and does not know it.

use std::time::Duration;

use rustix::process::Signal;
use tower_oauth_refresh_testkit::{Gate, Rotation, TokenHash};

use super::points::{Point, Trap};
use super::protocol::{Fate, Order};
use super::stores::{StoreKind, on_each_store};
use super::team::{Worker, World};
use crate::harness::within;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    BeforeSending,
    /// The server works on the request, and has not answered before everybody moves again.
    InFlight,
    /// The answer has arrived at the machine, and nobody reads it.
    AnswerUnread,
}

const STEPS: [Step; 3] = [Step::BeforeSending, Step::InFlight, Step::AnswerUnread];
const OTHERS: usize = 3;

/// Its mark is alive all the time: nobody else may send, and nobody does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_frozen_for_less_than_its_lease_refreshes_once_and_all_are_served() {
    on_each_store(async |kind| {
        futures_util::future::join_all(STEPS.map(|step| freeze_briefly(kind, step))).await;
    })
    .await;
}

async fn freeze_briefly(kind: StoreKind, step: Step) {
    let world = World::start(kind, Rotation::Strict, Duration::from_secs(10)).await;
    let login = world.log_in_expired().await;
    let (mut holder, mut others, gate) = freeze(&world, step).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    holder.signal(Signal::CONT);
    gate.release();
    assert_eq!(holder.fate().await, Fate::Served, "{kind:?}, {step:?}");
    for other in &mut others {
        assert_eq!(other.fate().await, Fate::Served, "{kind:?}, {step:?}");
    }
    assert_eq!(world.refreshes(&login).len(), 1, "{kind:?}, {step:?}");
    let known = world.known().await;
    assert_eq!((known.generation, known.error), (login.generation + 1, None), "{kind:?}, {step:?}");
}

/// Its mark grows old and it is succeeded. Where its request had left, only a grace window saves the login from
/// the second one; what it does when it moves again must not spoil what its heir has stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_frozen_for_longer_than_its_lease_spoils_nothing_when_it_moves_again() {
    on_each_store(async |kind| {
        futures_util::future::join_all(STEPS.map(|step| freeze_long(kind, step))).await;
    })
    .await;
}

async fn freeze_long(kind: StoreKind, step: Step) {
    let before_sending = step == Step::BeforeSending;
    let rotation = if before_sending { Rotation::Strict } else { Rotation::Grace(Duration::from_secs(60)) };
    let world = World::start(kind, rotation, Duration::from_secs(2)).await;
    let login = world.log_in_expired().await;
    let (mut holder, mut others, gate) = freeze(&world, step).await;
    for other in &mut others {
        assert_eq!(other.fate().await, Fate::Served, "{kind:?}, {step:?}");
    }
    let heirs = world.refreshes(&login).pop().expect("somebody refreshed");
    holder.signal(Signal::CONT);
    // Whatever it does now, it does before it answers.
    assert_eq!(holder.fate().await, Fate::Served, "{kind:?}, {step:?}");
    gate.release();
    holder.end().await;

    assert_eq!(world.refreshes(&login).len(), if before_sending { 1 } else { 2 }, "{kind:?}, {step:?}");
    let known = world.known().await;
    assert_eq!((known.generation, known.error), (login.generation + 1, None), "{kind:?}, {step:?}");
    // Who comes next gets what the heir stored.
    assert_eq!(world.worker().await.get().await, Fate::Served);
    let carried = world.auth.ledger().api_requests().pop().and_then(|request| request.token);
    let stored: Option<TokenHash> = heirs.issued_access_token;
    assert_eq!(carried, stored, "{kind:?}, {step:?}");
}

/// A holder that stands still, others that wait for it, and the gate of the answer.
async fn freeze(world: &World, step: Step) -> (Worker, Vec<Worker>, Gate) {
    let mut others = world.workers(OTHERS).await;
    let mut holder = match step {
        Step::BeforeSending => world.trapped_worker(Trap::FreezeAt(Point::AfterLease)).await,
        Step::InFlight | Step::AnswerUnread => world.worker().await,
    };
    let gate = match step {
        Step::BeforeSending => Gate::new(),
        Step::InFlight => world.auth.hold_before_commit(),
        Step::AnswerUnread => world.auth.hold_after_commit(),
    };
    holder.order(&Order::Get).await;
    if step == Step::BeforeSending {
        holder.trapped().await;
    } else {
        gate.arrived().await;
        holder.freeze().await;
    }
    if step == Step::AnswerUnread {
        gate.release();
        let ledger = world.auth.ledger();
        within(ledger.until(|_| ledger.refreshes().iter().all(|refresh| refresh.delivered))).await;
    }
    for other in &mut others {
        other.order(&Order::Get).await;
    }
    (holder, others, gate)
}
