use std::time::Duration;

use super::*;

pub(crate) fn full() -> CredentialRecord {
    CredentialRecord {
        login: LoginId(7),
        generation: Generation::new(4),
        life: Life::Dead(Verdict {
            generation: Generation::new(4),
            fingerprint: Fingerprint(9),
            doubt: Some(Doubt { sent_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1234), pid: 7 }),
            code: "invalid_grant".to_owned(),
        }),
        tokens: Some(Tokens {
            access_token: Some("access \"quoted\" \\ é".into()),
            refresh_token: Some("refresh".into()),
            token_type: "Bearer".to_owned(),
            expires_in: Some(Duration::from_secs(3600)),
            refresh_in: None,
            scope: Some("a b".to_owned()),
            age: Duration::from_millis(1234),
        }),
        under: Some(Under { nonce: u128::MAX, number: 3, spent: Generation::new(3) }),
        retired: Some(Fingerprint(8)),
        marks: 5,
        mark: Some(Mark {
            holder: Holder {
                boot: "b".to_owned(),
                namespace: "n".to_owned(),
                pid: 1,
                started: 2,
                coordinator: 3,
            },
            nonce: 11,
            number: 5,
            fingerprint: Some(Fingerprint(u64::MAX)),
        }),
        rest: Some(Rest {
            wait: Duration::from_secs(60),
            reason: RestReason::Configuration,
            code: Some("invalid_client".to_owned()),
        }),
        failures: 2,
        doubt: Some(Doubt { sent_at: SystemTime::UNIX_EPOCH, pid: 8 }),
    }
}

#[test]
fn a_record_survives_its_bytes() {
    for record in [full(), CredentialRecord::empty(LoginId(1), Generation::ZERO)] {
        let body = record.encode(Version::from_bits(5));
        assert_eq!(CredentialRecord::decode(&body).unwrap(), record);
    }
}

#[test]
fn a_record_of_a_newer_format_is_unreadable_and_says_so() {
    let text = String::from_utf8(wire::encode(&full())).unwrap().replace("\"format\":1", "\"format\":2");
    let error = wire::decode(text.as_bytes()).unwrap_err();
    assert!(error.is_unreadable());
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("format 2"));
}

#[test]
fn a_damaged_record_is_unreadable_and_its_error_quotes_nothing() {
    let bytes = wire::encode(&full());
    for cut in 0..bytes.len() {
        let error = wire::decode(&bytes[..cut]).unwrap_err();
        let text = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(error.is_unreadable());
        assert!(!text.contains("quoted") && !text.contains("\"refresh\""), "{text}");
    }
}

#[test]
fn fingerprints_tell_tokens_and_logins_apart() {
    let of = |login, token: &str| Fingerprint::of(LoginId(login), &token.into());
    assert_eq!(of(1, "a"), of(1, "a"));
    assert_ne!(of(1, "a"), of(1, "b"));
    assert_ne!(of(1, "a"), of(2, "a"));
}

#[test]
fn ages_grow_while_a_record_lies_in_the_store() {
    let aged = full().aged(Duration::from_secs(10));
    assert_eq!(aged.tokens.unwrap().age, Duration::from_millis(11_234));
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = wire::decode(&bytes);
    }
}
