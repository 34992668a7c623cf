//! `cargo xtask verify [RING…] [--rounds N]`: the proofs that go beyond one run of the tests.
//!
//! Every ring is a set of ordinary tests, so that `cargo xtask test` runs a short slice of each. Here they run in an
//! optimised build and for `VERIFY_ROUNDS` times as long.

use std::process::{Command, Output, Stdio};

use crate::prepare::{self, Services};
use crate::step::{Outcome, Stop, cargo, run as step, show};

const ROUNDS: u64 = 20;

/// One kind of trouble, and the tests that make it.
struct Ring {
    name: &'static str,
    package: &'static str,
    /// Which test binaries: `--lib`, or `--test NAME`.
    target: &'static [&'static str],
    /// Runs all tests whose path contains this.
    filter: &'static str,
}

const RINGS: &[Ring] = &[
    Ring { name: "threads", package: "tower-oauth-refresh", target: &["--lib"], filter: "tests::threads::" },
    Ring { name: "fleet", package: "tower-oauth-refresh", target: &["--lib"], filter: "tests::fleet::" },
    Ring { name: "clocks", package: "tower-oauth-refresh", target: &["--lib"], filter: "tests::clocks::" },
    Ring { name: "latency", package: "tower-oauth-refresh", target: &["--lib"], filter: "tests::latency::" },
    Ring {
        name: "refusals",
        package: "tower-oauth-refresh",
        target: &["--lib"],
        filter: "service::tests::refusals::",
    },
    Ring {
        name: "answers",
        package: "tower-oauth-refresh",
        target: &["--lib"],
        filter: "endpoint::tests::answers::",
    },
    Ring { name: "panics", package: "tower-oauth-refresh", target: &["--lib"], filter: "tests::panics::" },
    Ring {
        name: "runtimes",
        package: "tower-oauth-refresh",
        target: &["--lib"],
        filter: "tests::runtimes::",
    },
    Ring { name: "files", package: "tower-oauth-refresh-file", target: &["--lib"], filter: "tests::many::" },
    Ring {
        name: "processes",
        package: "workspace-tests",
        target: &["--test", "it"],
        filter: "files::hands::",
    },
    Ring {
        name: "syscalls",
        package: "workspace-tests",
        target: &["--test", "it"],
        filter: "files::syscalls::",
    },
    Ring {
        name: "restart",
        package: "workspace-tests",
        target: &["--test", "it"],
        filter: "stores::restart::",
    },
    Ring { name: "records", package: "tower-oauth-refresh", target: &["--lib"], filter: "record" },
    Ring {
        name: "conformance",
        package: "tower-oauth-refresh-testkit",
        target: &["--lib"],
        filter: "each_store_that_only_seems_right",
    },
    Ring {
        name: "conformance",
        package: "workspace-tests",
        target: &["--test", "it"],
        filter: "stores::sound::",
    },
    Ring { name: "logouts", package: "tower-oauth-refresh", target: &["--lib"], filter: "tests::logouts::" },
    Ring {
        name: "patience",
        package: "tower-oauth-refresh",
        target: &["--lib"],
        filter: "tests::patience::",
    },
];

impl Ring {
    /// The tests of a crate are its own business; those across crates look at databases and files.
    fn needs_services(&self) -> bool {
        self.package == "workspace-tests"
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(["test", "--profile", "fuzz", "--package", self.package]);
        command.args(self.target).arg("--").args(arguments).arg(self.filter);
        command
    }

    /// A filter that matches nothing would pass: the tests may have been renamed.
    fn must_have_tests(&self) -> Outcome {
        let mut list = self.command(&["--list"]);
        let shown = show(&list);
        let unable = |error| Stop::Because(format!("cannot run `{shown}`: {error}"));
        let Output { stdout, .. } = list.stderr(Stdio::inherit()).output().map_err(unable)?;
        if String::from_utf8_lossy(&stdout).contains(": test") {
            return Ok(());
        }
        Err(Stop::Because(format!("verify: the ring {} has no tests: {shown}", self.name)))
    }
}

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let mut rounds = ROUNDS;
    let mut named = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if *word == "--rounds" {
            let number = words.next().and_then(|number| number.parse().ok());
            rounds = number.ok_or_else(|| Stop::Because("--rounds takes a number".to_owned()))?;
        } else if RINGS.iter().any(|ring| ring.name == *word) {
            named.push(*word);
        } else {
            return Err(Stop::Because(format!("verify: no ring {word:?}; there are: {}", names())));
        }
    }
    let rings = || RINGS.iter().filter(|ring| named.is_empty() || named.contains(&ring.name));
    let services = if rings().any(Ring::needs_services) { prepare::stores()? } else { Services::default() };
    for ring in rings() {
        ring.must_have_tests()?;
        step(
            ring.command(&["--nocapture"])
                .envs(services.variables())
                .env("VERIFY_ROUNDS", rounds.to_string()),
        )?;
    }
    Ok(())
}

fn names() -> String {
    let mut names: Vec<_> = RINGS.iter().map(|ring| ring.name).collect();
    names.dedup();
    names.join(", ")
}
