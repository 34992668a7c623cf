//! Proofs of possession: a JWT about one request, signed by the key that its token is bound to (RFC 9449 §4).

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use http::{HeaderValue, Method, Uri};
use ring::digest::{SHA256, digest};
use serde_json::json;
use tower_oauth_refresh::BoundKey;

use crate::BoxError;
use crate::assertion::new_jti;
use crate::key::{InvalidKey, SigningKey, generate_es256};

/// The key that tokens are bound to. Clones share it.
///
/// The server binds tokens to whichever key signed the proof they were asked for with, and a public client's
/// refresh token is good with that key alone (RFC 9449 §5). So a key belongs to a login and is kept as long as
/// that, or to the client, whose logins share it. `Debug` shows the thumbprint only, which is public.
#[derive(Clone)]
pub struct DpopKey(Arc<Inner>);

struct Inner {
    key: SigningKey,
    /// The first part of every proof, which is always the same.
    header: String,
    thumbprint: String,
    /// What it was read from, where it is to be kept with a login.
    bound: Option<BoundKey>,
}

impl DpopKey {
    /// A new key on P-256, whose proofs are signed with ES256.
    ///
    /// # Errors
    ///
    /// The system has no randomness.
    pub fn generate() -> Result<Self, InvalidKey> {
        Self::try_from(BoundKey::new(generate_es256()?.to_vec()))
    }

    /// A key that is kept elsewhere between two runs, such as one for all logins of the client. Its key id is not
    /// sent: a proof carries the public key itself (RFC 9449 §4.2).
    ///
    /// PS256 takes many times as long to sign as the other two, and each request waits for it.
    ///
    /// # Errors
    ///
    /// A client secret, or a key behind a callback: a server could not tell the public key.
    pub fn new(key: SigningKey) -> Result<Self, InvalidKey> {
        Self::with(key, None)
    }

    /// The key as it is kept with a login, for [`TokenSet::with_bound_key`]: the private key, as PKCS#8 in DER.
    ///
    /// # Errors
    ///
    /// It was made by [`new`](Self::new), so it is kept where it came from.
    ///
    /// [`TokenSet::with_bound_key`]: tower_oauth_refresh::TokenSet::with_bound_key
    pub fn bound_key(&self) -> Result<BoundKey, InvalidKey> {
        self.0.bound.clone().ok_or_else(InvalidKey::not_kept)
    }

    fn with(key: SigningKey, bound: Option<BoundKey>) -> Result<Self, InvalidKey> {
        let public = key.public_jwk()?;
        let algorithm = key.algorithm().name();
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"{algorithm}","jwk":{}}}"#, public.as_json());
        let (header, thumbprint) = (BASE64URL.encode(header), public.thumbprint());
        Ok(Self(Arc::new(Inner { key, header, thumbprint, bound })))
    }

    /// The thumbprint of the public key (RFC 7638, SHA-256): the `dpop_jkt` of an authorization request, which
    /// binds the code as well (RFC 9449 §10), and the `jkt` that a server's introspection shows.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// The `DPoP` header of one request.
    pub(crate) fn prove(&self, about: &About<'_>) -> Result<HeaderValue, BoxError> {
        let mut claims = json!({
            "jti": new_jti()?,
            "htm": about.method.as_str(),
            "htu": target(about.uri).ok_or("the request names no host")?,
            "iat": about.at.duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
        });
        if let Some(claims) = claims.as_object_mut() {
            let hash = about.access_token.map(|token| BASE64URL.encode(digest(&SHA256, token)));
            claims.extend(hash.map(|hash| ("ath".to_owned(), hash.into())));
            claims.extend(about.nonce.map(|nonce| ("nonce".to_owned(), nonce.into())));
        }
        let mut jwt = format!("{}.{}", self.0.header, BASE64URL.encode(claims.to_string()));
        let signature = self.0.key.sign_here(jwt.as_bytes())?;
        jwt.push('.');
        BASE64URL.encode_string(signature, &mut jwt);
        let mut header = HeaderValue::try_from(jwt)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// A key that was kept with a login. It must be one on P-256, as [`generate`](DpopKey::generate) makes them.
impl TryFrom<BoundKey> for DpopKey {
    type Error = InvalidKey;

    fn try_from(key: BoundKey) -> Result<Self, InvalidKey> {
        Self::with(SigningKey::es256_pkcs8(key.expose_secret())?, Some(key))
    }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopKey").field("thumbprint", &self.0.thumbprint).finish_non_exhaustive()
    }
}

/// What a proof says.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    /// At the API: what the proof is tied to (`ath`).
    pub(crate) access_token: Option<&'a [u8]>,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) at: SystemTime,
}

/// The `htu` of a request: where it goes, without query and fragment.
///
/// Of the normalisation of RFC 3986 §6.2.2 and §6.2.3, which RFC 9449 §4.3 asks of servers before they compare,
/// this is what a request loses on its way in any case: the case of scheme and host, a default port, an empty
/// path, a user name. The path itself stays as it is sent. A server that normalises both sides does not mind, and
/// one that does not finds what it received.
fn target(uri: &Uri) -> Option<String> {
    let (scheme, host) = (uri.scheme_str()?.to_ascii_lowercase(), uri.host()?.to_ascii_lowercase());
    let default = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let port = uri.port_u16().filter(|port| *port != default).map(|port| format!(":{port}"));
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    Some(format!("{scheme}://{host}{}{path}", port.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
