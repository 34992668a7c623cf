//! `Retry-After` (RFC 9110 §10.2.3).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

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
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(CAP))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(field: &[u8]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(field).expect("a field"));
        // Sun, 06 Nov 1994 08:49:37 GMT, the date every form of which RFC 9110 shows.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        retry_after(&headers, now).map(|wait| wait.as_secs())
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
}
