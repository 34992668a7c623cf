//! `cargo xtask prove [NAME…]`: does anything notice when a rule is taken out?
//!
//! Every saboteur is one change to the engine, made in a copy of the tree and never in the tree itself. The
//! simulation has the first look, for it tells a story; what it cannot see, because it happens in the driver
//! or the middleware, some test has to. One that nobody notices fails the command.

mod saboteurs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::saboteurs::{SABOTEURS, Saboteur};
use crate::step::{Outcome, Stop, cargo, root};

const HISTORIES: &str = "100000";

pub(crate) fn run(names: &[&str]) -> Outcome {
    let tree = copy_of_the_tree()?;
    let mut survivors = Vec::new();
    let chosen = SABOTEURS.iter().filter(|one| names.is_empty() || names.contains(&one.name));
    for saboteur in chosen {
        match caught(&tree, saboteur)? {
            Some(by) => eprintln!("caught    {:<44} {by}", saboteur.name),
            None => {
                eprintln!("SURVIVED  {}", saboteur.name);
                survivors.push(saboteur.name);
            }
        }
    }
    if survivors.is_empty() { Ok(()) } else { Err(Stop::Because(format!("nobody noticed: {survivors:?}"))) }
}

/// What noticed it.
fn caught(tree: &Path, saboteur: &Saboteur) -> Result<Option<String>, Stop> {
    let file = tree.join("crates/tower-oauth-refresh/src").join(saboteur.file);
    let broken = |error| Stop::Because(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(&file).map_err(broken)?;
    if text.matches(saboteur.find).count() != 1 {
        return Err(Stop::Because(format!("{}: what it changes is not there (once)", saboteur.name)));
    }
    fs::write(&file, text.replace(saboteur.find, saboteur.replace)).map_err(broken)?;
    let found = noticed(tree, "simulation", first_story).or_else(|| noticed(tree, "", first_test));
    fs::write(&file, text).map_err(broken)?;
    if found.as_deref() == Some(DOES_NOT_COMPILE) {
        return Err(Stop::Because(format!("{}: it does not compile", saboteur.name)));
    }
    Ok(found)
}

const DOES_NOT_COMPILE: &str = "it does not compile";

fn noticed(tree: &Path, tests: &str, by: fn(&str) -> Option<String>) -> Option<String> {
    let run = cargo(["test", "-p", "tower-oauth-refresh", "--lib", tests, "--", "--nocapture"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", root().join("target/saboteurs"))
        .env("SIMULATE_HISTORIES", HISTORIES)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    if run.status.success() {
        return None;
    }
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    if said.contains("could not compile") {
        return Some(DOES_NOT_COMPILE.to_owned());
    }
    Some(by(&said).unwrap_or_else(|| "a test that fails".to_owned()))
}

/// `seed N: what`, and how many lines its story has.
fn first_story(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.starts_with("seed ") || line.starts_with("never exercised"))?;
    let story =
        said.lines().skip_while(|one| *one != line).skip(1).take_while(|one| one.starts_with("  ")).count();
    Some(format!("{line} [{story} lines]"))
}

fn first_test(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.ends_with("... FAILED"))?;
    Some(line.trim_start_matches("test ").trim_end_matches(" ... FAILED").to_owned())
}

/// The files that git knows, beside the build.
fn copy_of_the_tree() -> Result<PathBuf, Stop> {
    let tree = root().join("target/saboteurs/tree");
    let failed = |error: std::io::Error| Stop::Because(format!("cannot copy the tree: {error}"));
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().map_err(failed)?;
    for name in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root().join(name), tree.join(name));
        let unchanged = fs::read(&from).ok() == fs::read(&to).ok();
        if !unchanged && from.is_file() {
            fs::create_dir_all(to.parent().unwrap_or(&tree)).map_err(failed)?;
            fs::copy(from, to).map_err(failed)?;
        }
    }
    Ok(tree)
}
