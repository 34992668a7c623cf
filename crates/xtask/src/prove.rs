//! `cargo xtask prove [NAME…]`: does anything notice when a rule is taken out?
//!
//! Every saboteur is one change to the engine, made in a copy of the tree and never in the tree itself. The
//! simulation, the search and the unit tests each have a look; the first two tell a story, and cannot see what
//! happens in the driver or the middleware. One that nobody notices fails the command.

mod saboteurs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::saboteurs::{SABOTEURS, Saboteur};
use crate::step::{Outcome, Stop, root};

/// As seconds allow.
const HISTORIES: &str = "1000000";
const BOUNDS: &str = "13:0 9:1";
/// Seconds for one look, a build included.
const LIMIT: &str = "240";

pub(crate) fn run(names: &[&str]) -> Outcome {
    let tree = copy_of_the_tree()?;
    let mut survivors = Vec::new();
    let chosen = SABOTEURS.iter().filter(|one| names.is_empty() || names.contains(&one.name));
    for saboteur in chosen {
        let by = caught(&tree, saboteur)?;
        eprintln!("{} {}", if by.is_empty() { "SURVIVED" } else { "caught  " }, saboteur.name);
        by.iter().for_each(|one| eprintln!("           {one}"));
        if by.is_empty() {
            survivors.push(saboteur.name);
        }
    }
    if survivors.is_empty() { Ok(()) } else { Err(Stop::Because(format!("nobody noticed: {survivors:?}"))) }
}

/// What noticed it, all that did.
fn caught(tree: &Path, saboteur: &Saboteur) -> Result<Vec<String>, Stop> {
    let file = tree.join("crates/tower-oauth-refresh/src").join(saboteur.file);
    let broken = |error| Stop::Because(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(&file).map_err(broken)?;
    if text.matches(saboteur.find).count() != 1 {
        return Err(Stop::Because(format!("{}: what it changes is not there (once)", saboteur.name)));
    }
    fs::write(&file, text.replace(saboteur.find, saboteur.replace)).map_err(broken)?;
    let found = [
        noticed(tree, &["no_history"], story),
        noticed(tree, &["no_short_history"], story),
        noticed(tree, &["", "--skip", "simulation"], test),
    ];
    fs::write(&file, text).map_err(broken)?;
    found.into_iter().filter_map(Result::transpose).collect()
}

fn noticed(tree: &Path, tests: &[&str], by: fn(&str) -> String) -> Result<Option<String>, Stop> {
    // What nobody notices may also wait for ever.
    let run = Command::new("timeout")
        .args([LIMIT, "cargo", "test", "--profile", "fuzz", "-p", "tower-oauth-refresh", "--lib", "--"])
        .args(tests)
        .arg("--nocapture")
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", root().join("target/saboteurs"))
        .env("SIMULATE_HISTORIES", HISTORIES)
        .env("EXPLORE", BOUNDS)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Stop::Because(format!("cannot run cargo: {error}")))?;
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    // Whatever else goes wrong would pass for somebody who noticed.
    if !said.lines().any(|line| line.starts_with("running ")) {
        return Err(Stop::Because(format!("no test was run: {said}")));
    }
    Ok((!run.status.success()).then(|| by(&said)))
}

/// `seed N: what` or `explore: what`, and how many lines its story has.
fn story(said: &str) -> String {
    let starts =
        |line: &&str| ["seed ", "explore: ", "never exercised"].iter().any(|start| line.starts_with(start));
    let Some(line) = said.lines().find(starts) else {
        return "a panic without a story".to_owned();
    };
    let lines = said.lines().skip_while(|one| *one != line).skip(1);
    format!("{line} [{} lines]", lines.take_while(|one| one.starts_with("  ")).count())
}

fn test(said: &str) -> String {
    let failed: Vec<&str> =
        said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED")).collect();
    let hangs = |line: &str| {
        line.strip_prefix("test ")?.split_once(" has been running").map(|(name, _)| format!("{name} hangs"))
    };
    match failed.split_first() {
        Some((first, [])) => (*first).to_owned(),
        Some((first, others)) => format!("{first} and {} more", others.len()),
        None => said.lines().find_map(hangs).unwrap_or_else(|| "a test that fails".to_owned()),
    }
}

/// The files that git knows, beside the build.
fn copy_of_the_tree() -> Result<PathBuf, Stop> {
    let tree = root().join("target/saboteurs/tree");
    let failed = |error: std::io::Error| Stop::Because(format!("cannot copy the tree: {error}"));
    if tree.exists() {
        // With what is no longer known.
        fs::remove_dir_all(&tree).map_err(failed)?;
    }
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().map_err(failed)?;
    for name in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root().join(name), tree.join(name));
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap_or(&tree)).map_err(failed)?;
            fs::copy(from, to).map_err(failed)?;
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_saboteur_changes_stands_in_the_source_once() {
        let once = |saboteur: &&Saboteur| {
            let file = root().join("crates/tower-oauth-refresh/src").join(saboteur.file);
            fs::read_to_string(file).unwrap().matches(saboteur.find).count() == 1
        };
        let astray: Vec<_> =
            SABOTEURS.iter().filter(|saboteur| !once(saboteur)).map(|saboteur| saboteur.name).collect();
        assert!(astray.is_empty(), "{astray:#?}");
    }
}
