//! The reference store keeps every promise, and each broken store is found out for its own fault.

mod broken;
mod plausible;

use tower_oauth_refresh::{MemoryStore, Sealed, SealingKey};

use self::plausible::Plausible;
use super::*;
use crate::ManualClock;

crate::store_conformance!(memory, async { MemoryStore::new() });
crate::store_conformance!(sealed, async { MemoryStore::new() }, |space| async {
    Sealed::new(space.clone(), SealingKey::new([7; 32]))
});

#[tokio::test]
async fn a_promise_that_is_not_there_is_not_kept() {
    let store = MemoryStore::new();
    let broken = check("it_makes_coffee", &async || store.clone()).await.unwrap_err();
    assert_eq!(broken.to_string(), "it makes coffee: there is no such promise");
}

#[tokio::test]
async fn nothing_is_left_behind_in_a_space_that_others_use() {
    let store = MemoryStore::new();
    assert_eq!(check_all(&async || store.clone()).await, []);
    assert!(format!("{store:?}").contains("records: 0"), "{store:?}");
}

/// Writes over the bytes beneath a sealed store.
async fn spoil(beneath: &MemoryStore, key: &StoredKey) {
    let found = beneath.load(key).await.unwrap().unwrap().body.version();
    let spoilt = RecordBody::new(Version::from_bits(found.to_bits() ^ 1), b"spoilt".to_vec());
    beneath.compare_and_swap(key, Some(found), Some(&spoilt)).await.unwrap();
}

#[tokio::test]
async fn a_damaged_sealed_record_can_be_replaced() {
    let beneath = MemoryStore::new();
    let open = async || Sealed::new(beneath.clone(), SealingKey::new([7; 32]));
    assert_eq!(check_damaged(&open, &async |key| spoil(&beneath, key).await).await, Ok(()));
}

/// Tells of damage without a version.
struct Nameless(Sealed<MemoryStore>);

impl TokenStore for Nameless {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async { self.0.load(key).await.map_err(StoreError::unreadable) })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.0.compare_and_swap(key, expected, new)
    }
}

#[tokio::test]
async fn a_store_that_does_not_name_its_damage_is_found_out() {
    let beneath = MemoryStore::new();
    let open = async || Nameless(Sealed::new(beneath.clone(), SealingKey::new([7; 32])));
    let broken = check_damaged(&open, &async |key| spoil(&beneath, key).await).await.unwrap_err();
    assert_eq!(broken.reason(), "a load of a damaged entry names no version");
}

#[tokio::test]
async fn a_store_that_hides_its_damage_is_found_out() {
    let beneath = MemoryStore::new();
    let broken =
        check_damaged(&async || beneath.clone(), &async |key| spoil(&beneath, key).await).await.unwrap_err();
    assert_eq!(broken.reason(), "a load of a damaged entry did not fail");
}

#[tokio::test]
async fn records_of_the_reference_store_do_not_expire() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    let later = async |passed| clock.advance(passed);
    assert_eq!(check_lasting(&async || store.clone(), &later).await, Ok(()));
}

#[tokio::test]
async fn a_clock_that_stands_still_while_time_passes_is_found() {
    let store = MemoryStore::with_clock(Arc::new(ManualClock::new()));
    let found = check_lasting(&async || store.clone(), &async |_| {}).await.unwrap_err();
    assert_eq!(found.reason(), "1 hours after it was written, a record has the age 0ns");
}

#[tokio::test]
async fn a_wall_clock_that_is_set_makes_no_record_older_or_younger() {
    let (clock, key) = (ManualClock::new(), StoredKey::new("acme"));
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    let body = RecordBody::new(Version::from_bits(1), b"first".to_vec());
    store.compare_and_swap(&key, None, Some(&body)).await.unwrap();
    clock.advance(Duration::from_secs(2));
    clock.jump_wall_forward(Duration::from_secs(3600));
    assert_eq!(store.load(&key).await.unwrap().unwrap().age, Duration::from_secs(2));
    clock.jump_wall_back(Duration::from_secs(86_400));
    assert_eq!(store.load(&key).await.unwrap().unwrap().age, Duration::from_secs(2));
}

#[test]
fn a_newer_version_has_the_promises_of_those_before_it() {
    assert!(FIRST.len() < PROMISES.len());
    assert!(FIRST.iter().all(|(first, _)| PROMISES.iter().any(|(name, _)| name == first)));
}

mod version_1 {
    use super::*;

    crate::store_conformance!(version 1, memory, async { MemoryStore::new() });
}

/// In each of as many runs as `cargo xtask verify` asks for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_store_that_only_seems_right_is_refused_in_each_run() {
    let runs: usize = std::env::var("VERIFY_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let (mut refused, mut sound) = (0, 0);
    for flaw in plausible::ALL {
        for _ in 0..runs {
            refused += usize::from(Plausible::new(flaw).violation(VERSION).await.is_some());
        }
    }
    for _ in 0..runs {
        let store = MemoryStore::new();
        sound += usize::from(!check_all(&async || store.clone()).await.is_empty());
    }
    println!(
        "stores that only seem right: {refused} of {} refused; the reference store: {sound} of {runs} refused",
        plausible::ALL.len() * runs
    );
    assert_eq!((refused, sound), (plausible::ALL.len() * runs, 0));
}

macro_rules! is_refused {
    ($($name:ident($flaw:ident, $promise:ident, $reason:literal);)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let flaw = plausible::Flaw::$flaw;
            assert_eq!(Plausible::new(flaw).violation(1).await, None, "version 1");
            let found = Plausible::new(flaw).violation(VERSION).await.unwrap();
            assert_eq!(found.promise(), stringify!($promise));
            assert!(found.reason().contains($reason), "{found}");
        }
    )*};
}

is_refused! {
    a_lock_per_key_around_one_file_is_refused(
        LocksEachKey, writers_under_different_keys_lose_nothing, "no record instead of"
    );
    a_load_in_two_reads_is_refused(
        LoadsInTwoReads, a_load_beside_a_writer_is_of_one_record, "a load beside a writer: 41 bytes"
    );
    an_age_that_is_read_by_itself_is_refused(
        ReadsTheAgeByItself, a_load_beside_a_writer_is_of_one_record, "a write of the next one took the age"
    );
    records_that_live_while_a_handle_is_open_are_refused(
        LivesWhileAHandleIsOpen, a_record_outlives_all_handles, "no record instead of"
    );
    ages_that_count_from_the_opening_are_refused(
        CountsAgesFromItsOpening, a_record_outlives_all_handles, "dropping all handles took the age"
    );
    a_conflict_with_what_was_read_before_is_refused(
        ConflictsWithWhatItReadBefore, conflicts_in_a_race_hand_over_the_winners_record, "hands over"
    );
    records_that_expire_are_refused(
        Expires, records_do_not_expire, "no record instead of"
    );
    keys_cut_at_2000_characters_are_refused(
        CutsKeysAt2000, long_keys_are_kept_apart_or_refused, "of two keys of 2001 bytes"
    );
    half_of_a_version_compared_is_refused(
        ComparesHalfOfTheVersion, a_version_that_differs_in_any_part_never_swaps, "differs in byte 0: swapped"
    );
    a_write_in_two_statements_is_refused(
        TouchesAndThenWrites, a_dropped_swap_leaves_the_age_of_what_is_there, "not carried out took the age"
    );
}
