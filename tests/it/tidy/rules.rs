//! The rules.

use std::collections::BTreeMap;

use super::CORE;
use super::source::Source;

/// Where the crate's own kinds of modules stand; a file of none of them has to be given its place here and
/// in ARCHITECTURE.md.
const MIDDLEWARE: &[&str] = &["body", "future", "layer", "replay", "report", "service"];
const ENGINE: &[&str] = &["attach", "coordinator", "endpoint", "store"];
const VOCABULARY: &[&str] = &[
    "challenge",
    "clock",
    "credential",
    "error",
    "error_code",
    "events",
    "foreign",
    "generation",
    "grant",
    "origin",
    "secret",
    "token",
];

/// Where a secret may be read: on its way to the resource server, to the token endpoint and into a record;
/// the last three only pass on what they cannot read: the bytes of a record, or members that a newer release wrote.
const EXPOSERS: &[&str] = &[
    "attach.rs",
    "endpoint/request.rs",
    "store/record.rs",
    "store/record/wire.rs",
    "secret.rs",
    "store.rs",
    "store/sealed.rs",
    "store/record/unknown.rs",
];

const LONGEST: usize = 500;
const EMPTY_NAMES: &[&str] = &["common", "data", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Crates that are tools of the tests, where time may be read and tasks started.
const TOOLS: &[&str] = &["crates/bench/", "crates/tower-oauth-refresh-testkit/", "crates/xtask/"];

/// Which module each name at the root of the crate comes from.
#[derive(Debug, Default)]
pub(crate) struct Exports(BTreeMap<String, String>);

impl Exports {
    pub(crate) fn of(root: &Source) -> Self {
        let mut names = BTreeMap::new();
        for path in root.public_uses() {
            let path = path.trim_start_matches("self::").trim_start_matches("crate::");
            let Some((module, rest)) = path.split_once("::") else { continue };
            let words =
                rest.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            names.extend(words.map(|word| (word.to_owned(), module.to_owned())));
        }
        Self(names)
    }

    fn module_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }
}

/// Everything that is wrong with the file, one line each.
pub(crate) fn complaints(source: &Source, exports: &Exports) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(empty_name(source));
    if source.is_rust() && !source.is_test() {
        found.extend(length(source));
        let product =
            source.path().starts_with("crates/") && !TOOLS.iter().any(|tool| source.path().starts_with(tool));
        if let Some(file) = source.path().strip_prefix(CORE).and_then(|file| file.strip_prefix('/')) {
            found.extend(exposed_secret(source, file));
            found.extend(impure_machine(source, file));
            found.extend(ring(source, file, exports));
            found.extend(spawn(source, file));
        } else if product {
            found.extend(foreign_spawn(source));
        }
        if product {
            found.extend(time(source));
        }
    }
    found.into_iter().map(|complaint| format!("{}: {complaint}", source.path())).collect()
}

fn exposed_secret(source: &Source, file: &str) -> Option<String> {
    let exposes = source.says("expose_secret") && !EXPOSERS.contains(&file);
    exposes.then(|| format!("exposes a secret, which only {EXPOSERS:?} do"))
}

fn impure_machine(source: &Source, file: &str) -> Vec<String> {
    if file != "coordinator/machine.rs" && !file.starts_with("coordinator/machine/") {
        return Vec::new();
    }
    let impure = [
        "Clock",
        "Instant::now",
        "SystemClock",
        "SystemTime::now",
        "async",
        "await",
        "getrandom",
        "println",
        "rand",
        "std::env",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::thread",
        "tokio",
        "tracing",
    ];
    let found = impure.into_iter().filter(|word| source.says(word));
    found
        .map(|word| format!("has `{word}`, but the machine is pure: (state, now, event) -> (state, effects)"))
        .collect()
}

fn ring(source: &Source, file: &str, exports: &Exports) -> Vec<String> {
    let module = file.split('/').next().unwrap_or(file).trim_end_matches(".rs");
    let allowed: &dyn Fn(&str) -> bool = match module {
        "lib" => return Vec::new(),
        module if MIDDLEWARE.contains(&module) => &|other| !matches!(other, "endpoint" | "store"),
        module if ENGINE.contains(&module) => &|other| !MIDDLEWARE.contains(&other),
        module if VOCABULARY.contains(&module) => {
            &|other| !MIDDLEWARE.contains(&other) && !ENGINE.contains(&other)
        }
        _ => return vec![format!("`{module}` belongs to no ring: place it in tests/it/tidy/rules.rs")],
    };
    let names = source.names_from_root(file.split('/').count());
    let refused =
        names.iter().map(|name| (name, exports.module_of(name))).filter(|(_, other)| !allowed(other));
    refused.map(|(name, other)| format!("`{module}` must not know `{name}` (of `{other}`)")).collect()
}

fn spawn(source: &Source, file: &str) -> Option<String> {
    let spawning = [
        "Handle::current",
        "Handle::try_current",
        "JoinSet",
        "spawn_blocking",
        "spawn_local",
        "task::spawn",
        "thread::Builder",
        "thread::spawn",
        "tokio::spawn",
    ];
    let found = spawning.into_iter().find(|word| source.says(word) && file != "coordinator/driver.rs")?;
    Some(format!("has `{found}`, but only coordinator/driver.rs spawns"))
}

/// A store may hand blocking work to the runtime; a task that outlives the call is the coordinator's.
fn foreign_spawn(source: &Source) -> Option<String> {
    let found = ["JoinSet", "task::spawn", "tokio::spawn"].into_iter().find(|word| source.says(word))?;
    Some(format!("has `{found}`, but only the coordinator's driver spawns"))
}

fn time(source: &Source) -> Option<String> {
    let allowed = source.path() == format!("{CORE}/clock.rs");
    let found =
        ["Instant::now", "SystemTime::now", "clock_gettime"].into_iter().find(|word| source.says(word))?;
    (!allowed).then(|| format!("reads the time (`{found}`), which only the core's clock.rs does"))
}

fn length(source: &Source) -> Option<String> {
    (source.lines() > LONGEST).then(|| format!("{} lines, and {LONGEST} is the most", source.lines()))
}

fn empty_name(source: &Source) -> Option<String> {
    let mut words = source.path().split(['/', '.', '_', '-']);
    let word = words.find(|word| EMPTY_NAMES.contains(word))?;
    Some(format!("`{word}` says nothing about what is inside"))
}
