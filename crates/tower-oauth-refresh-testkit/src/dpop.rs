//! Proofs of possession, as the servers judge them (RFC 9449 §4.3), and the nonces they ask for.

mod nonces;

use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) use self::nonces::Nonces;
use crate::hash::TokenHash;

/// The proof that came with a request, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// Its `jti`.
    pub jti: Option<TokenHash>,
    /// The thumbprint of the key it carries (RFC 7638).
    pub key: Option<String>,
    /// Its nonce.
    pub nonce: Option<String>,
    /// Does its nonce come from somewhere else? Of what this server answered, none had it.
    pub foreign_nonce: bool,
    /// The first thing that is wrong with it, in a word: `signature`, `htm`, `htu`, `iat`, `ath` and the like. A
    /// nonce that is missing or old is no flaw, since the client could not know.
    pub flaw: Option<&'static str>,
}

impl Proof {
    /// The proof of a request, which is for this access token.
    pub(crate) fn of(
        parts: &Parts,
        access_token: Option<&str>,
        now: SystemTime,
        nonces: &Nonces,
    ) -> Option<Self> {
        let mut values = parts.headers.get_all(DPOP).iter();
        let value = values.next()?;
        let mut proof = Self { jti: None, key: None, nonce: None, foreign_nonce: false, flaw: None };
        proof.flaw = if values.next().is_some() {
            Some("more than one header")
        } else {
            let request = Expected { parts, access_token, now };
            proof.read(value.as_bytes(), &request).err()
        };
        proof.foreign_nonce = proof.nonce.as_deref().is_some_and(|nonce| !nonces.issued(nonce));
        Some(proof)
    }

    fn read(&mut self, jwt: &[u8], request: &Expected<'_>) -> Result<(), &'static str> {
        let jwt = Jwt::read(jwt).ok_or("no JWT")?;
        let (header, claims) = (&jwt.header, &jwt.claims);
        self.jti = text_of(claims, "jti").map(TokenHash::of);
        self.nonce = text_of(claims, "nonce").map(str::to_owned);
        if text_of(header, "typ") != Some("dpop+jwt") {
            return Err("typ");
        }
        let key = Key::read(header.get("jwk").ok_or("jwk")?)?;
        self.key = Some(key.thumbprint.clone());
        if text_of(header, "alg") != Some(key.algorithm) {
            return Err("alg");
        }
        key.verify(&jwt)?;
        if self.jti.is_none() {
            return Err("jti");
        }
        request.holds(claims)
    }
}

/// The request that a proof has to be about.
struct Expected<'a> {
    parts: &'a Parts,
    access_token: Option<&'a str>,
    now: SystemTime,
}

impl Expected<'_> {
    fn holds(&self, claims: &Value) -> Result<(), &'static str> {
        let Parts { method, uri, headers, .. } = self.parts;
        if text_of(claims, "htm") != Some(method.as_str()) {
            return Err("htm");
        }
        let authority = uri.authority().map(|authority| authority.as_str());
        let host = authority.or_else(|| text(headers, &header::HOST)).unwrap_or_default();
        // These servers speak http alone.
        if text_of(claims, "htu") != Some(&format!("http://{host}{}", uri.path())) {
            return Err("htu");
        }
        let now = self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if claims.get("iat").and_then(Value::as_u64).is_none_or(|at| now.abs_diff(at) > LEEWAY) {
            return Err("iat");
        }
        let hash = self.access_token.map(|token| BASE64URL.encode(Sha256::digest(token)));
        if hash.is_some() && text_of(claims, "ath") != hash.as_deref() {
            return Err("ath");
        }
        Ok(())
    }
}

/// A JSON web token in three parts, its signature not yet looked at.
pub(crate) struct Jwt<'a> {
    pub(crate) claims: Value,
    header: Value,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    pub(crate) fn read(jwt: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(jwt).ok()?;
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice(&BASE64URL.decode(part).ok()?).ok();
        Some(Self {
            claims: json(claims)?,
            header: json(header)?,
            signed: signed.as_bytes(),
            signature: BASE64URL.decode(signature).ok()?,
        })
    }
}

/// A public key out of its JWK.
struct Key {
    algorithm: &'static str,
    thumbprint: String,
    public: Public,
}

enum Public {
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

impl Key {
    fn read(jwk: &Value) -> Result<Self, &'static str> {
        if ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|name| jwk.get(name).is_some()) {
            return Err("private key in jwk");
        }
        let bytes = |name: &str| {
            let member = text_of(jwk, name).and_then(|text| BASE64URL.decode(text).ok());
            member.ok_or("jwk")
        };
        let (algorithm, required, public): (_, &[_], _) = match (text_of(jwk, "kty"), text_of(jwk, "crv")) {
            (Some("EC"), Some("P-256")) => {
                let point = [vec![4], bytes("x")?, bytes("y")?].concat();
                ("ES256", &["crv", "kty", "x", "y"], Public::P256(point))
            }
            (Some("OKP"), Some("Ed25519")) => ("EdDSA", &["crv", "kty", "x"], Public::Ed25519(bytes("x")?)),
            (Some("RSA"), _) => {
                let key = RsaPublicKeyComponents { n: bytes("n")?, e: bytes("e")? };
                ("PS256", &["e", "kty", "n"], Public::Rsa(key))
            }
            _ => return Err("jwk"),
        };
        let member = |name: &&str| Some(format!(r#""{name}":{}"#, jwk.get(name)?));
        let members: Vec<_> = required.iter().filter_map(member).collect();
        let thumbprint = BASE64URL.encode(Sha256::digest(format!("{{{}}}", members.join(","))));
        Ok(Self { algorithm, thumbprint, public })
    }

    fn verify(&self, jwt: &Jwt<'_>) -> Result<(), &'static str> {
        let Jwt { signed, signature, .. } = jwt;
        let verified = match &self.public {
            Public::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            Public::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
            Public::Rsa(key) => key.verify(&RSA_PSS_2048_8192_SHA256, signed, signature),
        };
        verified.map_err(|_| "signature")
    }
}

fn text_of<'a>(json: &'a Value, name: &str) -> Option<&'a str> {
    json.get(name)?.as_str()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Seconds that a proof's clock may be apart from the server's: RFC 9449 §11.1 speaks of seconds or minutes.
const LEEWAY: u64 = 60;

#[cfg(test)]
mod tests;
