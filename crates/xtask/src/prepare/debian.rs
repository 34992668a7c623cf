//! Packages from Debian, where this process may install them.

use std::process::Command;

use crate::step::{Outcome, Stop, output, run};

/// Debian starts a server as soon as it is installed, on its usual port and for good, unless this file says
/// that it is not to. Tests start their own.
const INSTALL: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]
then trap 'rm -f "$policy"' EXIT; printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"
fi
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@""#;

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
    run(command(prefix, &["apt-get", "update"]).arg("-q"))?;
    run(command(prefix, &["sh", "-c", INSTALL, "install"]).args(packages))
}

fn command(prefix: &[&str], words: &[&str]) -> Command {
    let words: Vec<&str> = prefix.iter().chain(words).copied().collect();
    let (program, rest) = words.split_first().unwrap_or((&"apt-get", &[]));
    let mut command = Command::new(program);
    command.args(rest);
    command
}
