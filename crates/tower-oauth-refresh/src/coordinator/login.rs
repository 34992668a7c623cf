//! The beginning and the end of a login: install, login if needed, logout, forget.
//!
//! Each is one compare-and-swap on the record, tried again until it is somebody's last word, and each runs
//! detached: a caller that goes away does not leave half of it.

mod begin;
mod end;
mod rewrite;

use std::error::Error as StdError;
use std::sync::Arc;

use self::begin::{Begun, Over};
use super::machine::{Rank, store_error};
use super::slot::Slot;
use super::{RefreshCoordinator, runtime};
use crate::credential::CredentialKey;
use crate::error::{ErrorKind, RefreshError};
use crate::generation::Generation;
use crate::token::TokenSet;

/// How a logout ended. In every case the login is over here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Logout {
    /// The server confirmed that the refresh token is revoked (RFC 7009 §2.2).
    Revoked,
    /// The server may still accept a token of this login: it has no revocation endpoint, did not confirm,
    /// or a refresh was under way elsewhere whose new token only that process knows. Call `logout` again to repeat what
    /// was not confirmed: it is kept for a week. A login that had ended before, by `invalid_grant`, has no token left to
    /// revoke: then nothing is sent, and nothing kept. Without
    /// [`revocation_endpoint`](crate::Builder::revocation_endpoint) it is the answer to every logout that ends something.
    NotRevoked,
    /// There was nothing to revoke.
    NothingStored,
}

/// What became of a login that was [asked for if needed](RefreshCoordinator::login_if_needed).
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "`LostRace` holds tokens that were not stored"]
pub enum Login {
    /// A login was stored, and lives: no other was asked for.
    Kept(Generation),
    /// There was none, and the new one is stored.
    Begun(Generation),
    /// Another process began a login meanwhile, and that one is kept. Where `login` obtained these tokens newly (browser,
    /// device code), revoke them at the server. Where all processes read the same token (environment variable, file), do
    /// **not** revoke it: the login that is kept uses it.
    LostRace(TokenSet),
}

impl RefreshCoordinator {
    /// Begins a login: stores `tokens` under `key`, in place of whatever was there, and tells their generation.
    ///
    /// A hard verdict is lifted, also when the refresh token is the same as before. A refresh of the former login that
    /// is still under way is discarded; a new refresh token in it is revoked where there is a revocation
    /// endpoint. A record that cannot be read,
    /// for its key is lost or it is damaged, is replaced, too. `logout` and `forget` end one; a
    /// refresh and `login_if_needed` leave it alone.
    ///
    /// Where a program has tokens from its start, as in an environment variable, this would put the refresh token of
    /// its first start in place of the newest: see [`login_if_needed`](Self::login_if_needed).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`], if the store did not confirm the write. The tokens may have been stored all the same: do not
    /// revoke them, and install them again.
    /// [`ErrorKind::UnusableTokens`], if they cannot be used; the source says why. Nothing was stored, and what
    /// is stored stays as it is. An access token that cannot be sent is no error where a refresh token is beside it: it
    /// is refreshed first.
    /// [`ErrorKind::TimedOut`], if another login or logout of this credential stands still for a minute: then nothing
    /// was done.
    ///
    /// # Cancel safety
    ///
    /// The install goes on when this is dropped. Nothing is sent to the server.
    pub async fn install(
        self: &Arc<Self>,
        key: impl Into<CredentialKey>,
        tokens: TokenSet,
    ) -> Result<Generation, RefreshError> {
        let slot = self.slot(&key.into());
        self.listen(&slot);
        let install = {
            let (this, slot) = (self.clone(), slot.clone());
            async move { this.install_now(&slot, &tokens, Over::Anything).await }
        };
        match self.outcome_of(&slot, install).await? {
            Begun::New(generation) | Begun::Kept(generation) => Ok(generation),
        }
    }

    /// Keeps the login that is stored under `key`, and asks for a new one only if there is none that lives: the door
    /// for programs that log in when they start.
    ///
    /// `login` is told why it is needed ([`NotInstalled`](ErrorKind::NotInstalled),
    /// [`LoggedOut`](ErrorKind::LoggedOut), the verdict of the server, [`NeedsUser`](ErrorKind::NeedsUser) where no access
    /// token can be sent meanwhile, …), and runs on the caller's task. The
    /// compare-and-swap that stores its tokens decides: of several processes that log in at once, one begins
    /// the login.
    ///
    /// ```no_run
    /// # async fn f(coordinator: std::sync::Arc<tower_oauth_refresh::RefreshCoordinator>)
    /// # -> Result<(), tower_oauth_refresh::RefreshError> {
    /// use tower_oauth_refresh::TokenSet;
    ///
    /// let _login = coordinator
    ///     .login_if_needed("user-42", |_why| async {
    ///         Ok(TokenSet::from_refresh_token(std::env::var("REFRESH_TOKEN")?))
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Whether a login lives is what the store says. The server is not asked: one that was revoked there is kept until a
    /// refresh finds out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LoginFailed`], with what `login` said as its source. [`ErrorKind::Store`], if the store could
    /// not be read or written, and [`ErrorKind::Unreadable`], if it holds a record that cannot be read: what is in it may
    /// be a login that lives. Where it
    /// is the write after `login` that fails, the new tokens are dropped, and are not revoked, for they may have been
    /// written: the next call keeps them if they were, and asks for another login if not.
    /// The error of the verdict ([`InvalidGrant`](ErrorKind::InvalidGrant) or
    /// [`LostRotation`](ErrorKind::LostRotation)), if the server has refused this very refresh token for good:
    /// it is not sent again, and `login` has to bring another one. [`ErrorKind::UnusableTokens`] and
    /// [`ErrorKind::TimedOut`], as for [`install`](Self::install). [`ErrorKind::NoRuntime`], outside of a
    /// tokio runtime: `login` was not called.
    ///
    /// # Cancel safety
    ///
    /// Dropped while `login` runs, `login` is dropped and nothing is stored. Once it has answered, the tokens are
    /// stored also when this is dropped.
    pub async fn login_if_needed<F>(
        self: &Arc<Self>,
        key: impl Into<CredentialKey>,
        login: impl FnOnce(RefreshError) -> F,
    ) -> Result<Login, RefreshError>
    where
        F: Future<Output = Result<TokenSet, Box<dyn StdError + Send + Sync>>>,
    {
        // The time limits of the store's calls are timers.
        runtime()?;
        let slot = self.slot(&key.into());
        let found = self.load(&slot, Rank::Begun).await;
        let found = found.map_err(|error| self.about(&slot, store_error(error)))?;
        let why = match (self.why_not(&slot, found.as_ref()), found) {
            (None, Some(found)) => return Ok(Login::Kept(found.record.generation)),
            (None, None) => RefreshError::new(ErrorKind::NotInstalled),
            (Some(why), _) => why,
        };
        let failed = |error| RefreshError::new(ErrorKind::LoginFailed).with_source(Arc::from(error));
        let tokens = login(self.about(&slot, why)).await;
        let tokens = tokens.map_err(|error| self.about(&slot, failed(error)))?;
        self.listen(&slot);
        let begin = {
            let (this, slot) = (self.clone(), slot.clone());
            async move {
                let begun = this.install_now(&slot, &tokens, Over::WhatHasEnded).await;
                begun.map(|begun| (begun, tokens))
            }
        };
        let (begun, tokens) = self.outcome_of(&slot, begin).await?;
        Ok(match begun {
            Begun::New(generation) => Login::Begun(generation),
            Begun::Kept(_) => Login::LostRace(tokens),
        })
    }

    /// Ends a login everywhere: here at once, in the store, then at the server (RFC 7009).
    ///
    /// Once this returns, no request of this process carries a token of the login, and a refresh that was
    /// under way is given back at the server instead of being stored.
    ///
    /// The record is removed from the store, unless a refresh was under way, or the revocation endpoint has not confirmed:
    /// then by a further logout that it confirms, or by one a week later. Under another process's mark only
    /// the latter. The record of a login that the
    /// server has refused for good stays until there is a new login or this is called, so that no program submits the
    /// same refresh token each time it starts.
    ///
    /// Other processes that hold a valid token of the login stop sending it within a second where their store tells of
    /// [changes](crate::TokenStore::changes), and otherwise when it expires or is refused.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`], if the store did not confirm the write: the login is over in this process, may live on in the
    /// store until a request here or a further logout ends it there, and nothing was sent to the server. That
    /// the server did not revoke is no error but
    /// [`Logout::NotRevoked`].
    /// [`ErrorKind::TimedOut`], if another login or logout of this credential stands still for a minute: then nothing
    /// was done.
    ///
    /// # Cancel safety
    ///
    /// The logout goes on when this is dropped: the revocation request is sent all the same.
    pub async fn logout(self: &Arc<Self>, key: impl Into<CredentialKey>) -> Result<Logout, RefreshError> {
        let slot = self.slot(&key.into());
        let logout = {
            let (this, slot) = (self.clone(), slot.clone());
            async move { this.logout_now(&slot).await }
        };
        self.outcome_of(&slot, logout).await
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
        let slot = self.slot(&key.into());
        let forget = {
            let (this, slot) = (self.clone(), slot.clone());
            async move { this.forget_now(&slot).await }
        };
        self.outcome_of(&slot, forget).await
    }

    /// Of what begins or ends a login, in a task of its own.
    async fn outcome_of<T: Send + 'static>(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        task: impl Future<Output = Result<T, RefreshError>> + Send + 'static,
    ) -> Result<T, RefreshError> {
        let ended = match self.detached(slot, task) {
            Ok(task) => task.await.unwrap_or_else(|_| Err(RefreshError::new(ErrorKind::Aborted))),
            Err(error) => Err(error),
        };
        ended.map_err(|error| self.about(slot, error))
    }
}
