//! Which test program a test is in.

use std::process::Command;

use crate::step::root;

/// A test program, as cargo names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) package: String,
    /// `--lib`, `--bins`, or `--test` and a name.
    flags: Vec<String>,
    /// A million histories take minutes without optimisation.
    optimised: bool,
}

impl Target {
    /// Of a test given as `path.rs::name`.
    pub(crate) fn of(test: &str) -> Self {
        let optimised = test.contains("/simulation");
        let path = test.split("::").next().unwrap_or(test);
        let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        let (package, flags): (&str, &[&str]) = match parts.as_slice() {
            ["crates", "xtask", ..] => ("xtask", &["--bins"]),
            ["crates", package, "src", ..] => (package, &["--lib"]),
            ["crates", package, "tests", name, ..] => (package, &["--test", name]),
            ["tests", "it", ..] => ("workspace-tests", &["--test", "it"]),
            ["examples", package, "tests", name, ..] => (package, &["--test", name]),
            ["examples", package, ..]
                if root().join("examples").join(package).join("src/lib.rs").is_file() =>
            {
                (package, &["--lib"])
            }
            ["examples", package, ..] => (package, &["--bins"]),
            _ => ("tower-oauth-refresh", &["--lib"]),
        };
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self { package: package.to_owned(), flags, optimised }
    }

    /// Tests across crates look at databases, browsers and servers that others wrote.
    pub(crate) fn needs_services(&self) -> bool {
        self.package == "workspace-tests"
    }

    pub(crate) fn add_to(&self, command: &mut Command) {
        command.args(["--package", &self.package]).args(&self.flags);
        if self.optimised {
            command.args(["--profile", "fuzz"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_found_by_its_path() {
        let of = |test| {
            let target = Target::of(test);
            (target.package, target.flags.join(" "), target.optimised)
        };
        let is = |package: &str, flags: &str, optimised| (package.to_owned(), flags.to_owned(), optimised);
        assert_eq!(of("coordinator/tests/life.rs::x"), is("tower-oauth-refresh", "--lib", false));
        assert_eq!(
            of("coordinator/machine/tests/simulation.rs::x"),
            is("tower-oauth-refresh", "--lib", true)
        );
        assert_eq!(of("crates/p/src/a/b.rs::x"), is("p", "--lib", false));
        assert_eq!(of("crates/p/tests/it/b.rs::x"), is("p", "--test it", false));
        assert_eq!(of("crates/p/tests/processes.rs::x"), is("p", "--test processes", false));
        assert_eq!(of("tests/it/files/hands.rs::x"), is("workspace-tests", "--test it", false));
        assert_eq!(of("examples/quickstart/src/main.rs::x"), is("quickstart", "--bins", false));
        assert_eq!(of("examples/axum-bff/src/session.rs::x"), is("axum-bff", "--lib", false));
        assert_eq!(of("examples/quickstart/tests/runs.rs::x"), is("quickstart", "--test runs", false));
        assert_eq!(of("examples/login-cli/tests/runs/main.rs::x"), is("login-cli", "--test runs", false));
    }
}
