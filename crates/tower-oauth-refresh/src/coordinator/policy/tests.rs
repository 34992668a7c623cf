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
        assert_eq!(usable_until(set.expires_in, obtained), Some(obtained.after(good)));
    }
    let unknown = tokens(None, None);
    assert!(usable(&unknown, Duration::MAX));
    assert_eq!(usable_until(unknown.expires_in, obtained), None);
    assert!(!usable(&Tokens { access_token: None, ..unknown }, Duration::ZERO));
}

#[test]
fn pauses_lie_between_their_ends() {
    assert_eq!(Policy::retry_pause(0.0), Duration::from_millis(50));
    assert_eq!(Policy::retry_pause(1.0), Duration::from_millis(500));
    assert_eq!(Policy::outage_rest(1, 0.0), SECOND);
    assert_eq!(Policy::outage_rest(3, 1.0), SECOND * 5);
    assert_eq!(Policy::outage_rest(1_000, 0.0), SECOND * 30);
    assert_eq!(Policy::refused_rest(1_000, 0.0), SECOND * 300);
    assert_eq!(Policy::refused_rest(1_000, 1.0), SECOND * 375);
}
