//! Stores that are wrong in one thing each.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Semaphore, broadcast};
use tower_oauth_refresh::{MemoryStore, Now};

use super::*;
use crate::conformance::space::now;

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    ComparesAndThenWrites,
    IgnoresTheVersion,
    ComparesHalfTheVersion,
    InsertsOverARecord,
    RemovesWhateverIsThere,
    SwapsOntoNothing,
    AcceptsRemovedVersions,
    ForgetsTheWrite,
    ForgetsTheRemoval,
    CallsAConflictASuccess,
    CallsASuccessAConflict,
    WritesWhatItRefuses,
    ConflictsWithNothing,
    ConflictsWithTheCallersRecord,
    ConflictsWithTheFirstRecord,
    AnswersLoadsFromACache,
    AnswersLoadsFromItsOwnWrites,
    CutsBodies,
    EndsBodiesAtNul,
    TakesBodiesForText,
    DrawsItsOwnVersions,
    KeepsHalfTheVersion,
    FoldsTheCaseOfKeys,
    TrimsKeys,
    CutsKeys,
    EndsKeysAtNul,
    MakesFileNamesOfKeys,
    IsAlwaysOfAgeZero,
    IsBehindByAnHour,
    IsAheadByAnHour,
    HasAgesBelowZero,
    CountsTwiceAsFast,
    CountsBackwards,
    CountsFromTheFirstWrite,
    IsMadeYoungByRefusedSwaps,
    IsBusyInARace,
    RemovesAndThenInserts,
    KeepsTheLockWhenDropped,
    TellsOfNoChange,
    TellsOfItsOwnChanges,
    TellsOfNoRemoval,
    StopsTelling,
}
use Flaw::*;

type Cache = Mutex<HashMap<StoredKey, Option<Record>>>;

struct Space {
    store: MemoryStore,
    first: Cache,
    removed: Mutex<HashSet<u128>>,
    births: Mutex<HashMap<StoredKey, Now>>,
    lock: Semaphore,
    busy: Semaphore,
    changes: broadcast::Sender<(usize, StoredKey)>,
}

struct Broken {
    flaw: Flaw,
    space: Arc<Space>,
    cache: Cache,
    id: usize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Broken {
    fn key(&self, key: &StoredKey) -> StoredKey {
        let name = key.as_str();
        match self.flaw {
            FoldsTheCaseOfKeys => name.to_lowercase(),
            TrimsKeys => name.trim_end().to_owned(),
            CutsKeys => name.chars().take(255).collect(),
            EndsKeysAtNul => name.split('\0').next().unwrap().to_owned(),
            MakesFileNamesOfKeys => name.replace(['/', '\\', ':', '*', '?'], "_"),
            _ => name.to_owned(),
        }
        .into()
    }

    fn body(&self, body: &RecordBody) -> RecordBody {
        let (bytes, bits) = (body.bytes(), body.version().to_bits());
        let bytes = match self.flaw {
            CutsBodies => bytes.iter().take(65_536).copied().collect(),
            EndsBodiesAtNul => bytes.iter().take_while(|byte| **byte != 0).copied().collect(),
            TakesBodiesForText => String::from_utf8_lossy(bytes).into_owned().into_bytes(),
            _ => bytes.to_vec(),
        };
        let bits = match self.flaw {
            DrawsItsOwnVersions => bits.wrapping_mul(3),
            KeepsHalfTheVersion => bits & u128::from(u64::MAX),
            _ => bits,
        };
        RecordBody::new(Version::from_bits(bits), bytes)
    }

    fn age(&self, key: &StoredKey, mut record: Record) -> Record {
        let (age, hour) = (record.age, Duration::from_secs(3600));
        record.age = match self.flaw {
            IsAlwaysOfAgeZero => Duration::ZERO,
            IsBehindByAnHour => age.saturating_sub(hour),
            IsAheadByAnHour => age + hour,
            HasAgesBelowZero => Duration::from_nanos(u64::MAX),
            CountsTwiceAsFast => age * 2,
            CountsBackwards => Duration::from_millis(8).saturating_sub(age),
            CountsFromTheFirstWrite => {
                locked(&self.space.births).get(key).map_or(age, |birth| now().since(*birth))
            }
            _ => age,
        };
        record
    }

    async fn read(&self, key: &StoredKey) -> Option<Record> {
        let record = self.space.store.load(key).await.unwrap();
        record.map(|record| self.age(key, record))
    }

    async fn force(&self, key: &StoredKey, new: Option<&RecordBody>) {
        loop {
            let version = self.space.store.load(key).await.unwrap().map(|record| record.body.version());
            if let Swap::Swapped = self.space.store.compare_and_swap(key, version, new).await.unwrap() {
                return;
            }
        }
    }

    /// The version to compare with, as this store sees it.
    fn expected(
        &self,
        expected: Option<Version>,
        current: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Option<Version> {
        let bits = expected.map(Version::to_bits);
        let low = |bits: u128| bits as u64;
        let equal = match self.flaw {
            IgnoresTheVersion => true,
            ComparesHalfTheVersion => bits.map(low) == current.map(Version::to_bits).map(low),
            InsertsOverARecord => expected.is_none(),
            RemovesWhateverIsThere => new.is_none(),
            SwapsOntoNothing => current.is_none(),
            AcceptsRemovedVersions => {
                current.is_some() && bits.is_some_and(|bits| locked(&self.space.removed).contains(&bits))
            }
            DrawsItsOwnVersions => bits.map(|bits| bits.wrapping_mul(3)) == current.map(Version::to_bits),
            KeepsHalfTheVersion => {
                bits.map(|bits| bits & u128::from(u64::MAX)) == current.map(Version::to_bits)
            }
            _ => false,
        };
        if equal { current } else { expected }
    }

    async fn swap(
        &self,
        key: &StoredKey,
        expected: Option<Version>,
        new: Option<&RecordBody>,
    ) -> Result<Swap, StoreError> {
        let current = self.read(key).await;
        let version = current.as_ref().map(|record| record.body.version());
        let expected = self.expected(expected, version, new);
        match self.flaw {
            ForgetsTheWrite if expected == version && new.is_some() => return Ok(Swap::Swapped),
            ForgetsTheRemoval if expected == version && new.is_none() => return Ok(Swap::Swapped),
            CallsAConflictASuccess if expected != version => return Ok(Swap::Swapped),
            CallsASuccessAConflict if expected == version => {
                self.force(key, new).await;
                return Ok(Swap::Conflict(self.read(key).await));
            }
            WritesWhatItRefuses if expected != version && new.is_some() => {
                self.force(key, new).await;
                return Ok(Swap::Conflict(current));
            }
            ComparesAndThenWrites if expected == version => {
                tokio::task::yield_now().await;
                self.force(key, new).await;
                return Ok(Swap::Swapped);
            }
            RemovesAndThenInserts if expected == version && version.is_some() => {
                self.space.store.compare_and_swap(key, version, None).await?;
                tokio::task::yield_now().await;
                return self.space.store.compare_and_swap(key, None, new).await;
            }
            IsMadeYoungByRefusedSwaps if expected != version => {
                self.force(key, current.as_ref().map(|record| &record.body)).await;
            }
            _ => {}
        }
        self.space.store.compare_and_swap(key, expected, new).await
    }

    /// What the caller is told of a swap that was not carried out.
    fn told(&self, key: &StoredKey, current: Option<Record>, new: Option<&RecordBody>) -> Option<Record> {
        match self.flaw {
            ConflictsWithNothing => None,
            ConflictsWithTheCallersRecord => new.map(|new| Record::new(new.clone(), Duration::ZERO)),
            ConflictsWithTheFirstRecord => locked(&self.space.first).get(key).cloned().unwrap_or(current),
            _ => current.map(|record| self.age(key, record)),
        }
    }

    fn note(&self, key: &StoredKey, expected: Option<Version>, new: Option<&RecordBody>) {
        let record = new.map(|new| Record::new(new.clone(), Duration::ZERO));
        match &record {
            Some(_) => drop(locked(&self.space.first).entry(key.clone()).or_insert_with(|| record.clone())),
            None => locked(&self.space.removed).extend(expected.map(Version::to_bits)),
        }
        if new.is_some() || self.flaw != TellsOfNoRemoval {
            let _ = self.space.changes.send((self.id, key.clone()));
        }
        locked(&self.space.births).entry(key.clone()).or_insert_with(now);
        locked(&self.cache).insert(key.clone(), record);
    }
}

impl TokenStore for Broken {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let key = self.key(key);
            let read = self.read(&key).await;
            match self.flaw {
                AnswersLoadsFromACache => Ok(locked(&self.space.first).entry(key).or_insert(read).clone()),
                AnswersLoadsFromItsOwnWrites => Ok(locked(&self.cache).entry(key).or_insert(read).clone()),
                _ => Ok(read),
            }
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            if self.flaw == IsBusyInARace {
                let _turn = self.space.busy.try_acquire().map_err(|_| StoreError::unavailable("busy"))?;
                tokio::task::yield_now().await;
            }
            if self.flaw == KeepsTheLockWhenDropped {
                self.space.lock.acquire().await.unwrap().forget();
                tokio::task::yield_now().await;
            }
            let (key, stored) = (self.key(key), new.map(|new| self.body(new)));
            let swap = self.swap(&key, expected, stored.as_ref()).await?;
            if self.flaw == KeepsTheLockWhenDropped {
                self.space.lock.add_permits(1);
            }
            Ok(match swap {
                Swap::Swapped => {
                    self.note(&key, expected, stored.as_ref());
                    Swap::Swapped
                }
                Swap::Conflict(current) => Swap::Conflict(self.told(&key, current, new)),
            })
        })
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        let (changes, flaw, id) = (self.space.changes.subscribe(), self.flaw, self.id);
        Some(Box::pin(futures_util::stream::unfold(changes, move |mut changes| async move {
            loop {
                let (by, key) = changes.recv().await.ok()?;
                match flaw {
                    StopsTelling => return None,
                    TellsOfNoChange => {}
                    TellsOfItsOwnChanges if by != id => {}
                    _ => return Some((key.digest(), changes)),
                }
            }
        })))
    }
}

fn handles(flaw: Flaw) -> impl AsyncFn() -> Broken {
    let space = Arc::new(Space {
        store: MemoryStore::new(),
        first: Cache::default(),
        removed: Mutex::default(),
        births: Mutex::default(),
        lock: Semaphore::new(1),
        busy: Semaphore::new(1),
        changes: broadcast::Sender::new(1024),
    });
    let opened = AtomicUsize::new(0);
    async move || {
        let id = opened.fetch_add(1, Ordering::AcqRel);
        Broken { flaw, space: Arc::clone(&space), cache: Cache::default(), id }
    }
}

#[track_caller]
fn assert_found(flaw: Flaw, found: &Violation, reason: &str) {
    assert!(found.reason().contains(reason), "{flaw:?}: {found}");
}

macro_rules! is_found {
    ($($name:ident($flaw:ident, $promise:ident, $reason:literal);)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let found = check(stringify!($promise), &handles($flaw)).await.unwrap_err();
            assert_found($flaw, &found, $reason);
        }
    )*};
}

/// Where a test would wait for something that never comes.
macro_rules! is_found_in_paused_time {
    ($($name:ident($flaw:ident, $promise:ident, $reason:literal);)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let found = check(stringify!($promise), &handles($flaw)).await.unwrap_err();
            assert_found($flaw, &found, $reason);
        }
    )*};
}

is_found! {
    a_store_that_compares_and_then_writes_is_found(
        ComparesAndThenWrites, of_many_swaps_from_one_version_exactly_one_succeeds, "of 16 racing from one version"
    );
    a_store_that_compares_and_then_inserts_is_found(
        ComparesAndThenWrites, of_many_inserts_of_one_key_exactly_one_succeeds, "of 16 racing from one version"
    );
    a_store_that_ignores_the_version_is_found(
        IgnoresTheVersion, a_swap_succeeds_only_from_the_expected_version, "swapped, although"
    );
    a_store_that_compares_half_the_version_is_found(
        ComparesHalfTheVersion, a_swap_succeeds_only_from_the_expected_version, "differs in one bit: swapped"
    );
    a_store_that_inserts_over_a_record_is_found(
        InsertsOverARecord, an_insert_succeeds_only_where_there_is_no_record, "an insert where there is a record"
    );
    a_store_that_removes_whatever_is_there_is_found(
        RemovesWhateverIsThere, a_removal_succeeds_only_from_the_expected_version, "a removal from the version before"
    );
    a_store_that_swaps_onto_nothing_is_found(
        SwapsOntoNothing,
        a_version_from_before_a_removal_never_swaps_onto_a_later_record,
        "from a removed version, onto nothing: swapped"
    );
    a_store_that_accepts_removed_versions_is_found(
        AcceptsRemovedVersions,
        a_version_from_before_a_removal_never_swaps_onto_a_later_record,
        "from a removed version, onto a later record: swapped"
    );
    a_store_that_forgets_the_write_is_found(
        ForgetsTheWrite, an_insert_succeeds_only_where_there_is_no_record, "after an insert, a load: no record"
    );
    a_store_that_forgets_the_removal_is_found(
        ForgetsTheRemoval, a_key_without_a_record_loads_as_none, "instead of no record"
    );
    a_store_that_calls_a_conflict_a_success_is_found(
        CallsAConflictASuccess, a_conflict_hands_over_the_current_record, "swapped, although"
    );
    a_store_that_calls_a_success_a_conflict_is_found(
        CallsASuccessAConflict, a_swap_succeeds_only_from_the_expected_version, "refused although it was the current"
    );
    a_store_that_writes_what_it_refuses_is_found(
        WritesWhatItRefuses, a_failed_swap_changes_nothing, "after a refused swap, a load: version"
    );
    a_conflict_that_hands_over_nothing_is_found(
        ConflictsWithNothing, a_conflict_hands_over_the_current_record, "a conflict says: no record instead of"
    );
    a_conflict_that_hands_over_the_callers_record_is_found(
        ConflictsWithTheCallersRecord, a_conflict_hands_over_the_current_record, "with no record says: version"
    );
    a_conflict_that_hands_over_the_first_record_is_found(
        ConflictsWithTheFirstRecord, a_conflict_hands_over_the_current_record, "a conflict says: version"
    );
    a_store_that_answers_loads_from_a_cache_is_found(
        AnswersLoadsFromACache, a_load_sees_every_finished_swap, "a load: no record instead of version"
    );
    a_store_that_answers_loads_from_its_own_writes_is_found(
        AnswersLoadsFromItsOwnWrites, a_second_handle_sees_every_finished_swap, "a load: no record instead of version"
    );
    a_store_that_cuts_bodies_is_found(
        CutsBodies, bodies_come_back_byte_for_byte, "65536 bytes"
    );
    a_store_that_ends_bodies_at_nul_is_found(
        EndsBodiesAtNul, bodies_come_back_byte_for_byte, "0 bytes"
    );
    a_store_that_takes_bodies_for_text_is_found(
        TakesBodiesForText, bodies_come_back_byte_for_byte, "instead of 256 bytes"
    );
    a_store_that_draws_its_own_versions_is_found(
        DrawsItsOwnVersions, versions_come_back_bit_for_bit, "instead of Version(00000000000000000000000000000001)"
    );
    a_store_that_keeps_half_the_version_is_found(
        KeepsHalfTheVersion, versions_come_back_bit_for_bit, "instead of Version(ffffffffffffffffffffffffffffffff)"
    );
    a_store_that_folds_the_case_of_keys_is_found(
        FoldsTheCaseOfKeys, keys_that_look_alike_are_kept_apart, "was refused"
    );
    a_store_that_trims_keys_is_found(
        TrimsKeys, keys_that_look_alike_are_kept_apart, "was refused"
    );
    a_store_that_cuts_keys_is_found(
        CutsKeys, keys_of_a_kilobyte_are_kept_apart, "was refused"
    );
    a_store_that_ends_keys_at_nul_is_found(
        EndsKeysAtNul, keys_of_odd_characters_are_kept_apart, "a key with a NUL can be loaded, but"
    );
    a_store_that_makes_file_names_of_keys_is_found(
        MakesFileNamesOfKeys, keys_of_odd_characters_are_kept_apart, "was refused"
    );
    an_age_that_is_always_zero_is_found(
        IsAlwaysOfAgeZero, an_age_grows_with_time, "an age grew by 0ns"
    );
    a_clock_behind_is_found(
        IsBehindByAnHour, an_age_grows_with_time, "an age grew by 0ns"
    );
    a_clock_ahead_is_found(
        IsAheadByAnHour, the_age_of_a_new_record_is_near_zero, "the age is 3600."
    );
    an_age_below_zero_is_found(
        HasAgesBelowZero, the_age_of_a_new_record_is_near_zero, "the age is 18446744073"
    );
    a_clock_that_runs_too_fast_is_found(
        CountsTwiceAsFast, an_age_is_never_larger_than_the_time_since_the_write, "a little later, the age is"
    );
    a_clock_that_runs_backwards_is_found(
        CountsBackwards, an_age_grows_with_time, "an age went back"
    );
    an_age_that_counts_from_the_first_write_is_found(
        CountsFromTheFirstWrite, a_swap_resets_the_age, "after a swap, the age is"
    );
    a_record_made_young_by_refused_swaps_is_found(
        IsMadeYoungByRefusedSwaps, a_failed_swap_leaves_the_age_alone, "refused swaps took the age from"
    );
    a_store_that_is_busy_in_a_race_is_found(
        IsBusyInARace, of_many_swaps_from_one_version_exactly_one_succeeds, "the token store is not available: busy"
    );
    a_store_that_removes_and_then_inserts_is_found(
        RemovesAndThenInserts, a_dropped_swap_leaves_the_old_record_or_the_new, "neither the old nor the new: no record"
    );
}

is_found_in_paused_time! {
    a_store_that_keeps_its_lock_when_dropped_is_found(
        KeepsTheLockWhenDropped, a_dropped_swap_leaves_the_old_record_or_the_new, "not done after 60 s"
    );
    a_store_that_offers_changes_and_tells_of_none_is_found(
        TellsOfNoChange, changes_tell_of_a_swap_by_another_handle, "8 swaps by another handle"
    );
    a_store_that_tells_of_its_own_changes_only_is_found(
        TellsOfItsOwnChanges, changes_tell_of_a_swap_by_another_handle, "8 swaps by another handle"
    );
    a_store_that_tells_of_no_removal_is_found(
        TellsOfNoRemoval, changes_tell_of_a_removal_by_another_handle, "8 removals by another handle"
    );
    a_stream_of_changes_that_ends_is_found(
        StopsTelling, changes_tell_of_a_swap_by_another_handle, "the stream of changes ended"
    );
}
