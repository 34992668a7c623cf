//! `cargo xtask prove [WORD…]`: breaks one promise after the other, and expects the test that is named for it to fail.
//!
//! Each [`Fault`] is one change to the product code, made in a copy of the tree. It is caught if every test that it names
//! fails. A test that does not end within its time has not caught anything. With words, only faults are tried whose
//! description, file or tests contain one of them.
//!
//! Most faults are built [together](switches), and one of them is chosen for each run of tests. One that cannot be, or
//! that is not caught so, is tried in a build of its own.

mod bench;
mod faults;
mod page;
mod switches;
mod target;
pub(crate) mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use self::bench::Bench;
use self::faults::Fault;
use self::target::Target;
use crate::prepare::{self, Services};
use crate::step::{Outcome, Stop, output};

/// How many faults are tried at a time, of those that are built.
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
    let missed = try_all(&chosen, &services)?;
    if !missed.is_empty() {
        return Err(Stop::Because(format!("of {} faults, not caught: {missed:#?}", chosen.len())));
    }
    eprintln!("{} of {} caught", chosen.len(), chosen.len());
    if writes.is_empty() { Ok(()) } else { page::write(&chosen, &commit.unwrap_or_default()) }
}

/// What is not caught.
fn try_all(chosen: &[&Fault], services: &Services) -> Result<Vec<String>, Stop> {
    let together = Bench::new("together", services)?;
    let switched = together.build_together(chosen)?;
    eprintln!("{} of {} faults are built together", switched.len(), chosen.len());
    let alone = Bench::new("alone", services)?;
    let left = try_together(&together, chosen, &switched)?;
    let never: Vec<&Fault> =
        left.iter().filter(|(number, _)| !switched.contains(number)).map(|(_, fault)| *fault).collect();
    let mut missed = alone.failures_without_a_fault(&never)?;
    for (_, fault) in left {
        let why = timed(fault, "NOT CAUGHT", || alone.with(fault))?;
        missed.extend(why.map(|_| fault.breaks.to_owned()));
    }
    Ok(missed)
}

/// Tries those that are built together, and returns the others and those that are not caught so, by their number.
fn try_together<'a>(
    bench: &Bench<'a>,
    chosen: &[&'a Fault],
    switched: &BTreeSet<usize>,
) -> Result<Vec<(usize, &'a Fault)>, Stop> {
    let queue = Mutex::new(chosen.iter().copied().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut left = Vec::new();
        while let Some((number, fault)) = next() {
            if !switched.contains(&number)
                || timed(fault, "once more", || bench.why_not_caught(fault, Some(number)))?.is_some()
            {
                left.push((number, fault));
            }
        }
        Ok(left)
    };
    let panicked = |_| Err(Stop::Because("a worker panicked".to_owned()));
    let left: Result<Vec<_>, Stop> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    let mut left: Vec<_> = left?.into_iter().flatten().collect();
    left.sort_by_key(|(number, _)| *number);
    Ok(left)
}

/// Says what became of the fault, and how long that took.
#[expect(clippy::disallowed_methods, reason = "a tool, which says how long it takes")]
fn timed(
    fault: &Fault,
    missed: &str,
    why_not_caught: impl FnOnce() -> Result<Option<String>, Stop>,
) -> Result<Option<String>, Stop> {
    let begun = Instant::now();
    let why = why_not_caught()?;
    let seconds = begun.elapsed().as_secs();
    match &why {
        None => eprintln!("caught      {seconds:3} s  {}", fault.breaks),
        Some(why) => eprintln!("{missed:10}  {seconds:3} s  {}\n            {why}", fault.breaks),
    }
    Ok(why)
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
            found.entry(Target::of(test)).or_default().push(bench::name(test));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::root;

    #[test]
    fn what_every_fault_changes_stands_in_the_source_once() {
        let once = |fault: &&Fault| {
            let text = std::fs::read_to_string(root().join(fault.file)).unwrap_or_default();
            text.matches(fault.find).count() == 1
        };
        let astray: Vec<_> = faults::all().filter(|fault| !once(fault)).map(|fault| fault.breaks).collect();
        assert!(astray.is_empty(), "{astray:#?}");
    }
}
