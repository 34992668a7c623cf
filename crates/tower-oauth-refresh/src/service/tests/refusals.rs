//! What refused tokens cost, and how long users go without a token that works: processes on one store, servers with
//! habits, APIs that accept, refuse and revoke.

mod world;

use futures_util::future::join_all;

use self::world::{Fleet, Habit, Process, Trouble};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: u64 = 3600;

/// Longer runs are asked for by `VERIFY_ROUNDS`.
fn rounds() -> u64 {
    std::env::var("VERIFY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Numbers that come again with their seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// So many processes, each asking this API every `every` for `time`.
async fn crowd(fleet: &Fleet, processes: u32, host: &'static str, every: Duration, time: Duration) {
    let one = async |number: u32| {
        let mut process = fleet.process();
        let mut passed = every * number / processes;
        fleet.passes(passed).await;
        while passed < time {
            process.get(host).await;
            fleet.passes(every).await;
            passed += every;
        }
    };
    join_all((0..processes).map(one)).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_always_refuses_costs_few_refreshes_for_any_number_of_processes() {
    for processes in [1, 2, 20, 50] {
        let fleet = Fleet::new(Habit::New(HOUR), SECOND / 10).await;
        crowd(&fleet, processes, "refuses.example", SECOND * 10, SECOND * 3600).await;
        let refreshes = fleet.server.refreshes();
        println!(
            "goal 5: {processes} processes, an API that always refuses: {refreshes} refreshes in an hour"
        );
        assert!(refreshes <= 30, "{processes} processes: {refreshes}");
        assert_eq!(fleet.server.reuses(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn processes_that_live_for_one_request_refresh_no_more_than_one_that_stays() {
    for life in [300, HOUR] {
        let fleet = Fleet::new(Habit::New(life), SECOND / 10).await;
        for _ in 0..360 {
            fleet.process().get("refuses.example").await;
            fleet.passes(SECOND * 10).await;
        }
        let refreshes = fleet.server.refreshes();
        println!("a process every ten seconds, tokens of {life} s: {refreshes} refreshes in an hour");
        assert!(refreshes <= 30, "{refreshes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_a_second_after_a_refresh_is_healed_in_one_request() {
    let fleet = Fleet::new(Habit::New(HOUR), SECOND / 10).await;
    let mut process = fleet.process();
    fleet.passes(SECOND * 3590).await;
    assert!(process.serve().await);
    assert_eq!(fleet.server.refreshes(), 1);
    fleet.passes(SECOND).await;
    fleet.server.revoke();
    assert!(process.serve().await, "the API had accepted it");
    println!("goal 5: one revocation a second after a refresh: healed in one request");
    assert_eq!(fleet.server.refreshes(), 2);
}

#[tokio::test(start_paused = true)]
async fn five_revocations_at_once_are_healed_and_then_one_a_minute() {
    let fleet = Fleet::new(Habit::New(HOUR), SECOND / 10).await;
    let mut process = fleet.process();
    for second in 0..3600 {
        process.serve().await;
        fleet.server.revoke();
        fleet.passes(SECOND).await;
        assert!(second > 3 || process.trouble.failed == 0);
    }
    let refreshes = fleet.server.refreshes();
    println!("a revocation a second: {refreshes} refreshes in an hour");
    assert!((60..=66).contains(&refreshes), "{refreshes}");
}

/// For a month, or whatever the time is.
async fn served(habit: Habit, takes: Duration, processes: u32, every: Duration, time: Duration) -> Trouble {
    let fleet = Fleet::new(habit, takes).await;
    let one = async |number: u32| {
        let mut process = fleet.process();
        let mut draw = Draw(number.into());
        let mut passed = Duration::ZERO;
        while passed < time {
            let pause = every.mul_f64(0.5 + f64::from(u32::try_from(draw.below(1000)).unwrap()) / 1000.0);
            fleet.passes(pause).await;
            passed += pause;
            process.serve().await;
        }
        process.trouble
    };
    let troubles = join_all((0..processes).map(one)).await;
    let trouble = troubles.into_iter().fold(Trouble::default(), Trouble::and);
    println!(
        "{habit:?}, {takes:?}, {processes} processes, {} h: {} of {} requests failed, {:?} at most; {} refreshes",
        time.as_secs() / HOUR,
        trouble.failed,
        trouble.requests,
        trouble.longest,
        fleet.server.refreshes()
    );
    assert_eq!(fleet.server.reuses(), 0);
    trouble
}

#[tokio::test(start_paused = true)]
async fn a_server_that_returns_the_token_in_use_costs_no_user_a_refusal() {
    // A month, where more than one round is asked for.
    let days = if rounds() > 1 { 30 } else { 1 };
    let time = SECOND * 86_400 * days;
    let trouble = served(Habit::Same(300), SECOND / 5, 1, SECOND * 20, time).await;
    println!("goal 8: the token in use returned, 300 s tokens, {days} days: {} refusals", trouble.failed);
    assert_eq!(trouble.failed, 0);
}

#[tokio::test(start_paused = true)]
async fn servers_with_odd_lifetimes_cost_no_user_a_refusal() {
    let time = SECOND * 1800 * u32::try_from(rounds()).unwrap();
    let habits = [
        Habit::Same(HOUR),
        Habit::Same(30),
        Habit::SameSilent(300),
        Habit::New(20),
        Habit::New(3),
        Habit::Zero(300),
    ];
    for habit in habits {
        for processes in [1, 2] {
            let trouble = served(habit, SECOND / 5, processes, SECOND * 9, time).await;
            assert_eq!(trouble.failed, 0, "{habit:?} {processes}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_come_dead_are_refreshed_ever_more_seldom() {
    // Each exchange takes longer than the token lives.
    let fleet = Fleet::new(Habit::New(1), SECOND * 2).await;
    let mut process = fleet.process();
    for _ in 0..3600 {
        process.serve().await;
        fleet.passes(SECOND).await;
    }
    println!("tokens that come dead: {} refreshes in an hour", fleet.server.refreshes());
    assert!(fleet.server.refreshes() <= 30, "{}", fleet.server.refreshes());
    assert_eq!(fleet.server.reuses(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_refuses_all_takes_nothing_from_another() {
    let mut draw = Draw(7);
    let fleet = Fleet::new(Habit::New(HOUR), SECOND / 10).await;
    let (mut one, mut other) = (fleet.process(), fleet.process());
    let (mut revoked, mut next) = (0, 400);
    for second in 0..2 * HOUR {
        if second == next {
            fleet.server.revoke();
            (revoked, next) = (revoked + 1, second + 60 + draw.below(1200));
        }
        assert!(one.serve().await && other.serve().await, "after {second} s");
        one.get("refuses.example").await;
        other.get("refuses.example").await;
        fleet.passes(SECOND).await;
    }
    let refreshes = fleet.server.refreshes();
    println!(
        "an API that refuses all, beside one with {revoked} revocations: {refreshes} refreshes in two hours"
    );
    assert!(refreshes <= 2 * 30 + revoked, "{refreshes}");
}

/// Whatever comes together: processes that start, tokens that are revoked, an API that refuses all, odd servers.
#[tokio::test(start_paused = true)]
async fn no_user_is_refused_for_long_while_the_api_accepts_what_is_valid() {
    for seed in 0..4 * rounds() {
        let mut draw = Draw(seed);
        let habits = [Habit::New(HOUR), Habit::New(60), Habit::Same(300), Habit::SameSilent(HOUR)];
        let habit = habits[usize::try_from(draw.below(4)).unwrap()];
        let processes = [1, 2, 5, 20][usize::try_from(draw.below(4)).unwrap()];
        let fleet = Fleet::new(habit, SECOND / 10 * u32::try_from(draw.below(20)).unwrap()).await;
        let mut all: Vec<_> = (0..processes).map(|_| fleet.process()).collect();
        let (mut trouble, mut revoked) = (Trouble::default(), 0);
        for _ in 0..900 {
            match draw.below(1000) {
                0..3 => {
                    fleet.server.revoke();
                    revoked += 1;
                }
                3..10 => {
                    let index = usize::try_from(draw.below(processes)).unwrap();
                    trouble = trouble.and(mem::replace(&mut all[index], fleet.process()).trouble);
                }
                10..30 => {
                    all[0].get("refuses.example").await;
                }
                _ => {}
            }
            join_all(all.iter_mut().map(Process::serve)).await;
            fleet.passes(SECOND * 4).await;
        }
        trouble = all.into_iter().fold(trouble, |trouble, process| trouble.and(process.trouble));
        println!(
            "seed {seed}, {habit:?}, {processes} processes, {revoked} revocations: {} of {} requests failed, {:?} at \
             most; {} refreshes in an hour",
            trouble.failed,
            trouble.requests,
            trouble.longest,
            fleet.server.refreshes()
        );
        assert!(trouble.longest <= SECOND * 10, "seed {seed}: {trouble:?}");
        assert_eq!(fleet.server.reuses(), 0);
    }
}
