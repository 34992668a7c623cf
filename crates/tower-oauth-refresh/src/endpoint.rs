//! The authorization server's endpoints, as one client sees them.

pub(crate) mod classify;
mod dialect;
mod members;
mod request;
mod response;
mod transport;

use std::error::Error as StdError;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

pub use self::classify::{AnswerClass, TokenResponse};
use self::classify::{Classifier, Misconfiguration, Verdict, classify};
pub use self::dialect::AnswerDialect;
pub use self::request::ClientAuth;
pub use self::transport::NotSent;
use self::transport::{Client, Transport, Unsent, before_sending};
use crate::clock::{Clock, Now};
use crate::coordinator::Answer;
use crate::error_code::ErrorCode;
use crate::foreign::{self, Panicked, guarded};
use crate::grant::Grant;
use crate::origin::normalised;
use crate::secret::{AccessToken, BoundKey, RefreshToken};
use crate::store::record::ClientPrint;

/// Where the requests go, and as whom.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) token: Uri,
    /// Who it belongs to, for the store's keys.
    pub(crate) issuer: Option<String>,
    pub(crate) revocation: Option<Uri>,
    pub(crate) auth: ClientAuth,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) dialect: AnswerDialect,
    /// In the order in which they are asked.
    pub(crate) classifiers: Vec<Arc<Classifier>>,
    /// Are the tokens bound to a key (RFC 9449)?
    pub(crate) dpop: bool,
}

/// One client at one authorization server.
pub(crate) struct Endpoint {
    target: Target,
    clock: Arc<dyn Clock>,
    // Only cloned from, so that the service need not be `Sync`.
    transport: Mutex<Box<dyn Transport>>,
}

impl Endpoint {
    pub(crate) fn new<S, T, R>(target: Target, clock: Arc<dyn Clock>, transport: S) -> Self
    where
        S: Service<Request<T>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        T: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let transport = Mutex::new(Box::new(Client::new(transport)) as Box<dyn Transport>);
        Self { target, clock, transport }
    }

    /// What goes before every key in the store: the server, the client, the grant, and what its tokens are for.
    pub(crate) fn namespace(&self, grant: Grant) -> String {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let Target { token, issuer, auth, parameters, .. } = &self.target;
        let server = issuer.as_deref().map_or_else(|| normalised(token), encode);
        let mut namespace = format!("{server} {}", encode(auth.client_id()));
        if grant == Grant::ClientCredentials {
            // No parameter looks like this: each has its `=`.
            namespace.push_str(" client_credentials");
        }
        let mut parameters: Vec<_> = parameters.iter().collect();
        parameters.sort();
        for (name, value) in parameters {
            namespace.push_str(&format!(" {}={}", encode(name), encode(value)));
        }
        namespace.push_str(" / ");
        namespace
    }

    /// Client and server, for errors. What may be a secret is left out: the query, and the values of parameters.
    pub(crate) fn described(&self) -> String {
        let Target { token, issuer, auth, parameters, .. } = &self.target;
        let mut described = format!("client {:?} at ", auth.client_id());
        let endpoint = normalised(token);
        let endpoint = endpoint.split('?').next().unwrap_or_default();
        match issuer {
            Some(issuer) => described.push_str(&format!("{issuer} ({endpoint})")),
            None => described.push_str(endpoint),
        }
        let mut names: Vec<_> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            described.push_str(&format!(" with {}", names.join(", ")));
        }
        described
    }

    /// Tells the client authentication used now from another.
    pub(crate) fn client_print(&self, process: u128) -> ClientPrint {
        self.target.auth.print(process)
    }

    /// One exchange: connect, send, read to the end, within `limit` of `began`. That is the moment at which the lease
    /// was found to be good: what has passed since then is lost for the exchange.
    pub(crate) async fn refresh(
        &self,
        grant: Grant,
        refresh_token: Option<RefreshToken>,
        bound_key: Option<BoundKey>,
        began: Now,
        limit: Duration,
    ) -> Answer {
        let Target { token, auth, parameters, .. } = &self.target;
        let request = || request::token_request(token, auth, grant, refresh_token.as_ref(), parameters);
        match self.send(request, bound_key, began, limit).await {
            Ok(answer) => self.understand(&answer, began),
            Err(Unsent::Certain(cause)) => Answer::NotSent(cause),
            Err(Unsent::InDoubt) => Answer::Lost,
        }
    }

    /// Is there an address where tokens are revoked?
    pub(crate) fn revokes(&self) -> bool {
        self.target.revocation.is_some()
    }

    /// Has the server confirmed that the token is revoked? A 503 says that it lives on (RFC 7009 §2.2.1).
    pub(crate) async fn revoke(
        &self,
        token: &RefreshToken,
        bound_key: Option<BoundKey>,
        limit: Duration,
    ) -> bool {
        let status = self.revocation(request::Revoked::Refresh(token), bound_key, limit).await;
        status == Some(StatusCode::OK)
    }

    /// The same for an access token. A server may do so only together with the refresh token, and refuses it by
    /// itself (RFC 7009 §2.2.1, `unsupported_token_type`): then there is nothing more to be done.
    pub(crate) async fn revoke_access(
        &self,
        token: &AccessToken,
        bound_key: Option<BoundKey>,
        limit: Duration,
    ) -> bool {
        let status = self.revocation(request::Revoked::Access(token), bound_key, limit).await;
        matches!(status, Some(StatusCode::OK | StatusCode::BAD_REQUEST))
    }

    async fn revocation(
        &self,
        token: request::Revoked<'_>,
        bound_key: Option<BoundKey>,
        limit: Duration,
    ) -> Option<StatusCode> {
        let endpoint = self.target.revocation.as_ref()?;
        let request = || request::revocation_request(endpoint, &self.target.auth, token);
        let answer = self.send(request, bound_key, self.clock.now(), limit).await;
        answer.ok().map(|answer| answer.status())
    }

    /// Sends what `make` makes; where only a nonce was missing (RFC 9449 §8), what it makes anew, once: a server
    /// that asks for one has not looked at the refresh token. The limit is one for all of it: the mark in the
    /// store promises that nothing of this attempt comes later.
    async fn send<F>(
        &self,
        make: impl Fn() -> F,
        bound_key: Option<BoundKey>,
        began: Now,
        limit: Duration,
    ) -> Result<Response<Bytes>, Unsent>
    where
        F: Future<Output = Result<Request<Bytes>, Box<dyn StdError + Send + Sync>>>,
    {
        // Of a clock that panics nothing is known.
        let passed = || foreign::call(|| self.clock.now().since(began)).unwrap_or(Duration::MAX);
        let is_late = || passed() >= limit;
        let left = AtomicBool::new(false);
        let sending = async {
            let mut deadline = pin!(sleep(limit.saturating_sub(passed())));
            let answer =
                self.send_once(make(), bound_key.clone(), &is_late, &left, deadline.as_mut()).await?;
            if self.target.dpop && classify::wants_nonce(&answer) {
                left.store(false, Relaxed);
                return self.send_once(make(), bound_key, &is_late, &left, deadline).await;
            }
            Ok(answer)
        };
        match guarded(sending).await {
            Ok(answer) => answer,
            Err(Panicked) if left.load(Relaxed) => Err(Unsent::InDoubt),
            Err(Panicked) => Err(Unsent::Certain(None)),
        }
    }

    /// The time limit's timer is asked after the answer: one that came in the last moment is read. But nothing is
    /// sent then, and the timer does not know of a machine that was suspended, so what is sent is asked of the clock.
    async fn send_once(
        &self,
        request: impl Future<Output = Result<Request<Bytes>, Box<dyn StdError + Send + Sync>>>,
        bound_key: Option<BoundKey>,
        is_late: &(impl Fn() -> bool + Sync),
        left: &AtomicBool,
        mut deadline: Pin<&mut Sleep>,
    ) -> Result<Response<Bytes>, Unsent> {
        let mut transport = self.transport.lock().unwrap_or_else(PoisonError::into_inner).boxed_clone();
        // Ready first: nothing is between the signature and what it is for.
        let ready = async {
            transport.ready().await?;
            request.await.map_err(|error| before_sending(&*error))
        };
        let mut request = tokio::select! {
            biased;
            request = ready => request?,
            () = &mut deadline => return Err(Unsent::Certain(None)),
        };
        if is_late() {
            return Err(Unsent::Certain(None));
        }
        bound_key.and_then(|key| request.extensions_mut().insert(key));
        // From here on, whatever goes wrong.
        left.store(true, Relaxed);
        transport.send(request, deadline).await
    }

    fn understand(&self, answer: &Response<Bytes>, began: Now) -> Answer {
        let now = foreign::call(|| self.clock.now()).unwrap_or(began).wall;
        let code = |code: Option<ErrorCode>| code.map(|code| code.as_str().to_owned());
        let Target { dialect, classifiers, .. } = &self.target;
        match classify(answer.status(), answer.headers(), answer.body(), now, *dialect, classifiers) {
            // Sent in another way than it is made for, it would be refused, or be worth more to a thief than it should.
            Verdict::Success(set) if set.token_type.eq_ignore_ascii_case("DPoP") != self.target.dpop => {
                Answer::Unusable { refresh_token: set.refresh_token }
            }
            Verdict::Success(set) => Answer::Tokens(set),
            Verdict::UnusableSuccess { refresh_token } => Answer::Unusable { refresh_token },
            Verdict::Transient { in_doubt, retry_after, code: said } => {
                Answer::Unavailable { in_doubt, retry_after, status: answer.status(), code: code(said) }
            }
            Verdict::GrantDead { code: said } => {
                Answer::GrantDead { code: code(said).unwrap_or_else(|| "invalid_grant".to_owned()) }
            }
            Verdict::Configuration { cause } => Answer::Configuration {
                code: match cause {
                    Misconfiguration::Redirect => Some("redirect".to_owned()),
                    Misconfiguration::NotATokenEndpoint(_) => Some("not_a_token_endpoint".to_owned()),
                    Misconfiguration::Encoded => Some("content_encoding".to_owned()),
                    Misconfiguration::Refused(said) => code(said),
                },
            },
            Verdict::NeedsUser { code: said } => Answer::NeedsUser { code: code(said) },
            Verdict::Refused { code: said, retry_after } => Answer::Refused { code: code(said), retry_after },
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("host", &self.target.token.host())
            .field("auth", &self.target.auth)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
