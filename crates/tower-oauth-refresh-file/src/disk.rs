//! What the store asks of a file system: whole files or nothing, for the owner's eyes, and a lock that
//! dies with its holder.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tower_oauth_refresh::StoreError;

/// Far more than a store of credentials holds, and little enough to read into memory.
const MAX_LEN: u64 = 64 * 1024 * 1024;
/// How many symlinks lead on from one another before it must be a circle; the kernel's own limit.
const MAX_LINKS: usize = 40;
/// Between two looks at a lock somebody else holds: from about the time of a quick write up to a slow one's.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
struct FileError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Turns an I/O error into "not available", saying what was tried on which file.
pub(crate) fn unavailable(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::unavailable(FileError { what, path, source })
}

/// The file that `path` leads to, which need not exist: a symlink is to stay one, so it is its target that
/// gets replaced, and every process must find the same lock beside it.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else {
            return Ok(path);
        };
        path = parent(&path).join(target);
    }
    Err(io::Error::other("too many symlinks"))
}

/// `path` with its directory there and nobody else able to read it.
pub(crate) fn prepare(path: &Path) -> Result<PathBuf, StoreError> {
    let path = resolve(path).map_err(unavailable("follow", path))?;
    create_dir(parent(&path)).map_err(unavailable("create the directory of", &path))?;
    tighten(&path).map_err(unavailable("keep others from reading", &path))?;
    Ok(path)
}

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Creates `dir` and what is missing above it, for the owner alone, durably.
fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = parent(dir);
    create_dir(above)?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            // One may be allowed to create a directory where one may not list: then this is all there is.
            let _ = sync_dir(above);
            Ok(())
        }
    }
}

/// Takes the rights of everybody but the owner off a file that exists.
fn tighten(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("not a regular file")),
        #[cfg(unix)]
        Ok(metadata) => {
            use std::os::unix::fs::PermissionsExt as _;
            let mut permissions = metadata.permissions();
            if permissions.mode() & 0o077 == 0 {
                return Ok(());
            }
            permissions.set_mode(permissions.mode() & !0o077);
            fs::set_permissions(path, permissions)
        }
        #[cfg(not(unix))]
        Ok(_) => Ok(()),
    }
}

/// The bytes of a file; none where there is no file.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    check_len(&bytes)?;
    Ok(Some(bytes))
}

fn check_len(bytes: &[u8]) -> io::Result<()> {
    if bytes.len() as u64 > MAX_LEN {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

/// Replaces `path` by a file of these bytes: whoever opens it, at any moment and after any crash, finds
/// the old bytes or the new. To be called under the lock, which is what makes one temporary name enough,
/// so that those of killed processes do not pile up with tokens in them.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    check_len(bytes)?;
    let temp = beside(path, ".tmp");
    match fs::remove_file(&temp) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = create(&temp, bytes).and_then(|()| fs::rename(&temp, path));
    if written.is_err() {
        // Makes room on a full disk; the error that counts is the first.
        let _ = fs::remove_file(&temp);
    }
    written?;
    sync_dir(parent(path))
}

/// Writes a new file, durable and the owner's alone from its first moment. Its name is durable only after
/// [`sync_dir`].
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = owners(OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn owners(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(unix)]
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Elsewhere a directory cannot be opened, and the rename is durable or it is not.
#[cfg(not(unix))]
pub(crate) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Waits its turn for the lock on `path` among all processes. Dropping the file frees it, and so does the
/// death of the process that holds it.
///
/// # Errors
///
/// When somebody else has held it for longer than `patience`: a process that was stopped, say.
pub(crate) fn lock(path: &Path, mut patience: Duration) -> io::Result<File> {
    // Whoever polls loses against a process that takes the lock again as soon as it let go. In front of
    // the lock there is therefore a second one for the next in line: the busy process does not get past it.
    let _next = poll(&beside(path, ".queue"), &mut patience)?;
    poll(&beside(path, ".lock"), &mut patience)
}

fn poll(path: &Path, patience: &mut Duration) -> io::Result<File> {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let file = owners(OpenOptions::new().write(true).create(true).truncate(false)).open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(file),
            // Somebody removed the file: the next one to come locks another.
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if patience.is_zero() {
            return Err(io::Error::new(ErrorKind::TimedOut, "another process holds the lock"));
        }
        // A blocking lock could not be given up. This thread is one for blocking, one per store, and the
        // other process is on no clock of ours: hence real sleep, of which the sum is the time waited.
        std::thread::sleep(pause);
        *patience = patience.saturating_sub(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(locked) = file.metadata() else { return false };
    fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino()))
}

/// Elsewhere a file cannot be removed while it is open.
#[cfg(not(unix))]
pub(crate) fn is_at(_: &File, _: &Path) -> bool {
    true
}
