//! Every command a contributor types: `cargo xtask check`, `test`, `fuzz`, `doc`, `ci`.
//!
//! One file per command; [`step`] runs the programs they are made of, and [`prepare`] sees to what the tests
//! need from the machine. A step that cannot be run is said aloud or fails; none is skipped in silence.
#![expect(clippy::print_stderr, reason = "a command line tool speaks on standard error")]

mod bench;
mod check;
mod ci;
mod doc;
mod explore;
mod fuzz;
mod million;
mod mutants;
mod prepare;
mod prove;
mod providers;
mod simulate;
mod soak;
mod step;
mod test;
mod verify;

use std::process::ExitCode;

use crate::step::Stop;

const USAGE: &str = "\
usage: cargo xtask <command>

  check   formatting, lints, unit tests: what to run before every commit
  test    every test, also against servers that others wrote; installs what they need
  fuzz    random input for everything that is parsed; --cases N, a million unless given
  doc     the documentation, with warnings as errors
  explore [STEPS:FAULTS…]
          every history up to a length and a number of faults
  mutants [CRATE…] [--sample N] [--again | --sum]
          every small change to the product code, and whether a test notices: an hour or more; --again: what was not
          caught; --sum: only the table of what was found
  prove [WORD…] [--page]
          breaks one promise after the other, and expects the test that is named for it to fail
  providers
          the table of constants and the page of the documentation, from providers.json
  simulate [--histories N] [--fresh]
          many processes, a model of the world, every fault: a history a seed
  million [--credentials N] [--plots FOLDER]
          a million credentials in one process, through an outage and a restart
  soak [--minutes N] [--seed N]
          real processes on real stores behind proxies that hurt; one minute unless given
  verify [RING…] [--rounds N]
          what surrounds the machine, for longer than the tests do: panics, slow stores, clocks, fleets, …
  bench [--counted | --peers | --plot FILE]
          the goals of performance with a verdict each; --counted: only what is the same on every machine;
          --peers: other clients for OAuth beside ours
  ci      all of it, as the server runs it";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bench", arguments @ ..] => bench::run(arguments),
        ["check"] => check::run(),
        ["ci"] => ci::run(),
        ["doc"] => doc::run(),
        ["explore", bounds @ ..] => explore::run(bounds),
        ["mutants", arguments @ ..] => mutants::run(arguments),
        ["prove", words @ ..] => prove::run(words),
        ["providers"] => providers::run(),
        ["simulate", options @ ..] => simulate::run(options),
        ["million", arguments @ ..] => million::run(arguments),
        ["soak", arguments @ ..] => soak::run(arguments),
        ["verify", arguments @ ..] => verify::run(arguments),
        ["fuzz", arguments @ ..] => fuzz::run(arguments),
        ["test", filter @ ..] => test::run(filter),
        _ => Err(Stop::Because(USAGE.to_owned())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The program that failed has said why, and its words are the last.
        Err(Stop::Exited(code)) => ExitCode::from(code),
        Err(Stop::Because(reason)) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
