//! The rules of the house that the compiler does not know, read off the source tree.
//!
//! Each rule says what is wrong with one file. The first test holds all of them against the tree; the others
//! show each rule a file that breaks it, so that none passes because it sees nothing.

mod rules;
mod source;

use self::rules::Exports;
use self::source::Source;

const CORE: &str = "crates/tower-oauth-refresh/src";

#[track_caller]
fn assert_refused(file: &str, text: &str, complaint: &str) {
    let exports = Exports::of(&Source::new("lib.rs", "pub use self::store::{MemoryStore, Swap as Trade};"));
    let complaints = rules::complaints(&Source::new(file, text), &exports);
    assert!(complaints.iter().any(|line| line.contains(complaint)), "{file}: {text:?} gets {complaints:?}");
}

#[track_caller]
fn assert_accepted(file: &str, text: &str) {
    let complaints = rules::complaints(&Source::new(file, text), &Exports::default());
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn every_file_keeps_the_rules() {
    let tree = Source::tree();
    let root =
        tree.iter().find(|source| source.path() == format!("{CORE}/lib.rs")).expect("the core is read");
    let exports = Exports::of(root);
    let complaints: Vec<_> = tree.iter().flat_map(|source| rules::complaints(source, &exports)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_test_that_the_failure_modes_name_is_there() {
    let page = source::read("crates/tower-oauth-refresh/docs/failure-modes.md").expect("the page is there");
    let named: Vec<_> = page.split('`').filter_map(|word| word.split_once(".rs::")).collect();
    assert!(named.len() > 100, "only {} tests are named", named.len());
    let missing = named.iter().filter(|(file, test)| {
        let text = [CORE.to_owned() + "/", String::new()]
            .iter()
            .find_map(|folder| source::read(&format!("{folder}{file}.rs")));
        // A function, or a row of a macro that makes one of each.
        let is_there =
            |text: String| ["fn ", "\n    "].iter().any(|before| text.contains(&format!("{before}{test}(")));
        !text.is_some_and(is_there)
    });
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn secrets_are_exposed_in_few_files() {
    for file in ["service.rs", "token.rs", "coordinator/flight.rs", "store/memory.rs"] {
        assert_refused(&format!("{CORE}/{file}"), "let text = token.expose_secret();", "exposes a secret");
    }
    assert_accepted(&format!("{CORE}/attach.rs"), "let text = token.expose_secret();");
    assert_accepted(&format!("{CORE}/token.rs"), "// expose_secret() is called elsewhere\n");
}

#[test]
fn the_machine_is_pure() {
    for impure in [
        "use tokio::sync::watch;",
        "let x = getrandom::u64();",
        "let now = clock.now(); fn f(clock: &dyn Clock) {}",
        "async fn f() {}",
        "use std::fs;",
        "tracing::info!(x);",
    ] {
        assert_refused(&format!("{CORE}/coordinator/machine.rs"), impure, "is pure");
        assert_refused(&format!("{CORE}/coordinator/machine/commit.rs"), impure, "is pure");
    }
    assert_accepted(
        &format!("{CORE}/coordinator/machine.rs"),
        "use crate::clock::Now;\nfn step(now: Now) {}",
    );
}

#[test]
fn imports_point_down() {
    for upward in [
        "use crate::store::MemoryStore;",
        "use super::endpoint::Request;",
        "use crate::{clock::Now, store::{Swap, Version}};",
        "fn f(store: crate::MemoryStore) {}",
        "use crate::{Generation, Trade};",
    ] {
        assert_refused(&format!("{CORE}/layer.rs"), upward, "must not know");
    }
    assert_refused(&format!("{CORE}/service/ready.rs"), "use super::super::store::Swap;", "must not know");
    assert_refused(&format!("{CORE}/token.rs"), "use crate::coordinator::Policy;", "must not know");
    assert_refused(&format!("{CORE}/coordinator/flight.rs"), "use crate::layer::X;", "must not know");
    assert_refused(&format!("{CORE}/session.rs"), "", "belongs to no ring");
    assert_accepted(&format!("{CORE}/layer.rs"), "use crate::coordinator::RefreshCoordinator;");
    assert_accepted(&format!("{CORE}/store/memory.rs"), "use super::Swap;\nuse crate::clock::Clock;");
}

#[test]
fn only_the_driver_spawns_and_only_the_clock_reads_time() {
    for spawning in ["tokio::spawn(x);", "let handle = Handle::try_current()?;", "task::spawn_blocking(f);"] {
        assert_refused(
            &format!("{CORE}/coordinator/flight.rs"),
            spawning,
            "only coordinator/driver.rs spawns",
        );
        assert_accepted(&format!("{CORE}/coordinator/driver.rs"), spawning);
    }
    assert_refused("crates/tower-oauth-refresh-sql/src/lib.rs", "tokio::spawn(x);", "spawns");
    assert_accepted("crates/tower-oauth-refresh-file/src/lib.rs", "task::spawn_blocking(f);");
    assert_refused("crates/tower-oauth-refresh-file/src/lib.rs", "Instant::now()", "reads the time");
    assert_refused(&format!("{CORE}/future.rs"), "tokio::time::Instant::now()", "reads the time");
    assert_accepted(&format!("{CORE}/clock.rs"), "SystemTime::now()");
}

/// A feature that anything in a program enables is enabled for all of it.
#[test]
fn the_core_has_no_features() {
    let manifest = source::read("crates/tower-oauth-refresh/Cargo.toml").expect("the core has one");
    assert!(!manifest.contains("[features]") && !manifest.contains("optional = true"));
}

#[test]
fn files_are_short_and_named_after_what_they_hold() {
    assert_refused("crates/x/src/long.rs", &"x\n".repeat(501), "501 lines");
    assert_accepted("crates/x/src/tests.rs", &"x\n".repeat(501));
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(400), "x\n".repeat(400));
    assert_accepted("crates/x/src/tested.rs", &tested);
    for name in ["crates/x/src/token_manager.rs", "crates/x/src/util/hash.rs", "crates/x-common/src/lib.rs"] {
        assert_refused(name, "", "says nothing");
    }
    assert_accepted("crates/x/src/database.rs", "");
}
