//! `docs/seeded-faults.md`: what a whole run has caught.

use std::fmt::Write as _;
use std::fs;

use super::faults::Fault;
use crate::step::{Outcome, Stop, root};

const PAGE: &str = "crates/tower-oauth-refresh/docs/seeded-faults.md";

const HEAD: &str = "\
# Seeded faults

Each line is one change to the product code that breaks a promise or a row of the page on
[failure modes](failure-modes.md), and the tests that failed for it. The first column says what no longer held.
`cargo xtask prove` makes each change by itself in a copy of the tree, and expects all of the named tests to fail, which
pass without it; one that does not end within its time has caught nothing. Most changes are built together: the
function that one changes is there twice, and an environment variable chooses. `cargo xtask prove --page` writes this
page when all are caught.

";

/// After a run in which all were caught.
pub(crate) fn write(caught: &[&Fault], commit: &str) -> Outcome {
    let mut page = format!("{HEAD}{} of {} were caught at commit {commit}.\n", caught.len(), caught.len());
    page.push_str("\n| broken | in | caught by |\n| --- | --- | --- |\n");
    for fault in caught {
        let tests: Vec<_> = fault.caught_by.iter().map(|test| format!("`{test}`")).collect();
        let rows = if fault.rows.is_empty() { String::new() } else { format!("{}: ", fault.rows.join(", ")) };
        let cell = |text: &str| text.replace('|', "\\|");
        _ = writeln!(page, "| {rows}{} | `{}` | {} |", cell(fault.breaks), fault.file, tests.join("<br>"));
    }
    fs::write(root().join(PAGE), page).map_err(|error| Stop::Because(format!("{PAGE}: {error}")))
}

/// The rows of a page of bullets: how each begins, and the names of the tests in it.
#[cfg(test)]
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for line in page.lines() {
        if let Some(begin) = line.strip_prefix("- ") {
            rows.push((begin.chars().take(60).collect(), Vec::new()));
        } else if line.starts_with("## ") {
            rows.push((String::new(), Vec::new()));
        }
        if let Some((_, tests)) = rows.last_mut() {
            let named = line.split('`').filter_map(|word| word.split_once(".rs::"));
            tests.extend(named.map(|(_, test)| test.to_owned()));
        }
    }
    rows.retain(|(_, tests)| !tests.is_empty());
    rows
}

#[cfg(test)]
mod tests {
    use super::super::faults;
    use super::*;

    #[test]
    fn every_row_of_the_failure_modes_has_a_seeded_fault() {
        let page =
            fs::read_to_string(root().join("crates/tower-oauth-refresh/docs/failure-modes.md")).unwrap();
        let catches = |test: &String| {
            faults::all().flat_map(|fault| fault.caught_by).any(|by| by.rsplit("::").next() == Some(test))
        };
        let rows = rows(&page);
        assert!(rows.len() > 150, "{}", rows.len());
        let without: Vec<_> = rows.iter().filter(|(_, tests)| !tests.iter().any(catches)).collect();
        assert!(without.is_empty(), "{without:#?}");
    }

    #[test]
    fn every_promise_has_a_seeded_fault() {
        let page = fs::read_to_string(root().join("crates/tower-oauth-refresh/docs/reliability.md")).unwrap();
        let promises: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| I")?.split(' ').next()).collect();
        assert!(promises.len() >= 18, "{promises:?}");
        let is_broken = |promise: &&str| {
            faults::all().flat_map(|fault| fault.rows).any(|row| row.strip_prefix('I') == Some(promise))
        };
        let without: Vec<_> = promises.into_iter().filter(|promise| !is_broken(promise)).collect();
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn every_fault_names_a_test() {
        let unnamed = faults::all().filter(|fault| fault.caught_by.is_empty()).map(|fault| fault.breaks);
        assert_eq!(unnamed.collect::<Vec<_>>(), [""; 0]);
    }
}
