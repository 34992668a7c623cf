//! The key to the credentials: in the keychain, or in a file where there is none.
//!
//! Which of the two is decided at the first run and then kept, in a file of its own. A keychain that cannot be reached
//! today, because somebody came over ssh, must not make a second key, under which nothing can be read. Nor must two
//! first runs at once: the file is linked to its name, which succeeds for one of them.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use tower::BoxError;
use tower_oauth_refresh::{SealingKey, StoreError};
use tower_oauth_refresh_file::KeyFile;
use tower_oauth_refresh_keyring::KeyringKey;

/// The file that says where the key is.
const DECIDED: &str = "key-is-in";

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
    let decided = decided(home)?;
    if decided != Some(Place::File) {
        let key = keychain.await;
        let wanted = match &key {
            Ok(_) => Place::Keychain,
            Err(error) if error.is_unreadable() => return Err(explained(error)),
            Err(_) => Place::File,
        };
        match (decide(home, wanted)?, key) {
            (Place::Keychain, Ok(key)) => return Ok((key, Place::Keychain)),
            (Place::Keychain, Err(error)) => return Err(explained(&error)),
            // A key in the keychain is left there, and nothing is sealed with it.
            (Place::File, _) => {}
        }
    }
    Ok((KeyFile::open_or_create(home.join("key"))?, Place::File))
}

/// Where the key is, once that is decided.
fn decided(home: &Path) -> Result<Option<Place>, BoxError> {
    match fs::read_to_string(home.join(DECIDED)) {
        Ok(text) if text == Place::Keychain.to_string() => Ok(Some(Place::Keychain)),
        Ok(text) if text == Place::File.to_string() => Ok(Some(Place::File)),
        Ok(_) => Err(format!("{} does not say where the key is", home.join(DECIDED).display()).into()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Decides on `place`, unless it is decided already.
fn decide(home: &Path, place: Place) -> Result<Place, BoxError> {
    let draft = home.join(format!("{DECIDED}.{}", std::process::id()));
    fs::write(&draft, place.to_string())?;
    let linked = fs::hard_link(&draft, home.join(DECIDED));
    fs::remove_file(draft)?;
    match linked {
        Ok(()) => Ok(place),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(decided(home)?.unwrap_or(place)),
        Err(error) => Err(error.into()),
    }
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
    async fn of_two_first_runs_one_decides_where_the_key_is() {
        for (first, second) in [(there(), unavailable()), (unavailable(), there())] {
            let home = tempfile::tempdir().unwrap();
            let mut other = None;
            // Another process has its first run while this one waits for its keychain.
            let meanwhile = async {
                other = Some(place(home.path(), second).await.unwrap());
                first
            };
            let this = open(home.path(), meanwhile).await.map(|(_, place)| place);
            assert!(this.is_err() || this.ok() == other, "both go by what was decided first");
            let again = open(home.path(), async { there() }).await.unwrap().1;
            assert_eq!(Some(again), other);
        }
    }

    #[tokio::test]
    async fn a_damaged_entry_is_no_reason_for_another_key() {
        let home = tempfile::tempdir().unwrap();
        place(home.path(), Err(StoreError::unreadable("3 bytes"))).await.unwrap_err();
        assert!(!home.path().join("key").exists());
    }
}
