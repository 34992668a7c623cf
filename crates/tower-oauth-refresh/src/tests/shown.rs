//! What is shown of values: enough to know them by, and no secret.

use std::collections::HashSet;
use std::error::Error as _;

use crate::generation::Generation;
use crate::{
    BoundKey, ClientAuth, CredentialKey, ErrorKind, MemoryStore, NotSent, RecordBody, RefreshCoordinator,
    RefreshError, StoreError, StoredKey, Version,
};

#[test]
fn values_without_secrets_are_shown() {
    let version = Version::from_bits(0xab);
    assert_eq!(format!("{version:?}"), "Version(000000000000000000000000000000ab)");
    let body = format!("{:?}", RecordBody::new(version, b"rt".to_vec()));
    assert_eq!(body, format!("RecordBody {{ version: {version:?}, len: 2, .. }}"));
    assert_eq!(format!("{:?}", CredentialKey::from("acme")), "\"acme\"");
    assert_eq!(StoredKey::from("acme").to_string(), "acme");
    assert_eq!(format!("{:?}", StoredKey::from("acme")), "\"acme\"");
    assert!(format!("{:?}", StoredKey::from("acme").digest()).starts_with("KeyDigest("));
    assert!(format!("{:?}", MemoryStore::new()).starts_with("MemoryStore"));
    assert_eq!(Generation::new(7).to_string(), "7");
    assert_eq!(format!("{:?}", BoundKey::new(b"rt".to_vec())), "BoundKey(redacted)");
}

#[test]
fn a_builder_is_shown_without_its_secret() {
    let endpoint = http::Uri::from_static("https://as.example/token");
    let builder = RefreshCoordinator::builder(endpoint.clone(), ClientAuth::basic("c", "s3cr3t"));
    assert_eq!(*builder.token_endpoint(), endpoint);
    let shown = format!("{builder:?}");
    assert!(shown.starts_with("Builder { auth: ") && !shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn every_kind_of_error_has_a_text_of_its_own() {
    let kinds = [ErrorKind::Unavailable, ErrorKind::Store, ErrorKind::InvalidGrant, ErrorKind::LoggedOut];
    let texts: HashSet<String> = kinds.iter().map(|kind| RefreshError::new(*kind).to_string()).collect();
    assert_eq!(texts.len(), kinds.len());
    assert_eq!(RefreshError::new(ErrorKind::LoggedOut).to_string(), "the credential was logged out");
}

#[test]
fn a_request_that_was_not_sent_says_why() {
    let error = NotSent::new(std::io::Error::other("no route"));
    assert_eq!(error.to_string(), "the request was not sent");
    assert_eq!(error.source().unwrap().to_string(), "no route");
    let error = StoreError::unreadable("cut off");
    assert_eq!(error.to_string(), "the stored record cannot be read");
}
