//! What is changed: `cargo mutants --list` decides.

use serde_json::Value;

use crate::step::{Stop, cargo};

/// One change to the product code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// `path:line:column: what is changed`.
    pub(crate) name: String,
    pub(crate) file: String,
    /// The function around it; empty in a constant.
    pub(crate) function: String,
    pub(crate) genre: String,
    pub(crate) replacement: String,
    /// Line and column, both from 1.
    pub(crate) start: (usize, usize),
    pub(crate) end: (usize, usize),
}

pub(crate) fn of(package: &str) -> Result<Vec<Mutant>, Stop> {
    let cannot = || Stop::Because("it needs cargo-mutants: cargo install cargo-mutants --locked".to_owned());
    let listed = cargo(["mutants", "--list", "--json", "--package", package]).output();
    let listed = listed.ok().filter(|output| output.status.success()).ok_or_else(cannot)?;
    let all: Vec<Value> = serde_json::from_slice(&listed.stdout)
        .map_err(|error| Stop::Because(format!("cannot read the list of cargo-mutants: {error}")))?;
    let all = all.iter().map(Mutant::read);
    // It does not know every form of `cfg(test)`.
    Ok(all.filter(|mutant| !mutant.function.starts_with("tests::")).collect())
}

impl Mutant {
    fn read(listed: &Value) -> Self {
        let text =
            |pointer: &str| listed.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |pointer: String| listed.pointer(&pointer).and_then(Value::as_u64).unwrap_or_default();
        let place = |of: &str| {
            let part = |name: &str| usize::try_from(number(format!("/span/{of}/{name}"))).unwrap_or_default();
            (part("line"), part("column"))
        };
        Self {
            name: text("/name"),
            file: text("/file"),
            function: text("/function/function_name"),
            genre: text("/genre"),
            replacement: text("/replacement"),
            start: place("start"),
            end: place("end"),
        }
    }

    /// The text with this one change and no other, as cargo-mutants makes it.
    pub(crate) fn replace_in(&self, text: &str) -> String {
        let (start, end) = (offset(text, self.start), offset(text, self.end));
        let part = |range| text.get(range).unwrap_or_default();
        format!("{}{}{}", part(0..start), self.replacement, part(end..text.len()))
    }
}

fn offset(text: &str, (line, column): (usize, usize)) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    before + rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_read_from_the_list_and_made_in_the_text() {
        let listed = serde_json::json!({
            "name": "a.rs:2:7: replace < with > in f", "file": "a.rs", "genre": "BinaryOperator",
            "replacement": ">", "function": { "function_name": "f" },
            "span": { "start": { "line": 2, "column": 7 }, "end": { "line": 2, "column": 8 } },
        });
        let mutant = Mutant::read(&listed);
        assert_eq!(mutant.function, "f");
        assert_eq!(mutant.replace_in("é\n  ä.b < c\n  d < e\n"), "é\n  ä.b > c\n  d < e\n");
    }
}
