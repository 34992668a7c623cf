//! The course of a run.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::audit::{Audit, Process};
use crate::held::Held;
use crate::protocol::{Account, Assignment, Order, Said};
use crate::team::Worker;
use crate::world::World;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How long they work; the rests come on top.
    pub(crate) work: Duration,
    pub(crate) seed: u64,
}

/// Of each store.
const WORKERS: u64 = 2;
/// How much of the time is work before the first look at what is held: pools, caches and heaps have filled.
const WARM_UP: f64 = 0.2;
/// People see this soon that their login is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Was everything as it must be?
pub(crate) async fn run(plan: &Plan) -> bool {
    let mut world = World::start(plan.seed).await;
    // A program that starts finds its store, or says so and ends: that is not what is looked at here.
    for (_, proxy) in world.proxies() {
        proxy.calm_down();
    }
    let mut workers = Vec::new();
    for shelf in 0..world.shelves.len() {
        for number in 0..WORKERS {
            let name = format!("{} {}", world.shelves[shelf].name, number + 1);
            let assignment = Assignment {
                number: shelf as u64 * WORKERS + number,
                seed: plan.seed,
                place: world.shelves[shelf].place.clone(),
                sides: world.sides(shelf),
                diary: world.new_diary(shelf, &name),
            };
            workers.push(Worker::start(name, &assignment).await);
        }
    }
    for (_, proxy) in world.proxies() {
        proxy.stir();
    }
    println!(
        "seed {}: {} processes, {} credentials, {:?} of work",
        plan.seed,
        workers.len(),
        world.credentials.len(),
        plan.work
    );
    let warm = held_after(&mut workers, &mut world, plan.work.mul_f64(WARM_UP)).await;
    let worn = held_after(&mut workers, &mut world, plan.work.mul_f64(1.0 - WARM_UP)).await;

    for (_, proxy) in world.proxies() {
        proxy.calm_down();
    }
    world.look().await;
    let mut unserved = Vec::new();
    for said in ask_and_look(&mut workers, &mut world, Order::Once).await {
        let Said::Served(these) = said else { panic!("no account of the last requests") };
        unserved.extend(these);
    }
    world.look().await;
    let accounts = ask(&mut workers, Order::End).await.into_iter().map(|said| match said {
        Said::Ended(account) => account,
        _ => panic!("no account"),
    });
    let accounts: Vec<Account> = accounts.collect();
    let held = warm.into_iter().zip(worn);
    let processes = workers.iter().zip(held).map(|(worker, (warm, worn))| Process {
        name: worker.name.clone(),
        warm,
        worn,
    });
    Audit { plan, world: &world, accounts, unserved, processes: processes.collect() }.print()
}

/// Lets them work so long, and looks at what they hold when they have come to rest.
async fn held_after(workers: &mut [Worker], world: &mut World, work: Duration) -> Vec<Held> {
    let begun = Instant::now();
    ask(workers, Order::Work).await;
    let mut told = begun;
    while begun.elapsed() < work {
        sleep(LOOK_EVERY.min(work.saturating_sub(begun.elapsed()))).await;
        world.look().await;
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let passed = world.proxies().map(|(name, proxy)| format!("{name} {}", proxy.exchanges()));
            println!("{:>5} s: {}", begun.elapsed().as_secs(), passed.collect::<Vec<_>>().join(", "));
        }
    }
    let rested = ask(workers, Order::Rest).await.into_iter().map(|said| match said {
        Said::Rested(held) => held,
        _ => panic!("it does not rest"),
    });
    rested.collect()
}

/// A login may be over only now: an answer that was lost is missed when the next request comes.
async fn ask_and_look(workers: &mut [Worker], world: &mut World, order: Order) -> Vec<Said> {
    let mut asking = pin!(ask(workers, order));
    loop {
        tokio::select! {
            said = &mut asking => return said,
            () = sleep(LOOK_EVERY) => world.look().await,
        }
    }
}

async fn ask(workers: &mut [Worker], order: Order) -> Vec<Said> {
    join_all(workers.iter_mut().map(|worker| worker.ask(order))).await
}
