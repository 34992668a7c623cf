//! Node, npm, and the packages of `tests/oidc-provider`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::debian;
use crate::step::{Outcome, Stop, output, root, run};

/// The oldest Node that runs the provider, and the one fetched through npm where the system's is older.
const OLDEST: (u32, u32) = (20, 12);
const FETCHED: &str = "node@22.23.3";

pub(crate) fn ready() -> Outcome {
    if version().is_none() || output("npm", &["--version"]).is_none() {
        debian::install(&["nodejs", "npm"])?;
    }
    let Some(system) = version() else {
        return Err(Stop::Because("node was installed and does not run: see `node --version`".to_owned()));
    };
    packages(&root().join("tests/oidc-provider"), system)
}

/// Installs what the lock file names, unless that was done already for this very lock file and Node.
fn packages(home: &Path, system: (u32, u32)) -> Outcome {
    let lock = fs::read_to_string(home.join("package-lock.json")).map_err(|error| {
        Stop::Because(format!("cannot read {}/package-lock.json: {error}", home.display()))
    })?;
    let wanted = format!("{system:?}\n{lock}");
    let stamp = home.join("node_modules/.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run(Command::new("npm").arg("ci").current_dir(home))?;
    if system < OLDEST {
        // Debian's may be older. This one stays inside node_modules, where the tests look for it first.
        run(Command::new("npm").args(["install", "--no-save", FETCHED]).current_dir(home))?;
    }
    fs::write(&stamp, wanted)
        .map_err(|error| Stop::Because(format!("cannot write {}: {error}", stamp.display())))
}

/// Major and minor version of the system's Node.
fn version() -> Option<(u32, u32)> {
    parse(&output("node", &["--version"])?)
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{OLDEST, parse};

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse("v20.12.0"), Some(OLDEST));
        assert!(parse("v20.9.1") < Some(OLDEST));
        assert!(parse("v22.0.0") > Some(OLDEST));
        assert_eq!(parse("command not found"), None);
    }
}
