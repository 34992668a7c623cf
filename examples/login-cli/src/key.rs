//! The key to the credentials: in the keychain, or in a file where there is none.
//!
//! Which of the two is decided at the first run and then kept. A keychain that cannot be reached today, because
//! somebody came over ssh, must not make a second key, under which nothing can be read.

use std::fmt;
use std::fs;
use std::path::Path;

use tower::BoxError;
use tower_oauth_refresh::{SealingKey, StoreError};
use tower_oauth_refresh_file::KeyFile;
use tower_oauth_refresh_keyring::KeyringKey;

/// Where the key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Keychain,
    File,
}

/// The key in the keychain of the operating system, a new one where there is none.
pub(crate) async fn in_keychain(home: &Path) -> Result<SealingKey, StoreError> {
    KeyringKey::open_or_create("login-cli", &home.display().to_string()).await
}

pub(crate) async fn open(
    home: &Path,
    keychain: impl Future<Output = Result<SealingKey, StoreError>>,
) -> Result<(SealingKey, Place), BoxError> {
    let (file, note) = (home.join("key"), home.join("key-is-in-keychain"));
    if !file.exists() {
        match keychain.await {
            Ok(key) => {
                fs::write(note, "")?;
                return Ok((key, Place::Keychain));
            }
            Err(error) if note.exists() || error.is_unreadable() => return Err(explained(&error)),
            Err(_) => {}
        }
    }
    Ok((KeyFile::open_or_create(file)?, Place::File))
}

fn explained(error: &StoreError) -> BoxError {
    let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("the key is in the keychain, which does not give it out: {reason}").into()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keychain => "the keychain",
            Self::File => "a file",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> Result<SealingKey, StoreError> {
        Err(StoreError::unavailable("no session bus"))
    }

    fn there() -> Result<SealingKey, StoreError> {
        Ok(SealingKey::new([7; 32]))
    }

    async fn place(home: &Path, keychain: Result<SealingKey, StoreError>) -> Result<Place, BoxError> {
        open(home, async { keychain }).await.map(|(_, place)| place)
    }

    #[tokio::test]
    async fn a_machine_without_a_keychain_stays_with_its_file() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(place(home.path(), unavailable()).await.unwrap(), Place::File);
        let key = fs::read(home.path().join("key")).unwrap();
        assert_eq!(place(home.path(), there()).await.unwrap(), Place::File, "also when one turns up later");
        assert_eq!(fs::read(home.path().join("key")).unwrap(), key);
    }

    #[tokio::test]
    async fn a_keychain_that_is_locked_today_makes_no_second_key() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(place(home.path(), there()).await.unwrap(), Place::Keychain);
        let refused = place(home.path(), unavailable()).await.unwrap_err();
        assert!(refused.to_string().contains("no session bus"));
        assert!(!home.path().join("key").exists());
        assert_eq!(place(home.path(), there()).await.unwrap(), Place::Keychain);
    }

    #[tokio::test]
    async fn a_damaged_entry_is_no_reason_for_another_key() {
        let home = tempfile::tempdir().unwrap();
        place(home.path(), Err(StoreError::unreadable("3 bytes"))).await.unwrap_err();
        assert!(!home.path().join("key").exists());
    }
}
