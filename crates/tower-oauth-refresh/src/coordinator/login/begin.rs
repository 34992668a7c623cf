//! Storing the tokens of a new login.

use std::sync::Arc;

use super::rewrite::{Change, Found};
use crate::coordinator::RefreshCoordinator;
use crate::coordinator::machine::{Snapshot, verdict_error};
use crate::coordinator::outcome::Held;
use crate::coordinator::policy::usable;
use crate::coordinator::slot::Slot;
use crate::error::{ErrorKind, Misuse, RefreshError};
use crate::events::EventKind;
use crate::generation::Generation;
use crate::grant::Grant;
use crate::store::record::{CredentialRecord, Fingerprint, Life, LoginId, RestReason, Tokens, Verdict};
use crate::token::TokenSet;

/// What a new login may replace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Anything,
    WhatHasEnded,
}

pub(super) enum Begun {
    New(Generation),
    /// There is one that must not be replaced.
    Kept(Generation),
}

impl RefreshCoordinator {
    pub(super) async fn install_now(
        &self,
        slot: &Slot,
        tokens: &TokenSet,
        over: Over,
    ) -> Result<Begun, RefreshError> {
        let _turn = slot.turn().await?;
        let login = LoginId(self.urn.draw().ok_or_else(|| RefreshError::new(ErrorKind::Aborted))?.nonce);
        let began = self.clock.now();
        let (mut tokens, age) = tokens.as_of(began.wall);
        // As in an answer: there is none.
        tokens.refresh_token = tokens.refresh_token.filter(|token| !token.is_empty());
        self.check_usable(&tokens)?;
        let remembered = slot.current.load().as_ref().map_or(Generation::ZERO, |c| c.generation());
        let mut refused = None;
        let written = self
            .rewrite(slot, |found| {
                let seen = match found {
                    Found::Record(seen) if seen.record.login == login => return Change::Nothing,
                    Found::Record(seen) => Some(seen),
                    // A login that lives may be in it.
                    Found::Unreadable if over == Over::WhatHasEnded => return Change::Nothing,
                    Found::Unreadable | Found::Nothing => None,
                };
                if over == Over::WhatHasEnded
                    && let Some(seen) = seen
                {
                    refused = self.verdict_on(slot, seen, &tokens);
                    if refused.is_some() || self.why_not(slot, Some(seen)).is_none() {
                        return Change::Nothing;
                    }
                }
                let stored = seen.map_or(Generation::ZERO, |seen| seen.record.generation);
                let mut record = CredentialRecord::installed(login, stored.max(remembered).next(), &tokens);
                if let Some(tokens) = &mut record.tokens {
                    tokens.age = age.saturating_add(self.clock.now().since(began));
                }
                Change::Write(Box::new(record))
            })
            .await?;
        if let Some(refused) = refused {
            return Err(refused);
        }
        let Some(new) = written.new else { return Err(RefreshError::new(ErrorKind::Aborted)) };
        let generation = new.generation;
        if new.login != login {
            return Ok(Begun::Kept(generation));
        }
        let Some(tokens) = new.tokens else { return Err(RefreshError::new(ErrorKind::Aborted)) };
        let held = Held { login, generation, tokens, obtained: began.before(age) };
        self.gate.forget(&slot.key);
        let mut state = slot.state();
        state.epoch += 1;
        let before = state.standing.take();
        state.dead = None;
        state.own = None;
        state.ended = None;
        slot.begin(&mut state, self.current(slot, held).map(Arc::new));
        drop(state);
        drop(before);
        self.emit(slot, EventKind::Installed(generation));
        Ok(Begun::New(generation))
    }

    /// Tokens that can never be sent begin no login: what they bring is an error of the next request, which says nothing
    /// of them.
    fn check_usable(&self, set: &TokenSet) -> Result<(), RefreshError> {
        let tokens = Tokens::received(set, None);
        let sends_refresh_token = self.policy.grant == Grant::RefreshToken;
        let misuse = match (&tokens.refresh_token, &tokens.access_token) {
            _ if sends_refresh_token && self.policy.must_prove(&tokens) => Misuse::Bound,
            (Some(token), _) if sends_refresh_token && token.has_control_character() => {
                Misuse::ControlCharacter
            }
            (Some(_), _) => return Ok(()),
            _ if !sends_refresh_token || self.policy.can_send(&tokens) => return Ok(()),
            (None, None) => Misuse::NoToken,
            (None, Some(_)) if tokens.token_type.eq_ignore_ascii_case(self.policy.scheme()) => {
                Misuse::UnusableAccessToken
            }
            (None, Some(_)) => Misuse::OtherType(self.policy.scheme()),
        };
        Err(RefreshError::misuse(ErrorKind::UnusableTokens, misuse))
    }

    /// Why what is stored is no login that lives. `None`: it is one.
    pub(super) fn why_not(&self, slot: &Slot, found: Option<&Snapshot>) -> Option<RefreshError> {
        let no = |kind| Some(RefreshError::new(kind));
        let Some(seen) = found else { return no(ErrorKind::NotInstalled) };
        let ended_here = slot.state().ended.as_deref() == Some(&seen.record.login);
        if seen.record.life == Life::LoggedOut || ended_here {
            return no(ErrorKind::LoggedOut);
        }
        if let Some(verdict) = verdict(slot, &seen.record) {
            return Some(verdict_error(&verdict));
        }
        let serves = |tokens: &Tokens| {
            usable(tokens, tokens.age.saturating_add(seen.age)) && self.policy.can_send(tokens)
        };
        let serves = seen.record.tokens.as_ref().is_some_and(serves);
        let needs_user = seen.record.rest.as_ref().is_some_and(|rest| rest.reason == RestReason::NeedsUser);
        if needs_user && !serves {
            return no(ErrorKind::NeedsUser);
        }
        let refreshes =
            self.policy.grant == Grant::ClientCredentials || seen.record.refresh_token().is_some();
        if refreshes || serves { None } else { no(ErrorKind::NoRefreshToken) }
    }

    /// What the server has said of the very refresh token of a new login.
    fn verdict_on(&self, slot: &Slot, seen: &Snapshot, tokens: &TokenSet) -> Option<RefreshError> {
        let verdict = verdict(slot, &seen.record)?;
        let token = tokens.refresh_token.as_ref()?;
        (Fingerprint::of(seen.record.login, token) == verdict.fingerprint).then(|| verdict_error(&verdict))
    }
}

/// That the refresh token of this login was refused for good: as the store has it, or as this process heard, where the
/// store did not take it.
fn verdict(slot: &Slot, record: &CredentialRecord) -> Option<Verdict> {
    match &record.life {
        Life::Dead(verdict) => Some(verdict.clone()),
        Life::LoggedOut => None,
        Life::Live => {
            let dead = slot.state().dead.as_deref().cloned();
            dead.filter(|dead| record.fingerprint() == Some(dead.fingerprint))
        }
    }
}
