//! A copy of the tree in which one crate holds all its mutants, and its test programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::list::Mutant;
use super::switch::{Switched, switch};
use crate::prove::tree::Tree;
use crate::step::{Stop, root};

/// What only a switch may be at fault for.
const BORROWS: &[&str] = &["E0382", "E0499", "E0502", "E0503", "E0505", "E0506", "E0515", "E0597", "E0716"];

/// Of other errors the switch may be the cause, and the change by itself compile.
fn is_wrong_in_every_form(genre: &str, code: &str) -> bool {
    match genre {
        // A value of the wrong type, in a function that returns another.
        "FnValue" => !BORROWS.contains(&code),
        // An operator that these types do not have.
        "BinaryOperator" => matches!(code, "E0277" | "E0368" | "E0369"),
        // An arm with a guard covers as little as one that is not there.
        "MatchArm" => code == NOT_EXHAUSTIVE,
        _ => false,
    }
}

/// Of a `match`, which one of the guards in it is at fault for.
const NOT_EXHAUSTIVE: &str = "E0004";

/// What compiles, and what does not.
#[derive(Debug)]
pub(crate) struct Build {
    tree: Tree,
    package: String,
    sources: BTreeMap<String, String>,
    /// These have a switch.
    pub(crate) switched: BTreeSet<usize>,
    /// These do not compile, whatever the form.
    pub(crate) broken: BTreeSet<usize>,
}

/// Where the tests of a crate are.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) folder: PathBuf,
    /// Only tests whose names begin so.
    pub(crate) filter: &'static str,
}

impl Build {
    /// `known` are those that a run before this one found not to compile or to have no switch.
    pub(crate) fn new(package: &str, mutants: &[Mutant], known: &BTreeSet<usize>) -> Result<Self, Stop> {
        let tree = Tree::copy(root().join("target/mutants/tree"))?;
        let mut sources = BTreeMap::new();
        for mutant in mutants {
            let text = fs::read_to_string(root().join(&mutant.file));
            sources.insert(mutant.file.clone(), text.map_err(|error| Stop::Because(error.to_string()))?);
        }
        let mut build = Self {
            tree,
            package: package.to_owned(),
            sources,
            switched: BTreeSet::new(),
            broken: BTreeSet::new(),
        };
        let mut on: BTreeSet<usize> = (0..mutants.len()).filter(|number| !known.contains(number)).collect();
        build.add_runtime(mutants.len())?;
        loop {
            let files = build.write(mutants, &on)?;
            build.switched = files.values().flat_map(|file| file.placed.iter().copied()).collect();
            build.broken.extend(files.values().flat_map(|file| file.impossible.iter()));
            let said = build.cargo(&["check", "--lib"], package)?;
            let errors = errors(&said);
            eprintln!("{package}: {} switches, {} errors", build.switched.len(), errors.len());
            if errors.is_empty() {
                return Ok(build);
            }
            for error in &errors {
                let Some((culprits, exact)) =
                    files.get(&error.file).and_then(|file| file.culprits(&error.at, &error.code))
                else {
                    return Err(Stop::Because(format!("{}: {}", error.file, error.text)));
                };
                for number in culprits {
                    let genre = mutants.get(number).map_or("", |mutant| mutant.genre.as_str());
                    if exact && is_wrong_in_every_form(genre, &error.code) {
                        build.broken.insert(number);
                    }
                    on.remove(&number);
                }
            }
        }
    }

    fn add_runtime(&mut self, count: usize) -> Result<(), Stop> {
        let folder = self.folder(&self.package).join("src");
        let runtime = format!("{}\nconst COUNT: usize = {count};\n", include_str!("runtime.rs"));
        let lib = fs::read_to_string(folder.join("lib.rs"));
        let lib = lib.map(|lib| format!("{lib}\n#[rustfmt::skip]\nmod mutant;\n"));
        let written = lib.and_then(|lib| fs::write(folder.join("lib.rs"), lib));
        written
            .and_then(|()| fs::write(folder.join("mutant.rs"), runtime))
            .map_err(|error| Stop::Because(format!("cannot write the switches: {error}")))
    }

    fn folder(&self, package: &str) -> PathBuf {
        let folder =
            if package == "workspace-tests" { "tests".to_owned() } else { format!("crates/{package}") };
        self.tree.path().join(folder)
    }

    fn write(&self, mutants: &[Mutant], on: &BTreeSet<usize>) -> Result<BTreeMap<String, Switched>, Stop> {
        let mut files = BTreeMap::new();
        for (name, text) in &self.sources {
            let here = |(number, mutant): &(usize, &Mutant)| mutant.file == *name && on.contains(number);
            let here: Vec<_> = mutants.iter().enumerate().filter(here).collect();
            let switched = switch(text, &here)?;
            self.put(name, &switched.text)?;
            files.insert(name.clone(), switched);
        }
        Ok(files)
    }

    fn put(&self, name: &str, text: &str) -> Result<(), Stop> {
        let path = self.tree.path().join(name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        fs::write(path, text).map_err(|error| Stop::Because(format!("cannot write {name}: {error}")))
    }

    /// Which of these are in no code that is compiled here: it is for another system, or behind a feature.
    pub(crate) fn left_out(
        &self,
        mutants: &[Mutant],
        numbers: &BTreeSet<usize>,
    ) -> Result<BTreeSet<usize>, Stop> {
        let files = self.write(mutants, &self.switched)?;
        for (name, file) in &files {
            let unknown = numbers.iter().fold(file.text.clone(), |text, number| {
                text.replace(&format!("::is({number})"), &format!("::no({number})"))
            });
            self.put(name, &unknown)?;
        }
        let said = self.cargo(&["check", "--lib"], &self.package)?;
        let mut left_out = numbers.clone();
        for error in errors(&said) {
            let pieces = files.get(&error.file).into_iter().flat_map(|file| &file.pieces);
            let here = pieces.filter(|(range, _)| range.start <= error.at.start && error.at.end <= range.end);
            here.flat_map(|(_, numbers)| numbers).for_each(|number| _ = left_out.remove(number));
        }
        Ok(left_out)
    }

    /// Takes all switches out, and makes this one change: for what has no switch.
    pub(crate) fn make_one(&self, mutant: &Mutant) -> Result<(), Stop> {
        for (name, text) in &self.sources {
            let changed = if *name == mutant.file { mutant.replace_in(text) } else { text.clone() };
            self.put(name, &changed)?;
        }
        Ok(())
    }

    /// None if it does not compile.
    pub(crate) fn programs(
        &self,
        package: &str,
        flags: &[&str],
        filter: &'static str,
    ) -> Result<Option<Vec<Program>>, Stop> {
        let arguments: Vec<&str> = ["test", "--no-run"].iter().chain(flags).copied().collect();
        let said = self.cargo(&arguments, package)?;
        if !errors(&said).is_empty() {
            return Ok(None);
        }
        let program = |line: &Value| {
            let is_test = line.pointer("/profile/test").and_then(Value::as_bool) == Some(true);
            let path = line.get("executable").and_then(Value::as_str).filter(|_| is_test)?;
            Some(Program { path: PathBuf::from(path), folder: self.folder(package), filter })
        };
        // Cargo names first what is ready first.
        let mut programs: Vec<Program> = said.iter().filter_map(program).collect();
        programs.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Some(programs))
    }

    fn cargo(&self, arguments: &[&str], package: &str) -> Result<Vec<Value>, Stop> {
        let run = Command::new("cargo")
            .args(arguments)
            .args(["--package", package, "--message-format", "json"])
            .current_dir(self.tree.path())
            .env("CARGO_TARGET_DIR", root().join("target/mutants/build"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Stop::Because(format!("cannot run cargo: {error}")))?;
        let said: Vec<Value> = String::from_utf8_lossy(&run.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        if !run.status.success() && errors(&said).is_empty() {
            return Err(Stop::Because(String::from_utf8_lossy(&run.stderr).into_owned()));
        }
        Ok(said)
    }
}

#[derive(Debug)]
struct CompileError {
    file: String,
    at: Range<usize>,
    code: String,
    text: String,
}

/// Those that say where they are.
fn errors(said: &[Value]) -> Vec<CompileError> {
    let read = |line: &Value| {
        let message = line
            .get("message")
            .filter(|message| message.get("level").is_some_and(|level| level == "error"))?;
        let spans = message.get("spans")?.as_array()?;
        let mut span = spans.iter().find(|span| span.get("is_primary").is_some_and(|is| is == true))?;
        // What a macro wrote is where it was called.
        while let Some(outer) = span.pointer("/expansion/span") {
            span = outer;
        }
        let number = |name: &str| usize::try_from(span.get(name)?.as_u64()?).ok();
        Some(CompileError {
            file: span.get("file_name")?.as_str()?.to_owned(),
            at: number("byte_start")?..number("byte_end")?,
            code: message.pointer("/code/code").and_then(Value::as_str).unwrap_or_default().to_owned(),
            text: message.get("rendered").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
    };
    said.iter().filter_map(read).collect()
}

impl Switched {
    /// The mutants that an error here is the fault of, and whether it is in the text of one alone.
    fn culprits(&self, at: &Range<usize>, code: &str) -> Option<(Vec<usize>, bool)> {
        if code == NOT_EXHAUSTIVE {
            let guard = |range: &Range<usize>| {
                let text = self.text.get(range.clone()).unwrap_or_default();
                range.start >= at.end && (text.starts_with(" if !") || text.starts_with('!'))
            };
            let after = self.pieces.iter().find(|(range, _)| guard(range));
            return after.map(|(_, mutants)| (mutants.clone(), mutants.len() == 1));
        }
        let holds = |range: &Range<usize>| range.start <= at.start && at.end <= range.end;
        if let Some((_, mutants)) = self.pieces.iter().find(|(range, _)| holds(range)) {
            return Some((mutants.clone(), mutants.len() == 1));
        }
        let around =
            self.regions.iter().filter(|(range, _)| holds(range)).min_by_key(|(range, _)| range.len());
        let touched = || self.pieces.iter().find(|(range, _)| range.start < at.end && at.start < range.end);
        // What borrows for too long is before the place where that shows.
        let before = || self.pieces.iter().rev().find(|(range, _)| range.end <= at.start);
        around.or_else(touched).or_else(before).map(|(_, mutants)| (mutants.clone(), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_fault_of_the_piece_that_holds_it_or_of_the_nearest_around() {
        let file = Switched {
            pieces: vec![(0..4, vec![1]), (8..9, vec![2, 3])],
            regions: vec![(0..30, vec![4]), (8..20, vec![5])],
            ..Switched::default()
        };
        assert_eq!(file.culprits(&(1..3), ""), Some((vec![1], true)));
        assert_eq!(file.culprits(&(8..9), ""), Some((vec![2, 3], false)));
        assert_eq!(file.culprits(&(10..12), ""), Some((vec![5], false)));
        assert_eq!(file.culprits(&(25..28), ""), Some((vec![4], false)));
    }
}
