use std::error::Error as _;
use std::sync::Arc;

use keyring_core::mock::{Cred, Store};
use keyring_core::{CredentialStore, Entry, Error};
use tower_oauth_refresh::SealingKey;

use super::{KeyringKey, failure, open_or_create};

fn keychain() -> Arc<CredentialStore> {
    Store::new().unwrap()
}

fn entry(keychain: &Arc<CredentialStore>, user: &str) -> Entry {
    keychain.build("tests", user, None).unwrap()
}

fn fail_next(entry: &Entry, error: Error) {
    entry.as_any().downcast_ref::<Cred>().unwrap().set_error(error);
}

fn bytes(key: &SealingKey) -> [u8; 32] {
    *key.expose_secret()
}

fn undisturbed() {}

fn in_use() {
    panic!("nothing is created where there is a key");
}

#[test]
fn the_first_call_creates_the_key_and_the_next_finds_it() {
    let keychain = keychain();
    let created = open_or_create(&entry(&keychain, "a"), undisturbed).unwrap();
    let found = open_or_create(&entry(&keychain, "a"), in_use).unwrap();
    assert_eq!(bytes(&created), bytes(&found));
    let other = open_or_create(&entry(&keychain, "b"), undisturbed).unwrap();
    assert_ne!(bytes(&created), bytes(&other));
}

#[test]
fn of_two_that_create_a_key_at_once_both_end_with_the_one_that_stays() {
    let keychain = keychain();
    let mut second = None;
    let first = open_or_create(&entry(&keychain, "a"), || {
        // Somebody who saw no key either writes after us.
        entry(&keychain, "a").delete_credential().unwrap();
        second = Some(open_or_create(&entry(&keychain, "a"), undisturbed).unwrap());
    });
    assert_eq!(bytes(&first.unwrap()), bytes(&second.unwrap()));
}

#[test]
fn what_is_no_key_is_unreadable_and_stays() {
    let keychain = keychain();
    let entry = entry(&keychain, "a");
    for foreign in [b"".as_slice(), b"hunter2", &[7; 31], &[7; 33]] {
        entry.set_secret(foreign).unwrap();
        let error = open_or_create(&entry, in_use).unwrap_err();
        assert!(error.is_unreadable());
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!(entry.get_secret().unwrap(), foreign);
    }
}

#[test]
fn a_keychain_that_is_locked_is_not_taken_for_an_empty_one() {
    let keychain = keychain();
    let entry = entry(&keychain, "a");
    let created = open_or_create(&entry, undisturbed).unwrap();
    fail_next(&entry, Error::NoStorageAccess("it is locked".into()));
    let error = open_or_create(&entry, in_use).unwrap_err();
    assert!(!error.is_unreadable());
    assert!(error.source().unwrap().to_string().contains("it is locked"));
    assert_eq!(bytes(&open_or_create(&entry, in_use).unwrap()), bytes(&created));
}

#[test]
fn a_keychain_that_keeps_nothing_is_an_error() {
    let keychain = keychain();
    let entry = entry(&keychain, "a");
    let forget = || entry.delete_credential().unwrap();
    let error = open_or_create(&entry, forget).unwrap_err();
    assert!(!error.is_unreadable());
}

#[test]
fn no_error_repeats_the_secret() {
    let secret = b"hunter2".to_vec();
    let keychain = keychain();
    let shown = format!("{secret:?}");
    for error in [
        Error::BadEncoding(secret.clone()),
        Error::BadDataFormat(secret.clone(), "odd".into()),
        Error::Ambiguous(vec![{
            let entry = entry(&keychain, "a");
            entry.set_secret(&secret).unwrap();
            entry
        }]),
    ] {
        assert!(format!("{error:?}").contains(&shown), "or else this shows nothing");
        let error = failure(error);
        let told = format!("{error:?} {}", error.source().unwrap());
        assert!(!told.contains(&shown) && !told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn a_task_finds_the_key_in_the_keychain_it_hands_over() {
    let keychain = keychain();
    entry(&keychain, "a").set_secret(&[7; 32]).unwrap();
    let found = KeyringKey::open_or_create_in(keychain, "tests", "a").await.unwrap();
    assert_eq!(bytes(&found), [7; 32]);
}

#[test]
fn without_a_runtime_and_on_one_that_has_ended_there_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    for has_ended in [false, true] {
        let entered = has_ended.then(|| handle.enter());
        let opened = std::pin::pin!(KeyringKey::open_or_create_in(keychain(), "tests", "a"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(opened) = opened.poll(&mut context) else { panic!("it waits") };
        assert!(!opened.unwrap_err().is_unreadable());
        drop(entered);
    }
}
