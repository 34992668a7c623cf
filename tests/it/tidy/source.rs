//! One file, without what the rules do not look at: comments, and tests at its end.

use std::fs;
use std::path::Path;

#[derive(Debug)]
pub(crate) struct Source {
    path: String,
    code: String,
    lines: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let text = text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(code, _tests)| code);
        let code = text.lines().map(|line| match line.trim_start() {
            comment if comment.starts_with("//") => "",
            _ => line.split(" // ").next().unwrap_or(line),
        });
        Self { path: path.to_owned(), code: code.collect::<Vec<_>>().join("\n"), lines: text.lines().count() }
    }

    /// Every file of the workspace that a person wrote.
    pub(crate) fn tree() -> Vec<Self> {
        let root = root();
        let mut found = Vec::new();
        for top in ["crates", "examples", "tests"] {
            collect(root, &root.join(top), &mut found);
        }
        found
    }

    /// From the root of the workspace, parted by `/`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn lines(&self) -> usize {
        self.lines
    }

    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
    }

    /// Is the word there, not as a part of a longer one?
    pub(crate) fn says(&self, word: &str) -> bool {
        occurrences(&self.code, word).any(|(_before, after)| !after.starts_with(is_of_a_name))
    }

    /// The first name after each `crate::`, whether written so or as `super::`, in `use` and elsewhere.
    /// `depth`: how many modules down from the crate's root this file is.
    pub(crate) fn names_from_root(&self, depth: usize) -> Vec<String> {
        let from_below = "super::".repeat(depth);
        let starts = ["crate::", &from_below].into_iter().flat_map(|root| {
            occurrences(&self.code, root)
                .filter(|(before, _)| !before.ends_with("::"))
                .map(|(_, after)| after)
        });
        starts.flat_map(first_names).collect()
    }

    /// The `use` declarations that are public, without `pub use` and the semicolon.
    pub(crate) fn public_uses(&self) -> impl Iterator<Item = &str> {
        occurrences(&self.code, "pub use ").filter_map(|(_, after)| Some(after.split_once(';')?.0))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above")
}

/// A file of the workspace, whole.
pub(crate) fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What stands before and after each place where `word` begins a word.
fn occurrences<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    code.match_indices(word)
        .map(|(at, found)| (&code[..at], &code[at + found.len()..]))
        .filter(|(before, _)| !before.ends_with(is_of_a_name))
}

/// `a::b` gives a; `{a::b, c::{d, e}}` gives a and c.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![path.chars().take_while(|c| is_of_a_name(*c)).collect()];
    };
    let (mut names, mut depth, mut at_start) = (Vec::new(), 1, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_start = true,
            _ if at_start && is_of_a_name(c) => {
                names.extend(first_names(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    // A folder may not be there yet.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("the tree can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || matches!(&*name, "node_modules" | "target") {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let parts = path.strip_prefix(root).expect("it was found below").components();
            let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
            found.push(Source::new(&parts.join("/"), &text));
        }
    }
}
