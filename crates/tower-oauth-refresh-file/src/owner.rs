//! Whose file it is, when an administrator writes it.
//!
//! After one `sudo`, everything that was written would belong to root and be for root alone. What is new is therefore
//! given to whoever had the file, or has its directory.

use std::fs::File;
use std::path::Path;

/// A user and a group.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Owner(Option<(u32, u32)>);

#[cfg(unix)]
impl Owner {
    /// Who has the file at `path`, or, where there is none yet, its directory.
    ///
    /// Nobody, where everybody may put files: who put one there first is not who should read what follows.
    pub(crate) fn of(path: &Path) -> Self {
        use std::fs::metadata;
        use std::os::unix::fs::MetadataExt as _;
        let dir = metadata(crate::disk::parent(path)).ok().filter(|dir| dir.mode() & 0o002 == 0);
        let there = dir.map(|dir| metadata(path).unwrap_or(dir));
        Self(there.map(|there| (there.uid(), there.gid())))
    }

    /// Gives him a file that was just created.
    pub(crate) fn take(&self, new: &File) {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let Some((user, group)) = self.0 else { return };
        if new.metadata().is_ok_and(|new| new.uid() != user) {
            // Only an administrator may. To anybody else, the file is his own.
            let _ = fchown(new, Some(user), Some(group));
        }
    }
}

/// Elsewhere a file has the rights of its directory.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Owner;

#[cfg(not(unix))]
impl Owner {
    pub(crate) fn of(_: &Path) -> Self {
        Self
    }

    pub(crate) fn take(&self, _: &File) {}
}
