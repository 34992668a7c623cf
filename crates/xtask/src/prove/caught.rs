//! What was caught so far, so that a run that was interrupted goes on where it ended.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;

use super::faults::Fault;
use crate::step::{Stop, output, root};

/// A file for each fault that was caught in these sources.
#[derive(Debug)]
pub(crate) struct Caught(PathBuf);

impl Caught {
    /// Of the sources as they are now. The faults themselves are not among them: each is known by all that it says.
    pub(crate) fn open() -> Result<Self, Stop> {
        let sources = output("git", &["ls-files", "--", ".", ":!crates/xtask/src/prove", ":!*.md"]);
        let mut hasher = DefaultHasher::new();
        for name in sources.unwrap_or_default().lines() {
            (name, fs::read(root().join(name)).ok()).hash(&mut hasher);
        }
        let folder = root().join(format!("target/prove/caught/{:016x}", hasher.finish()));
        let failed = |error| Stop::Because(format!("{}: {error}", folder.display()));
        fs::create_dir_all(&folder).map_err(failed)?;
        Ok(Self(folder))
    }

    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.file(fault).is_file()
    }

    pub(crate) fn note(&self, fault: &Fault) -> Result<(), Stop> {
        let file = self.file(fault);
        fs::write(&file, fault.breaks).map_err(|error| Stop::Because(format!("{}: {error}", file.display())))
    }

    fn file(&self, fault: &Fault) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        (fault.file, fault.find, fault.replace, fault.caught_by).hash(&mut hasher);
        self.0.join(format!("{:016x}", hasher.finish()))
    }
}
