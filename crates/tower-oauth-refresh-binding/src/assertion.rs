//! The assertion itself: a JWT about the client, by the client (RFC 7523 §3).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use tower_oauth_refresh::{ClientAssertion, ClientAuth, Clock, NotSent, SystemClock};

use crate::BoxError;
use crate::key::SigningKey;
use crate::listen::Listening;
use crate::server_time::ServerTime;

/// Signs a new assertion for every request to the authorization server. Clones share the key, also after
/// [`replace`](Self::replace).
///
/// `iss` and `sub` are the client's id, `jti` is 128 random bits, and it expires 60 seconds after it was made. On a
/// machine whose clock may be off by that, see [`listen`](Self::listen).
#[derive(Clone)]
pub struct AssertionSigner {
    audience: String,
    key: Arc<ArcSwap<SigningKey>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) time: ServerTime,
}

impl AssertionSigner {
    /// Signs for the authorization server whose issuer identifier is `audience`: the `issuer` of its metadata, to
    /// the letter. It becomes `aud`, as one string. Some servers want another, such as the URL of the token
    /// endpoint, and say so.
    pub fn new(audience: impl Into<String>, key: SigningKey) -> Self {
        let (key, clock) = (Arc::new(ArcSwap::from_pointee(key)), Arc::new(SystemClock::default()));
        Self { audience: audience.into(), key, clock, time: ServerTime::default() }
    }

    /// Where `iat` and `exp` come from: the coordinator's clock, where that is another than the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// `transport`, for the coordinator's builder, with an ear for a server that has another time.
    ///
    /// Where it refuses the client (400 or 401, `invalid_client`), and its `Date` is more than two seconds off what
    /// the assertion was dated by, its time is taken from then on, and the coordinator tries again as after an
    /// attempt that was never sent: a server that does not know the client has not looked at the refresh token.
    /// Where it refuses the client all the same, that is the answer, and the next attempt is dated by the
    /// [`clock`](Self::clock) again, as one that has nothing to do with time. A `Date` of more than a day off is not
    /// believed.
    ///
    /// A revocation is not tried again: the logout of a client whose time is wrong is
    /// [`NotRevoked`](tower_oauth_refresh::Logout::NotRevoked), and its refresh token lives on.
    ///
    /// Where there is a [`Dpop`](crate::Dpop) too, wrap what that has wrapped, so that it learns the nonce of a refusal
    /// that is kept from the coordinator. What is between must leave the extensions of a request as they are.
    ///
    /// A date is in whole seconds that have passed, so `iat` is never ahead of the server. What was learned lives
    /// in memory, for all clones of this signer; a clock that is off also says so in the log.
    pub fn listen<S>(&self, transport: S) -> Listening<S> {
        Listening::new(transport, self.time.clone(), Arc::clone(&self.clock))
    }

    /// Signs with `key` from the next attempt on, a retry of a refresh under way included. An assertion that is
    /// being signed keeps the old key: leave that registered at the server for another minute.
    pub fn replace(&self, key: SigningKey) {
        self.key.store(Arc::new(key));
    }

    /// The way to authenticate as `client_id`, for the coordinator's builder. It follows
    /// [`replace`](Self::replace).
    ///
    /// Where no assertion can be made, since a [callback](SigningKey::callback) failed, nothing is sent, and the
    /// refresh token is not spent. To the coordinator that is an attempt that did not get through
    /// ([`ErrorKind::Unavailable`](tower_oauth_refresh::ErrorKind::Unavailable)), to be tried again. The source of its
    /// error says that it was the callback; the text of a foreign error, which may hold anything, is not passed on, so
    /// let the callback log its own.
    ///
    /// # Cancel safety
    ///
    /// An attempt that runs out of time while it is being signed never reaches the server.
    pub fn client_auth(&self, client_id: impl Into<String>) -> ClientAuth {
        let (signer, client_id) = (self.clone(), client_id.into());
        ClientAuth::assertion(client_id.clone(), move || {
            let (signer, client_id) = (signer.clone(), client_id.clone());
            async move { signer.sign(&client_id).await.map_err(|error| NotSent::new(error).into()) }
        })
    }

    async fn sign(&self, client_id: &str) -> Result<ClientAssertion, BoxError> {
        let key = self.key.load_full();
        let mut header = json!({ "typ": "JWT", "alg": key.algorithm().name() });
        if let (Some(header), Some(kid)) = (header.as_object_mut(), key.kid()) {
            header.insert("kid".to_owned(), kid.into());
        }
        let dated = self.time.current();
        let issued = dated.since_1970(self.clock.now());
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": self.audience,
            "jti": new_jti()?,
            "iat": issued.as_secs(),
            "exp": issued.saturating_add(LIFETIME).as_secs(),
        });
        let mut jwt =
            format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
        let signature = key.sign(jwt.as_bytes()).await?;
        jwt.push('.');
        BASE64URL.encode_string(signature, &mut jwt);
        Ok(ClientAssertion::new(jwt).with_extension(dated))
    }
}

impl fmt::Debug for AssertionSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionSigner")
            .field("audience", &self.audience)
            .field("key", &self.key.load())
            .finish_non_exhaustive()
    }
}

pub(crate) fn new_jti() -> Result<String, BoxError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no randomness")?;
    Ok(BASE64URL.encode(bytes))
}

/// Longer than an exchange takes with clocks a little apart, and short enough that a stolen assertion is stale.
const LIFETIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
