//! Packages from Debian, where this process may install them.

use std::process::Command;

use crate::step::{Outcome, Stop, output, run};

/// Installs the packages, or says in one line what a person has to do.
pub(crate) fn install(packages: &[&str]) -> Outcome {
    let names = packages.join(" ");
    let todo = || Stop::Because(format!("the tests need {names}: install them (`apt-get install {names}`)"));
    if output("apt-get", &["--version"]).is_none() {
        return Err(todo());
    }
    let prefix: &[&str] = if output("id", &["-u"]).as_deref() == Some("0") {
        &[]
    } else if output("sudo", &["-n", "true"]).is_some() {
        &["sudo", "-n"]
    } else {
        return Err(todo());
    };
    run(&mut apt_get(prefix, &["update"]))?;
    run(apt_get(prefix, &["install", "-y", "--no-install-recommends"]).args(packages))
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> Command {
    let words: Vec<&str> = prefix
        .iter()
        .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .chain(arguments)
        .copied()
        .collect();
    let (program, rest) = words.split_first().unwrap_or((&"apt-get", &[]));
    let mut command = Command::new(program);
    command.args(rest);
    command
}
