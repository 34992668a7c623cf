//! A database file for the owner's eyes, and connections that are durable.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
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

#[derive(Debug, thiserror::Error)]
#[error("cannot create {} for its owner alone", path.display())]
struct FileError {
    path: PathBuf,
    source: io::Error,
}

pub(super) async fn open(path: &Path) -> Result<SqlitePool, StoreError> {
    // SQLite would create it for everybody; what it creates beside it is then like it.
    prepare(path)
        .map_err(|source| StoreError::unavailable(FileError { path: path.to_path_buf(), source }))?;
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
            opened => return opened.map_err(store_error),
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    // The low byte says what it is; the rest, why.
    code.is_some_and(|code| code & 0xff == 5)
}

fn prepare(path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        owners_dir(DirBuilder::new().recursive(true)).create(dir)?;
    }
    owners(OpenOptions::new().append(true).create(true)).open(path)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = OsString::from(path);
        name.push(suffix);
        tighten(Path::new(&name))?;
    }
    Ok(())
}

fn owners(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn owners_dir(builder: &mut DirBuilder) -> &mut DirBuilder {
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(builder, 0o700);
    builder
}

#[cfg(unix)]
fn tighten(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))
}

#[cfg(not(unix))]
fn tighten(_: &Path) -> io::Result<()> {
    Ok(())
}
