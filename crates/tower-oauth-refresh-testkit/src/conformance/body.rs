//! What is written comes back: bytes, versions, and under which key.

use tower_oauth_refresh::{RecordBody, StoredKey, Swap, Version};

use super::space::{Checked, Handle, Space, body, version};

pub(super) async fn bodies_come_back_byte_for_byte(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let mebibyte = every_byte.repeat(4096);
    let mut current: Option<RecordBody> = None;
    for bytes in [
        b"".as_slice(),
        b"{}",
        &every_byte,
        b"not UTF-8: \xff\xfe \xc3\x28 \xed\xa0\x80",
        b"\0ends and starts with nothing\0",
        b"  keeps its spaces and line ends \r\n\n",
        b"\\x00 %00 '\"; \\",
        &mebibyte,
        b"",
    ] {
        let next = body(bytes)?;
        let expected = current.as_ref().map(RecordBody::version);
        store.accepts(&key, expected, Some(&next)).await?;
        store.holds(&key, Some(&next), &format!("after {} bytes were written", bytes.len())).await?;
        current = Some(next);
    }
    Ok(())
}

pub(super) async fn versions_come_back_bit_for_bit(space: &Space<'_>) -> Checked {
    let (store, key) = (space.handle().await, space.key()?);
    let mut expected = None;
    // Numbers that a column of 64 bits, a signed one or a float would change, and texts that lose zeros.
    let bits = [0, 1, u128::MAX, 1 << 127, u128::from(u64::MAX), 1 << 64, (1 << 53) + 1, i64::MAX as u128];
    for bits in bits.into_iter().chain([version()?.to_bits()]) {
        let next = RecordBody::new(Version::from_bits(bits), b"body".to_vec());
        store.accepts(&key, expected, Some(&next)).await?;
        store.holds(&key, Some(&next), "after a swap").await?;
        expected = Some(next.version());
    }
    Ok(())
}

pub(super) async fn keys_of_odd_characters_are_kept_apart(space: &Space<'_>) -> Checked {
    let (store, base) = (space.handle().await, space.key()?);
    let mut written = vec![write(&store, base.clone()).await?];
    // All around one base, so that characters that are lost or replaced make two keys the same.
    for odd in ODD {
        for name in [format!("{odd}{base}"), format!("{base}{odd}"), format!("{base}{odd}{base}")] {
            written.push(write(&store, space.key_named(name)).await?);
        }
    }
    all_hold(&store, &written).await?;
    without_mangling_nul(space, &store).await
}

/// What file systems, shells, SQL, patterns, URLs, terminals and Unicode have a use for.
const ODD: &[&str] = &[
    ".", "..", "/", "//", "/../", "\\", ":", "*", "?", "[a-z]", "{a}", "%", "%2F", "_", "-", "'", "''", "\"",
    ";--", "$1", " ", "\n", "\r\n", "\t", "\u{1}", "\u{7f}", "\u{a0}", "#", "&a=b", "+", "ü", "u\u{308}",
    "u", "名前", "🔑", "\u{feff}", "\u{fffd}",
];

/// Some databases cannot keep a NUL in a text. To say so is right; to cut the key there is not.
async fn without_mangling_nul(space: &Space<'_>, store: &Handle) -> Checked {
    let whole = space.key()?;
    let cut = write(store, whole.clone()).await?;
    let nul = space.key_named(format!("{whole}\0rest"));
    let refused = store.load(&nul).await.is_err();
    let inserted = write(store, nul).await;
    if !refused && inserted.is_err() {
        return inserted.map(drop).map_err(|reason| format!("a key with a NUL can be loaded, but {reason}"));
    }
    let written: Vec<_> = inserted.into_iter().chain([cut]).collect();
    all_hold(store, &written).await
}

pub(super) async fn keys_that_look_alike_are_kept_apart(space: &Space<'_>) -> Checked {
    let store = space.handle().await;
    let base = space.key_named(format!("Straße {}", space.key()?));
    let mut written = Vec::new();
    for alike in [
        format!("{base}"),
        base.as_str().to_uppercase(),
        base.as_str().to_lowercase(),
        base.as_str().replace('ß', "ss"),
        format!("{base} "),
        format!(" {base}"),
        format!("{base}0"),
        format!("{base}/0"),
        format!("{base}\u{301}"),
        format!("{base}e\u{301}"),
        format!("{base}é"),
        base.as_str().chars().take(30).collect(),
        base.as_str().chars().take(29).collect(),
    ] {
        written.push(write(&store, space.key_named(alike)).await?);
    }
    all_hold(&store, &written).await
}

pub(super) async fn keys_of_a_kilobyte_are_kept_apart(space: &Space<'_>) -> Checked {
    let store = space.handle().await;
    let start = space.key()?;
    let mut written = Vec::new();
    // Lengths around those at which columns and file names are cut.
    for len in [63, 64, 127, 255, 256, 512, 767, 1000, 1024] {
        for last in ["a", "b"] {
            let name = format!("{start}{}{last}", "k".repeat(len - start.as_str().len() - 1));
            written.push(write(&store, space.key_named(name)).await?);
        }
    }
    all_hold(&store, &written).await
}

/// A key may be too long for a store. To say so is right; to cut it is not.
pub(super) async fn long_keys_are_kept_apart_or_refused(space: &Space<'_>) -> Checked {
    let store = space.handle().await;
    // Each next to a length at which columns, indexes and buffers end.
    for len in [1025, 1537, 2001, 2049, 2705, 3073, 4097, 8193, 65_537] {
        let mut start = format!("{}-", space.key()?);
        // A database that compresses keys would take longer ones of one letter.
        while start.len() < len - 1 {
            start.push_str(&format!("{:032x}", version()?.to_bits()));
        }
        start.truncate(len - 1);
        let mut written = Vec::new();
        for last in ["a", "b"] {
            let (key, body) = (space.key_named(format!("{start}{last}")), body(last.as_bytes())?);
            match store.try_swap(&key, None, Some(&body)).await {
                Ok(Swap::Swapped) => written.push((key, body)),
                Ok(Swap::Conflict(_)) => {
                    return Err(format!(
                        "of two keys of {len} bytes, the second has the record of the first"
                    ));
                }
                Err(_) => {}
            }
        }
        all_hold(&store, &written).await.map_err(|reason| format!("keys of {len} bytes: {reason}"))?;
    }
    Ok(())
}

type Written = (StoredKey, RecordBody);

async fn write(store: &Handle, key: StoredKey) -> Checked<Written> {
    let body = body(key.as_str().as_bytes())?;
    let accepted = store.accepts(&key, None, Some(&body)).await;
    accepted.map_err(|reason| format!("under the key {:?}: {reason}", key.as_str()))?;
    Ok((key, body))
}

/// Each record is there, and removing one removes no other.
async fn all_hold(store: &Handle, written: &[Written]) -> Checked {
    for (key, body) in written {
        store.holds(key, Some(body), &format!("under the key {:?}", key.as_str())).await?;
    }
    for (at, (key, body)) in written.iter().enumerate() {
        store.accepts(key, Some(body.version()), None).await?;
        if let Some((next, body)) = written.get(at + 1) {
            let when = format!("after {:?} was removed, under {:?}", key.as_str(), next.as_str());
            store.holds(next, Some(body), &when).await?;
        }
    }
    Ok(())
}
