//! Why something failed, in a form that can be told to each of many calls.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tower_oauth_refresh::{StoreError, Version};

/// Becomes a [`StoreError`], of which there are no copies.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Unavailable(Arc<dyn Error + Send + Sync>),
    /// With the version that a swap has to name to replace it, if one can.
    Unreadable(Arc<dyn Error + Send + Sync>, Option<Version>),
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
struct FileError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Turns an I/O error into "not available", saying what was tried on which file.
pub(crate) fn unavailable(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_path_buf();
    move |source| Failure::Unavailable(Arc::new(FileError { what, path, source }))
}

impl Failure {
    pub(crate) fn version(&self) -> Option<Version> {
        match self {
            Self::Unreadable(_, version) => *version,
            Self::Unavailable(_) => None,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(source) => Self::unavailable(source),
            Failure::Unreadable(source, None) => Self::unreadable(source),
            Failure::Unreadable(source, Some(version)) => Self::unreadable(source).at(version),
        }
    }
}
