//! `cargo xtask mutants [CRATE…] [--sample N] [--again | --sum]`: every small change to the product code, and
//! whether a test notices.
//!
//! cargo-mutants says what is changed. A crate is built once with all of it, each change behind a switch that the
//! environment turns on; one run of every test says which switches it reaches, and a mutant is tried with the
//! tests that reach it, first those of its own module, and of those the fastest. What cannot be switched (a
//! constant) is built by itself. What came of each is in `target/mutants/CRATE.txt`; `--again` goes on from there,
//! and tries once more what is not caught; `--sum` tries nothing.

mod build;
mod list;
mod reach;
mod switch;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use self::build::{Build, Program};
use self::list::Mutant;
use self::reach::{Bench, Test, on_every_core};
use crate::prepare::{self, Services};
use crate::step::{Outcome, Stop, root};

/// With the tests across crates that are run beside their own, by the beginnings of their names.
const CRATES: &[(&str, &[&str])] = &[
    ("tower-oauth-refresh", &[]),
    ("tower-oauth-refresh-file", &["files::"]),
    ("tower-oauth-refresh-sql", &["stores::", "files::"]),
    ("tower-oauth-refresh-redis", &["stores_redis::"]),
    ("tower-oauth-refresh-keyring", &[]),
    ("tower-oauth-refresh-binding", &[]),
];

/// The tests of a crate itself.
const OWN: &[&str] = &["--lib", "--tests"];

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let sum = arguments.contains(&"--sum");
    let again = sum || arguments.contains(&"--again");
    let sample = arguments.iter().skip_while(|word| **word != "--sample").nth(1);
    let sample = sample.map_or(usize::MAX, |number| number.parse().unwrap_or(usize::MAX));
    let named = |name: &str| arguments.contains(&name);
    let any = CRATES.iter().any(|(name, _)| named(name));
    let mut table = HEAD.to_owned();
    let mut missed = String::new();
    for (package, across) in CRATES.iter().filter(|(name, _)| !any || named(name)) {
        let trial = Trial::new(package, across, sample, again)?;
        let all = trial.mutants.len();
        let results = if sum { trial.results() } else { trial.run()? };
        table.push_str(&row(package, all, &results));
        for (name, (verdict, by)) in results.iter().filter(|(_, (verdict, _))| *verdict > Verdict::Caught) {
            let _ = writeln!(missed, "{}: {name} {by}", verdict.word());
        }
    }
    writeln!(std::io::stdout(), "{missed}\n{table}").map_err(|error| Stop::Because(error.to_string()))
}

const HEAD: &str = "\
| crate | changes | not tried | do not compile | caught | end by the time limit | missed | caught, of those that compile |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

fn row(package: &str, all: usize, results: &Results) -> String {
    let count = |verdict| results.values().filter(|(other, _)| *other == verdict).count();
    let (broken, caught, late) = (
        count(Verdict::DoesNotCompile) + count(Verdict::LeftOut),
        count(Verdict::Caught),
        count(Verdict::OutOfTime),
    );
    let missed = count(Verdict::Missed) + count(Verdict::Unreached);
    let permille = (caught * 1000).checked_div(results.len() - broken).unwrap_or(1000);
    let left = all.saturating_sub(results.len());
    let (whole, tenth) = (permille / 10, permille % 10);
    format!(
        "| `{package}` | {all} | {left} | {broken} | {caught} | {late} | {missed} | {whole}.{tenth} % |\n"
    )
}

/// By the name of the mutant: what came of it, and which test said so.
type Results = BTreeMap<String, (Verdict, String)>;

/// One crate.
#[derive(Debug)]
struct Trial {
    package: &'static str,
    across: &'static [&'static str],
    mutants: Vec<Mutant>,
    results: Mutex<Results>,
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    DoesNotCompile,
    /// For another system, or behind a feature.
    LeftOut,
    Caught,
    OutOfTime,
    Missed,
    /// No test came there.
    Unreached,
}

const VERDICTS: &[(Verdict, &str)] = &[
    (Verdict::DoesNotCompile, "does not compile"),
    (Verdict::LeftOut, "not compiled here"),
    (Verdict::Caught, "caught"),
    (Verdict::OutOfTime, "ended by the time limit"),
    (Verdict::Missed, "missed"),
    (Verdict::Unreached, "missed, no test came there"),
];

impl Verdict {
    fn word(self) -> &'static str {
        VERDICTS.iter().find(|(other, _)| *other == self).map_or("", |(_, word)| word)
    }
}

impl Trial {
    fn new(
        package: &'static str,
        across: &'static [&'static str],
        sample: usize,
        again: bool,
    ) -> Result<Self, Stop> {
        let mut mutants = list::of(package)?;
        // The same order every time, and a part of it is a fair sample of the whole.
        mutants.sort_by_cached_key(|mutant| {
            let mut hash = DefaultHasher::new();
            mutant.name.hash(&mut hash);
            hash.finish()
        });
        mutants.truncate(sample);
        let file = root().join(format!("target/mutants/{package}.txt"));
        let known = if again { std::fs::read_to_string(&file).unwrap_or_default() } else { String::new() };
        let mut results: BTreeMap<_, _> = known.lines().filter_map(read_result).collect();
        results.retain(|name, _| mutants.iter().any(|mutant| mutant.name == *name));
        Ok(Self { package, across, mutants, results: Mutex::new(results), file })
    }

    fn run(self) -> Result<Results, Stop> {
        let of_no_use = self.numbers(&[Verdict::DoesNotCompile]);
        let build = Build::new(self.package, &self.mutants, &of_no_use)?;
        for number in &build.broken {
            self.note(*number, Verdict::DoesNotCompile, "");
        }
        let services = if self.across.is_empty() { Services::default() } else { prepare::databases()? };
        let programs =
            self.programs(&build)?.ok_or_else(|| Stop::Because("the tests do not compile".to_owned()))?;
        let bench = Bench { programs: &programs, services: &services };
        let (tests, useless) = bench.tests(&root().join("target/mutants"))?;
        eprintln!(
            "{}: {} tests; too long, or failing by themselves: {useless:#?}",
            self.package,
            tests.len()
        );
        let unreached = build
            .switched
            .iter()
            .copied()
            .filter(|number| !tests.iter().any(|test| test.reaches.contains(number)));
        for number in build.left_out(&self.mutants, &unreached.collect())? {
            self.note(number, Verdict::LeftOut, "");
        }
        let settled = self.numbers(&[Verdict::DoesNotCompile, Verdict::LeftOut, Verdict::Caught]);
        let open: Vec<usize> = (0..self.mutants.len()).filter(|number| !settled.contains(number)).collect();
        let (switched, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|number| build.switched.contains(number));
        on_every_core(&switched, |_, number| {
            let mut reaching: Vec<&Test> =
                tests.iter().filter(|test| test.reaches.contains(number)).collect();
            let file = self.mutants.get(*number).map_or("", |mutant| mutant.file.as_str());
            reaching.sort_by_key(|test| Reverse(nearness(file, &test.name)));
            self.attempt(&bench, *number, &reaching, &[("MUTANT", &number.to_string())]);
        });
        eprintln!("{}: {} are built one by one", self.package, others.len());
        for number in others {
            self.build_and_attempt(&build, &services, &tests, number)?;
        }
        Ok(self.results())
    }

    fn results(self) -> Results {
        self.results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn programs(&self, build: &Build) -> Result<Option<Vec<Program>>, Stop> {
        let Some(mut programs) = build.programs(self.package, OWN, "")? else {
            return Ok(None);
        };
        for filter in self.across {
            let Some(more) = build.programs("workspace-tests", &["--test", "it"], filter)? else {
                return Ok(None);
            };
            programs.extend(more);
        }
        Ok(Some(programs))
    }

    fn build_and_attempt(
        &self,
        build: &Build,
        services: &Services,
        tests: &[Test],
        number: usize,
    ) -> Outcome {
        let Some(mutant) = self.mutants.get(number) else { return Ok(()) };
        build.make_one(mutant)?;
        let Some(programs) = build.programs(self.package, OWN, "")? else {
            self.note(number, Verdict::DoesNotCompile, "");
            return Ok(());
        };
        // Only its own tests: those across crates take long to build. What is in the same file stands for what has no switch of its own.
        let beside =
            |number: &usize| self.mutants.get(*number).is_some_and(|other| other.file == mutant.file);
        let own = |test: &&Test| test.program < programs.len() && test.reaches.iter().any(beside);
        let near: Vec<&Test> = tests.iter().filter(own).collect();
        self.attempt(&Bench { programs: &programs, services }, number, &near, &[]);
        Ok(())
    }

    fn attempt(&self, bench: &Bench<'_>, number: usize, tests: &[&Test], variables: &[(&str, &str)]) {
        if tests.is_empty() {
            return self.note(number, Verdict::Unreached, "");
        }
        match bench.attempt(tests, variables) {
            reach::Outcome::Caught(by) => self.note(number, Verdict::Caught, &by),
            reach::Outcome::OutOfTime => self.note(number, Verdict::OutOfTime, ""),
            reach::Outcome::Missed => self.note(number, Verdict::Missed, &format!("{} tests", tests.len())),
        }
    }

    fn numbers(&self, verdicts: &[Verdict]) -> BTreeSet<usize> {
        let results = self.results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let has = |mutant: &Mutant| {
            results.get(&mutant.name).is_some_and(|(verdict, _)| verdicts.contains(verdict))
        };
        self.mutants.iter().enumerate().filter(|(_, mutant)| has(mutant)).map(|(number, _)| number).collect()
    }

    /// Written at once: a run may be ended at any time.
    fn note(&self, number: usize, verdict: Verdict, by: &str) {
        let Some(mutant) = self.mutants.get(number) else { return };
        let mut results = self.results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        results.insert(mutant.name.clone(), (verdict, by.to_owned()));
        let mut text = String::new();
        for (name, (verdict, by)) in results.iter() {
            let _ = writeln!(text, "{}\t{name}\t{by}", verdict.word());
        }
        let _ = write_whole(&self.file, &text);
    }
}

/// How many modules a file and a test have in common.
fn nearness(file: &str, test: &str) -> usize {
    let path = file.split_once("/src/").map_or(file, |(_, path)| path).trim_end_matches(".rs");
    path.split('/').zip(test.split("::")).take_while(|(one, other)| one == other).count()
}

fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let whole = file.with_extension("new");
    std::fs::write(&whole, text)?;
    std::fs::rename(whole, file)
}

fn read_result(line: &str) -> Option<(String, (Verdict, String))> {
    let mut parts = line.split('\t');
    let (word, name, by) = (parts.next()?, parts.next()?, parts.next()?);
    let verdict = VERDICTS.iter().find(|(_, other)| *other == word)?.0;
    Some((name.to_owned(), (verdict, by.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_the_same_module_are_nearer() {
        let near = |test| nearness("crates/c/src/coordinator/machine/judge.rs", test);
        assert_eq!(near("coordinator::machine::tests::simulation::x"), 2);
        assert_eq!((near("coordinator::tests::x"), near("service::tests::x")), (1, 0));
    }

    #[test]
    fn a_row_counts_each_verdict_and_leaves_out_what_does_not_compile() {
        let lines = "does not compile\ta\t\ncaught\tb\tt::x\ncaught\tc\tt::y\nmissed\td\t3 tests\n";
        let results: Results = lines.lines().filter_map(read_result).collect();
        assert_eq!(row("p", 5, &results), "| `p` | 5 | 1 | 1 | 2 | 0 | 1 | 66.6 % |\n");
    }
}
