//! Numbers that a wrong sign would change in silence.

use std::time::SystemTime;

use super::*;
use crate::token::TokenSet;

const SECOND: Duration = Duration::from_secs(1);

fn tokens(life: Option<u64>, wish: Option<u64>) -> Tokens {
    let mut tokens = Tokens::received(&TokenSet::new("access"), None);
    tokens.expires_in = life.map(|life| SECOND * u32::try_from(life).unwrap());
    tokens.refresh_in = wish.map(|wish| SECOND * u32::try_from(wish).unwrap());
    tokens
}

fn ahead(life: Option<u64>, wish: Option<u64>, unit: f64) -> Option<f64> {
    let obtained = Now::new(SystemTime::UNIX_EPOCH, Duration::ZERO);
    ahead_from(&tokens(life, wish), obtained, unit).map(|at| at.since(obtained).as_secs_f64())
}

#[test]
fn the_background_refresh_starts_in_the_earlier_half_of_its_window_or_at_its_beginning() {
    // An hour: the window is five minutes, less the margin of half a minute.
    assert_eq!(ahead(Some(3600), None, 0.0), Some(3600.0 - 30.0 - 135.0));
    assert_eq!(ahead(Some(3600), None, 0.5), Some(3600.0 - 30.0 - 202.5));
    assert_eq!(ahead(Some(3600), None, 1.0), Some(3600.0 - 30.0 - 270.0));
    // A hundred seconds: a tenth, less a twentieth.
    assert_eq!(ahead(Some(100), None, 0.0), Some(92.5));
    assert_eq!(ahead(Some(100), None, 1.0), Some(90.0));
    assert_eq!(ahead(None, None, 0.5), None);
}

#[test]
fn a_server_that_says_when_is_obeyed_unless_it_says_after_the_end() {
    assert_eq!(ahead(Some(3600), Some(1800), 0.5), Some(1800.0));
    assert_eq!(ahead(None, Some(1800), 0.5), Some(1800.0));
    for nonsense in [3600, 4000] {
        assert_eq!(ahead(Some(3600), Some(nonsense), 1.0), Some(3300.0));
    }
}

#[test]
fn a_token_is_good_until_its_margin_begins_and_not_a_moment_longer() {
    let obtained = Now::new(SystemTime::UNIX_EPOCH, Duration::ZERO);
    for (life, good) in [(100, 95), (3600, 3570), (20, 19)] {
        let (set, good) = (tokens(Some(life), None), SECOND * good);
        assert!(usable(&set, good - Duration::from_nanos(1)));
        assert!(!usable(&set, good));
        assert_eq!(usable_until(set.expires_in, None, obtained), Some(obtained.after(good)));
    }
    let unknown = tokens(None, None);
    assert!(usable(&unknown, Duration::MAX));
    assert_eq!(usable_until(unknown.expires_in, None, obtained), None);
    assert!(!usable(&Tokens { access_token: None, ..unknown }, Duration::ZERO));
}

#[test]
fn pauses_lie_between_their_ends() {
    assert_eq!(Policy::retry_pause(0.0), Duration::from_millis(50));
    assert_eq!(Policy::retry_pause(1.0), Duration::from_millis(500));
    assert_eq!(Policy::outage_rest(1, 0.0), SECOND);
    assert_eq!(Policy::outage_rest(3, 1.0), SECOND * 5);
    assert_eq!(Policy::outage_rest(1_000, 0.0), SECOND * 30);
    assert_eq!(Policy::unavailable_rest(1, &[], 0.0), SECOND / 2);
    assert_eq!(Policy::unavailable_rest(1_000, &[], 0.0), SECOND * 30);
    assert_eq!(Policy::unavailable_rest(u32::MAX, &[], 1.0), SECOND * 75 / 2);
    assert_eq!(Policy::refused_rest(1_000, 0.0), SECOND * 300);
    assert_eq!(Policy::refused_rest(1_000, 1.0), SECOND * 375);
}

#[test]
fn the_sixth_submission_follows_ten_seconds_after_the_first() {
    let ago = |seconds: &[u32]| seconds.iter().map(|ago| SECOND * *ago).collect::<Vec<_>>();
    assert_eq!(Policy::unavailable_rest(4, &ago(&[0, 1, 2, 3]), 0.0), SECOND / 2);
    assert_eq!(Policy::unavailable_rest(5, &ago(&[0, 1, 2, 3, 4]), 0.0), SECOND * 6);
    assert_eq!(Policy::unavailable_rest(5, &ago(&[0, 0, 0, 0, 0]), 1.0), SECOND * 10);
    assert_eq!(Policy::unavailable_rest(5, &ago(&[0, 1, 2, 3, 12]), 0.0), SECOND / 2);
    assert!(Policy::unavailable_rest(FAST_ATTEMPTS + 1, &[], 0.0) > WAITED_REST, "nobody waits for it");
}

/// Lifetime, floor and verdict of a set received after `took`, in place of one of lifetime and age.
fn settled(
    (access, life): (&str, Option<u64>),
    kept: (Option<u64>, u64),
    took: u64,
    failures: u32,
) -> (Option<u64>, Option<u64>, bool) {
    let kept_tokens = tokens(kept.0, None);
    let mut set = Tokens { access_token: Some(access.into()), ..tokens(life, None) };
    let useless = settle(
        &mut set,
        Some((&kept_tokens, SECOND * u32::try_from(kept.1).unwrap())),
        SECOND * u32::try_from(took).unwrap(),
        failures,
        0.0,
    );
    (set.expires_in.map(|life| life.as_secs()), set.at_least.map(|least| least.as_secs()), useless)
}

#[test]
fn the_token_in_use_keeps_its_expiry_and_its_whole_life() {
    for left in [Some(99), Some(100), Some(0), None] {
        assert_eq!(
            settled(("access", left), (Some(300), 200), 0, 0),
            (Some(100), Some(100), false),
            "{left:?}"
        );
    }
    assert_eq!(settled(("access", Some(101)), (Some(300), 200), 0, 0), (Some(101), Some(101), false));
    assert_eq!(settled(("access", Some(300)), (None, 200), 0, 0), (Some(300), Some(300), false));
    assert_eq!(settled(("access", None), (None, 200), 0, 0), (None, None, false));
}

#[test]
fn the_token_in_use_with_a_new_life_is_like_a_new_one() {
    assert_eq!(settled(("access", Some(300)), (Some(300), 200), 0, 0), (Some(300), None, false));
    assert_eq!(settled(("other", Some(100)), (Some(300), 200), 0, 0), (Some(100), None, false));
    assert_eq!(settled(("other", None), (Some(300), 200), 0, 0), (None, None, false));
}

#[test]
fn a_token_that_comes_dead_is_used_for_longer_each_time() {
    for (failures, rest) in [(0, 1), (1, 2), (2, 4), (30, 300)] {
        assert_eq!(settled(("other", Some(5)), (None, 0), 6, failures), (Some(5), Some(6 + rest), true));
    }
    assert_eq!(
        settled(("access", Some(0)), (Some(300), 300), 2, 0),
        (Some(0), Some(3), true),
        "returned after its end"
    );
    assert_eq!(
        settled(("other", Some(1)), (None, 0), 0, 9),
        (Some(1), Some(1), false),
        "short, and not dead"
    );
    let mut none = Tokens { access_token: None, ..tokens(Some(0), None) };
    assert!(!settle(&mut none, None, SECOND, 0, 0.0));
}

#[test]
fn a_wish_to_be_asked_at_once_is_not_met() {
    for (life, wish, met) in [(Some(3600), 1, 60), (Some(3600), 600, 600), (Some(60), 1, 30), (None, 0, 60)] {
        let mut set = tokens(life, Some(wish));
        settle(&mut set, None, Duration::ZERO, 0, 0.0);
        assert_eq!(set.refresh_in, Some(SECOND * met));
    }
}
