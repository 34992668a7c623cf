use std::time::Duration;

use proptest::prelude::*;

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
            at_least: Some(Duration::from_secs(60)),
            scope: Some("a b".to_owned()),
            bound_key: Some(BoundKey::new([0, 255, 34])),
            age: Duration::from_millis(1234),
            unknown: Unknown::default(),
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
            life: Some(Duration::from_secs(11)),
        }),
        rest: Some(Rest {
            wait: Duration::from_secs(60),
            reason: RestReason::Configuration,
            code: Some("invalid_client".to_owned()),
            client: Some(ClientPrint(9)),
        }),
        failures: 2,
        sent: vec![Duration::from_millis(7), Duration::from_secs(8)],
        doubt: Some(Doubt { sent_at: SystemTime::UNIX_EPOCH, pid: 8 }),
        unrevoked: vec![Tokens::refresh_only("unrevoked".into())],
        forgotten: true,
        unknown: Unknown::default(),
        refusals: vec![Refusals {
            origin: u64::MAX,
            futile: 3,
            age: Duration::from_millis(5),
            debt: Duration::from_secs(60),
        }],
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
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "written by a newer release, in format 2 where this one reads 1");
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

#[test]
fn a_login_that_has_ended_holds_its_mark_and_nothing_else() {
    let before = full();
    let mark_only = CredentialRecord {
        life: Life::LoggedOut,
        marks: before.marks,
        mark: before.mark.clone(),
        ..CredentialRecord::empty(before.login, before.generation)
    };
    assert_eq!(before.logged_out(), mark_only);
}

#[test]
fn tokens_are_equal_only_where_every_member_is() {
    let set = full().tokens.unwrap();
    assert_eq!(set, set.clone());
    for other in [
        Tokens { access_token: None, ..set.clone() },
        Tokens { refresh_token: Some("other".into()), ..set.clone() },
        Tokens { expires_in: None, ..set.clone() },
        Tokens { scope: None, ..set.clone() },
        Tokens { at_least: None, ..set.clone() },
        Tokens { age: Duration::ZERO, ..set.clone() },
    ] {
        assert_ne!(set, other);
    }
}

#[test]
fn names_of_logins_and_tokens_are_shown_as_numbers() {
    assert_eq!(format!("{:?} {:?}", LoginId(10), Fingerprint(11)), format!("{:032x} {:016x}", 10, 11));
}

fn ms() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

prop_compose! {
    fn tokens()(
        access_token: Option<String>, refresh_token: Option<String>, token_type: String, scope: Option<String>,
        bound_key: Option<Vec<u8>>,
        expires_in in prop::option::of(ms()), refresh_in in prop::option::of(ms()), at_least in prop::option::of(ms()),
        age in ms(),
    ) -> Tokens {
        let access_token = access_token.map(AccessToken::new);
        let refresh_token = refresh_token.map(RefreshToken::new);
        let bound_key = bound_key.map(BoundKey::new);
        let unknown = Unknown::default();
        Tokens {
            access_token, refresh_token, token_type, expires_in, refresh_in, at_least, scope, bound_key, age, unknown,
        }
    }
}

prop_compose! {
    fn mark()(
        boot: String, namespace: String, pid: u32, started: u64, coordinator: u128, nonce: u128, number: u64,
        fingerprint: Option<u64>, life: Option<u32>,
    ) -> Mark {
        let holder = Holder { boot, namespace, pid, started, coordinator };
        let life = life.map(|ms| Duration::from_millis(ms.into()));
        Mark { holder, nonce, number, fingerprint: fingerprint.map(Fingerprint), life }
    }
}

fn doubt() -> impl Strategy<Value = Option<Doubt>> {
    let sent = |(ms, pid)| Doubt { sent_at: SystemTime::UNIX_EPOCH + Duration::from_millis(ms), pid };
    prop::option::of((0..u64::MAX >> 16, any::<u32>()).prop_map(sent))
}

fn life() -> impl Strategy<Value = Life> {
    let dead = |(generation, fingerprint, doubt, code)| {
        let (generation, fingerprint) = (Generation::new(generation), Fingerprint(fingerprint));
        Life::Dead(Verdict { generation, fingerprint, doubt, code })
    };
    let verdict = (any::<u64>(), any::<u64>(), doubt(), any::<String>());
    prop_oneof![Just(Life::Live), Just(Life::LoggedOut), verdict.prop_map(dead)]
}

fn rest() -> impl Strategy<Value = Rest> {
    use RestReason::{Configuration, NeedsUser, Refused, Unavailable};
    let reason = prop::sample::select(&[Unavailable, Refused, Configuration, NeedsUser][..]);
    let bound = (ms(), reason, any::<Option<String>>(), any::<Option<u16>>());
    bound.prop_map(|(wait, reason, code, client)| Rest {
        wait,
        reason,
        code,
        client: client.map(ClientPrint),
    })
}

prop_compose! {
    fn refusals()(origin: u64, futile: u32, age in ms(), debt in ms()) -> Refusals {
        Refusals { origin, futile, age, debt }
    }
}

prop_compose! {
    fn record()(
        (login, generation, marks, failures) in any::<(u128, u64, u64, u32)>(), doubt in doubt(),
        under: Option<(u128, u64, u64)>, retired: Option<u64>, life in life(),
        tokens in prop::option::of(tokens()), mark in prop::option::of(mark()), rest in prop::option::of(rest()),
        unrevoked in prop::collection::vec(tokens(), 0..2), forgotten: bool,
        refusals in prop::collection::vec(refusals(), 0..3), sent in prop::collection::vec(any::<u32>(), 0..6),
    ) -> CredentialRecord {
        let under = under
            .map(|(nonce, number, spent)| Under { nonce, number, spent: Generation::new(spent) });
        let (login, generation, retired) =
            (LoginId(login), Generation::new(generation), retired.map(Fingerprint));
        let sent = sent.into_iter().map(|sent| Duration::from_millis(sent.into())).collect();
        CredentialRecord {
            login, generation, life, sent, tokens, under, retired, marks, mark, rest, failures, doubt,
            unrevoked, forgotten, refusals, unknown: Unknown::default(),
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = wire::decode(&bytes);
    }

    #[test]
    fn any_record_survives_its_bytes(record in record()) {
        prop_assert_eq!(wire::decode(&wire::encode(&record)).unwrap(), record);
    }

    #[test]
    fn a_damaged_byte_is_unreadable_or_a_record_that_survives_its_bytes(at: prop::sample::Index, byte: u8) {
        let mut bytes = wire::encode(&full());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        match wire::decode(&bytes) {
            Ok(record) => prop_assert_eq!(wire::decode(&wire::encode(&record)).unwrap(), record),
            Err(error) => prop_assert!(error.is_unreadable()),
        }
    }
}

mod damage;
#[cfg(target_os = "linux")]
mod memory;
