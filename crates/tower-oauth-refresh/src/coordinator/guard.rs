//! Whether a refused token is worth a refresh.
//!
//! A token that an API has accepted and then refuses was revoked: it is refreshed at once, from a budget. One that the
//! API has never accepted is refused for another reason, and its successors are likely to be: those are refreshed
//! ever more seldom. Each origin has a budget of its own, and all processes share it, in the record.

use std::time::Duration;

use super::origins::OriginId;
use super::policy::{Policy, doubled};
use crate::store::record::{CredentialRecord, Refusals};

/// The token in use was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) origin: OriginId,
    /// Had the origin accepted it before?
    pub(crate) accepted: bool,
}

/// Why a newer token set is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The one in use is too old.
    pub(crate) due: bool,
    /// These have refused it.
    pub(crate) refused: Vec<Refused>,
}

/// After a refresh for a token that was never accepted, the next such waits for this long, doubling …
const FUTILE_REST: Duration = Duration::from_secs(5);
/// … to this.
const FUTILE_REST_MAX: Duration = Duration::from_secs(300);
/// After this long without one, the next is the first again. So 30 an hour are the most, however they are spread.
const FUTILE_FORGOTTEN: Duration = Duration::from_secs(600);
/// For each revoked token, the origin owes this much …
const REVOKED_COST: Duration = Duration::from_secs(60);
/// … and has credit for five.
const REVOKED_CREDIT: Duration = Duration::from_secs(300);
/// Further origins share the entries of others. A record must not grow without bound.
const MAX_ORIGINS: usize = 8;

impl Wanted {
    pub(crate) const DUE: Self = Self { due: true, refused: Vec::new() };

    pub(crate) fn refused(refused: Refused) -> Self {
        Self { due: false, refused: vec![refused] }
    }

    /// Somebody else wants one, too.
    pub(crate) fn and(&mut self, more: Self) {
        self.due |= more.due;
        for refused in more.refused {
            if !self.refused.contains(&refused) {
                self.refused.push(refused);
            }
        }
    }
}

/// How long the token of this record, which was written `age` ago, is left alone although it was refused. This process
/// has `held` it for some time, by a clock that does not jump; `own`: it has refreshed it itself.
pub(crate) fn left_alone(
    record: &CredentialRecord,
    age: Duration,
    (held, own): (Duration, bool),
    refused: Refused,
    policy: &Policy,
) -> Duration {
    let entry = record.refusals.get(place(&record.refusals, refused)).map(|entry| entry.aged(age));
    if refused.accepted {
        let debt = entry.map_or(Duration::ZERO, |entry| entry.debt);
        return debt.saturating_add(REVOKED_COST).saturating_sub(REVOKED_CREDIT);
    }
    // An API may learn of a new token later than the process that refreshed it. One that was found in the store may have
    // been revoked before this process began.
    let young = record.tokens.as_ref().filter(|_| own).map(|tokens| {
        let half = tokens.expires_in.map_or(Duration::MAX, |life| life / 2);
        policy.challenge_min_age.min(half).saturating_sub(tokens.age.saturating_add(age).min(held))
    });
    let first = FUTILE_REST.max(policy.challenge_min_age);
    let rest = entry
        .filter(|entry| entry.futile > 0 && entry.age < FUTILE_FORGOTTEN)
        .map(|entry| doubled(first, entry.futile, FUTILE_REST_MAX).saturating_sub(entry.age));
    young.unwrap_or_default().max(rest.unwrap_or_default())
}

/// Takes note of a refresh for a refused token.
pub(crate) fn charge(refusals: &mut Vec<Refusals>, refused: Refused) {
    refusals.retain(|entry| !entry.debt.is_zero() || entry.futile > 0 && entry.age < FUTILE_FORGOTTEN);
    let place = place(refusals, refused);
    if place == refusals.len() {
        refusals.push(Refusals { origin: refused.origin.name, ..Refusals::default() });
    }
    let Some(entry) = refusals.get_mut(place) else { return };
    if refused.accepted {
        entry.futile = 0;
        entry.debt = entry.debt.saturating_add(REVOKED_COST).min(REVOKED_CREDIT);
    } else {
        let before = if entry.age < FUTILE_FORGOTTEN { entry.futile } else { 0 };
        (entry.futile, entry.age) = (before.saturating_add(1), Duration::ZERO);
    }
}

/// Where the origin's entry is, or would be.
fn place(refusals: &[Refusals], refused: Refused) -> usize {
    let name = refused.origin.name;
    refusals.iter().position(|entry| entry.origin == name).unwrap_or_else(|| {
        let full = refusals.len() >= MAX_ORIGINS;
        if full { usize::from(name.to_le_bytes()[0]) % MAX_ORIGINS } else { refusals.len() }
    })
}

#[cfg(test)]
mod tests;
