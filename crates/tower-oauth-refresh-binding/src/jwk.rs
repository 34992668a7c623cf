//! Public keys as others are told of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::digest::{SHA256, digest};
use ring::rsa::{PublicKey, PublicKeyComponents};

/// A public key as a JWK: the members that RFC 7638 §3.2 requires, in its order, and nothing more.
///
/// So the text is at once what goes into a proof and what the thumbprint is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicJwk(String);

impl PublicJwk {
    /// A key on P-256, from its uncompressed point.
    pub(crate) fn p256(point: &[u8]) -> Option<Self> {
        let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
        let (x, y) = (BASE64URL.encode(x), BASE64URL.encode(y));
        Some(Self(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)))
    }

    /// An Ed25519 key (RFC 8037 §2).
    pub(crate) fn ed25519(key: &[u8]) -> Self {
        let x = BASE64URL.encode(key);
        Self(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#))
    }

    pub(crate) fn rsa(key: &PublicKey) -> Self {
        Self::rsa_from(&PublicKeyComponents::from(key))
    }

    fn rsa_from(key: &PublicKeyComponents<Vec<u8>>) -> Self {
        let (e, n) = (BASE64URL.encode(&key.e), BASE64URL.encode(&key.n));
        Self(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))
    }

    pub(crate) fn as_json(&self) -> &str {
        &self.0
    }

    /// RFC 7638 §3, with SHA-256.
    pub(crate) fn thumbprint(&self) -> String {
        BASE64URL.encode(digest(&SHA256, self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        BASE64URL.decode(text).unwrap()
    }

    #[test]
    fn the_thumbprint_of_an_rsa_key_is_that_of_rfc_7638_3_1() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK\
                 RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqz\
                 s8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_x\
                 BniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = PublicJwk::rsa_from(&PublicKeyComponents { n: bytes(n), e: bytes("AQAB") });
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_thumbprint_of_a_p256_key_is_that_of_rfc_9449_6_1() {
        let x = bytes("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs");
        let y = bytes("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA");
        let key = PublicJwk::p256(&[&[4], &*x, &*y].concat()).unwrap();
        assert_eq!(key.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn the_thumbprint_of_an_ed25519_key_is_that_of_rfc_8037_a_3() {
        let key = PublicJwk::ed25519(&bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
