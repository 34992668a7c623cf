//! A database file for the owner's eyes, and connections that are durable.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tower_oauth_refresh::StoreError;

use crate::error::store_error;

/// A write takes milliseconds; so long takes only a process that was stopped.
const PATIENCE: Duration = Duration::from_secs(5);
/// Each is a thread: one writes, the others read meanwhile.
const CONNECTIONS: u32 = 4;
/// To turn the write-ahead log on, SQLite needs the file for itself and does not wait for it.
const TRIES: usize = 250;
const PAUSE: Duration = Duration::from_millis(20);
/// How many symlinks lead on from one another before it must be a circle; the kernel's own limit.
const MAX_LINKS: usize = 40;

#[derive(Debug, thiserror::Error)]
#[error("cannot create {} for its owner alone", path.display())]
struct FileError {
    path: PathBuf,
    source: io::Error,
}

pub(super) async fn open(path: &Path) -> Result<SqlitePool, StoreError> {
    // SQLite would create it for everybody; what it creates beside it is then like it.
    let failed = |source| StoreError::unavailable(FileError { path: path.to_path_buf(), source });
    let file = prepare(path).map_err(failed)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(PATIENCE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("fullfsync", "ON")
        .pragma("secure_delete", "ON");
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    let mut tries = 1..TRIES;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && tries.next().is_some() => tokio::time::sleep(PAUSE).await,
            opened => {
                let pool = opened.map_err(store_error)?;
                tighten_all(&file).map_err(failed)?;
                return Ok(pool);
            }
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    // The low byte says what it is; the rest, why.
    code.is_some_and(|code| code & 0xff == 5)
}

/// Never opens a file that SQLite may have open: its locks are those of the process, and closing the file, by whatever
/// descriptor, lets all of them go. Another process then takes itself for the last one and removes the log.
fn prepare(path: &Path) -> io::Result<PathBuf> {
    let path = resolve(path)?;
    let dir = parent(&path);
    create_dir(dir)?;
    if !path.try_exists()? {
        create(&path, dir)?;
    }
    tighten_all(&path)?;
    Ok(path)
}

fn tighten_all(path: &Path) -> io::Result<()> {
    ["", "-wal", "-shm"].iter().try_for_each(|suffix| tighten(&beside(path, suffix)))
}

/// The file that `path` leads to, which SQLite names the others after.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else {
            return Ok(path);
        };
        path = parent(&path).join(target);
    }
    Err(io::Error::other("too many symlinks"))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Creates `dir` and what is missing above it, for the owner alone, durably.
fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().ok_or(io::ErrorKind::NotFound)?;
    create_dir(above)?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            give_to_owner_of(above, dir);
            sync_dir(above);
            Ok(())
        }
    }
}

/// Puts an empty file at `path`, unless there is one. It is closed before it has this name: by then, somebody else in
/// this process may have it open.
fn create(path: &Path, dir: &Path) -> io::Result<()> {
    let unique = getrandom::u64().map_err(io::Error::other)?;
    let temp = beside(path, &format!(".{unique:016x}.tmp"));
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.write(true).create_new(true).open(&temp)?);
    give_to_owner_of(dir, &temp);
    let linked = fs::hard_link(&temp, path);
    fs::remove_file(&temp)?;
    // Where there are no hard links, SQLite creates it, and then others lose their rights to it.
    but_for(
        linked,
        &[io::ErrorKind::AlreadyExists, io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied],
    )
}

/// Errors of these kinds are none.
fn but_for(result: io::Result<()>, kinds: &[io::ErrorKind]) -> io::Result<()> {
    result.or_else(|error| if kinds.contains(&error.kind()) { Ok(()) } else { Err(error) })
}

/// Gives the administrator's new file to whoever has the directory, or else one run with `sudo` would lock him out.
/// Where everybody may put files, that says nothing.
#[cfg(unix)]
fn give_to_owner_of(dir: &Path, new: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(dir), Ok(file)) = (fs::metadata(dir), fs::metadata(new)) else { return };
    if dir.uid() != file.uid() && dir.mode() & 0o002 == 0 {
        // Only an administrator may. For anybody else, the file is his own.
        let _ = std::os::unix::fs::chown(new, Some(dir.uid()), Some(dir.gid()));
    }
}

#[cfg(not(unix))]
fn give_to_owner_of(_: &Path, _: &Path) {}

/// One may be allowed to create a directory where one may not list: then this does nothing.
fn sync_dir(dir: &Path) {
    let _ = fs::File::open(dir).and_then(|dir| dir.sync_all());
}

#[cfg(unix)]
fn tighten(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there?.permissions().mode(),
    };
    if mode & 0o077 == 0 {
        return Ok(());
    }
    // Another process may just have closed the database, and removed its log.
    but_for(fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700)), &[io::ErrorKind::NotFound])
}

#[cfg(not(unix))]
fn tighten(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
