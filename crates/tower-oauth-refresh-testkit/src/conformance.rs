//! Whether a [`TokenStore`] is one: the promises of the contract that need no hand in the store, as tests.
//!
//! The engine builds its lease, its fence and its proof of durability from nothing but a store's
//! compare-and-swap and its clock. A store that is wrong in one of them works for weeks, and then two
//! processes spend the same refresh token. [`store_conformance!`](crate::store_conformance) holds a store
//! against each promise; one line makes some thirty tests:
//!
//! ```
//! # fn main() {}
//! use tower_oauth_refresh::MemoryStore;
//!
//! tower_oauth_refresh_testkit::store_conformance!(memory, async { MemoryStore::new() });
//! ```
//!
//! [`check_all`] does the same in one call and answers with what is broken. Every test draws its own random
//! keys and removes what it wrote, so that a database which others use will do.
//!
//! A few tests wait for some tens of milliseconds, because the clock that counts is the store's and cannot
//! be moved from here. Give the store its own clock, not a [`ManualClock`](crate::ManualClock).

mod age;
mod beside;
mod body;
mod compare;
mod damage;
mod lasting;
mod race;
mod sight;
mod space;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_oauth_refresh::{
    BoxFuture, BoxStream, KeyDigest, Record, RecordBody, StoreError, StoredKey, Swap, TokenStore, Version,
};

use self::age::{
    a_dropped_swap_leaves_the_age_of_what_is_there, a_failed_swap_leaves_the_age_alone,
    a_swap_resets_the_age, an_age_grows_with_time, an_age_is_never_larger_than_the_time_since_the_write,
    the_age_of_a_new_record_is_near_zero,
};
use self::beside::{a_load_beside_a_writer_is_of_one_record, writers_under_different_keys_lose_nothing};
use self::body::{
    bodies_come_back_byte_for_byte, keys_of_a_kilobyte_are_kept_apart, keys_of_odd_characters_are_kept_apart,
    keys_that_look_alike_are_kept_apart, long_keys_are_kept_apart_or_refused, versions_come_back_bit_for_bit,
};
use self::compare::{
    a_conflict_hands_over_the_current_record, a_failed_swap_changes_nothing,
    a_key_without_a_record_loads_as_none, a_removal_succeeds_only_from_the_expected_version,
    a_swap_succeeds_only_from_the_expected_version,
    a_version_from_before_a_removal_never_swaps_onto_a_later_record,
    a_version_that_differs_in_any_part_never_swaps, an_insert_succeeds_only_where_there_is_no_record,
};
use self::damage::damaged_entries_can_be_replaced;
use self::lasting::{a_record_outlives_all_handles, records_do_not_expire};
use self::race::{
    a_dropped_swap_leaves_the_old_record_or_the_new, conflicts_in_a_race_hand_over_the_winners_record,
    of_a_racing_swap_and_removal_exactly_one_succeeds, of_many_inserts_of_one_key_exactly_one_succeeds,
    of_many_swaps_from_one_version_exactly_one_succeeds,
};
use self::sight::{
    a_load_sees_every_finished_swap, a_second_handle_sees_every_finished_swap,
    changes_tell_of_a_removal_by_another_handle, changes_tell_of_a_swap_by_another_handle,
    two_handles_are_held_to_the_same_versions,
};
use self::space::{Local, Space};

/// Longer than the slowest store needs under a debugger, shorter than a person's patience.
const PATIENCE: Duration = Duration::from_secs(60);

/// The version of the suite: that of the newest promises in it.
///
/// It grows with every promise that is added, and with every one that is checked more strictly, which is then a promise
/// of another name. A store that is to be held to those of one version, until its author asks for more, names it:
///
/// ```
/// # fn main() {}
/// # use tower_oauth_refresh::MemoryStore;
/// tower_oauth_refresh_testkit::store_conformance!(version 1, memory, async { MemoryStore::new() });
/// ```
pub const VERSION: u32 = 2;

/// Tests that a store keeps the promises of [`TokenStore`]: a module of this name with one test per promise.
///
/// `store_conformance!(name, async { store })` makes a new store for each test; where a promise is about two
/// processes, that one store stands in for both. Better, where the store allows it, are two handles that
/// share nothing but the records: the first block then makes whatever must outlive the handles (a temporary
/// directory, a server), and the second opens one handle on it, as often as a test asks:
///
/// ```
/// # fn main() {}
/// # use tower_oauth_refresh::MemoryStore;
/// tower_oauth_refresh_testkit::store_conformance!(
///     #[ignore = "needs a server"] // attributes are put on every test
///     shared,
///     async { MemoryStore::new() }, // here for a database's address or a temporary directory
///     |space| async { space.clone() },
/// );
/// ```
///
/// Each test runs on a tokio runtime of its own with two threads, time and I/O. Blocks may `unwrap`. One store takes a
/// few seconds.
///
/// # What is checked
///
/// | of | [version](crate::conformance::VERSION) 1 | version 2 |
/// | --- | --- | --- |
/// | comparing | inserts, swaps and removals from the right and from wrong versions, also after a removal | versions that differ in any one byte |
/// | conflicts | the present record is handed over, nothing is written | the winner's record, in races of 16 callers |
/// | contents | bytes of any value, versions, keys of odd characters, keys that look alike, keys of up to 1,024 bytes | longer keys, up to 65,537 bytes: kept apart or refused |
/// | ages | near zero at first, growing, never more than the time since the write, as they were after a refused swap | as they were after a dropped swap and after all handles were dropped |
/// | sight | a finished swap is seen by the next load, also by another handle; `changes` | a load beside a writer: version, bytes and age of one record |
/// | races | of 16 callers with one version one succeeds | 32 writers of different keys at the same time |
/// | dropped calls | the old record or the new | |
/// | lasting | | a record outlives all handles |
///
/// What needs a hand in the store is checked by functions: [`check_damaged`](crate::conformance::check_damaged) spoils
/// entries, and [`check_lasting`](crate::conformance::check_lasting) lets more than a year pass.
///
/// Not checked: that a finished swap survives a crash or a power cut, and what a second *process* sees, for the blocks
/// run in one. Where a store keeps anything in memory, or in the process, run two processes on it as well.
#[macro_export]
macro_rules! store_conformance {
    (version $version:tt, $(#[$attribute:meta])* $name:ident, async $store:block $(,)?) => {
        $crate::store_conformance!(
            version $version,
            $(#[$attribute])* $name,
            async { $crate::conformance::SameStore::new(async $store.await) },
            |store| async { store.clone() },
        );
    };
    (
        version $version:tt,
        $(#[$attribute:meta])* $name:ident, async $space:block, |$each:pat_param| async $handle:block $(,)?
    ) => {
        $crate::__each_promise!(
            $version [$crate::__promise_tests] ([$(#[$attribute])*] $name (async $space, |$each| async $handle))
        );
    };
    ($(#[$attribute:meta])* $name:ident, async $($blocks:tt)*) => {
        $crate::store_conformance!(version 2, $(#[$attribute])* $name, async $($blocks)*);
    };
}

/// The promises of a version and of those before it.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_promise {
    (2 $then:tt $arguments:tt $($later:ident,)*) => {
        $crate::__each_promise! {
            1 $then $arguments
            a_version_that_differs_in_any_part_never_swaps,
            long_keys_are_kept_apart_or_refused,
            a_dropped_swap_leaves_the_age_of_what_is_there,
            a_load_beside_a_writer_is_of_one_record,
            a_record_outlives_all_handles,
            conflicts_in_a_race_hand_over_the_winners_record,
            writers_under_different_keys_lose_nothing,
            $($later,)*
        }
    };
    (1 [$($then:tt)*] $arguments:tt $($later:ident,)*) => {
        $($then)* ! {
            $arguments
            a_key_without_a_record_loads_as_none,
            an_insert_succeeds_only_where_there_is_no_record,
            a_swap_succeeds_only_from_the_expected_version,
            a_removal_succeeds_only_from_the_expected_version,
            a_version_from_before_a_removal_never_swaps_onto_a_later_record,
            a_conflict_hands_over_the_current_record,
            a_failed_swap_changes_nothing,
            bodies_come_back_byte_for_byte,
            versions_come_back_bit_for_bit,
            keys_of_odd_characters_are_kept_apart,
            keys_that_look_alike_are_kept_apart,
            keys_of_a_kilobyte_are_kept_apart,
            the_age_of_a_new_record_is_near_zero,
            an_age_grows_with_time,
            an_age_is_never_larger_than_the_time_since_the_write,
            a_swap_resets_the_age,
            a_failed_swap_leaves_the_age_alone,
            a_load_sees_every_finished_swap,
            a_second_handle_sees_every_finished_swap,
            two_handles_are_held_to_the_same_versions,
            changes_tell_of_a_swap_by_another_handle,
            changes_tell_of_a_removal_by_another_handle,
            of_many_swaps_from_one_version_exactly_one_succeeds,
            of_many_inserts_of_one_key_exactly_one_succeeds,
            of_a_racing_swap_and_removal_exactly_one_succeeds,
            a_dropped_swap_leaves_the_old_record_or_the_new,
            $($later,)*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __promise_tests {
    (($attributes:tt $name:ident $making:tt) $($promise:ident,)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $($crate::__promise_tests! { @test $attributes $making $promise })*
        }
    };
    (@test [$($attribute:tt)*] (async $space:block, |$each:pat_param| async $handle:block) $promise:ident) => {
        #[test]
        $($attribute)*
        fn $promise() -> ::std::result::Result<(), $crate::conformance::Violation> {
            $crate::conformance::run(async {
                let space = async $space.await;
                let $each = &space;
                $crate::conformance::check(stringify!($promise), &async || async $handle.await).await
            })
        }
    };
}

type Check = for<'a> fn(&'a Space<'_>) -> Local<'a, Result<(), String>>;

macro_rules! table {
    (() $($promise:ident,)*) => { &[$((stringify!($promise), |space| Box::pin($promise(space)))),*] };
}
const PROMISES: &[(&str, Check)] = __each_promise!(2[table]());
/// Of version 1.
const FIRST: &[(&str, Check)] = __each_promise!(1[table]());

fn promises(version: u32) -> &'static [(&'static str, Check)] {
    if version <= 1 { FIRST } else { PROMISES }
}

/// A promise of [`TokenStore`] that a store broke.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Violation {
    promise: &'static str,
    reason: String,
}

impl Violation {
    /// Which promise: the name of the test that [`store_conformance!`](crate::store_conformance) makes of it.
    #[must_use]
    pub fn promise(&self) -> &'static str {
        self.promise
    }

    /// What the store did instead. Holds keys, versions and lengths, and no bytes of a record.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise.replace('_', " "), self.reason)
    }
}

/// As it is displayed: a test that returns one is printed with `Debug`.
impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Violation {}

/// Holds a store against every promise and says which it broke, in the order of the contract.
///
/// `open` makes handles on one space of records: whatever one of them wrote, all others must see. To be
/// called inside a tokio runtime, best one with several threads, since some promises are about races.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tower_oauth_refresh::MemoryStore;
/// use tower_oauth_refresh_testkit::conformance;
///
/// let store = MemoryStore::new();
/// assert_eq!(conformance::check_all(&async || store.clone()).await, []);
/// # }
/// ```
pub async fn check_all<S: TokenStore>(open: &impl AsyncFn() -> S) -> Vec<Violation> {
    check_version(VERSION, open).await
}

/// Like [`check_all`], with the promises up to this [version](VERSION) of the suite.
pub async fn check_version<S: TokenStore>(version: u32, open: &impl AsyncFn() -> S) -> Vec<Violation> {
    let space = Space::new(open);
    let mut found = Vec::new();
    for (promise, check) in promises(version) {
        found.extend(one(promise, *check, &space).await.err());
    }
    found
}

/// Holds a store against the promise of this name.
///
/// # Errors
///
/// That the promise is broken, or that there is none of that name.
pub async fn check<S: TokenStore>(
    promise: &'static str,
    open: &impl AsyncFn() -> S,
) -> Result<(), Violation> {
    match PROMISES.iter().find(|(name, _)| *name == promise) {
        Some((_, check)) => one(promise, *check, &Space::new(open)).await,
        None => Err(Violation { promise, reason: "there is no such promise".to_owned() }),
    }
}

/// Holds a store against the contract of [damaged entries](TokenStore#damaged-entries).
///
/// `damage` spoils the entry of this key beneath the store, so that it cannot be read; each store has a way of its
/// own to do it. Called three times, each time on an entry that is whole.
///
/// # Errors
///
/// What the store did instead.
pub async fn check_damaged<S: TokenStore>(
    open: &impl AsyncFn() -> S,
    damage: &impl AsyncFn(&StoredKey),
) -> Result<(), Violation> {
    let space = Space::new(open);
    let damaged = damaged_entries_can_be_replaced(&space, damage);
    concluded("damaged_entries_can_be_replaced", damaged, &space).await
}

/// Holds a store against the promise that records do not expire, where its clock can be moved.
///
/// `later` moves the clock that the store goes by on by so much: of a store over a clock of the test's, that clock; of a
/// database, by making everything in it older by so much. Hours at first, and more than a year together.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::sync::Arc;
/// use tower_oauth_refresh::MemoryStore;
/// use tower_oauth_refresh_testkit::{ManualClock, conformance};
///
/// let clock = ManualClock::new();
/// let store = MemoryStore::with_clock(Arc::new(clock.clone()));
/// let later = async |passed| clock.advance(passed);
/// assert_eq!(conformance::check_lasting(&async || store.clone(), &later).await, Ok(()));
/// # }
/// ```
///
/// # Errors
///
/// What the store did instead.
pub async fn check_lasting<S: TokenStore>(
    open: &impl AsyncFn() -> S,
    later: &impl AsyncFn(Duration),
) -> Result<(), Violation> {
    let space = Space::new(open);
    concluded("records_do_not_expire", records_do_not_expire(&space, later), &space).await
}

async fn one(promise: &'static str, check: Check, space: &Space<'_>) -> Result<(), Violation> {
    concluded(promise, check(space), space).await
}

async fn concluded(
    promise: &'static str,
    check: impl Future<Output = Result<(), String>>,
    space: &Space<'_>,
) -> Result<(), Violation> {
    let checked = tokio::time::timeout(PATIENCE, check).await;
    space.clean_up().await;
    let reason = match checked {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(reason)) => reason,
        Err(_) => format!("not done after {} s", PATIENCE.as_secs()),
    };
    Err(Violation { promise, reason })
}

#[doc(hidden)]
pub fn run(test: impl Future<Output = Result<(), Violation>>) -> Result<(), Violation> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let unable = |error| Violation { promise: "a runtime for the test", reason: format!("{error}") };
    runtime.map_err(unable)?.block_on(test)
}

/// One store that stands in for several handles on one space.
#[doc(hidden)]
#[derive(Debug)]
pub struct SameStore<S>(Arc<S>);

impl<S> SameStore<S> {
    pub fn new(store: S) -> Self {
        Self(Arc::new(store))
    }
}

impl<S> Clone for SameStore<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: TokenStore> TokenStore for SameStore<S> {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.0.load(key)
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.0.compare_and_swap(key, expected, new)
    }

    fn changes(&self) -> Option<BoxStream<'_, KeyDigest>> {
        self.0.changes()
    }
}

#[cfg(test)]
mod tests;
