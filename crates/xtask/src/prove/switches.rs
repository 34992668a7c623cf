//! One build for many faults: the function that a fault changes is there twice, and an environment variable chooses.
//!
//! A fault that cannot be built so, because it changes more than the body of one function or because both bodies are
//! not of one type, is left out and has to be built by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use super::faults::Fault;

/// The number of the fault that is chosen.
pub(crate) const CHOICE: &str = "SEEDED_FAULT";

/// What a crate with switches has at its end.
const MODULE: &str = r#"
#[allow(warnings, clippy::all)]
mod seeded {
    pub(crate) fn is(number: usize) -> bool {
        static CHOSEN: std::sync::LazyLock<Option<usize>> =
            std::sync::LazyLock::new(|| std::env::var("SEEDED_FAULT").ok()?.parse().ok());
        *CHOSEN == Some(number)
    }
}
"#;

/// The faults that are built together, by their number.
#[derive(Debug)]
pub(crate) struct Switches<'a>(pub(crate) BTreeMap<usize, &'a Fault>);

/// The faults that some lines of a switched file belong to.
#[derive(Debug)]
struct Place {
    lines: Range<usize>,
    numbers: BTreeSet<usize>,
}

/// All places, by the path of their file.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<String, Vec<Place>>);

impl Switches<'_> {
    /// The switched files, by their path, from what `read` finds at a path.
    pub(crate) fn files(&self, read: impl Fn(&str) -> Option<String>) -> (BTreeMap<String, String>, Places) {
        let (mut files, mut places) = (BTreeMap::new(), Places::default());
        let mut by_file: BTreeMap<&str, Vec<(usize, &Fault)>> = BTreeMap::new();
        for (number, fault) in &self.0 {
            by_file.entry(fault.file).or_default().push((*number, fault));
        }
        for (path, faults) in by_file {
            let Some(text) = read(path) else { continue };
            let (text, marks) = switched(&text, &faults);
            if !marks.is_empty() {
                files.insert(path.to_owned(), text);
                places.0.insert(path.to_owned(), marks);
            }
        }
        let roots: BTreeSet<String> = files.keys().filter_map(|path| root_of(path, &read)).collect();
        for path in roots {
            let text = files.get(&path).cloned().or_else(|| read(&path)).unwrap_or_default();
            files.insert(path, text + MODULE);
        }
        (files, places)
    }
}

impl Places {
    pub(crate) fn numbers(&self) -> BTreeSet<usize> {
        self.0.values().flatten().flat_map(|place| &place.numbers).copied().collect()
    }

    /// The faults that errors like `path:line:column: error…` are about: of the smallest place that the line is in.
    pub(crate) fn blamed(&self, said: &str) -> BTreeSet<usize> {
        let faults = |line: &str| {
            let mut parts = line.split(':');
            let (path, number) = (parts.next()?, parts.next()?.parse::<usize>().ok()?);
            line.contains(": error").then_some(())?;
            let places = self.0.get(path)?.iter().filter(|place| place.lines.contains(&number));
            places.min_by_key(|place| place.lines.len()).map(|place| place.numbers.clone())
        };
        said.lines().filter_map(faults).flatten().collect()
    }
}

/// The crate's root, where the module has to be.
fn root_of(path: &str, read: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let (folder, _) = path.split_once("/src/")?;
    ["lib.rs", "main.rs"]
        .map(|name| format!("{folder}/src/{name}"))
        .into_iter()
        .find(|root| read(root).is_some())
}

/// The text with every fault beside the right body, and the lines of each and of their functions.
fn switched(text: &str, faults: &[(usize, &Fault)]) -> (String, Vec<Place>) {
    let mut in_body: BTreeMap<(usize, usize), Vec<(usize, String)>> = BTreeMap::new();
    let bodies = bodies(text);
    for (number, fault) in faults {
        let Some(begin) = text.find(fault.find) else { continue };
        let changed = begin..begin + fault.find.len();
        let around = |body: &&Range<usize>| body.start <= changed.start && changed.end <= body.end;
        // The outermost: one inside of another cannot be changed besides it.
        let Some(body) = bodies.iter().filter(around).max_by_key(|body| body.len()) else { continue };
        let parts =
            [body.start..changed.start, changed.end..body.end].map(|part| text.get(part).unwrap_or_default());
        in_body.entry((body.start, body.end)).or_default().push((*number, parts.join(fault.replace)));
    }
    let (mut out, mut marks, mut done) = (String::new(), Vec::new(), 0);
    for ((start, end), faults) in in_body {
        out.push_str(text.get(done..start).unwrap_or_default());
        let (first, all) = (line(&out), faults.iter().map(|(number, _)| *number).collect());
        for (number, body) in faults {
            let begin = line(&out);
            _ = write!(out, "if crate::seeded::is({number}) {{{body}\n}} else ");
            marks.push(Place { lines: begin..line(&out), numbers: BTreeSet::from([number]) });
        }
        _ = write!(out, "{{{}}}", text.get(start..end).unwrap_or_default());
        marks.push(Place { lines: first..line(&out) + 1, numbers: all });
        done = end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    (out, marks)
}

fn line(text: &str) -> usize {
    text.matches('\n').count() + 1
}

/// Where the bodies of functions are, without their braces.
fn bodies(text: &str) -> Vec<Range<usize>> {
    let mut found = Bodies(Vec::new());
    if let Ok(file) = syn::parse_file(text) {
        found.visit_file(&file);
    }
    found.0
}

struct Bodies(Vec<Range<usize>>);

impl Bodies {
    fn add(&mut self, signature: &Signature, block: &Block) {
        // In a constant nothing can be chosen.
        if signature.constness.is_none() {
            let bytes = |span: Span| span.byte_range();
            self.0
                .push(bytes(block.brace_token.span.open()).end..bytes(block.brace_token.span.close()).start);
        }
    }
}

impl Visit<'_> for Bodies {
    fn visit_item_fn(&mut self, item: &ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_that_a_fault_changes_is_there_twice() {
        let fault = |find, replace| Fault {
            breaks: "",
            rows: &[],
            file: "a/src/b.rs",
            find,
            replace,
            caught_by: &[],
        };
        let text = "const A: u8 = 1;\nfn f() -> u8 {\n    2\n}\nfn g() {}\n";
        let (one, two, constant) = (fault("2", "3"), fault("    2", "    4"), fault("= 1", "= 5"));
        let switches = Switches(BTreeMap::from([(7, &one), (8, &two), (9, &constant)]));
        let read = |path: &str| match path {
            "a/src/b.rs" => Some(text.to_owned()),
            "a/src/lib.rs" => Some("mod b;\n".to_owned()),
            _ => None,
        };
        let (files, places) = switches.files(read);
        let body = "if crate::seeded::is(7) {\n    3\n\n} else if crate::seeded::is(8) {\n    4\n\n} else {\n    2\n}";
        assert_eq!(files["a/src/b.rs"], text.replace("\n    2\n", body));
        assert!(files["a/src/lib.rs"].starts_with("mod b;\n\n#[allow"));
        assert_eq!(places.numbers(), BTreeSet::from([7, 8]));
        let blamed = |line| places.blamed(&format!("a/src/b.rs:{line}:1: error[E0308]: mismatched types\n"));
        assert_eq!(blamed(3), BTreeSet::from([7]));
        assert_eq!(blamed(6), BTreeSet::from([8]));
        assert_eq!(blamed(9), BTreeSet::from([7, 8]));
        assert_eq!(blamed(12), BTreeSet::new());
    }
}
