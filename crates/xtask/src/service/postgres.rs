//! PostgreSQL.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Server, free_port, on_path};

/// Where Debian keeps one directory per major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A private PostgreSQL, as empty as `initdb` leaves it. Who can reach its port is its superuser.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// The directory with `initdb` and `postgres`, if PostgreSQL is installed.
    #[must_use]
    pub fn installed() -> Option<PathBuf> {
        let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
        let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
        versions.sort_by_key(|bin| (bin.as_os_str().len(), bin.clone()));
        let beside = on_path("initdb").and_then(|initdb| Some(initdb.parent()?.to_path_buf()));
        let complete = |bin: &PathBuf| {
            ["initdb", "postgres", "pg_isready"].iter().all(|program| bin.join(program).exists())
        };
        beside.into_iter().chain(versions.into_iter().rev()).find(complete)
    }

    /// Creates and starts one.
    ///
    /// # Errors
    ///
    /// If it is not installed, or does not start.
    pub fn start() -> io::Result<Self> {
        let programs =
            Self::installed().ok_or_else(|| io::Error::other("PostgreSQL's initdb is not installed"))?;
        let server = Server::new("postgres", "INT")?;
        let mut postgres = Self { server, programs, port: free_port()? };
        postgres.create()?;
        postgres.start_again()?;
        Ok(postgres)
    }

    /// Creates and starts a standby of this one, which follows it by streaming and answers reads.
    ///
    /// # Errors
    ///
    /// If it cannot be copied, or does not start.
    pub fn standby(&self) -> io::Result<Self> {
        let server = Server::new("standby", "INT")?;
        let mut standby = Self { server, programs: self.programs.clone(), port: free_port()? };
        let home = standby.server.home();
        own(home)?;
        let mut copy = unprivileged(&self.programs.join("pg_basebackup"));
        copy.arg("-D").arg(home.join("files")).current_dir(home);
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()]);
        must(copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]))?;
        standby.start_again()?;
        Ok(standby)
    }

    /// Where it listens, as a connection string.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends it as a crash would: nobody is told, nothing is tidied up.
    ///
    /// # Errors
    ///
    /// If its shell cannot be told.
    pub fn stop_immediately(&mut self) -> io::Result<()> {
        self.server.signal("QUIT")
    }

    /// Starts it on the files and the port it had.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start_again(&mut self) -> io::Result<()> {
        let port = self.port.to_string();
        let mut command = unprivileged(&self.programs.join("postgres"));
        command.arg("-D").arg(self.server.home().join("files"));
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"] {
            command.args(["-c", setting]);
        }
        command.args(["-c", &format!("port={port}")]);
        let is_ready = || {
            let mut look = Command::new(self.programs.join("pg_isready"));
            look.args(["-q", "-h", "127.0.0.1", "-U", "postgres", "-p", &port]);
            look.status().is_ok_and(|status| status.success())
        };
        self.server.start(&command, is_ready)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn create(&self) -> io::Result<()> {
        let home = self.server.home();
        own(home)?;
        let mut initdb = unprivileged(&self.programs.join("initdb"));
        initdb.arg("-D").arg(home.join("files")).current_dir(home);
        must(initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]))
    }
}

/// Gives the directory to whoever a server runs as.
pub(super) fn own(home: &Path) -> io::Result<()> {
    match somebody() {
        Some(user) => must(Command::new("chown").arg(user).arg(home)),
        None => Ok(()),
    }
}

/// PostgreSQL refuses to run as root, and then runs as this user.
fn somebody() -> Option<&'static str> {
    let id = |arguments: &[&str]| Command::new("id").args(arguments).stderr(Stdio::null()).output().ok();
    let is_root = id(&["-u"])?.stdout.trim_ascii() == b"0";
    let user = if id(&["-u", "postgres"])?.status.success() { "postgres" } else { "nobody" };
    is_root.then_some(user)
}

pub(super) fn unprivileged(program: &Path) -> Command {
    let Some(user) = somebody() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    // It replaces itself by the program: the process that gets the signals is the server.
    command.args(["--reuid", user, "--regid", "65534", "--clear-groups", "--"]).arg(program);
    command
}

fn must(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| io::Error::other(format!("{command:?}: {said}")))
}
