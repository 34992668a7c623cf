//! Keys that sign, in memory or elsewhere.

mod private_jwk;

use std::fmt;
use std::sync::Arc;

use ring::error::KeyRejected;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PSS_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use tower_oauth_refresh::BoxFuture;
use zeroize::Zeroizing;

use crate::BoxError;
use crate::jwk::PublicJwk;

/// A key, and the name that the server knows it by. Clones share the key.
///
/// PEM is read as PKCS#8 (`BEGIN PRIVATE KEY`), which is what `openssl genpkey` writes. `Debug` shows the algorithm
/// and the key id only. The copy made while reading is overwritten; the key itself is held by `ring`, which does
/// not overwrite it when dropped. Where that is too little, keep it elsewhere: [`callback`](Self::callback).
#[derive(Clone)]
pub struct SigningKey {
    signer: Signer,
    key_id: Option<String>,
}

#[derive(Clone)]
enum Signer {
    Es256(Arc<EcdsaKeyPair>),
    Ps256(Arc<RsaKeyPair>),
    EdDsa(Arc<Ed25519KeyPair>),
    Hs256(Arc<hmac::Key>),
    Elsewhere(Algorithm, Arc<SignElsewhere>),
}

type SignElsewhere = dyn Fn(Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, BoxError>> + Send + Sync;

/// How a key signs: the `alg` of a JWS (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256. A signature is `r` and `s`, 32 bytes each.
    Es256,
    /// RSASSA-PSS with SHA-256 and a salt as long as the hash.
    Ps256,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
}

/// A key that cannot be used, and why. Says nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key {0}")]
pub struct InvalidKey(String);

impl SigningKey {
    /// A private key on P-256, for ES256. Its public key must be in the file, as it usually is.
    ///
    /// # Errors
    ///
    /// The text is no PKCS#8 in PEM, or holds a key of another kind, or one that contradicts itself.
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let key = read_pem(Algorithm::Es256, pem.as_ref(), read_es256)?;
        Ok(Self::new(Signer::Es256(Arc::new(key))))
    }

    /// An RSA private key of 2048 to 4096 bits, for PS256.
    ///
    /// # Errors
    ///
    /// The text is no PKCS#8 in PEM, or holds a key of another kind or size.
    pub fn ps256_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let key = read_pem(Algorithm::Ps256, pem.as_ref(), RsaKeyPair::from_pkcs8)?;
        Ok(Self::new(Signer::Ps256(Arc::new(key))))
    }

    /// An Ed25519 private key, for EdDSA, with or without its public key in the file.
    ///
    /// # Errors
    ///
    /// The text is no PKCS#8 in PEM, or holds a key of another kind.
    pub fn ed25519_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let key = read_pem(Algorithm::EdDsa, pem.as_ref(), Ed25519KeyPair::from_pkcs8_maybe_unchecked)?;
        Ok(Self::new(Signer::EdDsa(Arc::new(key))))
    }

    /// The client secret, for HS256: `client_secret_jwt` (OpenID Connect Core §9).
    ///
    /// # Errors
    ///
    /// A secret shorter than 32 bytes: RFC 7518 §3.2 forbids it, since whoever sees one assertion can guess.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let secret = secret.as_ref();
        if secret.len() < 32 {
            let reason = format!("a secret of {} bytes, where at least 32 are required", secret.len());
            return Err(InvalidKey::new(Algorithm::Hs256, &reason));
        }
        Ok(Self::new(Signer::Hs256(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))))
    }

    /// A key that is kept elsewhere: `sign` gets what is to be signed (not its hash) and answers the signature.
    ///
    /// The form is that of RFC 7518 §3: for ES256 `r` and `s` side by side, which is not the ASN.1 that many a KMS
    /// answers. A signature of an impossible length is an error and is not sent. The time it takes is part
    /// of the exchange limit; then the future is dropped, and nothing is sent.
    pub fn callback<F>(algorithm: Algorithm, sign: impl Fn(Vec<u8>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<u8>, BoxError>> + Send + 'static,
    {
        Self::new(Signer::Elsewhere(algorithm, Arc::new(move |input| Box::pin(sign(input)))))
    }

    /// The `kid` that tells the server which of the client's keys this is (RFC 7515 §4.1.4).
    #[must_use]
    pub fn key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    fn new(signer: Signer) -> Self {
        Self { signer, key_id: None }
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match &self.signer {
            Signer::Es256(_) => Algorithm::Es256,
            Signer::Ps256(_) => Algorithm::Ps256,
            Signer::EdDsa(_) => Algorithm::EdDsa,
            Signer::Hs256(_) => Algorithm::Hs256,
            Signer::Elsewhere(algorithm, _) => *algorithm,
        }
    }

    /// A private key on P-256 as PKCS#8 in DER.
    pub(crate) fn es256_pkcs8(der: &[u8]) -> Result<Self, InvalidKey> {
        let key = read_es256(der).map_err(|error| InvalidKey::rejected(Algorithm::Es256, error))?;
        Ok(Self::new(Signer::Es256(Arc::new(key))))
    }

    /// The public half, where there is one and it is here.
    pub(crate) fn public_jwk(&self) -> Result<PublicJwk, InvalidKey> {
        let missing = |reason| InvalidKey(format!("for DPoP: {reason}"));
        match &self.signer {
            Signer::Es256(key) => PublicJwk::p256(key.public_key().as_ref())
                .ok_or_else(|| missing("its public key is no point on P-256")),
            Signer::Ps256(key) => Ok(PublicJwk::rsa(key.public())),
            Signer::EdDsa(key) => Ok(PublicJwk::ed25519(key.public_key().as_ref())),
            Signer::Hs256(_) => Err(missing("a shared secret has no public key")),
            Signer::Elsewhere(..) => Err(missing("it is kept elsewhere, and its public key is not known")),
        }
    }

    /// The signature in the form of RFC 7518 §3.
    pub(crate) async fn sign(&self, input: &[u8]) -> Result<Vec<u8>, BoxError> {
        let Signer::Elsewhere(algorithm, sign) = &self.signer else { return self.sign_here(input) };
        // Anything may be in the text of a foreign error.
        let signature = sign(input.to_vec()).await.map_err(|_| "the callback that signs has failed")?;
        algorithm.check_length(&signature)?;
        Ok(signature)
    }

    /// The same, at once; for a key that is kept elsewhere an error.
    pub(crate) fn sign_here(&self, input: &[u8]) -> Result<Vec<u8>, BoxError> {
        let failed = |_| "the key could not sign";
        match &self.signer {
            Signer::Es256(key) => {
                Ok(key.sign(&SystemRandom::new(), input).map_err(failed)?.as_ref().to_vec())
            }
            Signer::Ps256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), input, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Signer::EdDsa(key) => Ok(key.sign(input).as_ref().to_vec()),
            Signer::Hs256(key) => Ok(hmac::sign(key, input).as_ref().to_vec()),
            Signer::Elsewhere(..) => Err("the key is kept elsewhere".into()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elsewhere = matches!(self.signer, Signer::Elsewhere(..));
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("key_id", &self.key_id)
            .field("elsewhere", &elsewhere)
            .finish_non_exhaustive()
    }
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }

    fn check_length(self, signature: &[u8]) -> Result<(), BoxError> {
        let possible = match self {
            Self::Es256 | Self::EdDsa => signature.len() == 64,
            // From the 2048 bits that RFC 7518 §3.5 requires.
            Self::Ps256 => signature.len() >= 256,
            Self::Hs256 => signature.len() == 32,
        };
        if possible {
            return Ok(());
        }
        let hint = if self == Self::Es256 { "; wanted are r and s, 32 bytes each, not ASN.1" } else { "" };
        Err(format!("no signature of {} has {} bytes{hint}", self.name(), signature.len()).into())
    }
}

impl InvalidKey {
    fn new(algorithm: Algorithm, reason: &str) -> Self {
        Self(format!("for {}: {reason}", algorithm.name()))
    }

    fn rejected(algorithm: Algorithm, error: KeyRejected) -> Self {
        Self::new(algorithm, &format!("the key was rejected: {error}"))
    }

    fn to_sign_with(reason: &str) -> Self {
        Self(format!("to sign with: {reason}"))
    }

    pub(crate) fn not_kept() -> Self {
        Self("to keep with a login: it stays where it came from".to_owned())
    }
}

fn read_es256(der: &[u8]) -> Result<EcdsaKeyPair, KeyRejected> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new())
}

/// A new private key on P-256, as PKCS#8 in DER with its public key.
pub(crate) fn generate_es256() -> Result<Zeroizing<Vec<u8>>, InvalidKey> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let no_randomness = |_| InvalidKey::new(Algorithm::Es256, "the system has no randomness to make one");
    document.map(|der| Zeroizing::new(der.as_ref().to_vec())).map_err(no_randomness)
}

fn read_pem<K>(
    algorithm: Algorithm,
    pem: &[u8],
    read: impl FnOnce(&[u8]) -> Result<K, KeyRejected>,
) -> Result<K, InvalidKey> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem);
    let der = der.map_err(|_| InvalidKey::new(algorithm, why_no_pkcs8(pem)))?;
    let der = Zeroizing::new(der);
    read(der.secret_pkcs8_der()).map_err(|error| InvalidKey::rejected(algorithm, error))
}

/// What is there in place of PKCS#8, for those files that are mistaken for it.
fn why_no_pkcs8(pem: &[u8]) -> &'static str {
    let has = |label: &str| {
        let line = format!("-----BEGIN {label}-----");
        pem.windows(line.len()).any(|window| window == line.as_bytes())
    };
    if has("ENCRYPTED PRIVATE KEY") {
        "it is encrypted; `openssl pkcs8` decrypts it"
    } else if has("EC PRIVATE KEY") || has("RSA PRIVATE KEY") {
        "it is not in PKCS#8; `openssl pkcs8 -topk8 -nodes` converts it"
    } else if has("PUBLIC KEY") || has("CERTIFICATE") {
        "there is a public key, but no private one"
    } else {
        "there is no readable `BEGIN PRIVATE KEY` in it"
    }
}

#[cfg(test)]
mod tests;
