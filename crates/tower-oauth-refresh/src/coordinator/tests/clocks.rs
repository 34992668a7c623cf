//! Clocks that start at zero, at a boot or at every restart, and wall clocks that are set.

use super::fleet::{Fleet, rounds};
use super::*;
use crate::clock::SystemClock;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400;

/// A builder's clock whose machine has been up for so long.
fn up_for(uptime: Duration) -> (Arc<StepClock>, impl FnOnce(Builder) -> Builder) {
    let clock = Arc::new(StepClock::up_for(uptime));
    (clock.clone(), move |builder: Builder| builder.clock(clock))
}

#[tokio::test(start_paused = true)]
async fn a_token_older_than_the_uptime_is_refreshed_ahead() {
    for uptime in [Duration::ZERO, SECOND, 10 * MINUTE, HOUR] {
        let fleet = Fleet::new(1, Duration::ZERO);
        fleet.install("k").await;
        tokio::time::sleep(50 * MINUTE).await;
        let (_, clock) = up_for(uptime);
        fleet.replace(0, fleet.process("secret", clock));
        fleet.serve(8 * MINUTE).await;
        assert_eq!(fleet.far.submissions("k"), 1, "two minutes before its end, up for {uptime:?}");
        assert_eq!(fleet.far.refusals(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_older_than_the_uptime_is_not_sent_after_the_wall_clock_was_set_back() {
    for uptime in [Duration::ZERO, SECOND, 10 * MINUTE, HOUR] {
        let fleet = Fleet::new(1, Duration::ZERO);
        fleet.install("k").await;
        tokio::time::sleep(50 * MINUTE).await;
        let (clock, set) = up_for(uptime);
        // Its clock may be late in starting this one: only the boot clock can tell when the token dies.
        fleet.replace(0, fleet.process("secret", |builder| set(builder).refresh_ahead(false)));
        fleet.request(0).await;
        clock.wall_ahead.fetch_sub(DAY, Ordering::SeqCst);
        tokio::time::sleep(15 * MINUTE).await;
        fleet.request(0).await;
        assert_eq!((fleet.far.refusals(), fleet.far.submissions("k")), (0, 1), "up for {uptime:?}");
    }
}

/// Restarts with clocks from zero, and wall clocks that are set, of fleets that share a store.
#[tokio::test(start_paused = true)]
async fn no_clock_makes_a_process_send_a_dead_token_or_refuse_its_user() {
    let uptimes = [Duration::ZERO, SECOND, 7 * MINUTE, HOUR, HOUR * 9000];
    let steps = [0, -DAY, DAY, -600, 600, -HOUR.as_secs().cast_signed(), 0];
    for count in [1, 2, 20] {
        let fleet = Fleet::new(count, Duration::ZERO);
        fleet.far.lifetime(10 * MINUTE);
        fleet.install("k").await;
        let restarts = async {
            for turn in 0..count.max(8) * usize::try_from(rounds()).unwrap() {
                tokio::time::sleep(3 * MINUTE).await;
                let (clock, set) = up_for(uptimes[turn % uptimes.len()]);
                fleet.replace(turn % count, fleet.process("secret", set));
                tokio::time::sleep(MINUTE).await;
                clock.wall_ahead.fetch_add(steps[turn % steps.len()], Ordering::SeqCst);
            }
        };
        let turns = u32::try_from(count.max(8)).unwrap() * rounds();
        tokio::join!(restarts, fleet.serve_every(SECOND * 5, 4 * MINUTE * turns));
        assert_eq!((fleet.far.refusals(), fleet.far.sent_twice()), (0, 0), "{count} processes");
        // One for each life, one for each wall clock that was set forward, and not more.
        let most = usize::try_from(turns).unwrap();
        assert!(
            fleet.far.submissions("k") <= most,
            "{} refreshes in {turns} turns",
            fleet.far.submissions("k")
        );
    }
}

#[test]
fn the_system_clock_can_tell_of_a_time_before_boot() {
    let now = SystemClock.now();
    let year = HOUR * 24 * 366;
    assert_eq!(now.boot.saturating_sub(now.before(year).boot), year);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_during_an_exchange_gives_no_token_a_longer_life() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let caller = world.ask();
    world.server.arrived.notified().await;
    world.clock.wall_ahead.store(3600 * 48, Ordering::SeqCst);
    world.server.released.0.add_permits(1);
    caller.await.unwrap().unwrap();
    world.clock.wall_ahead.store(0, Ordering::SeqCst);
    tokio::time::sleep(HOUR * 2).await;
    assert_eq!(world.token().await.unwrap(), "access-3");
}
