//! What is left of secrets in the memory of this process.

use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

use super::*;

/// Bytes that occur nowhere else, by their place.
type Pattern = fn(u8) -> u8;

/// A search holds copies of what it searches, which another one would find.
static SEARCHING: Mutex<()> = Mutex::new(());

/// How often 64 bytes out of the middle of the pattern are in the memory of this process.
fn in_memory(pattern: Pattern) -> usize {
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut found = 0;
    for map in maps.lines().filter(|map| map.contains(" rw-p ") && !map.contains("[stack]")) {
        let (from, to) = map.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = zeroize::Zeroizing::new(vec![0; usize::try_from(to - from).unwrap()]);
        // Other tests come and go, and their memory with them.
        let Ok(read) = memory.read_at(&mut bytes, from) else { continue };
        let places = bytes[..read].windows(64).filter(|place| place[0] == pattern(100));
        found += places.filter(|place| (100..164).zip(*place).all(|(n, byte)| *byte == pattern(n))).count();
    }
    found
}

fn text(pattern: Pattern, before: &str, after: &str) -> String {
    let mut room = String::with_capacity(4096);
    room.push_str(before);
    room.extend((0..=255).map(|n| char::from(pattern(n))));
    room.push_str(after);
    room
}

/// Writes the record and reads it again. Nothing of it is left.
fn assert_leaves_nothing(pattern: Pattern, record: CredentialRecord) {
    assert_ne!(in_memory(pattern), 0, "a search that finds nothing proves nothing");
    let read = CredentialRecord::decode(&record.encode(Version::from_bits(5))).unwrap();
    assert_eq!(read, record);
    drop((record, read));
    assert_eq!(in_memory(pattern), 0);
}

#[test]
fn of_a_key_that_was_read_and_written_nothing_is_left_in_memory() {
    let _alone = SEARCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let pattern: Pattern = |n| n.wrapping_mul(167) ^ 0xc3;
    let mut room = Vec::with_capacity(4096);
    room.extend((0..=255).map(pattern));
    let mut record = full();
    record.tokens.as_mut().unwrap().bound_key = Some(BoundKey::new(room));
    assert_leaves_nothing(pattern, record);
}

#[test]
fn of_a_token_that_was_read_and_written_nothing_is_left_in_memory() {
    let _alone = SEARCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let pattern: Pattern = |n| b'A' + n.wrapping_mul(167) % 23;
    let mut record = full();
    record.tokens.as_mut().unwrap().refresh_token = Some(RefreshToken::new(text(pattern, "", "")));
    assert_leaves_nothing(pattern, record);
}

#[test]
fn of_a_member_of_a_newer_release_nothing_is_left_in_memory() {
    let _alone = SEARCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let pattern: Pattern = |n| b'a' + n.wrapping_mul(131) % 23;
    let json = zeroize::Zeroizing::new(text(pattern, "{\"new\":{\"rt\":\"", "\"}}"));
    let record = CredentialRecord { unknown: Unknown::json(&json), ..full() };
    drop(json);
    assert_leaves_nothing(pattern, record);
}
