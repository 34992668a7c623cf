//! How an authorization server is set up.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_oauth_refresh::{Clock, SystemClock};

use super::families::Families;
use super::form::Client;
use super::rotation::Rotation;
use super::{AuthServer, Shared, restart};
use crate::dpop::Nonces;
use crate::ledger::{ClientAuthentication, Ledger};
use crate::script::Script;
use crate::wire::Listening;

/// Sets up an [`AuthServer`].
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthServerBuilder {
    rotation: Rotation,
    access_lifetime: Duration,
    refresh_lifetime: Option<Duration>,
    access_dies_at_refresh: bool,
    refuses_earlier_than: Option<Duration>,
    one_at_a_time: bool,
    scope: Option<String>,
    client_id: String,
    client_secret: Secret,
    authentication: Option<ClientAuthentication>,
    dpop: bool,
    clock: Arc<dyn Clock>,
    seed: Option<u64>,
    logins: String,
}

#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl AuthServerBuilder {
    pub(super) fn new() -> Self {
        Self {
            rotation: Rotation::default(),
            access_lifetime: Duration::from_secs(3600),
            refresh_lifetime: None,
            access_dies_at_refresh: false,
            refuses_earlier_than: None,
            one_at_a_time: false,
            scope: None,
            client_id: "testkit client".to_owned(),
            client_secret: Secret("kit:50%+5/secret=&ü".to_owned()),
            authentication: None,
            dpop: false,
            clock: Arc::new(SystemClock::default()),
            seed: None,
            logins: String::new(),
        }
    }

    /// What becomes of used refresh tokens. [`Rotation::Strict`] by default.
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// Lifetime of access tokens, in whole seconds: an hour by default.
    pub fn access_lifetime(mut self, lifetime: Duration) -> Self {
        self.access_lifetime = lifetime;
        self
    }

    /// Lifetime of refresh tokens: unlimited by default. Not told to the client.
    pub fn refresh_lifetime(mut self, lifetime: Duration) -> Self {
        self.refresh_lifetime = Some(lifetime);
        self
    }

    /// A refresh kills the family's earlier access tokens at once, so requests under way get a 401 that
    /// needs no refresh. GitHub, GitLab, Zendesk, RingCentral. Off by default.
    pub fn access_dies_at_refresh(mut self, dies: bool) -> Self {
        self.access_dies_at_refresh = dies;
        self
    }

    /// Refuses a refresh while the newest access token has longer than this to live, with `invalid_request`.
    /// Exact Online, with 30 s. Off by default.
    pub fn refuses_earlier_than(mut self, window: Duration) -> Self {
        self.refuses_earlier_than = Some(window);
        self
    }

    /// Refuses a refresh while another one of the family is under way, with an `invalid_grant` that does not
    /// mean it. Salesforce. Off by default.
    pub fn one_at_a_time(mut self, lock: bool) -> Self {
        self.one_at_a_time = lock;
        self
    }

    /// The scope that logins are granted, and that answers name. None by default.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// The one client this server knows. By default id and secret hold a space, a colon, a percent sign and
    /// more, which only a client that form-encodes them gets through Basic (RFC 6749 §2.3.1).
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.client_id = id.into();
        self.client_secret = Secret(secret.into());
        self
    }

    /// The only way of client authentication to accept. By default Basic and Post both are.
    /// [`ClientAuthentication::None`] makes the client a public one: no secret is looked at.
    pub fn client_authentication(mut self, way: ClientAuthentication) -> Self {
        self.authentication = Some(way);
        self
    }

    /// Binds tokens to the key of the client (RFC 9449): a token request needs a proof of possession, access tokens
    /// are of type `DPoP` and good with proofs of that key alone. So are the refresh tokens of a public client. Off
    /// by default. Nonces come [later](AuthServer::demand_nonce), if at all.
    pub fn dpop(mut self) -> Self {
        self.dpop = true;
        self
    }

    /// Where the time comes from: the machine by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Draws the same tokens every time. By default each server draws its own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Continues the [`logins`](AuthServer::logins) of a server that stopped. Their newest refresh tokens are
    /// good, their access tokens are not, and a refresh token that was spent before is merely unknown.
    pub fn logins(mut self, logins: impl Into<String>) -> Self {
        self.logins = logins.into();
        self
    }

    /// Starts the server on a free port of 127.0.0.1. It is served by the current tokio runtime, and only while that
    /// lives.
    ///
    /// # Errors
    ///
    /// No port could be had, there is no tokio runtime, or [`logins`](Self::logins) were not saved by a server
    /// of this crate.
    pub async fn start(self) -> io::Result<AuthServer> {
        // Keyed at random by the process: different for every server, and no dependency.
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one("seed"));
        let mut families = Families::new(self.rotation, self.access_lifetime, seed);
        families.refresh_lifetime = self.refresh_lifetime;
        families.access_dies_at_refresh = self.access_dies_at_refresh;
        families.refuses_earlier_than = self.refuses_earlier_than;
        families.one_at_a_time = self.one_at_a_time;
        restart::restore(&mut families, &self.logins, self.scope.as_deref(), self.clock.now())?;
        let client =
            Client { id: self.client_id, secret: self.client_secret.0, required: self.authentication };
        let shared = Arc::new(Shared {
            families: Mutex::new(families),
            client: Mutex::new(client),
            scope: self.scope,
            dpop: self.dpop,
            nonces: Nonces::default(),
            clock: self.clock,
            ledger: Ledger::new(),
            token_faults: Script::default(),
            revocation_faults: Script::default(),
        });
        let listening = Listening::start(Arc::clone(&shared)).await?;
        AuthServer::new(shared, listening)
    }
}
