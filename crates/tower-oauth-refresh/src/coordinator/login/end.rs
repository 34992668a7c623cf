//! Ending a login: here, in the store, and at the server.

use std::time::Duration;

use super::Logout;
use super::rewrite::{Change, Found, Written};
use crate::clock::deadline;
use crate::coordinator::RefreshCoordinator;
use crate::coordinator::driver;
use crate::coordinator::outcome::Held;
use crate::coordinator::policy::{RECHECK, usable};
use crate::coordinator::slot::{Slot, Standing};
use crate::coordinator::waiter::Waiter;
use crate::error::{ErrorKind, RefreshError};
use crate::events::EventKind;
use crate::store::record::{CredentialRecord, Life, LoginId, Mark, Tokens};

/// What was not revoked is kept for a further logout for this long, and an ended record for whoever refreshed under a
/// mark in it.
const UNREVOKED: Duration = Duration::from_secs(7 * 86_400);

/// A login that has ended, here and in the store.
struct Ended {
    written: Written,
    /// What the server is to revoke.
    tokens: Vec<Tokens>,
    /// May this process remove what is left of it?
    removes: bool,
    /// Are these surely the newest tokens of the login?
    certain: bool,
}

impl RefreshCoordinator {
    pub(super) async fn logout_now(&self, slot: &Slot) -> Result<Logout, RefreshError> {
        let Some(ended) = self.end_login(slot, true).await? else {
            return Ok(Logout::NothingStored);
        };
        let mut unrevoked = Vec::new();
        for tokens in &ended.tokens {
            unrevoked.extend(self.revoke(tokens).await);
        }
        let confirmed = unrevoked.is_empty() && !ended.tokens.is_empty();
        self.clear(slot, &ended, unrevoked).await;
        Ok(if confirmed && ended.certain { Logout::Revoked } else { Logout::NotRevoked })
    }

    pub(super) async fn forget_now(&self, slot: &Slot) -> Result<(), RefreshError> {
        if let Some(ended) = self.end_login(slot, false).await? {
            self.clear(slot, &ended, Vec::new()).await;
        }
        Ok(())
    }

    /// Ends the login in this process and in the store. What it still has to be revoked is in the record until the
    /// server has confirmed it: a process may end before, and a server be out of order. `None`: there was nothing.
    async fn end_login(&self, slot: &Slot, revoke: bool) -> Result<Option<Ended>, RefreshError> {
        let turn = slot.turn().await?;
        slot.state().given_back = None;
        let held = slot.current.load().as_ref().map(|current| current.held());
        let own = self.end_here(slot);
        let keep = revoke && self.endpoint.revokes();
        let mut ends = None;
        let mut tokens = Vec::new();
        let written = self
            .rewrite(slot, |found| {
                let login = match found {
                    Found::Record(seen) => Some(*ends.get_or_insert(seen.record.login)),
                    Found::Nothing | Found::Unreadable => ends,
                };
                end(found, login, held.as_ref(), revoke, keep, &mut tokens)
            })
            .await;
        // Again: a slow store may have handed the login out once more before it was written.
        self.end_here(slot);
        let over = ends.or(held.map(|held| held.login));
        slot.state().ended = over.filter(|_| written.is_err()).map(Box::new);
        // Written or not, it is over here. Only now: whoever hears of it may take his time.
        self.emit(slot, EventKind::LoggedOut);
        let written = written?;
        // A new login need not wait for the old one's flight.
        drop(turn);
        // Our own flight is waited for: what it still brings is given back by itself.
        let patience = self.policy.exchange_limit.saturating_add(Duration::from_secs(1));
        let landed = match own {
            Some(own) => tokio::time::timeout(patience, own.wait()).await.is_ok(),
            None => true,
        };
        let old_age = written.old.as_ref().map(|old| old.age);
        let old = written.old.as_ref().map(|old| &old.record);
        if old.is_none() && !written.unreadable && tokens.is_empty() {
            return Ok(None);
        }
        let mark = old.and_then(|old| old.mark.as_ref());
        let own = |mark: &Mark| slot.state().own.as_ref().is_some_and(|own| own.wrote(mark));
        let foreign = mark.is_some_and(|mark| !own(mark));
        // Under a mark there may be a newer token, and revoking a spent one is confirmed just so. Only of our
        // own flight we know that it brought one and gave it back.
        let given_back = slot.state().given_back == Some(true);
        let in_doubt = written.unreadable || old.is_some_and(|old| old.doubt.is_some());
        let certain = (mark.is_none() || given_back && !foreign) && !in_doubt;
        let awaited = foreign && old_age.is_some_and(|age| age < UNREVOKED);
        Ok(Some(Ended { written, tokens, removes: !awaited && landed, certain }))
    }

    /// What of it the server has not confirmed. The refresh token goes first: on most servers the access token goes
    /// with it.
    async fn revoke(&self, tokens: &Tokens) -> Option<Tokens> {
        let (key, limit) = (|| tokens.bound_key.clone(), self.policy.exchange_limit);
        let mut left = tokens.clone();
        if let Some(token) = &tokens.refresh_token
            && self.endpoint.revoke(token, key(), limit).await
        {
            left.refresh_token = None;
        }
        if let Some(token) = &tokens.access_token
            && self.endpoint.revoke_access(token, key(), limit).await
        {
            left.access_token = None;
        }
        (left.refresh_token.is_some() || left.access_token.is_some()).then_some(left)
    }

    /// Removes what is left of a login that has ended, unless somebody may still write under a mark in it, or
    /// something is to be revoked. Where it does not succeed, somebody else has written there.
    async fn clear(&self, slot: &Slot, ended: &Ended, unrevoked: Vec<Tokens>) {
        let (Some(record), Some(version)) = (&ended.written.new, ended.written.version) else { return };
        if record.life != Life::LoggedOut {
            return;
        }
        let unrevoked = if self.endpoint.revokes() { unrevoked } else { Vec::new() };
        if unrevoked.is_empty() && ended.removes {
            let _ = self.swap(slot, Some(version), None).await;
        } else if unrevoked != record.unrevoked
            && let Some(lots) = self.urn.draw()
        {
            let left = CredentialRecord { unrevoked, ..record.clone() };
            let _ = self.swap(slot, Some(version), Some((lots.version, &left))).await;
        }
    }

    /// Takes the token out of this process. Returns the flight under way, to be heard out.
    fn end_here(&self, slot: &Slot) -> Option<Waiter> {
        let now = self.clock.now();
        // What stood there goes after the lock.
        let _before;
        let mut state = slot.state();
        state.epoch += 1;
        _before =
            state.standing.replace(Standing::new(RefreshError::new(ErrorKind::LoggedOut), now, RECHECK));
        slot.current.store(None);
        // For as long as the caller likes.
        state.flight.as_ref()?.join(driver::runtime().ok()?, deadline(Duration::MAX)).ok()
    }
}

/// What shall be in place of `found`, and in `tokens` what is to be revoked: of the login that was there first, and not
/// of one that somebody began meanwhile.
fn end(
    found: Found<'_>,
    login: Option<LoginId>,
    held: Option<&Held>,
    revoke: bool,
    keep: bool,
    tokens: &mut Vec<Tokens>,
) -> Change {
    let mut due = Vec::new();
    // Where the record was lost or set back, memory has the newer tokens.
    let held = held.filter(|held| login.is_none_or(|login| login == held.login));
    let mut new = match found {
        Found::Record(seen) if Some(seen.record.login) != login => return Change::Nothing,
        Found::Record(seen) if seen.record.life == Life::LoggedOut => {
            if seen.age < UNREVOKED {
                due.clone_from(&seen.record.unrevoked);
            }
            seen.record.clone()
        }
        Found::Record(seen) => {
            due.extend(seen.record.aged(seen.age).tokens);
            seen.record.logged_out()
        }
        // A write of ours, that was not answered, has removed or ended it; or there was nothing.
        Found::Nothing if login.is_some() => return Change::Nothing,
        Found::Nothing | Found::Unreadable => {
            let Some(held) = held else {
                return if matches!(found, Found::Unreadable) { Change::Remove } else { Change::Nothing };
            };
            CredentialRecord::empty(held.login, held.generation).logged_out()
        }
    };
    if let Some(held) = held
        && due.iter().all(|due| !due.same_grant(&held.tokens))
    {
        due.push(held.tokens.clone());
    }
    for tokens in &mut due {
        // One that has expired needs no end.
        if !usable(tokens, tokens.age) {
            tokens.access_token = None;
        }
    }
    due.retain(|due| due.refresh_token.is_some() || due.access_token.is_some());
    new.unrevoked = if keep { due.clone() } else { Vec::new() };
    new.forgotten |= !revoke;
    if !revoke {
        due.clear();
    }
    *tokens = due;
    match found {
        Found::Record(seen) if seen.record == new => Change::Nothing,
        Found::Nothing if tokens.is_empty() => Change::Nothing,
        _ => Change::Write(Box::new(new)),
    }
}
