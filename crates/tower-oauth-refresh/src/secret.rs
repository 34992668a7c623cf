//! Tokens and secrets that nothing prints.
//!
//! Each kind is its own type, so that one cannot be sent where the other belongs, and each shows only its
//! name in `Debug`. A secret is exposed on its way into the `Authorization` header (`attach.rs`), into the token request
//! (`endpoint/request.rs`) and into a record (`store/`), and nowhere else.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderValue};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use zeroize::Zeroizing;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident($text:ident)) => {
        $(#[$doc])*
        ///
        /// Its memory is overwritten when it, or the last that shares it, is dropped. `Debug` prints the name of the
        /// type only.
        #[derive(Clone)]
        pub struct $name($text);

        impl $name {
            /// Takes over `text`.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self($text::from(text.into()))
            }

            /// Is there nothing in it?
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.expose_secret().is_empty()
            }

            /// The text itself. Whoever calls this answers for where it goes.
            #[must_use]
            pub fn expose_secret(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

secret! {
    /// The access token: what a request to the resource server carries (RFC 6749 §1.4).
    AccessToken(AccessText)
}
secret! {
    /// The refresh token: goes to the token endpoint and into the store, nowhere else (RFC 6749 §1.5).
    RefreshToken(SecretString)
}
secret! {
    /// The client's password at the authorization server (RFC 6749 §2.3.1).
    ClientSecret(SecretString)
}
secret! {
    /// A signed statement of who the client is (RFC 7521 §4.2), good for one attempt.
    ClientAssertion(AssertionText)
}

/// An access token by itself, or in the header that carries it: then clones share its bytes.
#[derive(Clone)]
enum AccessText {
    Alone(SecretString),
    InHeader(HeaderValue),
}

impl From<String> for AccessText {
    fn from(text: String) -> Self {
        Self::Alone(text.into())
    }
}

impl ExposeSecret<str> for AccessText {
    fn expose_secret(&self) -> &str {
        match self {
            Self::Alone(text) => text.expose_secret(),
            Self::InHeader(header) => split(header).1,
        }
    }
}

impl AccessToken {
    /// The one that `header` carries.
    pub(crate) fn carried_by(header: HeaderValue) -> Self {
        Self(AccessText::InHeader(header))
    }
}

/// An assertion, and what its request carries for those below.
#[derive(Clone)]
struct AssertionText {
    text: SecretString,
    extensions: Extensions,
}

impl From<String> for AssertionText {
    fn from(text: String) -> Self {
        Self { text: text.into(), extensions: Extensions::new() }
    }
}

impl ExposeSecret<str> for AssertionText {
    fn expose_secret(&self) -> &str {
        self.text.expose_secret()
    }
}

impl ClientAssertion {
    /// The request that carries it has `value` in its extensions: for a transport that needs to know how the assertion
    /// was made.
    #[must_use]
    pub fn with_extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.0.extensions.insert(value);
        self
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }
}

impl RefreshToken {
    /// Is there a character that none has (RFC 6749 appendix A.17)?
    pub(crate) fn has_control_character(&self) -> bool {
        self.expose_secret().chars().any(char::is_control)
    }
}

/// How a header presents its token.
pub(crate) fn scheme(header: &HeaderValue) -> &str {
    split(header).0
}

/// The scheme and the access token of a header, which is both and a space between them.
fn split(header: &HeaderValue) -> (&str, &str) {
    std::str::from_utf8(header.as_bytes()).ok().and_then(|text| text.split_once(' ')).unwrap_or_default()
}

/// Bytes that are overwritten when the last clone of them is dropped.
pub(crate) fn overwritten(text: String) -> Bytes {
    struct Owner(SecretString);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.expose_secret().as_bytes()
        }
    }
    Bytes::from_owner(Owner(text.into()))
}

/// The private key that a login's tokens are bound to (RFC 9449 §5), as bytes that only those who sign with it
/// understand.
///
/// Whoever loses it loses the login of a public client, so it is kept where the refresh token is: in the record,
/// and sealed with it. The HTTP clients below find it in the extensions of every request that carries a token of
/// that login. Clones share it; its memory is overwritten when the last is dropped.
#[derive(Clone)]
pub struct BoundKey(Arc<SecretSlice<u8>>);

impl BoundKey {
    /// Takes over `bytes`.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        // A vector with room to spare would be copied to its size, and itself left as it is.
        let bytes = Zeroizing::new(bytes.into());
        Self(Arc::new(SecretSlice::from(bytes.to_vec())))
    }

    /// The bytes themselves. Whoever calls this answers for where they go.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for BoundKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundKey(redacted)")
    }
}
