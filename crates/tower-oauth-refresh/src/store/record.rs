//! What a record says, and its bytes.
//!
//! Apart from the store, which moves bytes and decides nothing, and from the machine, which decides on
//! these types and never sees bytes. Everything that depends on time is kept as an *age at the moment of
//! the write*, so that it is judged by the store's clock alone: hosts may disagree about the hour.

mod envelope;
mod unknown;
mod wire;

use std::fmt;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub(crate) use self::unknown::Unknown;
use super::{RecordBody, StoreError, Version};
use crate::generation::Generation;
use crate::secret::{AccessToken, BoundKey, RefreshToken};
use crate::token::TokenSet;

/// The durable state of one credential.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CredentialRecord {
    /// What one install began.
    pub(crate) login: LoginId,
    /// Of the newest token set; survives logout and install.
    pub(crate) generation: Generation,
    pub(crate) life: Life,
    pub(crate) tokens: Option<Tokens>,
    /// The mark that the token set was received under; `None` for an installed one.
    pub(crate) under: Option<Under>,
    /// The refresh token before this one. Some servers hand it out again by mistake.
    pub(crate) retired: Option<Fingerprint>,
    /// How many marks this login has seen. They are numbered upwards.
    pub(crate) marks: u64,
    /// Who is refreshing: lease, fence and write-ahead mark in one.
    pub(crate) mark: Option<Mark>,
    /// No attempt before this time has passed since the write.
    pub(crate) rest: Option<Rest>,
    /// Failed attempts since the last token set: how long the next rest is.
    pub(crate) failures: u32,
    /// How long before the write the last of them were sent, the newest first: as far as the next has to wait for it.
    pub(crate) sent: Vec<Duration>,
    /// Was the refresh token sent, and the answer unclear? Or, beside a set that came late: was the refresh
    /// token that it was got for sent once more?
    pub(crate) doubt: Option<Doubt>,
    /// Of a login that has ended: what the server has not confirmed to be revoked.
    pub(crate) unrevoked: Vec<Tokens>,
    /// Has it ended, and is nothing of it to be revoked?
    pub(crate) forgotten: bool,
    /// Of this login, by a newer release.
    pub(crate) unknown: Unknown,
    /// What refreshes for refused tokens there were lately.
    pub(crate) refusals: Vec<Refusals>,
}

/// The refreshes for tokens that one origin has refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// The fingerprint of the origin.
    pub(crate) origin: u64,
    /// In a row, for tokens that it had never accepted.
    pub(crate) futile: u32,
    /// Since the last of those, at the moment of the write.
    pub(crate) age: Duration,
    /// For tokens that it had accepted: what is left of their cost at the moment of the write. Time pays it.
    pub(crate) debt: Duration,
}

/// Names one login of a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoginId(pub(crate) u128);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Life {
    Live,
    Dead(Verdict),
    LoggedOut,
}

/// A hard verdict: which refresh token the server refused, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) generation: Generation,
    pub(crate) fingerprint: Fingerprint,
    /// The refresh without an answer before it, if any: then the rotation was probably lost.
    pub(crate) doubt: Option<Doubt>,
    pub(crate) code: String,
}

/// A refresh that was sent, and whose answer nobody has understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Doubt {
    /// When, by the clock of the host that noticed.
    pub sent_at: SystemTime,
    /// The process that sent it.
    pub pid: u32,
}

/// The token set of a record.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    /// `None` where the answer held a refresh token and no usable access token.
    pub(crate) access_token: Option<AccessToken>,
    pub(crate) refresh_token: Option<RefreshToken>,
    pub(crate) token_type: String,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) refresh_in: Option<Duration>,
    /// Good to send for this long whatever the lifetime says, and not refreshed ahead: the server has returned the
    /// token in use, or one that had expired before it arrived. Counted like `expires_in`.
    pub(crate) at_least: Option<Duration>,
    pub(crate) scope: Option<String>,
    /// The same for all sets of a login.
    pub(crate) bound_key: Option<BoundKey>,
    /// How old the set was when the record was written.
    pub(crate) age: Duration,
    /// Of this set, by a newer release.
    pub(crate) unknown: Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Under {
    pub(crate) nonce: u128,
    pub(crate) number: u64,
    /// The generation whose refresh token was spent for it.
    pub(crate) spent: Generation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) holder: Holder,
    pub(crate) nonce: u128,
    pub(crate) number: u64,
    pub(crate) fingerprint: Option<Fingerprint>,
    /// How long its holder may still act under it: what it was set up for, not what its readers are.
    pub(crate) life: Option<Duration>,
}

/// Who holds a mark: enough to prove on the same host that it is dead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    /// Names this boot of this machine.
    pub(crate) boot: String,
    /// Names the process id namespace.
    pub(crate) namespace: String,
    pub(crate) pid: u32,
    /// When the process started, in the kernel's own unit: tells it from a later one of the same id.
    pub(crate) started: u64,
    /// Names the coordinator within the process.
    pub(crate) coordinator: u128,
}

/// Why and how long nobody asks the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) wait: Duration,
    pub(crate) reason: RestReason,
    pub(crate) code: Option<String>,
    /// Whom it binds. `None`: everybody.
    pub(crate) client: Option<ClientPrint>,
}

/// Tells one client authentication from another, and is too short to confirm a guess at the secret in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientPrint(pub(crate) u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RestReason {
    Unavailable,
    Refused,
    Configuration,
    NeedsUser,
}

/// A keyed hash of a refresh token: comparable within a login, loggable, useless to a thief.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(pub(crate) u64);

// ===== impl CredentialRecord =====

impl CredentialRecord {
    /// A live record without tokens: what the first refresh of client credentials starts from.
    pub(crate) fn empty(login: LoginId, generation: Generation) -> Self {
        Self {
            login,
            generation,
            life: Life::Live,
            tokens: None,
            under: None,
            retired: None,
            marks: 0,
            mark: None,
            rest: None,
            failures: 0,
            sent: Vec::new(),
            doubt: None,
            unrevoked: Vec::new(),
            forgotten: false,
            unknown: Unknown::default(),
            refusals: Vec::new(),
        }
    }

    /// The record of a new login.
    pub(crate) fn installed(login: LoginId, generation: Generation, set: &TokenSet) -> Self {
        Self { tokens: Some(Tokens::received(set, None)), ..Self::empty(login, generation) }
    }

    /// The end of this login: it stays for as long as somebody may still write under its mark, or something is to
    /// be revoked.
    pub(crate) fn logged_out(&self) -> Self {
        Self {
            life: Life::LoggedOut,
            marks: self.marks,
            mark: self.mark.clone(),
            ..Self::empty(self.login, self.generation)
        }
    }

    pub(crate) fn refresh_token(&self) -> Option<&RefreshToken> {
        self.tokens.as_ref()?.refresh_token.as_ref()
    }

    /// The key that the tokens of this login are bound to.
    pub(crate) fn bound_key(&self) -> Option<&BoundKey> {
        self.tokens.as_ref()?.bound_key.as_ref()
    }

    /// The fingerprint of the refresh token it holds.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.refresh_token().map(|token| Fingerprint::of(self.login, token))
    }

    /// The same record as it is `later` than it was written: the ages have grown.
    pub(crate) fn aged(&self, later: Duration) -> Self {
        let mut aged = self.clone();
        if let Some(tokens) = &mut aged.tokens {
            tokens.age = tokens.age.saturating_add(later);
        }
        aged.sent.iter_mut().for_each(|sent| *sent = sent.saturating_add(later));
        aged.refusals.iter_mut().for_each(|refusals| *refusals = refusals.aged(later));
        aged
    }

    pub(crate) fn encode(&self, version: Version) -> RecordBody {
        RecordBody::new(version, wire::encode(self))
    }

    pub(crate) fn decode(body: &RecordBody) -> Result<Self, StoreError> {
        wire::decode(body.bytes()).map_err(|error| error.at(body.version()))
    }
}

impl Refusals {
    /// The same `later` than it was written.
    pub(crate) fn aged(self, later: Duration) -> Self {
        Self { age: self.age.saturating_add(later), debt: self.debt.saturating_sub(later), ..self }
    }
}

// ===== impl Tokens =====

impl Tokens {
    /// A set just received. Where it names no refresh token or scope, those of `kept` stay valid (RFC 6749
    /// §5.1, §6).
    pub(crate) fn received(set: &TokenSet, kept: Option<&Self>) -> Self {
        let kept_token = kept.and_then(|kept| kept.refresh_token.as_ref());
        let kept_scope = kept.and_then(|kept| kept.scope.as_ref());
        Self {
            access_token: Some(set.access_token.clone()).filter(|token| !token.is_empty()),
            refresh_token: set.refresh_token.as_ref().or(kept_token).cloned(),
            token_type: set.token_type.clone(),
            expires_in: set.expires_in,
            refresh_in: set.refresh_in,
            at_least: None,
            scope: set.scope.as_ref().or(kept_scope).cloned(),
            bound_key: set.bound_key.clone(),
            age: Duration::ZERO,
            unknown: Unknown::default(),
        }
    }

    /// Only the refresh token of an answer was usable.
    pub(crate) fn refresh_only(refresh_token: RefreshToken) -> Self {
        Self {
            access_token: None,
            refresh_token: Some(refresh_token),
            token_type: String::new(),
            expires_in: None,
            refresh_in: None,
            at_least: None,
            scope: None,
            bound_key: None,
            age: Duration::ZERO,
            unknown: Unknown::default(),
        }
    }

    /// Would revoking the one revoke the other?
    pub(crate) fn same_grant(&self, other: &Self) -> bool {
        match (&self.refresh_token, &other.refresh_token) {
            (Some(one), Some(other)) => one.expose_secret() == other.expose_secret(),
            (None, None) => self.same_access_token(other),
            _ => false,
        }
    }

    /// Do both hold the same access token?
    pub(crate) fn same_access_token(&self, other: &Self) -> bool {
        match (&self.access_token, &other.access_token) {
            (Some(one), Some(other)) => one.expose_secret() == other.expose_secret(),
            _ => false,
        }
    }
}

impl PartialEq for Tokens {
    fn eq(&self, other: &Self) -> bool {
        wire::TokensWire::of(self) == wire::TokensWire::of(other)
    }
}

// ===== impl Fingerprint =====

impl Fingerprint {
    /// Keyed with the login, so that equal tokens of two logins do not look alike.
    pub(crate) fn of(login: LoginId, token: &RefreshToken) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&login.0.to_be_bytes()).expect("any key length");
        mac.update(token.expose_secret().as_bytes());
        let mut first = [0; 8];
        first.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        Self(u64::from_be_bytes(first))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests;
