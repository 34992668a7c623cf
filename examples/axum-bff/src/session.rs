//! Sessions: what a cookie stands for.
//!
//! A session begins with a login, under a name that did not exist before: a name that somebody planted in the
//! browser beforehand becomes nothing. It knows its credential by a key that is not that name, because keys
//! appear in logs and whoever has the name of a session has the session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, header};
use tokio::sync::watch;
use tower::BoxError;
use tower_oauth_refresh::{Clock as _, CredentialKey, Now};

use crate::backend::Backend;
use crate::clock::MovableClock;
use crate::live::News;
use crate::pages::Refusal;

/// The prefix makes browsers refuse it unless it is `Secure`, for this host alone and for all of it.
pub(crate) const SESSION: &str = "__Host-session";
/// Of a login under way.
pub(crate) const LOGIN: &str = "__Host-login";

/// Nobody has asked for anything that long: the session has ended.
const IDLE: Duration = Duration::from_secs(8 * 3600);
/// A session that somebody has stolen, and uses, ends as well.
const LIFE: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Session {
    /// Who logged in, as the authorization server calls them.
    pub(crate) subject: String,
    pub(crate) key: CredentialKey,
    /// What the page shows, whenever it changes.
    pub(crate) news: watch::Sender<News>,
    begun: Now,
    used: Mutex<Now>,
}

pub(crate) struct Sessions {
    clock: Arc<MovableClock>,
    open: Mutex<HashMap<String, Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(clock: Arc<MovableClock>) -> Self {
        Self { clock, open: Mutex::default() }
    }

    /// A session that nobody can find yet, so that its credential can be installed first.
    pub(crate) fn prepare(&self, subject: String) -> Result<Arc<Session>, BoxError> {
        Ok(Arc::new(Session {
            subject,
            key: format!("session {}", random()?).into(),
            news: watch::Sender::default(),
            begun: self.clock.now(),
            used: Mutex::new(self.clock.now()),
        }))
    }

    /// Opens it, under a new name.
    pub(crate) fn open(&self, session: Arc<Session>) -> Result<String, BoxError> {
        let name = random()?;
        self.lock().insert(name.clone(), session);
        Ok(name)
    }

    pub(crate) fn close(&self, name: &str) -> Option<Arc<Session>> {
        self.lock().remove(name)
    }

    /// Closes those that have been open or idle for too long. Their credentials are the caller's to end.
    pub(crate) fn close_old(&self) -> Vec<Arc<Session>> {
        let now = self.clock.now();
        let mut open = self.lock();
        open.extract_if(|_, session| session.is_over(now)).map(|(_, session)| session).collect()
    }

    pub(crate) fn with_key(&self, key: &CredentialKey) -> Option<Arc<Session>> {
        self.lock().values().find(|session| session.key == *key).cloned()
    }

    fn find(&self, name: &str) -> Option<Arc<Session>> {
        let session = self.lock().get(name)?.clone();
        let now = self.clock.now();
        if session.is_over(now) {
            return None;
        }
        *session.used() = now;
        Some(session)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_over(&self, now: Now) -> bool {
        now.since(self.begun) > LIFE || now.since(*self.used()) > IDLE
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Now> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session of a request, for handlers that need one.
pub(crate) struct Current(pub(crate) Arc<Session>);

impl FromRequestParts<Arc<Backend>> for Current {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        current(&parts.headers, &backend.sessions).map(Self).ok_or(Refusal::NoSession)
    }
}

pub(crate) fn current(headers: &HeaderMap, sessions: &Sessions) -> Option<Arc<Session>> {
    sessions.find(cookie(headers, SESSION)?)
}

/// The value of a cookie in a request.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split("; ")).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// A cookie that scripts cannot read, that goes over TLS only, and that other sites' requests do not carry.
/// Browsers count plain http on loopback as secure, so that the same cookie does for development.
///
/// Not `SameSite=Strict`: the way back from the authorization server is another site's request.
pub(crate) fn set_cookie(name: &str, value: &str, max_age: Option<Duration>) -> String {
    let max_age = max_age.map(|age| format!("; Max-Age={}", age.as_secs())).unwrap_or_default();
    format!("{name}={value}; Path=/; HttpOnly; Secure; SameSite=Lax{max_age}")
}

pub(crate) fn clear_cookie(name: &str) -> String {
    set_cookie(name, "", Some(Duration::ZERO))
}

/// 256 random bits.
pub(crate) fn random() -> Result<String, BoxError> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits)?;
    Ok(URL_SAFE_NO_PAD.encode(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_idle_and_after_a_day_in_use() {
        let clock = Arc::new(MovableClock::default());
        let sessions = Sessions::new(clock.clone());
        let open = || sessions.open(sessions.prepare("alice".to_owned()).unwrap()).unwrap();
        let (idle, used) = (open(), open());
        for hour in 1..=24 {
            assert!(sessions.find(&used).is_some(), "{hour}");
            clock.advance(Duration::from_secs(3600));
        }
        assert!(sessions.find(&idle).is_none());
        clock.advance(Duration::from_secs(1));
        assert!(sessions.find(&used).is_none(), "however often it is used");
        assert_eq!(sessions.close_old().len(), 2);
    }
}
