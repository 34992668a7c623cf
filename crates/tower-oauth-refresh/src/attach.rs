//! The `Authorization` header of a request (RFC 6750 §2.1).

use http::HeaderValue;

use crate::secret::AccessToken;

/// `Bearer` and the token, marked sensitive. `None`: a byte of the token cannot stand in a header.
///
/// Made once for every token set; requests clone it, which neither copies nor allocates.
pub(crate) fn bearer(token: &AccessToken) -> Option<HeaderValue> {
    let text = token.expose_secret();
    let mut bytes = Vec::with_capacity("Bearer ".len() + text.len());
    bytes.extend_from_slice(b"Bearer ");
    bytes.extend_from_slice(text.as_bytes());
    let mut value = HeaderValue::from_maybe_shared(bytes::Bytes::from(bytes)).ok()?;
    value.set_sensitive(true);
    // The first clone of bytes allocates their shared count: here, not in a request.
    drop(value.clone());
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_sensitive_and_an_illegal_token_is_no_panic() {
        let value = bearer(&"abc".into()).unwrap();
        assert_eq!(value, "Bearer abc");
        assert!(value.is_sensitive());
        assert!(bearer(&"a\r\nb".into()).is_none());
    }
}
