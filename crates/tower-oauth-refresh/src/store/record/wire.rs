//! The content of a record, as JSON.
//!
//! A member that is not known here is kept, at the top and beside the tokens: releases that add one do not lose it
//! to those before them. What earlier releases must not touch at all is a new format of the
//! [envelope](super::envelope).

use std::borrow::Cow;
use std::io;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::unknown::{Unknown, UnknownWire};
use super::{
    ClientPrint, CredentialRecord, Doubt, Fingerprint, Generation, Holder, Life, LoginId, Mark, Refusals,
    Rest, RestReason,
};
use super::{StoreError, Tokens, Under, Verdict, envelope};
use crate::secret::{AccessToken, BoundKey, RefreshToken};

#[derive(Serialize, Deserialize)]
struct RecordWire<'a> {
    login: Bits,
    generation: u64,
    life: LifeWire,
    #[serde(borrow)]
    tokens: Option<TokensWire<'a>>,
    under: Option<(Bits, u64, u64)>,
    retired: Option<u64>,
    marks: u64,
    mark: Option<MarkWire>,
    rest: Option<RestWire>,
    failures: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sent_ms: Vec<u64>,
    doubt: Option<DoubtWire>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    unrevoked: Vec<TokensWire<'a>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    forgotten: bool,
    #[serde(flatten)]
    unknown: UnknownWire,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refusals: Vec<RefusalsWire>,
}

#[derive(Serialize, Deserialize)]
struct RefusalsWire {
    origin: u64,
    futile: u32,
    age_ms: u64,
    debt_ms: u64,
}

/// A key's bytes, as Base64. No copy of them is made that would not be overwritten.
struct KeyWire(BoundKey);

/// 128 bits as text: JSON numbers do not hold them everywhere.
struct Bits(u128);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LifeWire {
    Live,
    Dead { generation: u64, fingerprint: u64, doubt: Option<DoubtWire>, code: String },
    LoggedOut,
}

#[derive(PartialEq, Serialize, Deserialize)]
pub(super) struct TokensWire<'a> {
    #[serde(borrow)]
    access_token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    refresh_token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    token_type: Cow<'a, str>,
    expires_in_ms: Option<u64>,
    refresh_in_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_least_ms: Option<u64>,
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound_key: Option<KeyWire>,
    age_ms: u64,
    #[serde(flatten)]
    unknown: UnknownWire,
}

#[derive(Serialize, Deserialize)]
struct MarkWire {
    boot: String,
    namespace: String,
    pid: u32,
    started: u64,
    coordinator: Bits,
    nonce: Bits,
    number: u64,
    fingerprint: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    life_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct RestWire {
    wait_ms: u64,
    reason: RestReason,
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<u16>,
}

#[derive(Serialize, Deserialize)]
struct DoubtWire {
    sent_at_ms: u64,
    pid: u32,
}

pub(super) fn encode(record: &CredentialRecord) -> Vec<u8> {
    let wire = RecordWire {
        login: Bits(record.login.0),
        generation: record.generation.get(),
        life: LifeWire::of(&record.life),
        tokens: record.tokens.as_ref().map(TokensWire::of),
        under: record.under.map(|under| (Bits(under.nonce), under.number, under.spent.get())),
        retired: record.retired.map(|fingerprint| fingerprint.0),
        marks: record.marks,
        mark: record.mark.as_ref().map(MarkWire::of),
        rest: record.rest.as_ref().map(RestWire::of),
        failures: record.failures,
        sent_ms: record.sent.iter().copied().map(millis).collect(),
        doubt: record.doubt.as_ref().map(DoubtWire::of),
        unrevoked: record.unrevoked.iter().map(TokensWire::of).collect(),
        forgotten: record.forgotten,
        unknown: record.unknown.wire(),
        refusals: record.refusals.iter().map(RefusalsWire::of).collect(),
    };
    envelope::wrap(&Zeroizing::new(json(&wire)))
}

/// Strings and numbers only: there is nothing in it that JSON cannot say.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut size = Size(0);
    let _ = serde_json::to_writer(&mut size, value);
    // Bytes that grow leave copies of themselves behind.
    let mut bytes = Vec::with_capacity(size.0);
    let _ = serde_json::to_writer(&mut bytes, value);
    bytes
}

struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<CredentialRecord, StoreError> {
    // The parser's own error quotes its input, which holds tokens: say where, never what.
    let parsed: Result<RecordWire<'_>, _> = serde_json::from_slice(envelope::content(bytes)?);
    let wire = parsed
        .map_err(|error| StoreError::unreadable(format!("not a record, near column {}", error.column())))?;
    Ok(CredentialRecord {
        login: LoginId(wire.login.0),
        generation: Generation::new(wire.generation),
        life: wire.life.into_life(),
        tokens: wire.tokens.map(TokensWire::into_tokens),
        under: wire.under.map(|(nonce, number, spent)| Under {
            nonce: nonce.0,
            number,
            spent: Generation::new(spent),
        }),
        retired: wire.retired.map(Fingerprint),
        marks: wire.marks,
        mark: wire.mark.map(MarkWire::into_mark),
        rest: wire.rest.map(RestWire::into_rest),
        failures: wire.failures,
        sent: wire.sent_ms.into_iter().map(Duration::from_millis).collect(),
        doubt: wire.doubt.map(DoubtWire::into_doubt),
        unrevoked: wire.unrevoked.into_iter().map(TokensWire::into_tokens).collect(),
        forgotten: wire.forgotten,
        unknown: Unknown::of(wire.unknown),
        refusals: wire.refusals.into_iter().map(RefusalsWire::into_refusals).collect(),
    })
}

impl LifeWire {
    fn of(life: &Life) -> Self {
        match life {
            Life::Live => Self::Live,
            Life::LoggedOut => Self::LoggedOut,
            Life::Dead(verdict) => Self::Dead {
                generation: verdict.generation.get(),
                fingerprint: verdict.fingerprint.0,
                doubt: verdict.doubt.as_ref().map(DoubtWire::of),
                code: verdict.code.clone(),
            },
        }
    }

    fn into_life(self) -> Life {
        match self {
            Self::Live => Life::Live,
            Self::LoggedOut => Life::LoggedOut,
            Self::Dead { generation, fingerprint, doubt, code } => Life::Dead(Verdict {
                generation: Generation::new(generation),
                fingerprint: Fingerprint(fingerprint),
                doubt: doubt.map(DoubtWire::into_doubt),
                code,
            }),
        }
    }
}

impl<'a> TokensWire<'a> {
    pub(super) fn of(tokens: &'a Tokens) -> Self {
        Self {
            access_token: tokens.access_token.as_ref().map(|token| token.expose_secret().into()),
            refresh_token: tokens.refresh_token.as_ref().map(|token| token.expose_secret().into()),
            token_type: tokens.token_type.as_str().into(),
            expires_in_ms: tokens.expires_in.map(millis),
            refresh_in_ms: tokens.refresh_in.map(millis),
            at_least_ms: tokens.at_least.map(millis),
            scope: tokens.scope.as_deref().map(Cow::from),
            bound_key: tokens.bound_key.clone().map(KeyWire),
            age_ms: millis(tokens.age),
            unknown: tokens.unknown.wire(),
        }
    }

    fn into_tokens(self) -> Tokens {
        Tokens {
            access_token: self.access_token.map(|text| AccessToken::new(text.into_owned())),
            refresh_token: self.refresh_token.map(|text| RefreshToken::new(text.into_owned())),
            token_type: self.token_type.into_owned(),
            expires_in: self.expires_in_ms.map(Duration::from_millis),
            refresh_in: self.refresh_in_ms.map(Duration::from_millis),
            at_least: self.at_least_ms.map(Duration::from_millis),
            scope: self.scope.map(Cow::into_owned),
            bound_key: self.bound_key.map(|KeyWire(key)| key),
            age: Duration::from_millis(self.age_ms),
            unknown: Unknown::of(self.unknown),
        }
    }
}

impl MarkWire {
    fn of(mark: &Mark) -> Self {
        Self {
            boot: mark.holder.boot.clone(),
            namespace: mark.holder.namespace.clone(),
            pid: mark.holder.pid,
            started: mark.holder.started,
            coordinator: Bits(mark.holder.coordinator),
            nonce: Bits(mark.nonce),
            number: mark.number,
            fingerprint: mark.fingerprint.map(|fingerprint| fingerprint.0),
            life_ms: mark.life.map(millis),
        }
    }

    fn into_mark(self) -> Mark {
        Mark {
            holder: Holder {
                boot: self.boot,
                namespace: self.namespace,
                pid: self.pid,
                started: self.started,
                coordinator: self.coordinator.0,
            },
            nonce: self.nonce.0,
            number: self.number,
            fingerprint: self.fingerprint.map(Fingerprint),
            life: self.life_ms.map(Duration::from_millis),
        }
    }
}

impl DoubtWire {
    fn of(doubt: &Doubt) -> Self {
        let since = doubt.sent_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { sent_at_ms: millis(since), pid: doubt.pid }
    }

    fn into_doubt(self) -> Doubt {
        let since = Duration::from_millis(self.sent_at_ms);
        let sent_at = SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH);
        Doubt { sent_at, pid: self.pid }
    }
}

impl RefusalsWire {
    fn of(refusals: &Refusals) -> Self {
        let Refusals { origin, futile, age, debt } = *refusals;
        Self { origin, futile, age_ms: millis(age), debt_ms: millis(debt) }
    }

    fn into_refusals(self) -> Refusals {
        Refusals {
            origin: self.origin,
            futile: self.futile,
            age: Duration::from_millis(self.age_ms),
            debt: Duration::from_millis(self.debt_ms),
        }
    }
}

impl RestWire {
    fn of(rest: &Rest) -> Self {
        Self {
            wait_ms: millis(rest.wait),
            reason: rest.reason,
            code: rest.code.clone(),
            client: rest.client.map(|client| client.0),
        }
    }

    fn into_rest(self) -> Rest {
        Rest {
            wait: Duration::from_millis(self.wait_ms),
            reason: self.reason,
            code: self.code,
            client: self.client.map(ClientPrint),
        }
    }
}

impl PartialEq for KeyWire {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Serialize for KeyWire {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64.encode(self.0.expose_secret())))
    }
}

impl<'de> Deserialize<'de> for KeyWire {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        BASE64
            .decode(&*text)
            .map(|bytes| Self(BoundKey::new(bytes)))
            .map_err(|_| serde::de::Error::custom("not Base64"))
    }
}

impl Serialize for Bits {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(|_| serde::de::Error::custom("not 128 bits"))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
