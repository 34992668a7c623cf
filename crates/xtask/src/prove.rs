//! `cargo xtask prove [WORD…]`: breaks one promise after the other, and expects the test that is named for it to fail.
//!
//! Each [`Fault`] is one change to the product code, made in a copy of the tree. It is caught if every test that it names
//! fails. A test that does not end within its time has not caught anything. With words, only faults are tried whose
//! description, file or tests contain one of them.

mod faults;
mod page;
mod target;
mod tree;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use self::faults::Fault;
use self::target::Target;
use self::tree::Tree;
use crate::prepare::{self, Services};
use crate::step::{Outcome, Stop, root};

/// As seconds allow.
const HISTORIES: &str = "1000000";
const BOUNDS: &str = "13:0 9:1";
/// Seconds for the tests of one fault, after they have been built.
const LIMIT: &str = "240";

pub(crate) fn run(words: &[&str]) -> Outcome {
    let (writes, words): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| **word == "--page");
    let mut chosen: Vec<&Fault> = faults::all().filter(|fault| fault.is_named_by(&words)).collect();
    // One crate after the other: each is built again only where it changes.
    chosen.sort_by_key(|fault| (fault.targets().into_keys().collect::<Vec<_>>(), fault.file));
    let needs = |fault: &&Fault| fault.targets().keys().any(Target::needs_services);
    let services = if chosen.iter().any(needs) { prepare::everything()? } else { Services::default() };
    let bench = Bench { tree: Tree::copy()?, services };
    bench.expect_all_to_pass(&chosen)?;
    let mut missed = Vec::new();
    for fault in &chosen {
        match bench.try_one(fault)? {
            None => eprintln!("caught      {}", fault.breaks),
            Some(why) => {
                eprintln!("NOT CAUGHT  {}\n            {why}", fault.breaks);
                missed.push(fault.breaks);
            }
        }
    }
    eprintln!("{} of {} caught", chosen.len() - missed.len(), chosen.len());
    if !missed.is_empty() {
        return Err(Stop::Because(format!("not caught: {missed:#?}")));
    }
    if writes.is_empty() { Ok(()) } else { page::write(&chosen) }
}

/// Where faults are tried.
#[derive(Debug)]
struct Bench {
    tree: Tree,
    services: Services,
}

/// What a test did, by its name.
type Results = BTreeMap<String, bool>;

impl Bench {
    /// A test that fails without any fault would pass for one that catches it.
    fn expect_all_to_pass(&self, chosen: &[&Fault]) -> Outcome {
        let mut all: BTreeMap<Target, Vec<&str>> = BTreeMap::new();
        for (target, tests) in chosen.iter().flat_map(|fault| fault.targets()) {
            all.entry(target).or_default().extend(tests);
        }
        for (target, tests) in all {
            let (results, said) = self.run(&target, &tests)?;
            for test in tests {
                if results.get(test) != Some(&true) {
                    return Err(Stop::Because(format!("{test} does not pass without any fault:\n{said}")));
                }
            }
        }
        Ok(())
    }

    /// Why the fault is not caught, if it is not.
    fn try_one(&self, fault: &Fault) -> Result<Option<String>, Stop> {
        self.tree.with(fault, || {
            if fault.caught_by.is_empty() {
                return self.who_notices().map(Some);
            }
            for (target, tests) in fault.targets() {
                let (results, said) = match self.run(&target, &tests) {
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
        })
    }

    /// For whoever writes a new fault: the unit tests of the core that fail.
    fn who_notices(&self) -> Result<String, Stop> {
        let (results, _) = self.run(&Target::of(""), &["--skip=simulation"])?;
        let failed: Vec<_> =
            results.into_iter().filter(|(_, passed)| !passed).map(|(name, _)| name).collect();
        Ok(format!("no test is named; these fail: {failed:#?}"))
    }

    fn run(&self, target: &Target, tests: &[&str]) -> Result<(Results, String), Stop> {
        self.cargo("cargo", &[], target, &["--no-run"])?;
        let filters: Vec<&str> = std::iter::once("--").chain(tests.iter().copied()).collect();
        // What nobody notices may also wait for ever.
        let (_, said) = self.cargo("timeout", &[LIMIT, "cargo"], target, &filters)?;
        Ok((results(&said), said))
    }

    /// Its exit status is of no interest where tests run, since they are expected to fail.
    fn cargo(
        &self,
        program: &str,
        before: &[&str],
        target: &Target,
        after: &[&str],
    ) -> Result<(bool, String), Stop> {
        let mut command = Command::new(program);
        command.args(before).arg("test");
        target.add_to(&mut command);
        let run = command
            .args(after)
            .current_dir(self.tree.path())
            .env("CARGO_TARGET_DIR", root().join("target/prove"))
            .env("SIMULATE_HISTORIES", HISTORIES)
            .env("EXPLORE", BOUNDS)
            .env("RUST_BACKTRACE", "0")
            .envs(self.services.variables())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Stop::Because(format!("cannot run {program}: {error}")))?;
        let said =
            format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        if after == ["--no-run"] && !run.status.success() {
            return Err(Stop::Because(format!("it does not build: {said}")));
        }
        Ok((run.status.success(), said))
    }
}

impl Fault {
    fn is_named_by(&self, words: &[&str]) -> bool {
        let has = |word: &&str| {
            let texts = [self.breaks, self.file].into_iter().chain(self.caught_by.iter().copied());
            texts.chain(self.rows.iter().copied()).any(|text| text.contains(*word))
        };
        words.is_empty() || words.iter().any(has)
    }

    /// The names of the tests that have to fail, by the program that they are in.
    fn targets(&self) -> BTreeMap<Target, Vec<&'static str>> {
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for test in self.caught_by {
            let name = test.rsplit("::").next().unwrap_or(test);
            found.entry(Target::of(test)).or_default().push(name);
        }
        found
    }
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
    fn what_every_fault_changes_stands_in_the_source_once() {
        let once = |fault: &&Fault| {
            let text = std::fs::read_to_string(root().join(fault.file)).unwrap_or_default();
            text.matches(fault.find).count() == 1
        };
        let astray: Vec<_> = faults::all().filter(|fault| !once(fault)).map(|fault| fault.breaks).collect();
        assert!(astray.is_empty(), "{astray:#?}");
    }

    #[test]
    fn results_are_read_from_what_the_tests_print() {
        let said = "test a::b ... ok\ntest a::c - should panic ... FAILED\nnoise\ntest x::b ... FAILED\n";
        let expected = [("b".to_owned(), false), ("c".to_owned(), false)];
        assert_eq!(results(said), Results::from(expected));
    }
}
