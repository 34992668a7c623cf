//! `Retry-After` (RFC 9110 §10.2.3).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// No server may silence a client for longer.
const CAP: Duration = Duration::from_secs(3600);

/// How long the server wishes not to be asked, in either form of the field, at most an hour. A date that
/// has passed is no wait; anything else is no wish.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are more than the cap.
        text.parse().map_or(CAP, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(text).ok()?;
        // By the server's own clock, where it says how late it is there and its wish has not passed by it.
        let sent = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let wait = sent.and_then(|sent| until.duration_since(sent).ok());
        wait.unwrap_or_else(|| until.duration_since(now).unwrap_or_default())
    };
    Some(wait.min(CAP))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(field: &[u8]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(field).expect("a field"));
        // Sun, 06 Nov 1994 08:49:37 GMT, the date every form of which RFC 9110 shows.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_date_counts_from_the_date_of_the_answer() {
        let read = |until: u64, date: &[u8]| {
            let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let until = HeaderValue::from_str(&httpdate::fmt_http_date(at(until))).unwrap();
            let date = HeaderValue::from_bytes(date).unwrap();
            let headers = HeaderMap::from_iter([(RETRY_AFTER, until), (DATE, date)]);
            retry_after(&headers, at(784_111_777)).map(|wait| wait.as_secs())
        };
        let half_an_hour_ahead = b"Sun, 06 Nov 1994 09:19:37 GMT";
        assert_eq!(read(784_111_777 + 1805, half_an_hour_ahead), Some(5));
        assert_eq!(read(784_111_777 + 5, b"Sun, 06 Nov 1994 08:19:37 GMT"), Some(1805));
        assert_eq!(read(784_111_777 + 5, half_an_hour_ahead), Some(5), "a wish that would have passed");
        assert_eq!(read(784_111_777 + 5, b"today"), Some(5));
    }

    #[test]
    fn seconds_and_dates_are_read_and_cut_to_an_hour() {
        assert_eq!(read(b"0"), Some(0));
        assert_eq!(read(b" 120 "), Some(120));
        assert_eq!(read(b"3601"), Some(3600));
        assert_eq!(read(b"99999999999999999999999"), Some(3600));
        assert_eq!(read(b"Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(read(b"Sunday, 06-Nov-94 08:50:37 GMT"), Some(60));
        assert_eq!(read(b"Sun Nov  6 08:50:37 1994"), Some(60));
        assert_eq!(read(b"Mon, 07 Nov 1994 08:50:37 GMT"), Some(3600));
        assert_eq!(read(b"Sun, 06 Nov 1994 08:48:37 GMT"), Some(0), "a date that has passed");
    }

    #[test]
    fn garbage_is_no_wish() {
        for field in [&b""[..], b"-1", b"1.5", b"soon", b"120 seconds", b"1, 2", b"+5", b"\xff", b"0x10"] {
            assert_eq!(read(field), None, "{field:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }

    /// Fields that are nearly right: numbers of any length, dates of any year, and pieces of both.
    fn field() -> impl Strategy<Value = Vec<u8>> {
        let date = (0_u64..253_402_300_800)
            .prop_map(|secs| httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(secs)));
        let nearly =
            (date.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(date, at, byte)| {
                let mut date = date.into_bytes();
                let at = at.index(date.len());
                date[at] = byte;
                date
            });
        prop_oneof![
            "[ \t]{0,2}[0-9+-]{0,25}[ \t.]{0,2}".prop_map(String::into_bytes),
            date.prop_map(String::into_bytes),
            nearly,
            prop::collection::vec(any::<u8>(), 0..60),
        ]
    }

    proptest! {
        #[test]
        fn no_field_makes_it_panic_or_wait_for_more_than_an_hour(field in field(), now in 0_u64..253_402_300_800) {
            let Ok(value) = HeaderValue::from_bytes(&field) else { return Ok(()) };
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            prop_assert!(retry_after(&headers, now).is_none_or(|wait| wait <= CAP));
        }

        #[test]
        fn what_the_server_wishes_is_what_is_read(secs in 0_u64..10_000, now in 0_u64..253_402_200_000) {
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(now + secs);
            for field in [secs.to_string(), httpdate::fmt_http_date(date)] {
                let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(&field).unwrap())]);
                let read = retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(now));
                prop_assert_eq!(read, Some(Duration::from_secs(secs.min(3600))));
            }
        }
    }
}
