//! Records that were damaged, and records of other releases.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use sha2::{Digest as _, Sha256};

use super::*;

/// How often as long as in the daily run.
fn rounds() -> usize {
    std::env::var("VERIFY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Records as they are written, with what each says.
fn written() -> Vec<(Vec<u8>, CredentialRecord)> {
    let mut runner = TestRunner::deterministic();
    let drawn = (0..2 * rounds()).map(|_| record().new_tree(&mut runner).unwrap().current());
    let fixed = [full(), CredentialRecord::empty(LoginId(1), Generation::ZERO)];
    fixed.into_iter().chain(drawn).map(|record| (wire::encode(&record), record)).collect()
}

#[test]
fn a_record_with_any_bit_flipped_cannot_be_read() {
    for (bytes, record) in written() {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match wire::decode(&flipped) {
                Ok(read) => assert_eq!(read, record, "bit {bit}"),
                Err(error) => assert!(error.is_unreadable(), "bit {bit}"),
            }
        }
    }
}

#[test]
fn a_record_with_any_byte_taken_out_or_put_in_cannot_be_read() {
    for (bytes, _) in written() {
        for at in 0..bytes.len() {
            let mut shorter = bytes.clone();
            shorter.remove(at);
            let longer = [b' ', b'0', bytes[at]].map(|byte| {
                let mut longer = bytes.clone();
                longer.insert(at, byte);
                longer
            });
            for damaged in longer.into_iter().chain([shorter]) {
                assert!(wire::decode(&damaged).unwrap_err().is_unreadable(), "byte {at}");
            }
        }
    }
}

fn cause(bytes: &[u8]) -> String {
    std::error::Error::source(&wire::decode(bytes).unwrap_err()).unwrap().to_string()
}

#[test]
fn a_newer_release_is_told_from_damage_whatever_it_writes() {
    for content in ["", ",\"sum\":7}", ",\"sealed\":\"\u{1}\"}", " and no JSON"] {
        let newer = format!("{{\"format\":17{content}");
        assert_eq!(
            cause(newer.as_bytes()),
            "written by a newer release, in format 17 where this one reads 1"
        );
    }
}

#[test]
fn what_is_wrong_with_a_record_is_said() {
    let whole = wire::encode(&full());
    let text = String::from_utf8(whole.clone()).unwrap();
    assert_eq!(cause(text.replace("Bearer", "bearer").as_bytes()), "damaged: the checksum does not match");
    assert_eq!(cause(b"hello"), "not a record, or damaged");
    assert_eq!(cause(b""), "not a record, or damaged");
    let sealed = [&[1], whole.as_slice()].concat();
    assert_eq!(cause(&sealed), "it is sealed, and the store was given no key to open it");
    assert!(cause(&envelope::wrap(b"{\"login\":7}")).starts_with("not a record, near column"));
}

#[test]
fn members_of_a_newer_release_survive_the_bytes_of_this_one() {
    let newer = Unknown::json(r#"{"a":1,"b":{"c":["d",null,true]}}"#);
    for (_, mut record) in written() {
        record.unknown = newer.clone();
        if let Some(tokens) = &mut record.tokens {
            tokens.unknown = newer.clone();
        }
        let bytes = wire::encode(&record);
        assert_eq!(wire::decode(&bytes).unwrap(), record);
        assert!(String::from_utf8(bytes).unwrap().contains(r#""b":{"c":["d",null,true]}"#));
    }
}

#[test]
fn members_of_a_newer_release_are_not_printed() {
    let newer = Unknown::json(r#"{"rt":"secret"}"#);
    assert_eq!(format!("{newer:?} {:?}", Unknown::default()), "Unknown(15 bytes) Unknown(0 bytes)");
}

#[test]
fn a_login_that_ends_leaves_nothing_of_a_newer_release() {
    let record = CredentialRecord { unknown: Unknown::json(r#"{"rt":"secret"}"#), ..full() };
    assert_eq!(record.logged_out().unknown, Unknown::default());
}

#[test]
fn the_checksum_is_the_first_half_of_sha_256_in_hexadecimal() {
    let bytes = wire::encode(&CredentialRecord::empty(LoginId(1), Generation::ZERO));
    let text = String::from_utf8(bytes).unwrap();
    let (head, content) = text.strip_suffix('}').unwrap().split_once(",\"record\":").unwrap();
    let sum = Sha256::digest(content).iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(head, format!("{{\"format\":1,\"sum\":\"{sum}\""));
}

#[test]
fn a_format_with_a_zero_before_it_is_damage() {
    let bytes = wire::encode(&full());
    let text = String::from_utf8(bytes).unwrap().replacen("{\"format\":1,", "{\"format\":01,", 1);
    assert!(cause(text.as_bytes()).starts_with("damaged"));
}

#[test]
fn records_that_differ_only_in_what_a_newer_release_wrote_differ() {
    let with = |value: u64| {
        let members = serde_json::json!({ "newer": value });
        Unknown::of(serde_json::from_value(members).unwrap())
    };
    assert!(with(1) == with(1));
    assert!(with(1) != with(2));
}
