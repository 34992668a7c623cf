//! The authorization server.

mod builder;
mod endpoint;
mod families;
mod form;
mod mint;
mod restart;
mod rotation;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use tower_oauth_refresh::{AccessToken, ClientSecret, Clock, RefreshToken, TokenSet};

pub use self::builder::AuthServerBuilder;
use self::families::Families;
use self::form::Client;
pub use self::rotation::Rotation;
use crate::dpop::Nonces;
use crate::fault::Fault;
use crate::gate::Gate;
use crate::ledger::{ClientAuthentication, FamilyId, Ledger};
use crate::script::Script;
use crate::wire::{Answering as _, Listening, Peer};

/// An authorization server on a free port of 127.0.0.1, over real HTTP/1.1 and HTTP/2 (prior knowledge).
///
/// It offers a token endpoint at `/token` for the grants `refresh_token` and `client_credentials`, and a
/// revocation endpoint at `/revoke` (RFC 7009). It is strict where the RFC is: content type, repeated
/// parameters, client authentication, scope. Dropped, it stops at once and closes every connection.
///
/// Requests are worked on whether or not their client waits: one that hangs up before the answer is
/// served all the same, and the rotation it asked for happens.
pub struct AuthServer {
    shared: Arc<Shared>,
    listening: Listening,
    token_endpoint: Uri,
    revocation_endpoint: Uri,
}

/// What the endpoints and the resource servers share.
pub(crate) struct Shared {
    families: Mutex<Families>,
    client: Mutex<Client>,
    scope: Option<String>,
    pub(crate) dpop: bool,
    nonces: Nonces,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Ledger,
    token_faults: Script<Fault>,
    revocation_faults: Script<Fault>,
}

impl Shared {
    pub(crate) fn families(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_secret(&self, text: &str) -> bool {
        self.client().secret == text || self.families().find(text).is_some()
    }
}

impl AuthServer {
    /// A server with all defaults: [`Rotation::Strict`], access tokens that live an hour.
    ///
    /// # Errors
    ///
    /// No port could be had, or there is no tokio runtime.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// A server to set up first.
    pub fn builder() -> AuthServerBuilder {
        AuthServerBuilder::new()
    }

    fn new(shared: Arc<Shared>, listening: Listening) -> io::Result<Self> {
        let at = |path| format!("http://{}{path}", listening.address).parse().map_err(io::Error::other);
        let (token_endpoint, revocation_endpoint) = (at("/token")?, at("/revoke")?);
        Ok(Self { shared, listening, token_endpoint, revocation_endpoint })
    }

    /// Answers one request that came by another way than the server's own socket, such as a simulated network.
    /// `None`: the connection is to be closed without an answer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the work ends where it is: spawn it, as the server does with what its own socket brings, where a
    /// client that hangs up is not to stop it.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Option<
        Response<
            impl Body<Data = Bytes, Error = impl std::error::Error + Send + Sync + use<>> + Send + use<>,
        >,
    > {
        self.shared.answer(request, Peer::default()).await
    }

    /// The token endpoint.
    #[must_use]
    pub fn token_endpoint(&self) -> Uri {
        self.token_endpoint.clone()
    }

    /// The revocation endpoint.
    #[must_use]
    pub fn revocation_endpoint(&self) -> Uri {
        self.revocation_endpoint.clone()
    }

    /// Id of the one client.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.shared.client().id
    }

    /// Its secret.
    #[must_use]
    pub fn client_secret(&self) -> ClientSecret {
        self.shared.client().secret.into()
    }

    /// What this server and its resource servers saw.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger.clone()
    }

    /// Somebody logs in: a new family, of which these are the first tokens.
    #[must_use]
    pub fn login(&self) -> TokenSet {
        self.log_in(None)
    }

    /// Somebody logs in through a client with this key, given by its thumbprint (RFC 7638). The access token is
    /// bound to it, and a public client's refresh tokens are.
    #[must_use]
    pub fn login_bound_to(&self, thumbprint: &str) -> TokenSet {
        self.log_in(Some(thumbprint.to_owned()))
    }

    fn log_in(&self, key: Option<String>) -> TokenSet {
        let now = self.shared.clock.now();
        let public = self.shared.client().required == Some(ClientAuthentication::None);
        let issued = self.shared.families().login(self.shared.scope.clone(), key, public, now);
        let mut tokens = TokenSet::new(issued.access_token).with_expires_in(issued.expires_in);
        tokens.refresh_token = issued.refresh_token;
        tokens.scope = issued.scope;
        tokens
    }

    /// The logins that are alive, for the next server to [continue](AuthServerBuilder::logins): what a real
    /// one has in its database. Holds hashes, no token.
    #[must_use]
    pub fn logins(&self) -> String {
        restart::save(&self.shared.families())
    }

    /// Proofs need a nonce from now on, which answers of this server carry (RFC 9449 §8). Said again, it is a new
    /// one, and those before are refused.
    pub fn demand_nonce(&self) {
        self.shared.nonces.demand();
    }

    /// The next request at the token endpoint that has no fault yet gets this one.
    pub fn fault(&self, fault: Fault) {
        self.shared.token_faults.push(fault);
    }

    /// Every request at the token endpoint gets this fault, after those queued, until
    /// [`clear`](Self::clear).
    pub fn always(&self, fault: Fault) {
        self.shared.token_faults.stand(fault);
    }

    /// The next request at the token endpoint is held before the work is done.
    #[must_use = "a request that is held needs its gate opened"]
    pub fn hold_before_commit(&self) -> Gate {
        let gate = Gate::new();
        self.fault(Fault::hold_before_commit(&gate));
        gate
    }

    /// The next request at the token endpoint does its work, and its answer is held.
    #[must_use = "a request that is held needs its gate opened"]
    pub fn hold_after_commit(&self) -> Gate {
        let gate = Gate::new();
        self.fault(Fault::hold_after_commit(&gate));
        gate
    }

    /// Like [`fault`](Self::fault), at the revocation endpoint.
    pub fn fault_revocation(&self, fault: Fault) {
        self.shared.revocation_faults.push(fault);
    }

    /// Like [`always`](Self::always), at the revocation endpoint.
    pub fn always_at_revocation(&self, fault: Fault) {
        self.shared.revocation_faults.stand(fault);
    }

    /// Forgets every fault still to come, at both endpoints. Requests already held stay held.
    pub fn clear(&self) {
        self.shared.token_faults.clear();
        self.shared.revocation_faults.clear();
    }
}

/// What happens at the server without the client: the administrator, the user, the operator.
impl AuthServer {
    /// The family a token of either kind belongs to, if this server issued it.
    #[must_use]
    pub fn family_of(&self, token: &str) -> Option<FamilyId> {
        self.shared.families().find(token).map(|(family, _)| family)
    }

    /// Would a refresh with this token succeed now? Asking changes nothing.
    #[must_use]
    pub fn accepts(&self, token: &RefreshToken) -> bool {
        self.shared.families().accepts(token.expose_secret(), self.shared.clock.now())
    }

    /// Revokes one access token; its family lives on.
    pub fn revoke_access_token(&self, token: &AccessToken) {
        self.shared.families().revoke_access(token.expose_secret());
    }

    /// Revokes the access tokens of all families; their refresh tokens live on.
    pub fn revoke_all_access_tokens(&self) {
        let mut families = self.shared.families();
        for family in families.all() {
            families.revoke_access_of(family);
        }
    }

    /// Ends a family: the user withdrew the grant.
    pub fn revoke_family(&self, family: FamilyId) {
        self.shared.families().revoke_family(family);
    }

    /// Ends every family so far.
    pub fn revoke_all(&self) {
        let mut families = self.shared.families();
        for family in families.all() {
            families.revoke_family(family);
        }
    }

    /// The access token expires now, whatever its client was told.
    pub fn expire_access_token(&self, token: &AccessToken) {
        self.shared.families().expire_access(token.expose_secret(), self.shared.clock.now());
    }

    /// The refresh token expires now.
    pub fn expire_refresh_token(&self, token: &RefreshToken) {
        self.shared.families().expire_refresh(token.expose_secret(), self.shared.clock.now());
    }

    /// Changes the client's secret: the old one is `invalid_client` from now on.
    pub fn set_client_secret(&self, secret: impl Into<String>) {
        self.shared.client.lock().unwrap_or_else(PoisonError::into_inner).secret = secret.into();
    }

    /// Lifetime of the access tokens issued from now on.
    pub fn set_access_lifetime(&self, lifetime: Duration) {
        self.shared.families().access_lifetime = lifetime;
    }

    /// What becomes of used refresh tokens from now on.
    pub fn set_rotation(&self, rotation: Rotation) {
        self.shared.families().rotation = rotation;
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl fmt::Debug for AuthServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthServer")
            .field("address", &self.listening.address)
            .field("families", &*self.shared.families())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
