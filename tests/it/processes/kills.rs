//! Death at each step of a refresh.
//!
//! What the server answered and nobody stored is lost on a strict server, whatever one does: then the credential
//! says so. Everything else is usable again at once, for a process of this host is seen to be dead.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use rustix::process::Signal;
use tower_oauth_refresh::{Clock as _, SystemClock};
use tower_oauth_refresh_testkit::{Fault, Gate, Rotation};

use super::points::{Point, Trap};
use super::protocol::{Fate, Happened, Order};
use super::stores::on_each_store;
use super::team::{Login, Worker, World};
use super::worker::moment;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    At(Point),
    /// The server has the request, and will never work on it.
    Unanswered,
    /// The server has done its work, and its answer is not there yet.
    InFlight,
}

const DEATHS: [Death; 8] = [
    Death::At(Point::BeforeLease),
    Death::At(Point::AfterLease),
    Death::Unanswered,
    Death::InFlight,
    Death::At(Point::AnswerRead),
    Death::At(Point::BeforeCommit),
    Death::At(Point::AfterCommit),
    Death::At(Point::BeforePublish),
];

/// The default. Whoever succeeds a process that may be alive waits for longer.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(10);
/// Far less than that.
const AT_ONCE: Duration = Duration::from_secs(5);

impl Death {
    fn leaves_a_mark(self) -> bool {
        !matches!(self, Self::At(Point::BeforeLease | Point::AfterCommit | Point::BeforePublish))
    }

    fn loses_the_answer(self) -> bool {
        matches!(self, Self::InFlight | Self::At(Point::AnswerRead | Point::BeforeCommit))
    }

    fn leaves_it_stored(self) -> bool {
        matches!(self, Self::At(Point::AfterCommit | Point::BeforePublish))
    }

    /// How often the two of them together ask the server.
    fn refreshes(self) -> usize {
        if self == Self::Unanswered || self.loses_the_answer() { 2 } else { 1 }
    }
}

/// How often each test does what it does: more before a release.
fn rounds() -> usize {
    std::env::var("PROCESS_TEST_ROUNDS").map_or(1, |rounds| rounds.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_any_step_leaves_a_login_that_works_or_says_what_was_lost() {
    on_each_store(async |kind| {
        for rotation in [Rotation::Strict, Rotation::Grace(Duration::from_secs(60))] {
            let world = World::start(kind, rotation, EXCHANGE_LIMIT).await;
            for _ in 0..rounds() {
                for death in DEATHS {
                    die(&world, rotation, death).await;
                }
            }
        }
    })
    .await;
}

async fn die(world: &World, rotation: Rotation, death: Death) {
    let said = format!("{death:?}, {rotation:?}, {:?}", world.assignment.place);
    let login = world.log_in_expired().await;
    let begun = SystemClock::default().now().wall;
    let victim = kill(world, death).await;
    let left = world.known().await;
    assert_eq!(left.refreshing, death.leaves_a_mark().then_some(victim), "{said}");
    let stored = left.generation > login.generation;
    assert_eq!(stored, death.leaves_it_stored(), "{said}");

    let mut heir = world.worker().await;
    let began = moment();
    let fate = heir.get().await;
    let took = moment() - began;
    assert!(took < AT_ONCE, "{said}: {took:?}");
    let known = world.known().await;
    if rotation == Rotation::Strict && death.loses_the_answer() {
        assert_eq!(fate, Fate::Failed("LostRotation".to_owned()), "{said}");
        assert_eq!(known.error.as_deref(), Some("LostRotation"), "{said}");
        let (pid, sent_at) = known.in_doubt.expect("it says who and when");
        assert_eq!(pid, victim, "{said}");
        // Kept in whole milliseconds.
        let slack = Duration::from_millis(10);
        assert!(sent_at + slack >= begun && sent_at <= begun + AT_ONCE, "{said}: {sent_at:?}, {begun:?}");
    } else {
        assert_eq!(fate, Fate::Served, "{said}");
        assert_eq!(
            (known.generation, known.error, known.in_doubt),
            (login.generation + 1, None, None),
            "{said}"
        );
    }
    let refreshes = world.refreshes(&login);
    assert_eq!(refreshes.len(), death.refreshes(), "{said}: {refreshes:#?}");
    let events = heir.end().await;
    let took_over = events.iter().any(|(what, _)| *what == Happened::TookOver(victim));
    assert_eq!(took_over, death.leaves_a_mark(), "{said}: {events:?}");
}

/// A process that refreshes and dies of it.
async fn kill(world: &World, death: Death) -> u32 {
    let mut victim = match death {
        Death::At(point) => world.trapped_worker(Trap::KillAt(point)).await,
        Death::Unanswered | Death::InFlight => world.worker().await,
    };
    let gate = Gate::new();
    match death {
        Death::At(_) => {}
        Death::Unanswered => world.auth.fault(Fault::drop_connection().held_before_commit(&gate)),
        Death::InFlight => world.auth.fault(Fault::hold_after_commit(&gate)),
    }
    victim.order(&Order::Get).await;
    match death {
        Death::At(_) => victim.trapped().await,
        Death::Unanswered | Death::InFlight => {
            gate.arrived().await;
            victim.signal(Signal::KILL);
        }
    }
    victim.killed().await;
    gate.release();
    victim.pid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_a_random_moment_leaves_a_login_that_works_or_says_what_was_lost() {
    on_each_store(async |kind| {
        let world = World::start(kind, Rotation::Strict, EXCHANGE_LIMIT).await;
        let mut lost = 0;
        for _ in 0..20 * rounds() {
            lost += usize::from(die_at_random(&world).await);
        }
        println!("{kind:?}: of {} killed, {lost} took the only answer along", 20 * rounds());
    })
    .await;
}

/// Was the answer lost?
async fn die_at_random(world: &World) -> bool {
    let login = world.log_in_expired().await;
    let mut victim = world.worker().await;
    victim.order(&Order::Get).await;
    let micros = RandomState::new().hash_one("when") % 40_000;
    let pause = tokio::task::spawn_blocking(move || std::thread::sleep(Duration::from_micros(micros)));
    pause.await.unwrap();
    victim.signal(Signal::KILL);
    victim.killed().await;
    let stored = world.known().await.generation > login.generation;
    let mut heir = world.worker().await;
    let fate = heir.get().await;
    let said = format!("after {micros} us, {stored}, {:?}: {fate:?}", world.assignment.place);
    assert!(!stored || world.submitted_again(&login).is_empty(), "{said}");
    let known = world.known().await;
    match fate {
        Fate::Served => assert_eq!((known.generation, known.error), (login.generation + 1, None), "{said}"),
        Fate::Failed(error) => {
            assert!(!stored && error == "LostRotation", "{said}");
            assert_eq!(known.in_doubt.map(|(pid, _)| pid), Some(victim.pid), "{said}");
            assert!(world.refreshes(&login)[0].committed, "{said}");
            return true;
        }
        Fate::Refused(_) => panic!("{said}"),
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_on_another_host_is_succeeded_once_its_mark_has_grown_old() {
    on_each_store(async |kind| {
        let limit = Duration::from_secs(2);
        let grace = Rotation::Grace(Duration::from_secs(60));
        for (death, refreshes) in [(Death::At(Point::AfterLease), 1), (Death::InFlight, 2)] {
            let world = World::start(kind, grace, limit).await;
            let login = world.log_in_expired().await;
            let mut heirs: [Worker; 2] = [world.worker_elsewhere().await, world.worker_elsewhere().await];
            let begun = moment();
            let victim = kill(&world, death).await;
            for heir in &mut heirs {
                heir.order(&Order::Get).await;
            }
            for heir in &mut heirs {
                assert_eq!(heir.fate().await, Fate::Served, "{kind:?}");
            }
            assert_succeeded(&world, &login, moment() - begun, limit);
            assert_eq!(world.refreshes(&login).len(), refreshes, "{kind:?}");
            assert_eq!(heirs.iter().filter(|heir| heir.told(&Happened::TookOver(victim))).count(), 1);
        }
    })
    .await;
}

fn assert_succeeded(world: &World, login: &Login, took: Duration, limit: Duration) {
    let said = format!("{took:?}, {:?}, {login:?}", world.assignment.place);
    // A mark is alive for the exchange limit and a second; then the record must lie still for two.
    let due = limit + Duration::from_secs(3);
    assert!(took >= due - Duration::from_millis(50), "too early: {said}");
    assert!(took < due + AT_ONCE, "{said}");
}
