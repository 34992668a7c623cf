//! Which tests reach which mutants, and whether one of them fails.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::build::Program;
use crate::prepare::Services;
use crate::step::Stop;

/// A test that takes longer by itself is not used.
const LONGEST: Duration = Duration::from_secs(6);
/// Of the tests that reach a mutant, as many as take so long together.
const TOGETHER: Duration = Duration::from_secs(10);
/// For a second, without optimisation.
const HISTORIES: &str = "1000";
const BOUNDS: &str = "5:0 3:1";
/// What one program may take, so that a mutant that asks for more and more ends before the machine does: in KiB.
const MEMORY: &str = "6000000";

#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) program: usize,
    pub(crate) name: String,
    pub(crate) takes: Duration,
    pub(crate) reaches: BTreeSet<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Caught(String),
    OutOfTime,
    Missed,
}

#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) programs: &'a [Program],
    pub(crate) services: &'a Services,
}

impl Bench<'_> {
    /// Every test by itself, with no mutant on. Says which are of no use: they fail so, or take too long.
    pub(crate) fn tests(&self, notes: &Path) -> Result<(Vec<Test>, Vec<String>), Stop> {
        let mut names = Vec::new();
        for (number, program) in self.programs.iter().enumerate() {
            let listed = self.command(program, &["--list", "--format", "terse"]).output();
            let listed = listed.map_err(|error| Stop::Because(format!("cannot list tests: {error}")))?;
            let said = String::from_utf8_lossy(&listed.stdout).into_owned();
            let tests = said.lines().filter_map(|line| line.strip_suffix(": test"));
            names.extend(
                tests.filter(|name| name.starts_with(program.filter)).map(|name| (number, name.to_owned())),
            );
        }
        let all = on_every_core(&names, |index, (program, name)| {
            let reached = notes.join(format!("{index}"));
            let begun = now();
            let outcome =
                self.run(*program, &[name], &[("MUTANTS_REACHED", &reached.to_string_lossy())], LONGEST);
            let takes = begun.elapsed();
            let said = std::fs::read_to_string(&reached).unwrap_or_default();
            let _ = std::fs::remove_file(&reached);
            let reaches = said.lines().filter_map(|line| line.parse().ok()).collect();
            let test = Test { program: *program, name: name.clone(), takes, reaches };
            if outcome == Outcome::Missed { Ok(test) } else { Err(name.clone()) }
        });
        let (useful, useless): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        let mut tests: Vec<Test> = useful.into_iter().filter_map(Result::ok).collect();
        tests.sort_by_key(|test| test.takes);
        Ok((tests, useless.into_iter().filter_map(Result::err).collect()))
    }

    /// In their order, in groups that get longer, until one fails.
    pub(crate) fn attempt(&self, tests: &[&Test], variables: &[(&str, &str)]) -> Outcome {
        let mut sum = Duration::ZERO;
        let within = tests.iter().take_while(|test| {
            sum += test.takes;
            sum <= TOGETHER
        });
        let mut rest = tests.get(..within.count().max(1)).unwrap_or_default();
        let (mut group, mut late) = (Duration::from_millis(100), false);
        while !rest.is_empty() {
            let mut sum = Duration::ZERO;
            let within = rest.iter().take_while(|test| {
                sum += test.takes;
                sum <= group
            });
            let (now, later) = rest.split_at(within.count().max(1));
            rest = later;
            for program in 0..self.programs.len() {
                let here = now.iter().filter(|test| test.program == program);
                let (names, takes): (Vec<_>, Vec<_>) =
                    here.map(|test| (test.name.as_str(), test.takes)).unzip();
                if names.is_empty() {
                    continue;
                }
                let limit = Duration::from_secs(10) + takes.iter().sum::<Duration>() * 3;
                let outcome = self.run(program, &names, variables, limit);
                // Where one test waits for ever, another may fail.
                if late || matches!(outcome, Outcome::Caught(_)) {
                    return if outcome == Outcome::Missed { Outcome::OutOfTime } else { outcome };
                }
                late = outcome == Outcome::OutOfTime;
            }
            group *= 4;
        }
        if late { Outcome::OutOfTime } else { Outcome::Missed }
    }

    /// Ends the program where a test fails, or where it takes too long.
    fn run(&self, program: usize, names: &[&str], variables: &[(&str, &str)], limit: Duration) -> Outcome {
        let Some(program) = self.programs.get(program) else { return Outcome::Missed };
        let begun = now();
        let mut command = self.command(program, names);
        command.args(["--exact", "--test-threads", "4"]).envs(variables.iter().copied()).process_group(0);
        let Ok(mut child) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
            return Outcome::Missed;
        };
        let (send, lines) = mpsc::channel();
        let output = child.stdout.take();
        // Not waited for: what a test started may hold the other end for ever.
        std::thread::spawn(move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            lines.map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        let outcome = loop {
            match lines.recv_timeout(limit.saturating_sub(begun.elapsed())) {
                Ok(line) => {
                    let failed = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"));
                    if let Some(name) = failed {
                        break Outcome::Caught(name.to_owned());
                    }
                    // Whoever it started may hold its output open.
                    if line.starts_with("test result: ok") {
                        break Outcome::Missed;
                    }
                }
                Err(RecvTimeoutError::Timeout) => break Outcome::OutOfTime,
                Err(RecvTimeoutError::Disconnected) => {
                    break match child.wait() {
                        Ok(status) if !status.success() => Outcome::Caught(how_it_ended(status)),
                        _ => Outcome::Missed,
                    };
                }
            }
        };
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = child.wait();
        outcome
    }

    fn command(&self, program: &Program, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -v {MEMORY}; exec \"$@\""), "sh"])
            .arg(&program.path)
            .args(arguments);
        command
            .current_dir(&program.folder)
            .env("CARGO_MANIFEST_DIR", &program.folder)
            .env("RUST_BACKTRACE", "0");
        command.env("SIMULATE_HISTORIES", HISTORIES).env("EXPLORE", BOUNDS);
        command.envs(self.services.variables()).stdin(Stdio::null());
        command
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a program runs is told by no clock of a test")]
fn now() -> Instant {
    Instant::now()
}

fn how_it_ended(status: ExitStatus) -> String {
    format!("the program ended: {status}")
}

/// What comes of each, in their order.
pub(crate) fn on_every_core<T: Sync, R: Send>(all: &[T], look: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(index) else { return };
                    let came = look(index, one);
                    found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, came));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, came)| came).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_looked_at_once_and_in_order() {
        let numbers: Vec<usize> = (0..100).collect();
        assert_eq!(on_every_core(&numbers, |index, number| (index, *number * 2))[99], (99, 198));
    }
}
