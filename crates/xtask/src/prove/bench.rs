//! A copy of the tree, what is built of it, and what its tests say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};

use super::faults::Fault;
use super::switches::{CHOICE, Switches};
use super::target::Target;
use super::tree::Tree;
use crate::prepare::Services;
use crate::step::{Stop, root};

/// As seconds allow.
const HISTORIES: &str = "1000000";
const BOUNDS: &str = "13:0 9:1";
/// Seconds for the tests of one fault, after they have been built.
const LIMIT: u32 = 180;
/// The same, for all tests that any fault names.
const LIMIT_OF_ALL: u32 = 1800;

#[derive(Debug)]
pub(crate) struct Bench<'a> {
    tree: Tree,
    services: &'a Services,
}

/// What a test did, by its name.
type Results = BTreeMap<String, bool>;

impl<'a> Bench<'a> {
    pub(crate) fn new(name: &str, services: &'a Services) -> Result<Self, Stop> {
        Ok(Self { tree: Tree::copy(root().join("target/prove").join(name).join("tree"))?, services })
    }

    /// Builds as many faults as can be [switched](Switches) and whose tests pass while none is chosen.
    pub(crate) fn build_together(&self, chosen: &[&'a Fault]) -> Result<BTreeSet<usize>, Stop> {
        let named =
            |(number, fault): (usize, &&'a Fault)| (!fault.caught_by.is_empty()).then_some((number, *fault));
        let mut switches = Switches(chosen.iter().enumerate().filter_map(named).collect());
        let mut targets: Vec<Target> =
            switches.0.values().flat_map(|fault| fault.targets().into_keys()).collect();
        targets.sort();
        targets.dedup();
        let mut written = Vec::new();
        while let Some(target) = targets.first() {
            let (files, places) = switches.files(|path| fs::read_to_string(root().join(path)).ok());
            switches.0.retain(|number, _| places.numbers().contains(number));
            written.retain(|path| !files.contains_key(path));
            self.tree.restore(&written)?;
            self.tree.write(&files)?;
            written = files.into_keys().collect();
            let (builds, said) =
                self.cargo("cargo", &[], target, &["--no-run", "--message-format=short"], None)?;
            if builds {
                targets.remove(0);
                continue;
            }
            let blamed = places.blamed(&said);
            eprintln!("{target:?}: {} faults do not build together with the others", blamed.len());
            let of_target = |fault: &Fault| blamed.is_empty() && fault.targets().contains_key(target);
            let before = switches.0.len();
            switches.0.retain(|number, fault| !blamed.contains(number) && !of_target(fault));
            if switches.0.len() == before {
                return Err(Stop::Because(format!("it does not build: {said}")));
            }
        }
        let faults: Vec<&Fault> = switches.0.values().copied().collect();
        let failed = self.failing_without_a_fault(&faults)?;
        switches.0.retain(|_, fault| !fault.caught_by.iter().any(|test| failed.contains_key(name(test))));
        Ok(switches.0.into_keys().collect())
    }

    /// A test that fails without any fault shows nothing by failing for one.
    pub(crate) fn failures_without_a_fault(&self, chosen: &[&Fault]) -> Result<Vec<String>, Stop> {
        let failing = self.failing_without_a_fault(chosen)?;
        Ok(failing.into_keys().map(|test| format!("{test} does not pass without any fault")).collect())
    }

    /// The tests that do not pass, and what they say.
    fn failing_without_a_fault(&self, chosen: &[&Fault]) -> Result<BTreeMap<&'static str, String>, Stop> {
        let mut all: BTreeMap<Target, BTreeSet<&str>> = BTreeMap::new();
        for (target, tests) in chosen.iter().flat_map(|fault| fault.targets()) {
            all.entry(target).or_default().extend(tests);
        }
        let mut failing = BTreeMap::new();
        for (target, tests) in all {
            let filters: Vec<&str> = tests.iter().copied().collect();
            let (results, said) = self.run(&target, &filters, None, LIMIT_OF_ALL)?;
            for test in tests.into_iter().filter(|test| results.get(*test) != Some(&true)) {
                eprintln!("{test} does not pass without any fault:\n{}", last_lines(&said));
                failing.insert(test, last_lines(&said));
            }
        }
        Ok(failing)
    }

    /// Tries a fault that has to be built first.
    pub(crate) fn with(&self, fault: &Fault) -> Result<Option<String>, Stop> {
        self.tree.with(fault, || self.why_not_caught(fault, None))
    }

    /// What is wrong, unless the tests that the fault names fail.
    pub(crate) fn why_not_caught(
        &self,
        fault: &Fault,
        chosen: Option<usize>,
    ) -> Result<Option<String>, Stop> {
        if fault.caught_by.is_empty() {
            return self.who_notices().map(Some);
        }
        for (target, tests) in fault.targets() {
            let (results, said) = match self.run(&target, &tests, chosen, LIMIT) {
                Err(Stop::Because(why)) => return Ok(Some(last_lines(&why))),
                ran => ran?,
            };
            for test in tests {
                match results.get(test) {
                    Some(false) => {}
                    Some(true) => return Ok(Some(format!("{test} passes"))),
                    None => return Ok(Some(format!("{test} does not end:\n{}", last_lines(&said)))),
                }
            }
        }
        Ok(None)
    }

    /// For whoever writes a new fault: the unit tests of the core that fail.
    fn who_notices(&self) -> Result<String, Stop> {
        let (results, _) = self.run(&Target::of(""), &["--skip=simulation"], None, LIMIT)?;
        let failed: Vec<_> =
            results.into_iter().filter(|(_, passed)| !passed).map(|(name, _)| name).collect();
        Ok(format!("no test is named; these fail: {failed:#?}"))
    }

    fn run(
        &self,
        target: &Target,
        tests: &[&str],
        chosen: Option<usize>,
        limit: u32,
    ) -> Result<(Results, String), Stop> {
        let (builds, said) = self.cargo("cargo", &[], target, &["--no-run"], None)?;
        if !builds {
            return Err(Stop::Because(format!("it does not build: {said}")));
        }
        let filters: Vec<&str> = std::iter::once("--").chain(tests.iter().copied()).collect();
        // What nobody notices may also wait for ever.
        let (_, said) = self.cargo("timeout", &[&limit.to_string(), "cargo"], target, &filters, chosen)?;
        Ok((results(&said), said))
    }

    /// Whether it succeeded, and what it printed.
    fn cargo(
        &self,
        program: &str,
        before: &[&str],
        target: &Target,
        after: &[&str],
        chosen: Option<usize>,
    ) -> Result<(bool, String), Stop> {
        let mut command = Command::new(program);
        command.args(before).arg("test");
        target.add_to(&mut command);
        let run = command
            .args(after)
            .current_dir(self.tree.path())
            .env("CARGO_TARGET_DIR", root().join("target/prove/build"))
            // Nobody looks at these with a debugger, and without they are built faster.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("SIMULATE_HISTORIES", HISTORIES)
            .env("EXPLORE", BOUNDS)
            .env("RUST_BACKTRACE", "0")
            .envs(chosen.map(|number| (CHOICE, number.to_string())))
            .envs(self.services.variables())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Stop::Because(format!("cannot run {program}: {error}")))?;
        let said =
            format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        Ok((run.status.success(), said))
    }
}

/// Of a test given as `path.rs::name`.
pub(crate) fn name(test: &'static str) -> &'static str {
    test.rsplit("::").next().unwrap_or(test)
}

/// From `test module::name ... ok`; in a macro's module or not.
fn results(said: &str) -> Results {
    let result = |line: &str| {
        let (path, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
        let path = path.strip_suffix(" - should panic").unwrap_or(path);
        let passed = match result {
            "ok" => true,
            "FAILED" => false,
            _ => return None,
        };
        Some((path.rsplit("::").next()?.to_owned(), passed))
    };
    let mut found = Results::new();
    for (name, passed) in said.lines().filter_map(result) {
        // A filter also finds tests of other modules with the same name.
        found.entry(name).and_modify(|all| *all &= passed).or_insert(passed);
    }
    found
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_what_the_tests_print() {
        let said = "test a::b ... ok\ntest a::c - should panic ... FAILED\nnoise\ntest x::b ... FAILED\n";
        let expected = [("b".to_owned(), false), ("c".to_owned(), false)];
        assert_eq!(results(said), Results::from(expected));
    }
}
