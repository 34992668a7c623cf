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

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use self::bench::Bench;
use self::faults::Fault;
use self::target::Target;
use crate::prepare::{self, Services};
use crate::step::{Outcome, Stop, output};

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
    let missed = try_all(&chosen, &services)?;
    if !missed.is_empty() {
        return Err(Stop::Because(format!("of {} faults, not caught: {missed:#?}", chosen.len())));
    }
    eprintln!("{} of {} caught", chosen.len(), chosen.len());
    if writes.is_empty() { Ok(()) } else { page::write(&chosen, &commit.unwrap_or_default()) }
}

/// A fault, and its number where it is built together with others.
type Job<'a> = (&'a Fault, Option<usize>);

/// What is not caught.
fn try_all(chosen: &[&Fault], services: &Services) -> Result<Vec<String>, Stop> {
    let together = Bench::new("together", services)?;
    let switched = together.build_together(chosen)?;
    eprintln!("{} of {} faults are built together", switched.len(), chosen.len());
    let (first, alone): (Vec<_>, Vec<_>) = (0..chosen.len()).partition(|number| switched.contains(number));
    let alone: Vec<&Fault> = alone.iter().filter_map(|number| chosen.get(*number).copied()).collect();
    let benches: Vec<Bench<'_>> =
        (0..WORKERS).map(|number| Bench::new(&number.to_string(), services)).collect::<Result<_, _>>()?;
    let first = first.into_iter().filter_map(|number| Some((*chosen.get(number)?, Some(number))));
    let queue: Mutex<VecDeque<Job<'_>>> =
        Mutex::new(first.chain(alone.iter().map(|fault| (*fault, None))).collect());
    let mut missed = benches.first().map_or(Ok(vec![]), |bench| bench.failures_without_a_fault(&alone))?;
    let panicked = |_| Err(Stop::Because("a worker panicked".to_owned()));
    let found: Result<Vec<_>, Stop> = std::thread::scope(|scope| {
        let work = |bench| work(&queue, &together, bench);
        let workers: Vec<_> = benches.iter().map(|bench| scope.spawn(move || work(bench))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    missed.extend(found?.into_iter().flatten());
    Ok(missed)
}

/// Tries one fault after the other, and returns those that are not caught.
#[expect(clippy::disallowed_methods, reason = "a tool, which says how long it takes")]
fn work(
    queue: &Mutex<VecDeque<Job<'_>>>,
    together: &Bench<'_>,
    alone: &Bench<'_>,
) -> Result<Vec<String>, Stop> {
    let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || queue().pop_front();
    let mut missed = Vec::new();
    while let Some((fault, number)) = next() {
        let begun = Instant::now();
        let outcome = match number {
            Some(number) => together.why_not_caught(fault, Some(number))?,
            None => alone.with(fault)?,
        };
        let seconds = begun.elapsed().as_secs();
        match outcome {
            None => eprintln!("caught      {seconds:3} s  {}", fault.breaks),
            Some(why) if number.is_some() => {
                eprintln!("once more   {seconds:3} s  {}\n            {why}", fault.breaks);
                queue().push_back((fault, None));
            }
            Some(why) => {
                eprintln!("NOT CAUGHT  {seconds:3} s  {}\n            {why}", fault.breaks);
                missed.push(fault.breaks.to_owned());
            }
        }
    }
    Ok(missed)
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
