//! The layer: which requests get the token of which credential.
//!
//! ```
//! # use std::sync::Arc;
//! # use tower_oauth_refresh::{RefreshCoordinator, RefreshLayer, InvalidOrigin};
//! # fn client(coordinator: Arc<RefreshCoordinator>) -> Result<RefreshLayer, InvalidOrigin> {
//! let layer = RefreshLayer::new(coordinator, "acme").origin("https://api.example".parse()?);
//! # Ok(layer)
//! # }
//! ```

mod unmanaged;

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::{HeaderMap, Response, StatusCode, Uri, request, response};
use tower_layer::Layer;

use crate::attach::Attachment;
use crate::challenge::{is_challenge, wants_proof};
use crate::coordinator::{OriginId, PerThread, RefreshCoordinator, Slot, Token, TokenId, Waiter};
use crate::credential::CredentialKey;
use crate::error::{ErrorKind, RefreshError};
use crate::origin::Origin;
use crate::service::Refresh;

/// Request bodies up to this size are kept for a replay.
const BODY_LIMIT: usize = 64 * 1024;

/// Gives a client the access token of a credential: attaches it, and sends a refused request once more
/// with a newer one. See the [module docs](crate).
///
/// Wrap the client with everything that must see the final request, signatures first, below this layer,
/// and whatever waits or retries above it.
#[derive(Clone)]
#[must_use]
pub struct RefreshLayer {
    /// Shared with every service that it makes: to make one for each request costs no more than to clone one.
    config: Arc<PerThread<Arc<Config>>>,
}

// Aligned, so that the counts of the copies that threads hold are not neighbours.
#[derive(Clone)]
#[repr(align(128))]
pub(crate) struct Config {
    pub(crate) coordinator: Arc<RefreshCoordinator>,
    credential: Credential,
    origins: Vec<(Origin, OriginId)>,
    /// Where requests without an authority go, if they are managed.
    relative: Option<(Origin, OriginId)>,
    pub(crate) body_limit: usize,
    /// In the order in which they are asked.
    classifiers: Vec<Classifier>,
    /// Has the log been told that there is no origin?
    said_no_origin: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Credential {
    Fixed(Arc<Slot>),
    Extension,
    By(Arc<FindKey>),
}

/// What is done with a request.
pub(crate) enum Next {
    Send {
        token: Attachment,
        used: TokenId,
        /// The credential, where the layer has many.
        keyed: Option<Arc<Slot>>,
    },
    Wait(Waiter, Arc<Slot>),
    Fail(RefreshError),
}

/// What an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Nothing,
    /// The same token, in another proof.
    Proof,
    /// A newer token.
    Token,
}

type FindKey = dyn Fn(&request::Parts) -> Option<CredentialKey> + Send + Sync;
type Classifier = Arc<dyn Fn(&response::Parts, bool) -> bool + Send + Sync>;

impl RefreshLayer {
    /// A layer for one credential, the fastest: its requests look nothing up. It manages no request until an
    /// [`origin`](Self::origin) is named, and warns in the log at its first one. The credential may be installed later.
    pub fn new(coordinator: Arc<RefreshCoordinator>, key: impl Into<CredentialKey>) -> Self {
        let slot = coordinator.slot(&key.into());
        Self::with(coordinator, Credential::Fixed(slot))
    }

    /// A layer that finds the [`CredentialKey`] of every request to a named origin in its extensions.
    ///
    /// A request without one is not sent: it fails with [`ErrorKind::NoCredentialKey`].
    pub fn credential_from_extension(coordinator: Arc<RefreshCoordinator>) -> Self {
        Self::with(coordinator, Credential::Extension)
    }

    /// A layer that asks `key` for the credential of every request to a named origin.
    ///
    /// Where it knows none, the request is not sent: it fails with [`ErrorKind::NoCredentialKey`].
    pub fn credential_by(
        coordinator: Arc<RefreshCoordinator>,
        key: impl Fn(&request::Parts) -> Option<CredentialKey> + Send + Sync + 'static,
    ) -> Self {
        Self::with(coordinator, Credential::By(Arc::new(key)))
    }

    fn with(coordinator: Arc<RefreshCoordinator>, credential: Credential) -> Self {
        Self::of(&Config {
            coordinator,
            credential,
            origins: Vec::new(),
            relative: None,
            body_limit: BODY_LIMIT,
            classifiers: Vec::new(),
            said_no_origin: Arc::default(),
        })
    }

    fn of(config: &Config) -> Self {
        Self { config: Arc::new(PerThread::new(|| Arc::new(config.clone()))) }
    }

    /// Services that were made before keep what they have.
    fn changed(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::clone(self.config.mine());
        change(&mut config);
        Self::of(&config)
    }

    /// Requests to `origin` get the token, in the `Authorization` header (RFC 6750 §2.1). Any others, those with a
    /// `Host` that is not the origin's, and those that carry an `Authorization` already, pass through untouched; the log
    /// has the reason at debug level. May be said several times: names are compared as they are, so that `localhost`
    /// and `127.0.0.1` are two origins.
    ///
    /// Redirects that the client below follows by itself are not seen here: let it drop the header when the
    /// origin changes, as most do.
    pub fn origin(self, origin: Origin) -> Self {
        self.changed(|config| {
            let id = config.coordinator.origin(&origin);
            config.origins.push((origin, id));
        })
    }

    /// Requests without an authority get the token too, for they go to `origin`: the way of clients that
    /// are connected to one server, such as a tonic `Channel`.
    pub fn relative_requests_to(self, origin: Origin) -> Self {
        let relative = origin.clone();
        self.changed(|config| config.relative = Some((relative, config.coordinator.origin(&origin))))
            .origin(origin)
    }

    /// Request bodies up to `bytes` are kept for a replay. Default: 64 KiB.
    ///
    /// They are captured as they stream. A request whose body is larger is sent once; where its token is
    /// refused, the answer says so in its [`RefreshReport`](crate::RefreshReport).
    pub fn body_limit(self, bytes: usize) -> Self {
        self.changed(|config| config.body_limit = bytes)
    }

    /// `is_challenge` decides which answers refuse the token, for APIs that answer an expired token with 403 or
    /// 419. It is given what would be decided without it: by RFC 6750 §3.1 and gRPC's status 16, and by what an
    /// earlier call of this has said.
    ///
    /// ```
    /// # use tower_oauth_refresh::RefreshLayer;
    /// # fn taught(layer: RefreshLayer) -> RefreshLayer {
    /// layer.classifier(|answer, is_challenge| is_challenge || answer.status.as_u16() == 419)
    /// # }
    /// ```
    ///
    /// An answer that a newer token cannot change must not be taken for a challenge: each costs a refresh
    /// and a replay, though never more than one of either for one request.
    pub fn classifier(
        self,
        is_challenge: impl Fn(&response::Parts, bool) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.changed(|config| config.classifiers.push(Arc::new(is_challenge)))
    }
}

impl<S> Layer<S> for RefreshLayer {
    type Service = Refresh<S>;

    fn layer(&self, inner: S) -> Refresh<S> {
        Refresh::new(inner, self.config.clone())
    }
}

impl Config {
    /// The credential of all requests of this layer, if it is the same.
    pub(crate) fn fixed(&self) -> Option<&Arc<Slot>> {
        match &self.credential {
            Credential::Fixed(slot) => Some(slot),
            Credential::Extension | Credential::By(_) => None,
        }
    }

    /// The token of this request.
    #[inline]
    pub(crate) fn token(&self, request: &request::Parts) -> Next {
        let ready = self.fixed().and_then(|slot| self.coordinator.ready(slot, true));
        match ready {
            Some((token, used)) => Next::Send { token, used, keyed: None },
            None => self.token_looked_up(request),
        }
    }

    /// Of one credential among many, or one that is not ready.
    fn token_looked_up(&self, request: &request::Parts) -> Next {
        let slot = match self.keyed(request) {
            Ok(slot) => slot,
            Err(error) => return Next::Fail(error),
        };
        if let Some((token, used)) = self.coordinator.ready(&slot, false) {
            return Next::Send { token, used, keyed: Some(slot) };
        }
        match self.coordinator.token_for(&slot) {
            Token::Ready(current) => {
                Next::Send { token: current.attachment(), used: current.id(), keyed: Some(slot) }
            }
            Token::Wait(waiter) => Next::Wait(waiter, slot),
            Token::Fail(error) => Next::Fail(error),
        }
    }

    /// The credential of this request, where each may have its own.
    fn keyed(&self, request: &request::Parts) -> Result<Arc<Slot>, RefreshError> {
        let found;
        let key = match &self.credential {
            Credential::Fixed(slot) => return Ok(slot.clone()),
            Credential::Extension => request.extensions.get::<CredentialKey>(),
            Credential::By(find) => {
                found = find(request);
                found.as_ref()
            }
        };
        let key = key.ok_or_else(|| RefreshError::new(ErrorKind::NoCredentialKey))?;
        Ok(self.coordinator.slot(key))
    }

    /// The origin of a request to there, if it gets a token where it has none.
    #[inline]
    pub(crate) fn may_receive(&self, uri: &Uri, headers: &HeaderMap) -> Option<OriginId> {
        let (origin, id) = self.named(uri)?;
        origin.agrees_with_host(headers).then_some(*id)
    }

    #[inline]
    fn named(&self, uri: &Uri) -> Option<&(Origin, OriginId)> {
        if is_relative(uri) {
            return self.relative.as_ref();
        }
        self.origins.iter().find(|(origin, _)| origin.matches(uri))
    }

    /// What this answer asks of the request before it is one for the caller.
    #[inline]
    pub(crate) fn asks<R>(&self, answer: &mut Response<R>) -> Asks {
        if answer.status() == StatusCode::UNAUTHORIZED
            && self.coordinator.proves()
            && wants_proof(answer.headers())
        {
            return Asks::Proof;
        }
        if self.is_challenge(answer) { Asks::Token } else { Asks::Nothing }
    }

    fn is_challenge<R>(&self, answer: &mut Response<R>) -> bool {
        let refuses = is_challenge(answer.status(), answer.headers(), self.coordinator.scheme());
        if self.classifiers.is_empty() {
            return refuses;
        }
        // The head goes to the classifiers by itself, and comes back.
        let mut head = Response::new(());
        let mut exchange = |head: &mut Response<()>| {
            mem::swap(head.status_mut(), answer.status_mut());
            mem::swap(head.version_mut(), answer.version_mut());
            mem::swap(head.headers_mut(), answer.headers_mut());
            mem::swap(head.extensions_mut(), answer.extensions_mut());
        };
        exchange(&mut head);
        let (parts, ()) = head.into_parts();
        let refuses =
            self.classifiers.iter().fold(refuses, |refuses, classifier| classifier(&parts, refuses));
        exchange(&mut Response::from_parts(parts, ()));
        refuses
    }
}

fn is_relative(uri: &Uri) -> bool {
    uri.authority().is_none() && uri.scheme().is_none()
}

impl fmt::Debug for RefreshLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.mine().fmt(f)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshLayer")
            .field("origins", &self.origins.iter().map(|(origin, _)| origin).collect::<Vec<_>>())
            .field("relative", &self.relative.is_some())
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}
