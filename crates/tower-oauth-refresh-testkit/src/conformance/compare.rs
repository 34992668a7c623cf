//! What a compare-and-swap compares, and what it leaves alone.

use tower_oauth_refresh::Version;

use super::space::{Checked, Space, body, same, version};

pub(super) async fn a_key_without_a_record_loads_as_none(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    store.holds(&key, None, "under a key nobody wrote").await?;
    let gone = store.insert(&key).await?;
    store.accepts(&key, Some(gone.version()), None).await?;
    store.holds(&key, None, "after a removal").await
}

pub(super) async fn an_insert_succeeds_only_where_there_is_no_record(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let absent = "a swap from a version where there is no record";
    store.refuses(&key, Some(version()?), Some(&body(b"late")?), absent).await?;
    store.holds(&key, None, "after a refused swap").await?;
    let first = store.insert(&key).await?;
    store.holds(&key, Some(&first), "after an insert").await?;
    store.refuses(&key, None, Some(&body(b"second")?), "an insert where there is a record").await?;
    store.holds(&key, Some(&first), "after a refused insert").await?;
    store.accepts(&key, Some(first.version()), None).await?;
    store.insert(&key).await.map(drop)
}

pub(super) async fn a_swap_succeeds_only_from_the_expected_version(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let (first, second) = (store.insert(&key).await?, body(b"second")?);
    let near = near(first.version());
    store.refuses(&key, Some(near), Some(&second), "a swap from a version that differs in one bit").await?;
    store.accepts(&key, Some(first.version()), Some(&second)).await?;
    store.holds(&key, Some(&second), "after a swap").await?;
    let late = body(b"late")?;
    store.refuses(&key, Some(first.version()), Some(&late), "a swap from the version before").await?;
    store.refuses(&key, Some(version()?), Some(&late), "a swap from a version nobody wrote").await?;
    store.refuses(&key, Some(late.version()), Some(&late), "a swap from its own new version").await?;
    store.holds(&key, Some(&second), "after refused swaps").await
}

/// Differs where a number cut to 64 bits, or a text that is compared without case, does not.
fn near(version: Version) -> Version {
    Version::from_bits(version.to_bits() ^ 1 << 127)
}

pub(super) async fn a_removal_succeeds_only_from_the_expected_version(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let first = store.insert(&key).await?;
    let second = body(b"second")?;
    store.accepts(&key, Some(first.version()), Some(&second)).await?;
    store.refuses(&key, Some(first.version()), None, "a removal from the version before").await?;
    store.refuses(&key, Some(version()?), None, "a removal from a version nobody wrote").await?;
    store.refuses(&key, None, None, "a removal of nothing where there is a record").await?;
    store.holds(&key, Some(&second), "after refused removals").await?;
    store.accepts(&key, Some(second.version()), None).await?;
    store.holds(&key, None, "after a removal").await?;
    store.refuses(&key, Some(second.version()), None, "a second removal").await.map(drop)
}

pub(super) async fn a_version_from_before_a_removal_never_swaps_onto_a_later_record(
    space: &Space<'_>,
) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let (before, late) = (store.insert(&key).await?, body(b"late")?);
    store.accepts(&key, Some(before.version()), None).await?;
    let onto_nothing = "a swap from a removed version, onto nothing";
    store.refuses(&key, Some(before.version()), Some(&late), onto_nothing).await?;
    store.holds(&key, None, "after a swap refused for a removal").await?;
    let after = body(b"another login")?;
    store.accepts(&key, None, Some(&after)).await?;
    let onto_later = "a swap from a removed version, onto a later record";
    store.refuses(&key, Some(before.version()), Some(&late), onto_later).await?;
    store.refuses(&key, Some(before.version()), None, "a removal from a removed version").await?;
    store.holds(&key, Some(&after), "after those").await
}

pub(super) async fn a_conflict_hands_over_the_current_record(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let late = body(b"late")?;
    let absent =
        store.refuses(&key, Some(version()?), Some(&late), "a swap where there is no record").await?;
    same(absent.as_ref(), None).map_err(|reason| format!("a conflict with no record says: {reason}"))?;
    let mut current = store.insert(&key).await?;
    let first = current.version();
    for bytes in [b"second".as_slice(), b"", &[0xff, 0, b'\n']] {
        let next = body(bytes)?;
        store.accepts(&key, Some(current.version()), Some(&next)).await?;
        current = next;
        for (expected, new) in [(None, Some(&late)), (Some(first), Some(&late)), (Some(first), None)] {
            let handed = store.refuses(&key, expected, new, "a swap from an old version").await?;
            same(handed.as_ref(), Some(&current)).map_err(|reason| format!("a conflict says: {reason}"))?;
        }
    }
    Ok(())
}

pub(super) async fn a_failed_swap_changes_nothing(space: &Space<'_>) -> Checked {
    let (store, key, other) = (space.handle().await, space.key()?, space.key()?);
    let (record, beside) = (store.insert(&key).await?, store.insert(&other).await?);
    let late = body(b"late")?;
    for (expected, new) in [
        (None, Some(&late)),
        (Some(version()?), Some(&late)),
        // The version of another key's record is as wrong as any.
        (Some(beside.version()), Some(&late)),
        (Some(beside.version()), None),
        (None, None),
    ] {
        store.refuses(&key, expected, new, "a swap from a wrong version").await?;
        store.holds(&key, Some(&record), "after a refused swap").await?;
        store.holds(&other, Some(&beside), "after a refused swap of another key").await?;
    }
    store.accepts(&key, Some(record.version()), Some(&late)).await
}

/// Whoever compares a part of it, as a number or a hash, takes another version for this one.
pub(super) async fn a_version_that_differs_in_any_part_never_swaps(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let (record, late) = (store.insert(&key).await?, body(b"late")?);
    for byte in 0..16_u32 {
        let near = Version::from_bits(record.version().to_bits() ^ 1 << (8 * byte + byte % 8));
        let case = format!("from a version that differs in byte {byte}");
        store.refuses(&key, Some(near), Some(&late), &format!("a swap {case}")).await?;
        store.refuses(&key, Some(near), None, &format!("a removal {case}")).await?;
    }
    store.holds(&key, Some(&record), "after refused swaps").await
}
