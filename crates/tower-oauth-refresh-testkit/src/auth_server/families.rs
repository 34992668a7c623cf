//! Who holds which tokens, and what they are good for.
//!
//! Pure bookkeeping under one lock: no network, no clock of its own.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tower_oauth_refresh::{AccessToken, Now, RefreshToken};

use super::mint::Mint;
use super::rotation::Rotation;
use crate::hash::Digest;
use crate::ledger::FamilyId;

pub(crate) struct Families {
    pub(super) rotation: Rotation,
    pub(super) access_lifetime: Duration,
    pub(super) refresh_lifetime: Option<Duration>,
    pub(super) access_dies_at_refresh: bool,
    pub(super) refuses_earlier_than: Option<Duration>,
    pub(super) one_at_a_time: bool,
    mint: Mint,
    families: HashMap<FamilyId, Family>,
    refresh: HashMap<Digest, Refresh>,
    access: HashMap<Digest, Access>,
}

struct Family {
    revoked: bool,
    generation: u64,
    /// Access tokens of earlier generations are dead.
    alive_from: u64,
    scope: Option<String>,
    newest: Option<RefreshToken>,
    /// When its newest access token expires.
    access_expires: Option<Now>,
    /// The thumbprint of the key that its refresh tokens are bound to.
    key: Option<String>,
}

struct Refresh {
    family: FamilyId,
    issued: Now,
    expires: Option<Now>,
    /// First use and what came of every use.
    spent: Option<(Now, Vec<Issued>)>,
}

struct Access {
    family: FamilyId,
    generation: u64,
    expires: Now,
    revoked: bool,
    first_used: Option<Now>,
    /// The thumbprint of the key it is bound to.
    key: Option<String>,
}

/// One set of tokens as the server gave it out.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) generation: u64,
    pub(crate) access_token: AccessToken,
    pub(crate) refresh_token: Option<RefreshToken>,
    pub(crate) expires_in: Duration,
    pub(crate) scope: Option<String>,
    /// The thumbprint of the key that the access token is bound to.
    pub(crate) key: Option<String>,
}

/// Why no tokens were issued: `invalid_grant`, and whether that ended the family just now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dead {
    pub(crate) reuse_detected: bool,
}

/// What is known of an access token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) family: FamilyId,
    pub(crate) generation: u64,
    pub(crate) good: bool,
}

/// What the rotation policy says of a refresh token.
enum Ruling {
    Issue { rotate: bool },
    Repeat(Issued),
    Dead,
    Reuse,
}

impl Families {
    pub(super) fn new(rotation: Rotation, access_lifetime: Duration, seed: u64) -> Self {
        let mut families = Self {
            rotation,
            access_lifetime,
            refresh_lifetime: None,
            access_dies_at_refresh: false,
            refuses_earlier_than: None,
            one_at_a_time: false,
            mint: Mint::new(seed),
            families: HashMap::new(),
            refresh: HashMap::new(),
            access: HashMap::new(),
        };
        families.found(FamilyId::CLIENT, None);
        families
    }

    /// A new family with its first tokens. `key`: what they are bound to, and `bind`: the refresh tokens as well.
    pub(super) fn login(
        &mut self,
        scope: Option<String>,
        key: Option<String>,
        bind: bool,
        now: Now,
    ) -> Issued {
        let family = self.open(scope.clone());
        if bind && let Some(state) = self.families.get_mut(&family) {
            state.key.clone_from(&key);
        }
        self.issue(family, scope, true, key, now)
    }

    /// A new family without tokens.
    pub(super) fn open(&mut self, scope: Option<String>) -> FamilyId {
        let family = FamilyId(self.families.len() as u64);
        self.found(family, scope);
        family
    }

    /// The refresh tokens that are good and were never used, with family and its generation.
    pub(super) fn unspent(&self) -> impl Iterator<Item = (FamilyId, u64, Digest)> {
        let unspent = self.refresh.iter().filter(|(_, refresh)| refresh.spent.is_none());
        unspent.filter_map(|(digest, refresh)| {
            let family = self.families.get(&refresh.family).filter(|family| !family.revoked)?;
            Some((refresh.family, family.generation, *digest))
        })
    }

    /// `family` has this refresh token, of which nothing but its hash is known.
    pub(super) fn adopt(&mut self, family: FamilyId, generation: u64, digest: Digest, now: Now) {
        if let Some(state) = self.families.get_mut(&family) {
            state.generation = generation;
        }
        let expires = self.refresh_lifetime.map(|lifetime| now.after(lifetime));
        self.refresh.insert(digest, Refresh { family, issued: now, expires, spent: None });
    }

    /// Tokens for the client itself: no refresh token (RFC 6749 §4.4.3).
    pub(super) fn client_credentials(
        &mut self,
        scope: Option<String>,
        key: Option<String>,
        now: Now,
    ) -> Issued {
        self.issue(FamilyId::CLIENT, scope, false, key, now)
    }

    /// Is the refresh token bound to another key than this?
    pub(super) fn is_bound_elsewhere(&self, token: &str, key: Option<&str>) -> bool {
        let family = self.family_of_refresh(&Digest::of(token)).and_then(|family| self.families.get(&family));
        family.and_then(|family| family.key.as_deref()).is_some_and(|bound| Some(bound) != key)
    }

    /// The key that an access token is bound to.
    pub(crate) fn key_of(&self, token: &str) -> Option<String> {
        self.access.get(&Digest::of(token))?.key.clone()
    }

    /// Spends a refresh token. `scope`: what was asked for, already known to be granted. `key`: what the new access
    /// token is bound to.
    pub(super) fn refresh(
        &mut self,
        token: &str,
        scope: Option<String>,
        key: Option<String>,
        now: Now,
    ) -> Result<Issued, Dead> {
        let digest = Digest::of(token);
        let Some(family) = self.family_of_refresh(&digest) else {
            return Err(Dead { reuse_detected: false });
        };
        let rotate = match self.rule(&digest, now) {
            Ruling::Issue { rotate } => rotate,
            Ruling::Repeat(issued) => return Ok(issued),
            Ruling::Dead => return Err(Dead { reuse_detected: false }),
            Ruling::Reuse => {
                self.revoke_family(family);
                return Err(Dead { reuse_detected: true });
            }
        };
        let mut issued = self.issue(family, scope, rotate, key, now);
        if self.rotation == Rotation::ParentAllowed {
            issued.refresh_token = self.families.get(&family).and_then(|family| family.newest.clone());
        }
        let stays = matches!(self.rotation, Rotation::Never)
            || (matches!(self.rotation, Rotation::AtMostOnceIn(_)) && !rotate);
        if !stays && let Some(refresh) = self.refresh.get_mut(&digest) {
            refresh.spent.get_or_insert_with(|| (now, Vec::new())).1.push(issued.clone());
        }
        Ok(issued)
    }

    /// Does the access token live too long for a refresh to be allowed?
    pub(super) fn is_too_early(&self, token: &str, now: Now) -> bool {
        let family = self.family_of_refresh(&Digest::of(token)).and_then(|family| self.families.get(&family));
        let left = family.and_then(|family| family.access_expires).map(|expires| now.until(expires));
        self.refuses_earlier_than.zip(left).is_some_and(|(window, left)| left > window)
    }

    /// Has this refresh token a successor?
    pub(super) fn is_spent(&self, token: &str) -> bool {
        self.refresh.get(&Digest::of(token)).is_some_and(|refresh| refresh.spent.is_some())
    }

    /// Would a refresh with this token succeed?
    pub(super) fn accepts(&self, token: &str, now: Now) -> bool {
        matches!(self.rule(&Digest::of(token), now), Ruling::Issue { .. } | Ruling::Repeat(_))
    }

    /// The family of a token of either kind, and whether it is a refresh token.
    pub(super) fn find(&self, token: &str) -> Option<(FamilyId, bool)> {
        let digest = Digest::of(token);
        let access = self.access.get(&digest).map(|access| (access.family, false));
        access.or_else(|| self.family_of_refresh(&digest).map(|family| (family, true)))
    }

    pub(super) fn granted_scope(&self, family: FamilyId) -> Option<&str> {
        self.families.get(&family)?.scope.as_deref()
    }

    /// Checks an access token at a resource server, which is also its first use.
    pub(crate) fn check(&mut self, token: &str, now: Now) -> Option<Known> {
        let access = self.access.get_mut(&Digest::of(token))?;
        let (family, generation) = (access.family, access.generation);
        let alive = self.families.get(&family).is_some_and(|f| !f.revoked && generation >= f.alive_from);
        let good = alive && !access.revoked && !now.reached(access.expires);
        if good {
            access.first_used.get_or_insert(now);
        }
        Some(Known { family, generation, good })
    }

    pub(super) fn revoke_access(&mut self, token: &str) {
        if let Some(access) = self.access.get_mut(&Digest::of(token)) {
            access.revoked = true;
        }
    }

    pub(super) fn expire_access(&mut self, token: &str, now: Now) {
        if let Some(access) = self.access.get_mut(&Digest::of(token)) {
            access.expires = now;
        }
    }

    pub(super) fn expire_refresh(&mut self, token: &str, now: Now) {
        if let Some(refresh) = self.refresh.get_mut(&Digest::of(token)) {
            refresh.expires = Some(now);
        }
    }

    /// Ends a family. The client's own is not a login: only its tokens so far die.
    pub(super) fn revoke_family(&mut self, family: FamilyId) {
        if let Some(state) = self.families.get_mut(&family) {
            state.revoked = family != FamilyId::CLIENT;
            state.alive_from = state.generation + 1;
        }
    }

    /// The access tokens of a family die, its refresh token lives.
    pub(super) fn revoke_access_of(&mut self, family: FamilyId) {
        if let Some(state) = self.families.get_mut(&family) {
            state.alive_from = state.generation + 1;
        }
    }

    pub(super) fn all(&self) -> Vec<FamilyId> {
        self.families.keys().copied().collect()
    }

    fn found(&mut self, id: FamilyId, scope: Option<String>) {
        let family = Family {
            revoked: false,
            generation: 0,
            alive_from: 0,
            scope,
            newest: None,
            access_expires: None,
            key: None,
        };
        self.families.insert(id, family);
    }

    fn family_of_refresh(&self, digest: &Digest) -> Option<FamilyId> {
        self.refresh.get(digest).map(|refresh| refresh.family)
    }

    fn rule(&self, digest: &Digest, now: Now) -> Ruling {
        let Some(refresh) = self.refresh.get(digest) else { return Ruling::Dead };
        let revoked = self.families.get(&refresh.family).is_none_or(|family| family.revoked);
        if revoked || refresh.expires.is_some_and(|expires| now.reached(expires)) {
            return Ruling::Dead;
        }
        match &refresh.spent {
            None => Ruling::Issue { rotate: self.rotates(refresh, now) },
            Some((first, issued)) => self.rule_on_spent(refresh.family, *first, issued, now),
        }
    }

    fn rotates(&self, refresh: &Refresh, now: Now) -> bool {
        match self.rotation {
            Rotation::Never => false,
            Rotation::AtMostOnceIn(period) => now.reached(refresh.issued.after(period)),
            _ => true,
        }
    }

    fn rule_on_spent(&self, family: FamilyId, first: Now, issued: &[Issued], now: Now) -> Ruling {
        match self.rotation {
            Rotation::Never => Ruling::Issue { rotate: false },
            Rotation::Grace(window) if !now.reached(first.after(window)) => Ruling::Issue { rotate: true },
            Rotation::Strict | Rotation::Grace(_) => Ruling::Reuse,
            Rotation::UntilNewTokenUsed | Rotation::AtMostOnceIn(_)
                if issued.iter().any(|issued| self.was_used(issued)) =>
            {
                Ruling::Dead
            }
            Rotation::UntilNewTokenUsed | Rotation::AtMostOnceIn(_) => Ruling::Issue { rotate: true },
            Rotation::SameAnswer(window) => match issued.first() {
                Some(answer) if !self.was_used_before(answer, window, now) => Ruling::Repeat(answer.clone()),
                _ => Ruling::Dead,
            },
            Rotation::ParentAllowed if self.is_parent_of_newest(family, issued) => {
                Ruling::Issue { rotate: false }
            }
            Rotation::ParentAllowed => Ruling::Reuse,
        }
    }

    fn first_use(&self, issued: &Issued) -> Option<Now> {
        self.access.get(&Digest::of(issued.access_token.expose_secret()))?.first_used
    }

    fn was_used(&self, issued: &Issued) -> bool {
        let refreshed =
            issued.refresh_token.as_ref().is_some_and(|token| self.is_spent(token.expose_secret()));
        refreshed || self.first_use(issued).is_some()
    }

    fn was_used_before(&self, issued: &Issued, window: Duration, now: Now) -> bool {
        self.first_use(issued).is_some_and(|used| now.reached(used.after(window)))
    }

    fn is_parent_of_newest(&self, family: FamilyId, issued: &[Issued]) -> bool {
        let newest = self.families.get(&family).and_then(|family| family.newest.as_ref());
        let newest = newest.map(RefreshToken::expose_secret);
        issued.iter().any(|child| child.refresh_token.as_ref().map(RefreshToken::expose_secret) == newest)
    }

    fn issue(
        &mut self,
        id: FamilyId,
        scope: Option<String>,
        with_refresh: bool,
        key: Option<String>,
        now: Now,
    ) -> Issued {
        let access_token = AccessToken::new(self.mint.access_token());
        let refresh_token = with_refresh.then(|| RefreshToken::new(self.mint.refresh_token()));
        let mut generation = 1;
        if let Some(family) = self.families.get_mut(&id) {
            family.generation += 1;
            generation = family.generation;
            if self.access_dies_at_refresh && id != FamilyId::CLIENT {
                family.alive_from = generation;
            }
            family.newest = refresh_token.clone().or(family.newest.take());
            family.access_expires = Some(now.after(self.access_lifetime));
        }
        let expires = now.after(self.access_lifetime);
        let bound = key.clone();
        let access = Access { family: id, generation, expires, revoked: false, first_used: None, key: bound };
        self.access.insert(Digest::of(access_token.expose_secret()), access);
        if let Some(token) = &refresh_token {
            let expires = self.refresh_lifetime.map(|lifetime| now.after(lifetime));
            let refresh = Refresh { family: id, issued: now, expires, spent: None };
            self.refresh.insert(Digest::of(token.expose_secret()), refresh);
        }
        Issued { generation, access_token, refresh_token, expires_in: self.access_lifetime, scope, key }
    }
}

impl fmt::Debug for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Families")
            .field("rotation", &self.rotation)
            .field("families", &self.families.len())
            .finish_non_exhaustive()
    }
}
