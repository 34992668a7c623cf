//! The `Authorization` header of a request (RFC 6750 §2.1).

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, request};
use zeroize::Zeroizing;

use crate::secret::{AccessToken, BoundKey, overwritten};

/// What a request gets.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    pub(crate) header: HeaderValue,
    /// For whoever signs a proof further below.
    pub(crate) bound_key: Option<BoundKey>,
}

impl Attachment {
    /// Writes the token into the head of a request, which has no `Authorization`.
    #[inline]
    pub(crate) fn attach(self, head: &mut request::Parts) {
        // Cheaper than to insert, and there is nothing to be replaced.
        head.headers.append(AUTHORIZATION, self.header);
        if let Some(key) = self.bound_key {
            head.extensions.insert(key);
        }
    }
}

/// The scheme, `Bearer` or `DPoP`, and the token, marked sensitive. `None`: a byte of the token cannot stand in a
/// header.
///
/// Made once for every token set; requests clone it, which neither copies nor allocates.
pub(crate) fn authorization(scheme: &str, token: &AccessToken) -> Option<HeaderValue> {
    let text = token.expose_secret();
    // At once as long as it becomes: growing leaves copies of secrets behind.
    let mut header = String::with_capacity(scheme.len() + 1 + text.len());
    header.push_str(scheme);
    header.push(' ');
    header.push_str(text);
    sensitive(overwritten(header))
}

/// The same header, with bytes and a count of its own.
pub(crate) fn copy(header: &HeaderValue) -> HeaderValue {
    let own = Bytes::from_owner(Apart(Zeroizing::new(header.as_bytes().into())));
    sensitive(own).unwrap_or_else(|| header.clone())
}

fn sensitive(bytes: Bytes) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(bytes).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Aligned, so that no two counts share a cache line, or the pair of them that processors fetch together.
#[repr(align(128))]
struct Apart(Zeroizing<Box<[u8]>>);

impl AsRef<[u8]> for Apart {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::scheme;

    #[test]
    fn the_header_is_sensitive_and_an_illegal_token_is_no_panic() {
        let value = authorization("Bearer", &"abc".into()).unwrap();
        assert_eq!(value, "Bearer abc");
        assert!(value.is_sensitive());
        assert!(authorization("Bearer", &"a\r\nb".into()).is_none());
    }

    #[test]
    fn the_token_of_a_header_is_the_one_it_was_made_of_and_has_no_bytes_of_its_own() {
        for text in ["abc", "a b", "ä"] {
            let header = authorization("DPoP", &text.into()).unwrap();
            let token = AccessToken::carried_by(header.clone());
            assert_eq!(scheme(&header), "DPoP");
            assert_eq!(token.expose_secret(), text);
            let within = header.as_bytes().as_ptr_range();
            assert!(within.contains(&token.clone().expose_secret().as_ptr()));
        }
    }

    #[test]
    fn a_copy_is_as_sensitive_and_shares_no_bytes() {
        let value = authorization("Bearer", &"abc".into()).unwrap();
        let copy = copy(&value);
        assert_eq!(copy, value);
        assert!(copy.is_sensitive());
        assert_ne!(copy.as_bytes().as_ptr(), value.as_bytes().as_ptr());
    }
}
