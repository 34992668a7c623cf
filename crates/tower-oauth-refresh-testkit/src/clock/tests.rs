use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_manual_clock_stands_still_until_it_is_moved() {
    let clock = ManualClock::new();
    let start = clock.now();
    assert_eq!(clock.now(), start);
    clock.clone().advance(HOUR);
    assert_eq!(clock.now(), start.after(HOUR), "clones are the same clock");
}

#[test]
fn a_wall_clock_that_is_set_leaves_the_boot_clock_alone() {
    let clock = ManualClock::new();
    let start = clock.now();
    clock.jump_wall_forward(DAY);
    assert_eq!(clock.now(), Now::new(start.wall + DAY, start.boot));
    clock.jump_wall_back(DAY + HOUR);
    assert_eq!(clock.now(), Now::new(start.wall - HOUR, start.boot));
    clock.jump_wall_back(DAY * 100_000);
    assert_eq!(clock.now().wall, SystemTime::UNIX_EPOCH);
}

#[test]
fn suspend_is_counted_or_not_as_asked() {
    let clock = ManualClock::new();
    let start = clock.now();
    clock.suspend(HOUR);
    assert_eq!(clock.now(), start.after(HOUR));
    clock.suspend_uncounted(HOUR);
    assert_eq!(clock.now(), Now::new(start.wall + 2 * HOUR, start.boot + HOUR));
}

#[tokio::test(start_paused = true)]
async fn a_tokio_clock_follows_paused_time_and_can_be_moved_beside_it() {
    let clock = TokioClock::new();
    let start = clock.now();
    tokio::time::advance(HOUR).await;
    assert_eq!(clock.now(), start.after(HOUR));
    let timer = Instant::now();
    clock.suspend(DAY);
    assert_eq!(clock.now(), start.after(HOUR + DAY));
    assert_eq!(timer.elapsed(), Duration::ZERO, "timers sleep with the machine");
    clock.jump_wall_back(HOUR);
    assert_eq!(clock.now(), Now::new(start.wall + DAY, start.boot + HOUR + DAY));
}
