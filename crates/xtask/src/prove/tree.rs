//! The copy of the source tree in which things are broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::faults::Fault;
use crate::step::{Outcome, Stop, root};

#[derive(Debug)]
pub(crate) struct Tree(PathBuf);

impl Tree {
    /// The files that git knows. What has not changed since the last time is left alone, and not built again.
    pub(crate) fn copy(tree: PathBuf) -> Result<Self, Stop> {
        let failed = |error: io::Error| Stop::Because(format!("cannot copy the tree: {error}"));
        let listed =
            Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().map_err(failed)?;
        let names = String::from_utf8_lossy(&listed.stdout);
        let names: BTreeSet<&str> = names.split('\0').filter(|name| !name.is_empty()).collect();
        fs::create_dir_all(&tree).map_err(failed)?;
        remove_others(&tree, &tree, &names).map_err(failed)?;
        for name in names.iter().filter(|name| root().join(name).is_file()) {
            copy_if_changed(&root().join(name), &tree.join(name)).map_err(failed)?;
        }
        Ok(Self(tree))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Replaces these files, by their path.
    pub(crate) fn write(&self, files: &BTreeMap<String, String>) -> Outcome {
        let failed = |error| Stop::Because(format!("cannot write to the tree: {error}"));
        files.iter().try_for_each(|(path, text)| write_if_changed(&self.0.join(path), text).map_err(failed))
    }

    /// Takes these files from the original again.
    pub(crate) fn restore(&self, paths: &[String]) -> Outcome {
        let failed = |error| Stop::Because(format!("cannot copy the tree: {error}"));
        paths
            .iter()
            .try_for_each(|path| copy_if_changed(&root().join(path), &self.0.join(path)).map_err(failed))
    }

    /// Does something while the fault is in the tree.
    pub(crate) fn with<T>(&self, fault: &Fault, look: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
        let file = self.0.join(fault.file);
        let failed = |error| Stop::Because(format!("{}: {error}", file.display()));
        let text = fs::read_to_string(&file).map_err(failed)?;
        if text.matches(fault.find).count() != 1 {
            return Err(Stop::Because(format!("{}: what it changes is not there (once)", fault.breaks)));
        }
        fs::write(&file, text.replace(fault.find, fault.replace)).map_err(failed)?;
        let seen = look();
        fs::write(&file, text).map_err(failed)?;
        seen
    }
}

fn write_if_changed(path: &Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) { Ok(()) } else { fs::write(path, text) }
}

fn copy_if_changed(from: &Path, to: &Path) -> io::Result<()> {
    let new = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    to.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(to, new)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

fn remove_others(tree: &Path, folder: &Path, names: &BTreeSet<&str>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(tree).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_dir() {
            // What the tests install there is theirs.
            if !name.ends_with("node_modules") {
                remove_others(tree, &path, names)?;
                // One that a broken program has left. Of the source's none is empty.
                let _ = fs::remove_dir(&path);
            }
        } else if !names.contains(name.as_str()) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
