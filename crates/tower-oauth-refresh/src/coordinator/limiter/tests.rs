//! Who calls the store next, and with how many others.

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::*;

const LONGEST: Duration = Duration::from_secs(5);
const MS: Duration = Duration::from_millis(1);

fn limited(calls: usize) -> Limiter {
    let limiter = Limiter::new(LONGEST);
    limiter.state().limit = calls as f64;
    limiter
}

fn limit(limiter: &Limiter) -> usize {
    limiter.state().limit as usize
}

fn running(limiter: &Limiter) -> usize {
    limiter.state().running.len()
}

/// So many callers call without a pause, and each call takes what `takes` says of the number under way.
async fn busy(limiter: &Limiter, callers: usize, calls: usize, takes: impl Fn(usize) -> Duration + Copy) {
    let caller = |_| async move {
        for _ in 0..calls {
            let permit = limiter.permit(Rank::New, Call::Swap).await;
            sleep(takes(running(limiter))).await;
            drop(permit);
        }
    };
    join_all((0..callers).map(caller)).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_comes_before_what_begins_and_each_in_order() {
    let limiter = limited(1);
    let holds = limiter.permit(Rank::New, Call::Load).await;
    let order = Mutex::new(Vec::new());
    let caller = |(name, rank)| {
        let (limiter, order) = (&limiter, &order);
        async move {
            let permit = limiter.permit(rank, Call::Swap).await;
            order.lock().unwrap().push((permit.granted.number, name));
        }
    };
    let callers = [
        ("new 1", Rank::New),
        ("begun 1", Rank::Begun),
        ("commit 1", Rank::Commit),
        ("begun 2", Rank::Begun),
        ("new 2", Rank::New),
        ("commit 2", Rank::Commit),
    ];
    let mut callers = join_all(callers.map(caller));
    assert!((&mut callers).now_or_never().is_none());
    drop(holds);
    callers.await;
    let mut order = order.into_inner().unwrap();
    order.sort_unstable();
    let order: Vec<_> = order.into_iter().map(|(_, name)| name).collect();
    let (commits, others): (Vec<_>, Vec<_>) = order.into_iter().partition(|name| name.starts_with("commit"));
    assert_eq!(commits, ["commit 1", "commit 2"]);
    assert_eq!(others, ["begun 1", "begun 2", "new 1", "new 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_received_set_waits_for_no_more_than_a_second_for_what_is_under_way() {
    let limiter = limited(2);
    let _loads = [limiter.permit(Rank::New, Call::Load).await, limiter.permit(Rank::Begun, Call::Load).await];
    let start = Instant::now();
    let commits = join_all((0..2).map(|_| limiter.permit(Rank::Commit, Call::Swap))).await;
    assert_eq!(start.elapsed(), COMMIT_PATIENCE);
    assert!(limiter.permit(Rank::Commit, Call::Swap).now_or_never().is_none(), "only for those like it");
    drop(commits);
    assert!(start.elapsed() < LONGEST && running(&limiter) == 2, "the loads are still under way");
}

#[tokio::test(start_paused = true)]
async fn received_sets_whose_calls_hang_leave_one_place_to_others() {
    for limit in [1, 2, 4] {
        let limiter = limited(limit);
        let hang = (0..limit * 2).map(|_| async {
            let _permit = limiter.permit(Rank::Commit, Call::Swap).await;
            std::future::pending::<()>().await;
        });
        limiter.state().commits_hang = true;
        let mut hang = join_all(hang);
        assert!((&mut hang).now_or_never().is_none());
        let start = Instant::now();
        let others = join_all((0..9).map(|_| async { drop(limiter.permit(Rank::New, Call::Load).await) }));
        tokio::select! {
            _ = &mut hang => unreachable!(),
            _ = others => assert!(start.elapsed() <= COMMIT_PATIENCE * 2, "{limit}: {:?}", start.elapsed()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_beside_a_quick_one_lowers_no_limit() {
    let limiter = limited(1);
    let hangs = limiter.permit(Rank::Commit, Call::Swap).await;
    limiter.state().limit = 2.0;
    drop(limiter.permit(Rank::Begun, Call::Swap).await);
    limiter.state().limit = 1.0;
    sleep(COMMIT_PATIENCE).await;
    drop(hangs);
    assert!(limiter.state().limit >= 2.0);
}

#[tokio::test(start_paused = true)]
async fn what_begins_has_its_turn_though_others_never_end() {
    let limiter = limited(1);
    let others = busy_with_begun(&limiter);
    let begins = async {
        for _ in 0..10 {
            drop(limiter.permit(Rank::New, Call::Load).await);
        }
    };
    tokio::select! {
        () = others => unreachable!(),
        () = begins => {}
    }
}

async fn busy_with_begun(limiter: &Limiter) {
    let caller = |_| async move {
        loop {
            let _permit = limiter.permit(Rank::Begun, Call::Load).await;
            sleep(MS).await;
        }
    };
    join_all((0..3).map(caller)).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_leaves_his_turn_to_the_next() {
    let limiter = limited(1);
    let holds = limiter.permit(Rank::New, Call::Load).await;
    let mut gone = Box::pin(limiter.permit(Rank::New, Call::Load));
    let mut chosen = Box::pin(limiter.permit(Rank::New, Call::Load));
    let mut last = Box::pin(limiter.permit(Rank::New, Call::Load));
    for waiting in [&mut gone, &mut chosen, &mut last] {
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    drop(gone);
    drop(holds);
    // It is its turn, and it never hears of it.
    drop(chosen);
    drop(last.now_or_never().expect("its turn"));
    assert_eq!(running(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_whose_runtime_stands_still_is_none_for_ever() {
    let limiter = limited(1);
    let stands_still = limiter.permit(Rank::New, Call::Load).await;
    let start = Instant::now();
    let next = limiter.permit(Rank::New, Call::Load).await;
    assert!((LONGEST..LONGEST * 3).contains(&start.elapsed()), "{:?}", start.elapsed());
    drop(stands_still);
    assert_eq!(running(&limiter), 1, "the second one still calls");
    drop(next);
    assert_eq!(running(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_makes_one_call_after_the_other_gets_few_at_a_time() {
    let limiter = limited(16);
    busy(&limiter, 100, 20, |others| MS * 18 * u32::try_from(others).unwrap()).await;
    assert!((2..=7).contains(&limit(&limiter)), "{}", limit(&limiter));
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_kept_busy_and_its_queue_short() {
    for takes in [MS, MS * 120, MS * 499, MS * 999] {
        let limiter = Limiter::new(LONGEST);
        let pool = |others: usize| takes.mul_f64((others as f64 / 10.0).max(1.0));
        let start = Instant::now();
        busy(&limiter, 100, 20, pool).await;
        let (took, least) = (start.elapsed(), takes * 2000 / 10);
        // It begins with two.
        assert!(took < least.mul_f64(1.25) + takes * 5, "{takes:?}: {took:?} of {least:?}");
        assert!(takes == MS || limit(&limiter) <= 16, "{takes:?}: {}", limit(&limiter));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_for_a_while_is_used_as_before_afterwards() {
    let limiter = limited(16);
    busy(&limiter, 100, 5, |_| MS).await;
    busy(&limiter, 100, 2, |_| MS * 4900).await;
    busy(&limiter, 100, 100, |_| MS).await;
    assert!(limit(&limiter) >= 32, "{}", limit(&limiter));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_slow_calls_lowers_the_limit_once() {
    let limiter = limited(16);
    limiter.state().alone = [MS; 2];
    let calls: Vec<_> = join_all((0..16).map(|_| limiter.permit(Rank::New, Call::Load))).await;
    sleep(MS * 500).await;
    drop(calls);
    assert_eq!(limit(&limiter), 12);
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_reaches_nobody_whose_call_has_ended() {
    struct Loud;
    impl std::task::Wake for Loud {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("woken");
        }
    }
    let limiter = limited(1);
    let first = limiter.permit(Rank::Begun, Call::Load).await;
    let waker = std::task::Waker::from(std::sync::Arc::new(Loud));
    let mut waits = Box::pin(limiter.permit(Rank::New, Call::Load));
    assert!(waits.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    drop(first);
    assert!(waits.as_mut().now_or_never().is_some(), "it has its turn");
}

/// What a store call in [`after`] finds when it ends.
struct Found {
    limit: f64,
    ceiling: f64,
    lowered: u64,
    alone: Duration,
    /// How many are under way, with itself.
    level: u64,
    /// None began after it.
    newest: bool,
}

const FOUND: Found = Found { limit: 4.0, ceiling: 10.0, lowered: 1, alone: TEN, level: 4, newest: true };
const TEN: Duration = Duration::from_millis(10);

/// Limit, ceiling and what a call takes alone, after one that took so long.
async fn after(found: Found, took: Duration) -> (f64, f64, Duration) {
    let limiter = Limiter::new(LONGEST);
    let Found { limit, ceiling, lowered, alone, level, newest } = found;
    let began = Instant::now();
    let granted =
        Granted { number: 1000, rank: Rank::New, call: Call::Load, began, level: level as f64, lowered };
    {
        let mut state = limiter.state();
        (state.limit, state.ceiling, state.lowered, state.alone) = (limit, ceiling, lowered, [alone; 2]);
        state.granted = if newest { 1000 } else { 1001 };
        state.running = (0..level).map(|n| (1000 - n, Granted { number: 1000 - n, ..granted })).collect();
    }
    tokio::time::advance(took).await;
    let mut state = limiter.state();
    state.ended(granted);
    (state.limit, state.ceiling, state.alone[0])
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_not_slow_raise_the_limit_by_what_is_known_of_the_store() {
    let at_first = Found { lowered: 0, ..FOUND };
    assert_eq!(after(at_first, MS * 100).await, (5.0, 10.0, TEN));
    assert_eq!(
        after(Found { lowered: 0, limit: 200.0, level: 200, ceiling: 200.0, ..FOUND }, TEN).await.0,
        200.0
    );
    assert_eq!(after(FOUND, TEN).await, (4.25, 10.0, TEN));
    assert_eq!(after(Found { ceiling: 4.125, ..FOUND }, TEN).await.0, 4.125);
    assert_eq!(after(Found { ceiling: 4.0, ..FOUND }, TEN).await, (4.0 + 1.0 / 64.0, 4.0, TEN));
    assert_eq!(after(Found { ceiling: 3.0, ..FOUND }, TEN).await, (4.25, 200.0, TEN));
    // Not all places were in use.
    assert_eq!(after(Found { level: 3, ..FOUND }, TEN).await, (4.0, 10.0, TEN));
    // Of a store that takes so long, no more is tried.
    for alone in [600, 700] {
        let long = MS * alone;
        assert_eq!(after(Found { ceiling: 4.0, alone: long, ..FOUND }, long).await, (4.0, 4.0, long));
    }
    let nearly = MS * 599;
    assert_eq!(after(Found { ceiling: 4.0, alone: nearly, ..FOUND }, nearly).await.0, 4.0 + 1.0 / 64.0);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_slow_that_takes_half_as_long_again_and_longer_than_it_may() {
    for (alone, longest) in [(10, 100), (100, 150), (300, 450), (500, 600), (700, 735), (2000, 2100)] {
        let found = || Found { alone: MS * alone, ..FOUND };
        assert!(after(found(), MS * longest).await.0 >= 4.0, "{alone}");
        assert_eq!(after(found(), MS * (longest + 1)).await.0, 3.0, "{alone}");
    }
    assert_eq!(after(Found { limit: 8.0, level: 8, ..FOUND }, MS * 101).await, (6.0, 7.0, TEN));
    assert_eq!(after(Found { limit: 2.0, level: 2, ..FOUND }, MS * 101).await, (1.0, 1.0, TEN));
    assert_eq!(after(Found { limit: 8.0, level: 2, ..FOUND }, MS * 101).await, (6.0, 6.0, TEN));
}

#[tokio::test(start_paused = true)]
async fn what_a_call_takes_alone_is_known_from_those_that_were_alone() {
    let longer = MS * 50;
    assert_eq!(after(Found { level: 1, ..FOUND }, longer).await.2, longer);
    assert_eq!(after(Found { level: 1, newest: false, ..FOUND }, longer).await.2, TEN);
    assert_eq!(after(FOUND, longer).await.2, TEN);
    assert_eq!(after(FOUND, MS * 5).await.2, MS * 5);
}

#[tokio::test(start_paused = true)]
async fn five_go_before_one_that_begins() {
    let limiter = limited(1);
    let holds = limiter.permit(Rank::New, Call::Load).await;
    let order = Mutex::new(Vec::new());
    let caller = |rank| {
        let (limiter, order) = (&limiter, &order);
        async move {
            let permit = limiter.permit(rank, Call::Swap).await;
            order.lock().unwrap().push((permit.granted.number, rank == Rank::New));
        }
    };
    let ranks = std::iter::once(Rank::New).chain([Rank::Begun; 12]).chain([Rank::New]);
    let mut callers = join_all(ranks.map(caller));
    assert!((&mut callers).now_or_never().is_none());
    drop(holds);
    callers.await;
    let mut order = order.into_inner().unwrap();
    order.sort_unstable();
    let begin: Vec<usize> = (0..order.len()).filter(|&at| order[at].1).collect();
    assert_eq!(begin, [5, 11]);
}
