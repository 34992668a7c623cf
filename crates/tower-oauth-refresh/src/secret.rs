//! Tokens and secrets that nothing prints.
//!
//! Each kind is its own type, so that one cannot be sent where the other belongs, and each shows only its
//! name in `Debug`. A secret is exposed in three files of this crate and nowhere else: `attach.rs` (the
//! `Authorization` header), `endpoint/request.rs` (the token request) and `store/record.rs` (the record).

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Its memory is overwritten when it is dropped. `Debug` prints the name of the type only.
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Takes over `text`.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(SecretString::from(text.into()))
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
    AccessToken
}
secret! {
    /// The refresh token: goes to the token endpoint and into the store, nowhere else (RFC 6749 §1.5).
    RefreshToken
}
secret! {
    /// The client's password at the authorization server (RFC 6749 §2.3.1).
    ClientSecret
}
secret! {
    /// A signed statement of who the client is (RFC 7521 §4.2), good for one attempt.
    ClientAssertion
}
