//! What the coordinator tells whoever is on call: one event, one log line, never a token.
//!
//! The same moments go to [`Events`] and, as `tracing` events of the target `tower_oauth_refresh::events`,
//! to the log.

use std::error::Error as StdError;
use std::{iter, mem};

use tokio::sync::broadcast;

use crate::credential::CredentialKey;
use crate::error::{ErrorKind, RefreshError};
use crate::foreign;
use crate::generation::Generation;

/// Something happened to a credential.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// To which credential.
    pub key: CredentialKey,
    /// What happened.
    pub kind: EventKind,
    /// So many events before this one were missed by this [subscription](Events), because they were not read in time: what
    /// they would have said is asked of [`status`](crate::RefreshCoordinator::status).
    pub missed: u64,
}

/// What happened to a credential.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// Tokens of a login were installed.
    Installed(Generation),
    /// A request is given to the token endpoint's client. Whether it leaves this host is not known yet.
    RefreshStarted,
    /// This process exchanged the refresh token, and the new set is stored: or, with
    /// [`serve_unpersisted`](crate::Builder::serve_unpersisted), will be.
    Refreshed(Generation),
    /// This process took the set over from the store: somebody else had refreshed it, or stored it before.
    Adopted(Generation),
    /// The API refuses this token, and another one would be refused just so. It is not refreshed for now.
    LeftAlone(Generation),
    /// A refresh failed; [`RefreshError::needs_login`] tells whether a person has to log in again. Requests that ask while the
    /// failure stands, and looks at the store meanwhile, do not repeat it.
    Failed(RefreshError),
    /// A received set could not be stored yet. The write goes on.
    PersistFailed,
    /// The refresh of a process that has ended, or was silent for longer than a refresh takes, was taken over.
    TookOver {
        /// The process that had begun it.
        pid: u32,
    },
    /// The store held an older generation than this process and was set right.
    StoreRegressed,
    /// The answer held the refresh token before the one spent. It was not taken.
    RetiredTokenReturned,
    /// The new access token may do less than the ones before it.
    ScopeReduced,
    /// A set arrived for a login that had ended. It is not taken, and a new refresh token in it is revoked where the server
    /// has an endpoint for that.
    Discarded,
    /// The credential was logged out or forgotten in this process. Where the store could not be written, `logout` or
    /// `forget` returned that error, and other processes go on.
    LoggedOut,
    /// It is no longer [kept fresh](crate::RefreshCoordinator::keep_fresh): its login has ended, or nothing is stored.
    LetGo,
}

/// A subscription to [`Event`]s. A slow reader misses the oldest ones, and delays nobody: the next event says
/// [how many](Event::missed).
#[derive(Debug)]
pub struct Events {
    events: broadcast::Receiver<Event>,
    missed: u64,
}

impl Events {
    pub(crate) fn new(events: broadcast::Receiver<Event>) -> Self {
        Self { events, missed: 0 }
    }

    /// The next event; `None` after the coordinator is gone.
    ///
    /// # Cancel safety
    ///
    /// No event is lost when this is dropped before it is ready, nor how many were missed.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.events.recv().await {
                Ok(event) => return Some(Event { missed: mem::take(&mut self.missed), ..event }),
                Err(broadcast::error::RecvError::Lagged(more)) => {
                    self.missed = self.missed.saturating_add(more);
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl EventKind {
    pub(crate) fn log(&self, key: &CredentialKey) {
        match self {
            Self::Installed(generation) => tracing::info!(%key, %generation, "tokens installed"),
            Self::RefreshStarted => tracing::debug!(%key, "refresh started"),
            Self::Refreshed(generation) => tracing::info!(%key, %generation, "refreshed"),
            Self::Adopted(generation) => tracing::info!(%key, %generation, "adopted"),
            Self::LeftAlone(generation) => {
                tracing::warn!(%key, %generation, "a refused token is left alone for now");
            }
            Self::Failed(error) if error.is_transient() => {
                tracing::warn!(%key, kind = ?error.kind(), %error, cause = cause(error), "refresh failed");
            }
            Self::Failed(error) if matches!(error.kind(), ErrorKind::NotInstalled | ErrorKind::LoggedOut) => {
                tracing::debug!(%key, kind = ?error.kind(), %error, "there is no login");
            }
            Self::Failed(error) if error.needs_login() => {
                tracing::error!(%key, kind = ?error.kind(), %error, cause = cause(error), "refresh failed, a new login is needed");
            }
            Self::Failed(error) => {
                tracing::error!(%key, kind = ?error.kind(), %error, cause = cause(error), "refresh failed, a repair is needed");
            }
            Self::PersistFailed => tracing::error!(%key, "new tokens are not stored yet"),
            Self::TookOver { pid } => tracing::warn!(%key, pid, "succeeded a holder that ended"),
            Self::StoreRegressed => tracing::error!(%key, "the store went back to an older generation"),
            Self::RetiredTokenReturned => tracing::warn!(%key, "the server returned a retired refresh token"),
            Self::ScopeReduced => tracing::warn!(%key, "the new token has less scope"),
            Self::Discarded => tracing::warn!(%key, "tokens of an ended login were given back"),
            Self::LoggedOut => tracing::info!(%key, "logged out"),
            Self::LetGo => tracing::info!(%key, "no longer kept fresh"),
        }
    }
}

/// Of what an error has come, from near to far. Its words are those of stores and HTTP clients: it may be long, and showing
/// it may panic.
fn cause(error: &RefreshError) -> Option<String> {
    let shown = foreign::call(|| {
        let causes =
            iter::successors(error.source(), |cause: &&dyn StdError| (*cause).source()).take(MAX_CAUSES);
        let all = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        all.chars().take(MAX_CAUSE).collect::<String>()
    });
    shown.ok().filter(|shown| !shown.is_empty())
}

/// More than these are a loop.
const MAX_CAUSES: usize = 8;

/// A line of the log is no page.
const MAX_CAUSE: usize = 500;
