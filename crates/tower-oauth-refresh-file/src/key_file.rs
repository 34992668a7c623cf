//! A sealing key in a file of its own.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use tower_oauth_refresh::{SealingKey, StoreError};
use zeroize::Zeroizing;

use crate::disk;
use crate::failure::unavailable;

#[cfg(test)]
mod tests;

const LEN: usize = 32;

/// A [`SealingKey`] in a file, for machines without a keychain.
///
/// # What it protects against
///
/// Whoever gets the sealed store *without* the key: a copy in a backup, a synchronised folder, a
/// repository or a support ticket that takes the one file and not the other; and whoever can write to the
/// store and not read the key. Keep the two apart where you can, and the key out of backups: a lost key
/// costs a login.
///
/// It does not protect against whoever reads both: any program that runs as the same user, the
/// administrator, a thief of the unencrypted disk. Nor does a keychain against all of these, but it is
/// locked while nobody is logged in, and asks before it hands the key to another program.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyFile;

impl KeyFile {
    /// The key at `path`: 32 bytes, of this file alone. Where there is no file, a new key is written to
    /// it, readable by the owner only; processes that do so at once all end with the same key. If others
    /// may read the file, they no longer may afterwards, and whoever did has the key.
    ///
    /// Blocks for a few file operations: call it at start-up. The file system must know hard links.
    ///
    /// # Errors
    ///
    /// [`StoreError::unavailable`] when the file can be neither read nor created;
    /// [unreadable](StoreError::is_unreadable) when it does not hold 32 bytes. Such a file is left alone,
    /// also when it is empty: records sealed under what it held may still be around.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<SealingKey, StoreError> {
        let path = disk::prepare(path.as_ref())?;
        if let Some(key) = read(&path)? {
            return Ok(key);
        }
        create(&path)?;
        read(&path)?.ok_or_else(|| StoreError::unavailable("the key file was removed while it was created"))
    }
}

fn read(path: &Path) -> Result<Option<SealingKey>, StoreError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(unavailable("open", path))?,
    };
    let mut key = Zeroizing::new([0; LEN]);
    let mut more = [0];
    let whole = file.read_exact(&mut *key).and_then(|()| file.read(&mut more));
    match whole {
        Ok(0) => {}
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
            return Err(unavailable("read", path)(error).into());
        }
        _ => return Err(StoreError::unreadable("the key file does not hold 32 bytes; it is left as it is")),
    }
    // Another process may have created it a moment ago: nothing must be sealed under a key that a power
    // cut can still take away. Where the directory may not be opened, its creator has to be trusted.
    let _ = disk::sync_dir(disk::parent(path));
    Ok(Some(SealingKey::new(*key)))
}

/// Puts a new key at `path` unless something is there, whole from the first moment: a name that only this
/// call uses, then a link, which fails where a rename would replace.
fn create(path: &Path) -> Result<(), StoreError> {
    let unique = getrandom::u64().map_err(StoreError::unavailable)?;
    let temp = disk::beside(path, &format!(".{unique:016x}.tmp"));
    let key = SealingKey::generate()?;
    let linked = disk::create(&temp, key.expose_secret(), path).and_then(|()| fs::hard_link(&temp, path));
    let _ = fs::remove_file(&temp);
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(unavailable("create", path)(error).into())
        }
        _ => Ok(disk::sync_dir(disk::parent(path)).map_err(unavailable("make durable", path))?),
    }
}
