//! What the store asks of a file system: whole files or nothing, for the owner's eyes.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read as _, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, unavailable};
use crate::owner::Owner;

/// Far more than a store of credentials holds, and little enough to read into memory.
const MAX_LEN: u64 = 64 * 1024 * 1024;
/// Of a file that is written in pieces: it stays in the cache of the processor.
const PIECE: usize = 128 * 1024;
/// How many symlinks lead on from one another before it must be a circle; the kernel's own limit.
const MAX_LINKS: usize = 40;

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
pub(crate) fn prepare(path: &Path) -> Result<PathBuf, Failure> {
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
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    // A drive that is missing has nothing above it.
    let above = dir.parent().ok_or(ErrorKind::NotFound)?;
    create_dir(above)?;
    #[cfg(unix)]
    let owner = Owner::of(dir);
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            #[cfg(unix)]
            owner.take(&File::open(dir)?);
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

/// The file, open; none where there is none.
pub(crate) fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Its bytes.
pub(crate) fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Takes no more than what [`read`] does.
struct Bounded<'a> {
    file: &'a File,
    left: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64).ok_or(ErrorKind::FileTooLarge)?;
        let written = self.file.write(bytes)?;
        self.left = left + (bytes.len() - written) as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file of new bytes that waits beside the one it is to replace. Removed when it is dropped.
///
/// To be made under the lock, which is what makes one temporary name enough, so that those of killed processes do
/// not pile up with tokens in them.
#[derive(Debug)]
pub(crate) struct Replacement<'a> {
    path: &'a Path,
    /// Until it has another name.
    temp: Option<PathBuf>,
    file: File,
}

impl<'a> Replacement<'a> {
    /// Writes it, durably, for the owner of the present file alone.
    pub(crate) fn write(
        path: &'a Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Self> {
        let temp = beside(path, ".tmp");
        let file = match create_new(&temp) {
            // Of a killed process: nobody else has the lock.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&temp)?;
                create_new(&temp)?
            }
            created => created?,
        };
        let replacement = Self { path, temp: Some(temp), file };
        fill(&replacement.file, path, write)?;
        Ok(replacement)
    }

    /// Moves the present file out of the way, to stay where it then is.
    pub(crate) fn put_aside(&self, aside: &Path) -> io::Result<()> {
        fs::rename(self.path, aside)
    }

    /// Takes its place: whoever opens the path, at any moment and after any crash, finds the old bytes or the new.
    /// Durable only after [`sync_dir`].
    pub(crate) fn publish(mut self) -> io::Result<File> {
        if let Some(temp) = &self.temp {
            fs::rename(temp, self.path)?;
        }
        self.temp = None;
        self.file.try_clone()
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if let Some(temp) = &self.temp {
            // Makes room on a full disk.
            let _ = fs::remove_file(temp);
        }
    }
}

/// Writes a new file, durable and the owner's alone from its first moment, like the one at `like`. Its name is durable
/// only after [`sync_dir`].
pub(crate) fn create(path: &Path, bytes: &[u8], like: &Path) -> io::Result<()> {
    fill(&create_new(path)?, like, |to| to.write_all(bytes))
}

fn create_new(path: &Path) -> io::Result<File> {
    owners(OpenOptions::new().read(true).write(true).create_new(true)).open(path)
}

fn fill(file: &File, like: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    Owner::of(like).take(file);
    let mut pieces = BufWriter::with_capacity(PIECE, Bounded { file, left: MAX_LEN });
    write(&mut pieces)?;
    pieces.flush()?;
    file.sync_all()
}

pub(crate) fn owners(options: &mut OpenOptions) -> &mut OpenOptions {
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

#[cfg(test)]
mod tests;
