//! The same with fewer, and what must come of it.

use super::*;

#[test]
fn four_thousand_credentials_come_through_an_outage_and_a_restart() {
    let scale = Scale::of(4_000);
    let figures = run(&scale, true);
    assert_eq!(figures.lost, 0);
    assert_eq!(figures.starved, 0);
    // Tokens of an hour, refreshed in their last five minutes, for three hours.
    assert!(figures.fewest >= 2 && figures.most <= 3, "{} to {} refreshes", figures.fewest, figures.most);
    assert!(figures.longest < 1800, "one was without a token for {} s", figures.longest);
    assert!(figures.most_asked() <= MOST_ASKED, "{} requests in one second", figures.most_asked());
    assert!(figures.asked_per_refresh() < 3.0, "{} requests for each refresh", figures.asked_per_refresh());
    assert!(figures.idle_bytes <= IDLE_BYTES, "{} bytes", figures.idle_bytes);
}

/// While it is gone: 100 exchanges at a time, of 50 ms each.
const MOST_ASKED: u32 = 100 * 20;
const IDLE_BYTES: i64 = 780;
