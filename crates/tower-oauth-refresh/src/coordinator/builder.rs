//! Building a coordinator: two things it needs, and what has a default.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use tower_service::Service;

use super::RefreshCoordinator;
use super::policy::Policy;
use crate::clock::{Clock, SinceLong, SystemClock};
use crate::endpoint::{AnswerClass, AnswerDialect, ClientAuth, Endpoint, Target, TokenResponse};
use crate::grant::Grant;
use crate::origin::is_confidential;
use crate::store::{MemoryStore, TokenStore};

/// Builds a [`RefreshCoordinator`].
#[derive(Clone)]
#[must_use]
pub struct Builder {
    target: Target,
    pub(super) store: Option<Arc<dyn TokenStore>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) policy: Policy,
    pub(super) room: usize,
    pub(super) exchanges: usize,
    pub(super) seed: Option<u64>,
}

/// What is known about one provider, for [`Builder::provider`]. The presets of the crate
/// `tower-oauth-refresh-providers` are such, and a program may have its own.
pub trait Provider {
    /// `builder`, set up for this provider.
    fn configure(self, builder: Builder) -> Builder;
}

/// Why no coordinator could be built.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Refresh tokens and client secrets go over https, or to this machine itself (RFC 6749 §10.4).
    #[error("the {0} endpoint must be https, or on loopback")]
    Insecure(&'static str),
    /// A parameter that the library itself sends.
    #[error("the parameter {0:?} is sent by the library itself")]
    ReservedParameter(String),
    /// A time limit outside of `least..=most`.
    #[error("{name} must be from {least:?} to {most:?}")]
    #[non_exhaustive]
    Limit {
        /// The method of the [`Builder`].
        name: &'static str,
        /// The shortest that works.
        least: Duration,
        /// The longest that works.
        most: Duration,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system")]
    NoRandomness,
}

/// A packet that is lost on the way comes again after a second (RFC 6298 §2): a shorter limit takes a slow answer for a
/// lost one, and sends a refresh token twice.
const EXCHANGE_LEAST: Duration = Duration::from_secs(1);
/// So long others wait for a process that died in the middle.
const EXCHANGE_MOST: Duration = Duration::from_secs(300);

const RESERVED: [&str; 7] = [
    "grant_type",
    "refresh_token",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "token",
];

impl Builder {
    pub(super) fn new(endpoint: Uri, auth: ClientAuth) -> Self {
        Self {
            target: Target {
                token: endpoint,
                issuer: None,
                auth,
                revocation: None,
                parameters: Vec::new(),
                dialect: AnswerDialect::new(),
                classifiers: Vec::new(),
                dpop: false,
            },
            store: None,
            seed: None,
            clock: Arc::new(SystemClock),
            policy: Policy::default(),
            room: 1_000_000,
            exchanges: 100,
        }
    }

    /// Where credentials survive. Default: nowhere, that is a [`MemoryStore`].
    pub fn store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Names the authorization server in the store by its issuer identifier (RFC 8414 §2). Default: by the URL of
    /// its token endpoint.
    ///
    /// Logins then survive that the endpoint moves, and whoever says where it has moved to gets their refresh tokens:
    /// take the URL from your own configuration, or from metadata that you have consented to. Logins that were stored
    /// under the other name are not found.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.target.issuer = Some(issuer.into());
        self
    }

    /// The token endpoint that it was made with: for a [`Provider`] whose servers have addresses of their own.
    #[must_use]
    pub fn token_endpoint(&self) -> &Uri {
        &self.target.token
    }

    /// Where `logout` revokes (RFC 7009). Default: nowhere, and `logout` says so.
    pub fn revocation_endpoint(mut self, endpoint: Uri) -> Self {
        self.target.revocation = Some(endpoint);
        self
    }

    /// The grant to refresh with. Default: the refresh token.
    pub fn grant(mut self, grant: Grant) -> Self {
        self.policy.grant = grant;
        self
    }

    /// A fixed parameter of every token request: `resource` (RFC 8707), `audience`, `scope` (RFC 6749 §6).
    /// Two coordinators that differ in these never share a token, also on one store.
    ///
    /// The last value of a name counts (RFC 6749 §3.2); only `resource` may be there several times (RFC 8707 §2).
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let parameter = (name.into(), value.into());
        let parameters = &mut self.target.parameters;
        if parameter.0 != "resource" {
            parameters.retain(|(name, _)| *name != parameter.0);
        }
        if !parameters.contains(&parameter) {
            parameters.push(parameter);
        }
        self
    }

    /// Own rules for the answers of this token endpoint: `class` sees each answer, and what it would be
    /// taken for without it. For providers that call a dead token by another name.
    ///
    /// Several are asked one after the other, each with the class that the one before gave; those of a
    /// [`provider`](Self::provider) are such. One that panics is passed over.
    ///
    /// Taking a passing failure for [`AnswerClass::GrantDead`] ends a login that could have gone on.
    pub fn classifier(
        mut self,
        class: impl Fn(&TokenResponse<'_>, AnswerClass) -> AnswerClass + Send + Sync + 'static,
    ) -> Self {
        self.target.classifiers.push(Arc::new(class));
        self
    }

    /// What this token endpoint calls things in its answers. Default: what RFC 6749 §5.1 calls them.
    pub fn answer_dialect(mut self, dialect: AnswerDialect) -> Self {
        self.target.dialect = dialect;
        self
    }

    /// The access tokens are bound to a key (RFC 9449): an answer with a token of another type is not used, though
    /// its refresh token is stored, and requests say `Authorization: DPoP`. Default: no.
    ///
    /// A login from before is refreshed at its next request, and then bound. There is no way back: without this, a
    /// bound login fails with [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) and is left as it is,
    /// since a refresh token that is sent without its proof may be revoked for it.
    ///
    /// The proofs are made below, by the HTTP clients that are given to [`build`](Self::build) and wrapped by
    /// the layer; the crate `tower-oauth-refresh-binding` has both. A server that asks for another nonce, or an
    /// API that refuses the proof, gets the request once more, made anew, which is neither a refresh nor the replay.
    pub fn dpop(mut self) -> Self {
        self.target.dpop = true;
        self.policy.dpop = true;
        self
    }

    /// Takes what is known about a provider. What is set afterwards counts more.
    pub fn provider(self, provider: impl Provider) -> Self {
        provider.configure(self)
    }

    /// Is a token refreshed in the background before it expires? Default: yes, when the server wished
    /// (`refresh_in`), else in the last tenth of its life and at most five minutes before its end. No for
    /// providers that refuse early refreshes.
    pub fn refresh_ahead(mut self, refresh_ahead: bool) -> Self {
        self.policy.refresh_ahead = refresh_ahead;
        self
    }

    /// Time limit of one exchange at the token endpoint. Default: 10 s.
    ///
    /// From one second to five minutes, otherwise [`build`](Self::build) fails with [`BuildError::Limit`]. Processes that
    /// share a credential may have different limits: where one dies during an exchange, another on its Linux
    /// host takes over
    /// at once, and elsewhere after the longer of their two limits and three seconds.
    pub fn exchange_limit(mut self, limit: Duration) -> Self {
        self.policy.exchange_limit = limit;
        self
    }

    /// How long a request waits for a refresh at most. Then it fails with
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut), or, where the API had refused it, gets that answer; the refresh
    /// goes on. Default: 45 s. To outlast a process
    /// that died, it has to be longer than two exchange limits and three seconds.
    ///
    /// Where a refresh fails sooner with [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable), the request waits for
    /// the next attempt, if the whole rest before it is at most ten seconds and ends within this limit. After
    /// an answer with an
    /// unusable access token (`unusable_answer`) it fails at once. There are up to five attempts in any ten
    /// seconds, and with the endpoint down attempts become rarer after some 22 s. Otherwise the request fails
    /// with
    /// the refresh, whatever time it has left.
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.policy.wait_limit = limit;
        self
    }

    /// How long requests are held while a received token set cannot be stored. Default: 5 s.
    pub fn hold_limit(mut self, limit: Duration) -> Self {
        self.policy.hold_limit = limit;
        self
    }

    /// After that, do they get the token instead of an error? Default: no, for whoever relies on it while
    /// the store is gone relies on a login that this process alone can continue.
    pub fn serve_unpersisted(mut self, serve: bool) -> Self {
        self.policy.serve_unpersisted = serve;
        self
    }

    /// A token that this coordinator refreshed less than this ago is not refreshed because an API refuses it that has
    /// never accepted it: another one would be refused as well. Default: 5 s.
    pub fn challenge_min_age(mut self, age: Duration) -> Self {
        self.policy.challenge_min_age = age;
        self
    }

    /// How many exchanges with the token endpoint are under way at a time. Default: 100, as many streams as an
    /// HTTP/2 server should allow one connection at least (RFC 9113 §6.5.2).
    ///
    /// The refreshes of further credentials queue, first come first served, with their records read; each
    /// writes its mark when
    /// it has a place. While no answer comes, a refresh keeps its place for up to two
    /// [`exchange_limit`](Self::exchange_limit)s.
    pub fn concurrency_limit(mut self, exchanges: usize) -> Self {
        self.exchanges = exchanges;
        self
    }

    /// How many credentials are kept in memory besides those in use. Default: a million.
    ///
    /// Over it, those that nobody has asked for lately are put out. The store has them all, and is asked when
    /// the next request wants one.
    pub fn room(mut self, credentials: usize) -> Self {
        self.room = credentials;
        self
    }

    /// Where the time comes from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        // Of this one nobody knows where it counts from.
        self.clock = Arc::new(SinceLong(clock));
        self
    }

    /// Draws versions, nonces and jitter from this instead of the operating system: a simulation comes again
    /// with its seed. Two coordinators of one seed on one store would take each other's writes for their own.
    #[doc(hidden)]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The coordinator, which talks to the authorization server through `transport`.
    ///
    /// Never hand it the client that the layer wraps, nor one whose concurrency is limited together with
    /// it: a request that waits for a refresh would wait for itself. It must send each request once, without retries
    /// or redirects: a last attempt that finds no connection would hide that the refresh token was sent before.
    ///
    /// # Errors
    ///
    /// [`BuildError`], where the configuration cannot be right.
    pub fn build<S, T, R>(self, transport: S) -> Result<Arc<RefreshCoordinator>, BuildError>
    where
        S: Service<Request<T>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        T: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Target { token, revocation, parameters, .. } = &self.target;
        for (name, uri) in [("token", Some(token)), ("revocation", revocation.as_ref())] {
            if uri.is_some_and(|uri| !is_confidential(uri)) {
                return Err(BuildError::Insecure(name));
            }
        }
        let reserved = |(name, _): &&(String, String)| RESERVED.contains(&name.as_str());
        if let Some((name, _)) = parameters.iter().find(reserved) {
            return Err(BuildError::ReservedParameter(name.clone()));
        }
        if !(EXCHANGE_LEAST..=EXCHANGE_MOST).contains(&self.policy.exchange_limit) {
            let (least, most) = (EXCHANGE_LEAST, EXCHANGE_MOST);
            return Err(BuildError::Limit { name: "exchange_limit", least, most });
        }
        let endpoint = Endpoint::new(self.target.clone(), self.clock.clone(), transport);
        RefreshCoordinator::assemble(self, endpoint)
    }

    pub(super) fn store_or_memory(&self) -> Arc<dyn TokenStore> {
        self.store.clone().unwrap_or_else(|| Arc::new(MemoryStore::with_clock(self.clock.clone())))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("auth", &self.target.auth)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
