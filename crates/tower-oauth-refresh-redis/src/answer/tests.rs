use std::time::Duration;

use redis::Value;
use tower_oauth_refresh::{Record, StoreError, StoredKey, Swap, Version};

use super::{read, write_version};

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

fn fields(version: &str, written: &str, body: &str, now: &str) -> Value {
    Value::Array([version, written, body, now].map(bulk).into())
}

fn answered(answer: Value) -> Result<Swap, StoreError> {
    read(answer, &StoredKey::new("acme"))
}

fn found(answer: Value) -> Record {
    let Swap::Conflict(Some(record)) = answered(answer).unwrap() else { panic!("no record") };
    record
}

const V1: &str = "00000000000000000000000000000001";

#[test]
fn a_version_is_read_back_as_it_was_written() {
    for bits in [0, 1, u128::MAX] {
        let text = write_version(Some(Version::from_bits(bits)));
        assert_eq!(found(fields(&text, "5", "body", "5")).body.version().to_bits(), bits);
    }
    assert_eq!(write_version(None), "");
}

#[test]
fn the_age_is_the_servers_and_never_negative() {
    assert_eq!(found(fields(V1, "1000", "", "3500")).age, Duration::from_millis(2500));
    assert_eq!(found(fields(V1, "3500", "", "1000")).age, Duration::ZERO);
}

#[test]
fn no_record_is_told_from_a_foreign_one() {
    let nothing = [bulk(""), Value::Nil, Value::Nil, bulk("1")];
    assert!(matches!(answered(Value::Array(nothing.into())), Ok(Swap::Conflict(None))));
    let foreign = [bulk(V1), Value::Nil, Value::Nil, bulk("1")];
    let error = answered(Value::Array(foreign.into())).unwrap_err();
    assert!(error.is_unreadable());
    assert_eq!(error.version(), Some(Version::from_bits(1)), "it can be replaced");
}

#[test]
fn a_damaged_record_is_unreadable_named_and_not_repeated() {
    let no_body = Value::Array(vec![bulk(V1), bulk("1"), Value::Nil, bulk("1")]);
    let damaged =
        [fields(V1, "yesterday", "refresh-token", "1"), fields(V1, "-1", "refresh-token", "1"), no_body];
    for answer in damaged {
        let error = answered(answer).unwrap_err();
        assert!(error.is_unreadable() && error.version() == Some(Version::from_bits(1)), "{error:?}");
        assert!(!format!("{error:?}").contains("refresh-token"), "{error:?}");
    }
}

#[test]
fn what_the_script_cannot_have_returned_is_not_taken_for_a_record() {
    let answers = [
        Value::Nil,
        Value::Okay,
        Value::Int(0),
        Value::Array(vec![bulk("refresh-token")]),
        fields(V1, "1", "refresh-token", "now"),
        fields("1", "1", "refresh-token", "1"),
        fields("+0000000000000000000000000000001", "1", "refresh-token", "1"),
        fields(&"F".repeat(32), "1", "refresh-token", "1"),
        fields(&"x".repeat(32), "1", "refresh-token", "1"),
    ];
    for answer in answers {
        let error = answered(answer).unwrap_err();
        assert!(!error.is_unreadable());
        assert!(!format!("{error:?}").contains("refresh-token"), "{error:?}");
    }
}
