use std::error::Error as _;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use proptest::prelude::{any, proptest};

use super::*;
use crate::MemoryStore;

const ACME: &str = "acme";

fn version(bits: u128) -> Version {
    Version::from_bits(bits)
}

fn body(bits: u128, text: &str) -> RecordBody {
    RecordBody::new(version(bits), text.as_bytes().to_vec())
}

fn key(byte: u8) -> SealingKey {
    SealingKey::new([byte; 32])
}

/// Stores in memory answer at once.
fn load(store: &impl TokenStore, name: &str) -> Result<Option<Record>, StoreError> {
    store.load(&name.into()).now_or_never().unwrap()
}

fn swap(
    store: &impl TokenStore,
    name: &str,
    expected: Option<u128>,
    new: Option<&RecordBody>,
) -> Result<Swap, StoreError> {
    store.compare_and_swap(&name.into(), expected.map(version), new).now_or_never().unwrap()
}

fn write(store: &impl TokenStore, name: &str, new: &RecordBody) {
    let old = load(store, name).unwrap().map(|record| record.body.version().to_bits());
    assert!(matches!(swap(store, name, old, Some(new)).unwrap(), Swap::Swapped));
}

fn text(record: Option<Record>) -> String {
    String::from_utf8(record.unwrap().body.bytes().to_vec()).unwrap()
}

fn cause(result: Result<Option<Record>, StoreError>) -> String {
    let error = result.unwrap_err();
    assert!(error.is_unreadable());
    error.source().unwrap().to_string()
}

#[test]
fn what_is_sealed_is_read_back_and_the_store_beneath_never_sees_it() {
    let beneath = MemoryStore::new();
    let store = Sealed::new(beneath.clone(), key(1));
    write(&store, ACME, &body(7, "rt-secret"));

    let record = load(&store, ACME).unwrap().unwrap();
    assert_eq!(record.body.version(), version(7));
    assert_eq!(record.body.bytes(), b"rt-secret");
    let raw = load(&beneath, ACME).unwrap().unwrap();
    assert_eq!(raw.body.version(), version(7), "the store beneath compares the same versions");
    assert!(!raw.body.bytes().windows(4).any(|bytes| b"rt-secret".windows(4).any(|secret| secret == bytes)));
}

#[test]
fn the_same_record_is_never_sealed_to_the_same_bytes_twice() {
    let store = Sealed::new(MemoryStore::new(), key(1));
    let name = ACME.into();
    let [one, two] = [(); 2].map(|()| store.seal(&name, &body(7, "rt")).unwrap());
    assert_ne!(one.bytes(), two.bytes());
}

#[test]
fn an_empty_record_is_sealed_like_any_other() {
    let store = Sealed::new(MemoryStore::new(), key(1));
    write(&store, ACME, &body(7, ""));
    assert_eq!(text(load(&store, ACME).unwrap()), "");
}

#[test]
fn one_flipped_bit_anywhere_makes_a_record_unreadable() {
    let store = Sealed::new(MemoryStore::new(), key(1));
    let sealed = store.seal(&ACME.into(), &body(7, "rt")).unwrap().bytes().to_vec();
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(store.unseal(&ACME.into(), version(7), &flipped).is_err(), "bit {bit}");
    }
    assert!(store.unseal(&ACME.into(), version(7), &sealed).is_ok());
}

#[test]
fn a_record_cut_or_lengthened_anywhere_is_unreadable() {
    let store = Sealed::new(MemoryStore::new(), key(1));
    let mut sealed = store.seal(&ACME.into(), &body(7, "rt")).unwrap().bytes().to_vec();
    for len in 0..sealed.len() {
        assert!(store.unseal(&ACME.into(), version(7), &sealed[..len]).is_err(), "{len} bytes");
    }
    sealed.push(0);
    assert!(store.unseal(&ACME.into(), version(7), &sealed).is_err());
}

#[test]
fn records_cannot_be_swapped_between_credentials() {
    let beneath = MemoryStore::new();
    let store = Sealed::new(beneath.clone(), key(1));
    write(&store, ACME, &body(7, "rt"));
    let stolen = load(&beneath, ACME).unwrap().unwrap().body;
    write(&beneath, "mallory", &stolen);
    assert_eq!(cause(load(&store, "mallory")), "it was altered, or belongs to another credential or version");
}

#[test]
fn an_old_record_cannot_be_presented_under_a_newer_version() {
    let beneath = MemoryStore::new();
    let store = Sealed::new(beneath.clone(), key(1));
    write(&store, ACME, &body(7, "old"));
    let old = load(&beneath, ACME).unwrap().unwrap().body;
    write(&store, ACME, &body(8, "new"));

    let replayed = RecordBody::new(version(8), old.bytes().to_vec());
    assert!(matches!(swap(&beneath, ACME, Some(8), Some(&replayed)).unwrap(), Swap::Swapped));
    assert_eq!(cause(load(&store, ACME)), "it was altered, or belongs to another credential or version");
}

#[test]
fn under_the_wrong_key_a_record_is_unreadable_and_stays() {
    let beneath = MemoryStore::new();
    write(&Sealed::new(beneath.clone(), key(1)), ACME, &body(7, "rt"));
    let wrong = Sealed::new(beneath.clone(), key(2));

    assert!(cause(load(&wrong, ACME)).contains("which was not given"));
    let conflict = swap(&wrong, ACME, None, Some(&body(8, "mine"))).unwrap_err();
    assert!(conflict.is_unreadable(), "an unreadable record is an error, not a conflict");
    assert_eq!(text(load(&Sealed::new(beneath, key(1)), ACME).unwrap()), "rt");
}

#[test]
fn a_record_nobody_sealed_is_not_taken_for_one() {
    let beneath = MemoryStore::new();
    write(&beneath, ACME, &body(7, "{\"refresh_token\":\"rt\"}"));
    assert_eq!(
        cause(load(&Sealed::new(beneath, key(1)), ACME)),
        "it was never sealed, and only sealed records are read here"
    );
}

#[test]
fn unsealed_records_are_read_only_where_that_is_asked_for() {
    let beneath = MemoryStore::new();
    write(&beneath, ACME, &body(7, "{plain}"));
    assert!(load(&Sealed::new(beneath.clone(), key(1)), ACME).unwrap_err().is_unreadable());
    let on = Sealed::new(beneath.clone(), key(1)).also_reads_unsealed();
    assert_eq!(text(load(&on, ACME).unwrap()), "{plain}");
    write(&on, ACME, &body(8, "{sealed}"));
    assert_eq!(text(load(&Sealed::new(beneath.clone(), key(1)), ACME).unwrap()), "{sealed}");

    let off = Sealed::new(beneath.clone(), key(1)).writes_unsealed();
    assert_eq!(text(load(&off, ACME).unwrap()), "{sealed}");
    write(&off, ACME, &body(9, "{plain again}"));
    assert_eq!(text(load(&beneath, ACME).unwrap()), "{plain again}");
    assert_eq!(text(load(&off, ACME).unwrap()), "{plain again}");
    assert_eq!(text(load(&on, ACME).unwrap()), "{plain again}");
}

#[test]
fn a_damaged_sealed_record_is_never_taken_for_an_unsealed_one() {
    let store = Sealed::new(MemoryStore::new(), key(1)).also_reads_unsealed();
    let sealed = store.seal(&ACME.into(), &body(7, "rt")).unwrap().bytes().to_vec();
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(store.unseal(&ACME.into(), version(7), &flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn a_conflict_hands_over_the_opened_record() {
    let store = Sealed::new(MemoryStore::new(), key(1));
    write(&store, ACME, &body(7, "theirs"));
    let Swap::Conflict(record) = swap(&store, ACME, Some(6), Some(&body(8, "mine"))).unwrap() else {
        panic!("nobody wrote version 6");
    };
    assert_eq!(text(record), "theirs");
    assert!(matches!(swap(&store, ACME, Some(7), None).unwrap(), Swap::Swapped));
    assert!(matches!(swap(&store, ACME, Some(7), None).unwrap(), Swap::Conflict(None)));
}

#[test]
fn after_a_key_rotation_old_records_open_and_the_next_write_needs_the_old_key_no_more() {
    let beneath = MemoryStore::new();
    write(&Sealed::new(beneath.clone(), key(1)), ACME, &body(7, "old"));

    let rotated = Sealed::new(beneath.clone(), key(2)).also_opens(key(3)).also_opens(key(1));
    assert_eq!(text(load(&rotated, ACME).unwrap()), "old");
    let only_new = Sealed::new(beneath, key(2));
    assert!(load(&only_new, ACME).is_err());
    write(&rotated, ACME, &body(8, "new"));
    assert_eq!(text(load(&only_new, ACME).unwrap()), "new");
}

#[test]
fn a_sealing_key_shows_its_id_and_nothing_else() {
    let secret = SealingKey::new([0xab; 32]);
    let shown = format!("{secret:?} {:?}", Sealed::new(MemoryStore::new(), secret.clone()));
    assert!(shown.contains("redacted") && !shown.contains("abab") && !shown.contains("171"), "{shown}");
    assert_eq!(secret.id, secret.clone().id);
    assert_ne!(secret.id, key(1).id);
    assert_ne!(
        SealingKey::generate().unwrap().expose_secret(),
        SealingKey::generate().unwrap().expose_secret()
    );
}

struct Telling;

impl TokenStore for Telling {
    fn load<'a>(&'a self, _: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async { Err(StoreError::unavailable("down")) })
    }

    fn compare_and_swap<'a>(
        &'a self,
        _: &'a StoredKey,
        _: Option<Version>,
        _: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async { Err(StoreError::unavailable("down")) })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        Some(Box::pin(stream::iter([StoredKey::from(ACME).digest()])))
    }
}

#[test]
fn changes_and_errors_of_the_store_beneath_pass_through() {
    let store = Sealed::new(Telling, key(1));
    let told: Vec<_> = store.changes().unwrap().collect().now_or_never().unwrap();
    assert_eq!(told, [StoredKey::from(ACME).digest()]);
    assert!(!load(&store, ACME).unwrap_err().is_unreadable());
    assert!(!swap(&store, ACME, None, Some(&body(7, "rt"))).unwrap_err().is_unreadable());
    assert!(Sealed::new(MemoryStore::new(), key(1)).changes().is_none());
}

#[test]
fn the_age_is_the_one_the_store_beneath_told() {
    let store = Sealed::new(MemoryStore::new(), key(1));
    let sealed = store.seal(&ACME.into(), &body(7, "rt")).unwrap();
    let opened = store.open(&ACME.into(), &Record::new(sealed, Duration::from_secs(9))).unwrap();
    assert_eq!(opened.age, Duration::from_secs(9));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_unreadable_and_never_a_panic(bytes: Vec<u8>, bits in any::<u128>()) {
        let store = Sealed::new(MemoryStore::new(), key(1));
        assert!(store.unseal(&ACME.into(), version(bits), &bytes).is_err());
        // As far in as a forger without the key gets: format and key id are right.
        let forged = [&[FORMAT], key(1).id.as_slice(), &bytes].concat();
        assert!(store.unseal(&ACME.into(), version(bits), &forged).is_err());
    }

    #[test]
    fn any_record_of_any_credential_is_read_back(name: String, bytes: Vec<u8>, bits in any::<u128>()) {
        let store = Sealed::new(MemoryStore::new(), key(1));
        write(&store, &name, &RecordBody::new(version(bits), bytes.clone()));
        assert_eq!(load(&store, &name).unwrap().unwrap().body.bytes(), bytes);
    }
}
