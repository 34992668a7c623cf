//! The beginning and the end of a login: install, logout, forget.
//!
//! Each is one compare-and-swap on the record, tried again until it is somebody's last word, and each runs
//! detached: a caller that goes away does not leave half of it.

use std::sync::Arc;
use std::time::Duration;

use super::RefreshCoordinator;
use super::driver::{self, detach};
use super::machine::{Rank, Snapshot, Swapped};
use super::policy::RECHECK;
use super::slot::Slot;
use super::waiter::Waiter;
use crate::coordinator::outcome::Held;
use crate::credential::CredentialKey;
use crate::error::{ErrorKind, RefreshError};
use crate::events::EventKind;
use crate::generation::Generation;
use crate::secret::{BoundKey, RefreshToken};
use crate::store::record::{CredentialRecord, Life, LoginId, Mark};
use crate::store::{StoreError, Version};
use crate::token::TokenSet;

/// How a logout ended. In every case the login is over here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Logout {
    /// The server confirmed that the refresh token is revoked (RFC 7009 §2.2).
    Revoked,
    /// The server may still accept a token of this login: it has no revocation endpoint, did not confirm,
    /// or a refresh was under way elsewhere whose new token only that process knows.
    NotRevoked,
    /// There was nothing to revoke.
    NothingStored,
}

/// A swap that keeps losing its race, or a store that keeps failing, is given up after this many tries.
const TRIES: u32 = 20;
const STORE_FAILURES: u32 = 3;

impl RefreshCoordinator {
    /// Begins a login: stores `tokens` under `key`, in place of whatever was there, and tells their generation.
    ///
    /// A hard verdict is lifted, also when the refresh token is the same as before. A refresh of the former
    /// login that is still under way is discarded, and revoked at the server. A record that cannot be read,
    /// for its key is lost or it is damaged, is replaced, too: nothing else replaces one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`], if the store does not take the tokens. They are then in nobody's hands but the
    /// caller's.
    ///
    /// # Cancel safety
    ///
    /// The install goes on when this is dropped. Nothing is sent to the server.
    pub async fn install(
        self: &Arc<Self>,
        key: impl Into<CredentialKey>,
        tokens: TokenSet,
    ) -> Result<Generation, RefreshError> {
        let (this, slot) = (self.clone(), self.slot(&key.into()));
        let task = detach(async move { this.install_now(&slot, &tokens).await })?;
        task.await.unwrap_or_else(|_| Err(RefreshError::new(ErrorKind::Aborted)))
    }

    /// Ends a login everywhere: here at once, in the store, then at the server (RFC 7009).
    ///
    /// Once this returns, no request of this process carries a token of the login, and a refresh that was
    /// under way is given back at the server instead of being stored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`], if the store could not be written: the login is over in this process, lives on
    /// in the store, and nothing was sent to the server. That the server did not revoke is no error but
    /// [`Logout::NotRevoked`].
    ///
    /// # Cancel safety
    ///
    /// The logout goes on when this is dropped: the revocation request is sent all the same.
    pub async fn logout(self: &Arc<Self>, key: impl Into<CredentialKey>) -> Result<Logout, RefreshError> {
        let (this, slot) = (self.clone(), self.slot(&key.into()));
        let task = detach(async move { this.logout_now(&slot).await })?;
        task.await.unwrap_or_else(|_| Err(RefreshError::new(ErrorKind::Aborted)))
    }

    /// Ends a login here and in the store, and leaves the server alone: for tokens that another program
    /// goes on using.
    ///
    /// # Errors
    ///
    /// As [`logout`](Self::logout).
    ///
    /// # Cancel safety
    ///
    /// The work goes on when this is dropped. Nothing is sent to the server.
    pub async fn forget(self: &Arc<Self>, key: impl Into<CredentialKey>) -> Result<(), RefreshError> {
        let (this, slot) = (self.clone(), self.slot(&key.into()));
        let task = detach(async move { this.end_login(&slot).await.map(drop) })?;
        task.await.unwrap_or_else(|_| Err(RefreshError::new(ErrorKind::Aborted)))
    }

    async fn install_now(&self, slot: &Slot, tokens: &TokenSet) -> Result<Generation, RefreshError> {
        let _turn = slot.turn().await;
        let login = LoginId(self.urn.draw().ok_or_else(|| RefreshError::new(ErrorKind::Aborted))?.nonce);
        let obtained = self.clock.now();
        let remembered = slot.current.load().as_ref().map_or(Generation::ZERO, |c| c.generation());
        let written = self
            .rewrite(slot, true, |found| {
                let stored = found.map_or(Generation::ZERO, |record| record.generation);
                let record = CredentialRecord::installed(login, stored.max(remembered).next(), tokens);
                Some(record).filter(|_| found.is_none_or(|record| record.login != login))
            })
            .await?;
        let Some((generation, tokens)) = written.new.and_then(|new| Some((new.generation, new.tokens?)))
        else {
            return Err(RefreshError::new(ErrorKind::Aborted));
        };
        let held = Held { login, generation, tokens, obtained };
        self.gate.forget(&slot.key);
        let mut state = slot.state();
        state.epoch += 1;
        let before = state.standing.take();
        state.dead = None;
        state.own = None;
        slot.current.store(self.current(slot, held, None).map(Arc::new));
        drop(state);
        drop(before);
        self.emit(slot, EventKind::Installed(generation));
        Ok(generation)
    }

    async fn logout_now(&self, slot: &Slot) -> Result<Logout, RefreshError> {
        let Some(ended) = self.end_login(slot).await? else {
            return Ok(Logout::NothingStored);
        };
        let Some(refresh_token) = &ended.refresh_token else {
            return Ok(Logout::NothingStored);
        };
        let limit = self.policy.exchange_limit;
        let confirmed = self.endpoint.revoke(refresh_token, ended.bound_key, limit).await;
        Ok(if confirmed && ended.certain { Logout::Revoked } else { Logout::NotRevoked })
    }

    /// Writes the end of the login, then clears it out of memory and, where nobody can still write under
    /// a mark, out of the store.
    async fn end_login(&self, slot: &Slot) -> Result<Option<Ended>, RefreshError> {
        let _turn = slot.turn().await;
        slot.state().given_back = None;
        let own = self.end_here(slot);
        let mut ends = None;
        let written = self
            .rewrite(slot, false, |found| {
                let found = found?;
                // The login that was there first, and not one that somebody began meanwhile.
                let login = *ends.get_or_insert(found.login);
                found.logged_out().filter(|_| found.login == login)
            })
            .await;
        // Again: a slow store may have handed the login out once more before it was written.
        self.end_here(slot);
        // Written or not, it is over here. Only now: whoever hears of it may take his time.
        self.emit(slot, EventKind::LoggedOut);
        let written = written?;
        let Some(old) = written.old else {
            return Ok(None);
        };
        // Our own flight is waited for: what it still brings is given back by itself.
        if let Some(own) = own {
            let patience = self.policy.exchange_limit + Duration::from_secs(1);
            let _ = tokio::time::timeout(patience, own.wait()).await;
        }
        let mark = old.record.mark.as_ref();
        let own = |mark: &Mark| slot.state().own.as_ref().is_some_and(|own| own.wrote(mark));
        let foreign = mark.is_some_and(|mark| !own(mark));
        let ended = written.new.is_some_and(|new| new.life == Life::LoggedOut);
        if ended
            && !foreign
            && let Some(version) = written.version
        {
            // Left behind, it would only say what its absence says as well.
            let _ = self.swap(slot, Some(version), None).await;
        }
        // Under a mark there may be a newer token, and revoking a spent one is confirmed just so. Only of our
        // own flight we know that it brought one and gave it back.
        let given_back = slot.state().given_back == Some(true);
        let certain = (mark.is_none() || given_back && !foreign) && old.record.doubt.is_none();
        let (refresh_token, bound_key) =
            (old.record.refresh_token().cloned(), old.record.bound_key().cloned());
        Ok(Some(Ended { refresh_token, bound_key, certain }))
    }

    /// Takes the token out of this process. Returns the flight under way, to be heard out.
    fn end_here(&self, slot: &Slot) -> Option<Waiter> {
        let until = self.clock.now().after(RECHECK);
        // What stood there goes after the lock.
        let _before;
        let mut state = slot.state();
        state.epoch += 1;
        _before = state.standing.replace(Box::new((RefreshError::new(ErrorKind::LoggedOut), until)));
        slot.current.store(None);
        // For as long as the caller likes.
        state.flight.as_ref()?.join(driver::runtime().ok()?, Duration::MAX).ok()
    }

    /// Loads and swaps until it holds. `make` sees what is stored and says what shall be; `None`: nothing
    /// to do, or no longer.
    ///
    /// An install replaces what cannot be read. After a write that may have happened, it goes on only if
    /// the record is still the one that it wanted to replace: otherwise, also where there is none again,
    /// somebody may have ended this very login since, and it must not come back.
    async fn rewrite(
        &self,
        slot: &Slot,
        install: bool,
        mut make: impl FnMut(Option<&CredentialRecord>) -> Option<CredentialRecord> + Send,
    ) -> Result<Written, RefreshError> {
        let store_error = |error: Arc<StoreError>| RefreshError::new(ErrorKind::Store).with_source(error);
        let mut failures = 0;
        let mut maybe_replaced: Option<(Option<Snapshot>, Option<Version>, Arc<StoreError>)> = None;
        for _ in 0..TRIES {
            let (old, version) = match self.load(slot, Rank::Begun).await {
                Ok(old) => {
                    let version = old.as_ref().map(|old| old.version);
                    (old, version)
                }
                Err(error) => match error.version().filter(|_| install) {
                    Some(unreadable) => (None, Some(unreadable)),
                    None => return Err(store_error(error)),
                },
            };
            let Some(new) = make(old.as_ref().map(|old| &old.record)) else {
                let new = old.as_ref().map(|old| old.record.clone());
                let old = maybe_replaced.map_or(old, |(replaced, ..)| replaced);
                return Ok(Written { old, new, version });
            };
            if let Some((_, expected, error)) = &maybe_replaced
                && (*expected != version || version.is_none())
            {
                return Err(store_error(error.clone()));
            }
            let lots = self.urn.draw().ok_or_else(|| RefreshError::new(ErrorKind::Aborted))?;
            match self.swap(slot, version, Some((lots.version, &new))).await {
                Ok(Swapped::Done) => {
                    return Ok(Written { old, new: Some(new), version: Some(lots.version) });
                }
                Ok(Swapped::Conflict(_)) => {}
                // Maybe written: the next look tells, and what was replaced must not be forgotten.
                Err(error) => {
                    failures += 1;
                    if failures >= STORE_FAILURES {
                        return Err(store_error(error));
                    }
                    maybe_replaced = Some((old, version, error));
                }
            }
        }
        Err(RefreshError::new(ErrorKind::Store))
    }
}

struct Written {
    /// What was there before.
    old: Option<Snapshot>,
    /// What is there now.
    new: Option<CredentialRecord>,
    /// Of the record as it is now.
    version: Option<Version>,
}

struct Ended {
    refresh_token: Option<RefreshToken>,
    bound_key: Option<BoundKey>,
    /// Was it surely the newest refresh token of the login?
    certain: bool,
}
