//! `cargo xtask prove [WORD…]`: breaks one promise after the other, and expects the test that is named for it to fail.
//!
//! Each [`Fault`] is one change to the product code, made in a copy of the tree. It is caught if every test that it names
//! fails. A test that does not end within its time has not caught anything. With words, only faults are tried whose
//! description, file or tests contain one of them.
//!
//! What was caught in a run that was interrupted is not tried again, as long as no source has changed.

mod caught;
mod faults;
mod page;
mod target;
mod tree;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use self::caught::Caught;
use self::faults::Fault;
use self::target::Target;
use self::tree::Tree;
use crate::prepare::{self, Services};
use crate::step::{Outcome, Stop, output, root};

/// As seconds allow.
const HISTORIES: &str = "1000000";
const BOUNDS: &str = "13:0 9:1";
/// Seconds for the tests of one fault, after they have been built.
const LIMIT: &str = "180";
/// How many faults are tried at a time. A build of one crate does not fill two cores.
const WORKERS: usize = 2;

pub(crate) fn run(words: &[&str]) -> Outcome {
    let (writes, words): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| **word == "--page");
    if !writes.is_empty() && !words.is_empty() {
        return Err(Stop::Because("the page is written by a run of all faults".to_owned()));
    }
    let commit = output("git", &["describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]);
    let mut chosen: Vec<&Fault> = faults::all().filter(|fault| fault.is_named_by(&words)).collect();
    // One crate after the other: each is built again only where it changes.
    chosen.sort_by_key(|fault| (fault.targets().into_keys().collect::<Vec<_>>(), fault.file));
    let needs = |fault: &&Fault| fault.targets().keys().any(Target::needs_services);
    let services = if chosen.iter().any(needs) { prepare::everything()? } else { Services::default() };
    let benches: Vec<Bench> =
        (0..WORKERS).map(|number| Bench::new(number, &services)).collect::<Result<_, _>>()?;
    let missed = try_all(&benches, &chosen)?;
    if !missed.is_empty() {
        return Err(Stop::Because(format!("of {} faults, not caught: {missed:#?}", chosen.len())));
    }
    eprintln!("{} of {} caught", chosen.len(), chosen.len());
    if writes.is_empty() { Ok(()) } else { page::write(&chosen, &commit.unwrap_or_default()) }
}

/// What is not caught. The first worker begins at the front and the others at the back, so that each builds few crates.
#[expect(clippy::disallowed_methods, reason = "a tool, which says how long it takes")]
fn try_all(benches: &[Bench<'_>], chosen: &[&Fault]) -> Result<Vec<String>, Stop> {
    let caught = Caught::open()?;
    let queue = Mutex::new(VecDeque::from(chosen.to_vec()));
    let next = |bench: &Bench<'_>| {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if bench.number == 0 { queue.pop_front() } else { queue.pop_back() }
    };
    let work = |bench: &Bench<'_>| {
        let mut missed = Vec::new();
        if bench.number + 1 == benches.len() {
            missed.extend(bench.failures_without_a_fault(chosen)?);
        }
        while let Some(fault) = next(bench) {
            if caught.has(fault) {
                eprintln!("caught before      {}", fault.breaks);
                continue;
            }
            let begun = Instant::now();
            let outcome = bench.try_one(fault)?;
            let seconds = begun.elapsed().as_secs();
            match outcome {
                None => {
                    eprintln!("caught      {seconds:3} s  {}", fault.breaks);
                    caught.note(fault)?;
                }
                Some(why) => {
                    eprintln!("NOT CAUGHT  {seconds:3} s  {}\n            {why}", fault.breaks);
                    missed.push(fault.breaks.to_owned());
                }
            }
        }
        Ok(missed)
    };
    let panicked = |_| Err(Stop::Because("a worker panicked".to_owned()));
    let missed: Result<Vec<_>, Stop> = std::thread::scope(|scope| {
        let workers: Vec<_> = benches.iter().map(|bench| scope.spawn(|| work(bench))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    Ok(missed?.into_iter().flatten().collect())
}

/// Where one worker tries faults: a copy of the tree, and what is built of it.
#[derive(Debug)]
struct Bench<'a> {
    number: usize,
    folder: PathBuf,
    tree: Tree,
    services: &'a Services,
}

/// What a test did, by its name.
type Results = BTreeMap<String, bool>;

impl<'a> Bench<'a> {
    fn new(number: usize, services: &'a Services) -> Result<Self, Stop> {
        let folder = root().join(format!("target/prove/{number}"));
        let tree = Tree::copy(folder.join("tree"))?;
        Ok(Self { number, folder, tree, services })
    }

    /// A test that fails without any fault shows nothing by failing for one.
    fn failures_without_a_fault(&self, chosen: &[&Fault]) -> Result<Vec<String>, Stop> {
        let mut all: BTreeMap<Target, Vec<&str>> = BTreeMap::new();
        for (target, tests) in chosen.iter().flat_map(|fault| fault.targets()) {
            all.entry(target).or_default().extend(tests);
        }
        let mut failures = Vec::new();
        for (target, tests) in all {
            let (results, said) = self.run(&target, &tests)?;
            for test in tests.into_iter().filter(|test| results.get(*test) != Some(&true)) {
                failures.push(format!("{test} does not pass without any fault"));
                eprintln!("{test} does not pass without any fault:\n{}", last_lines(&said));
            }
        }
        Ok(failures)
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
            .env("CARGO_TARGET_DIR", &self.folder)
            // Nobody looks at these with a debugger, and without they are built faster.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
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
