//! A private key as a JWK (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::error::KeyRejected;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PSS_SHA256, RsaKeyPair,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::{InvalidKey, Signer, SigningKey};

impl SigningKey {
    /// A private JWK: `EC` on P-256 for ES256, `RSA` for PS256, `OKP` with Ed25519 for EdDSA, `oct` for HS256. Its
    /// `kid` becomes the [`key_id`](Self::key_id).
    ///
    /// An `RSA` key needs its primes and what is computed from them (`p`, `q`, `dp`, `dq`, `qi`), which a JWK may
    /// lack. What is made of the text while reading is overwritten, the text itself is the caller's.
    ///
    /// # Errors
    ///
    /// It is no JWK, a public one or a set of them; it is of another kind or size, or contradicts itself; its
    /// `alg`, `use` or `key_ops` say that it is for something else.
    pub fn from_jwk(jwk: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let mut jwk: Jwk<'_> = serde_json::from_slice(jwk.as_ref())
            .map_err(|_| invalid("it is no JSON object with each member once, in plain text"))?;
        if jwk.keys.is_some() {
            return Err(invalid("it is a set of keys; take one out of it"));
        }
        let signer = match jwk.kty {
            Some("EC") => jwk.es256(),
            Some("RSA") => jwk.ps256(),
            Some("OKP") => jwk.ed25519(),
            Some("oct") => jwk.hs256(),
            Some(_) => Err(invalid("its kty is none of EC, RSA, OKP and oct")),
            None => Err(invalid("it has no kty")),
        }?;
        let key_id = jwk.kid.take();
        let key = Self { signer, key_id };
        jwk.check_purpose(&key)?;
        Ok(key)
    }
}

/// The secret members are borrowed, so that no copy is left of them.
#[derive(Deserialize)]
struct Jwk<'a> {
    kty: Option<&'a str>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<&'a str>,
    x: Option<&'a str>,
    y: Option<&'a str>,
    d: Option<&'a str>,
    n: Option<&'a str>,
    e: Option<&'a str>,
    p: Option<&'a str>,
    q: Option<&'a str>,
    dp: Option<&'a str>,
    dq: Option<&'a str>,
    qi: Option<&'a str>,
    oth: Option<IgnoredAny>,
    k: Option<&'a str>,
    keys: Option<IgnoredAny>,
}

impl Jwk<'_> {
    fn es256(&self) -> Result<Signer, InvalidKey> {
        if self.crv != Some("P-256") {
            return Err(invalid("its crv is not P-256"));
        }
        let (x, y) = (sized("x", self.x)?, sized("y", self.y)?);
        let (alg, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let (private, public) = (sized("d", self.d)?, [&[4], x.as_slice(), y.as_slice()].concat());
        let key = EcdsaKeyPair::from_private_key_and_public_key(alg, &private, &public, &random);
        key.map(|key| Signer::Es256(Arc::new(key))).map_err(rejected)
    }

    fn ed25519(&self) -> Result<Signer, InvalidKey> {
        if self.crv != Some("Ed25519") {
            return Err(invalid("its crv is not Ed25519"));
        }
        let (private, public) = (sized("d", self.d)?, sized("x", self.x)?);
        let key = Ed25519KeyPair::from_seed_and_public_key(&private, &public);
        key.map(|key| Signer::EdDsa(Arc::new(key))).map_err(rejected)
    }

    fn ps256(&self) -> Result<Signer, InvalidKey> {
        if self.oth.is_some() {
            return Err(invalid("it has more than two primes"));
        }
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: bytes("n", self.n)?, e: bytes("e", self.e)? },
            d: bytes("d", self.d)?,
            p: bytes("p", self.p)?,
            q: bytes("q", self.q)?,
            dP: bytes("dp", self.dp)?,
            dQ: bytes("dq", self.dq)?,
            qInv: bytes("qi", self.qi)?,
        };
        let key = RsaKeyPair::from_components(&components).map_err(rejected)?;
        // Whether `e`, `dp` and `dq` belong together is looked at when it signs, and not before.
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), &[], &mut signature)
            .map_err(|_| invalid("the key contradicts itself"))?;
        Ok(Signer::Ps256(Arc::new(key)))
    }

    fn hs256(&self) -> Result<Signer, InvalidKey> {
        Ok(SigningKey::hs256(bytes("k", self.k)?)?.signer)
    }

    /// Does it say itself that it is there to sign, in this way (RFC 7517 §4.2 to §4.4)?
    fn check_purpose(&self, key: &SigningKey) -> Result<(), InvalidKey> {
        let name = key.algorithm().name();
        if self.alg.as_ref().is_some_and(|alg| alg != name) {
            return Err(invalid(&format!("its alg is not {name}")));
        }
        let for_else = self.purpose.as_ref().is_some_and(|purpose| purpose != "sig")
            || self.key_ops.as_ref().is_some_and(|uses| !uses.iter().any(|it| it == "sign"));
        if for_else { Err(invalid("its use or key_ops is not to sign")) } else { Ok(()) }
    }
}

fn bytes(name: &str, member: Option<&str>) -> Result<Secret, InvalidKey> {
    let text = member.ok_or_else(|| match name {
        "d" => invalid("there is a public key, but no private one"),
        _ => invalid(&format!("it has no {name}")),
    })?;
    let decoded = BASE64URL.decode(text).map_err(|_| invalid(&format!("its {name} is no base64url")))?;
    Ok(Zeroizing::new(decoded))
}

/// A number of 256 bits, none left out in front (RFC 7518 §6.2).
fn sized(name: &str, member: Option<&str>) -> Result<Secret, InvalidKey> {
    let bytes = bytes(name, member)?;
    if bytes.len() == 32 { Ok(bytes) } else { Err(invalid(&format!("its {name} is not 32 bytes long"))) }
}

fn invalid(reason: &str) -> InvalidKey {
    InvalidKey::to_sign_with(reason)
}

fn rejected(error: KeyRejected) -> InvalidKey {
    invalid(&format!("the key was rejected: {error}"))
}

type Secret = Zeroizing<Vec<u8>>;

#[cfg(test)]
mod tests;
