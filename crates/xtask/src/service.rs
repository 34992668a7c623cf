//! A server of one's own: on a free port of the loopback interface, its files in a directory of its own, and
//! gone with its value, or with this process however that ends.

pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod redis;

use std::fs::File;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Watches over one run of a server. A line on its standard input is the signal to send, and the files stay; the
/// end of its standard input, which also comes when this process is killed, stops the server and removes them.
/// It ignores what ctrl-c sends to everybody, or else nobody would be left to clean up.
const WATCH: &str = r#"
trap '' INT TERM HUP
home=$1 stop=$2; shift 2
"$@" >"$home/log" 2>&1 </dev/null & server=$!
if read -r signal
then kill -s "$signal" "$server"; wait "$server"
else kill -s "$stop" "$server"; wait "$server"
    # A process that the server forked may still write there for a moment.
    for try in 1 2 3 4 5; do rm -rf -- "$home" && break; sleep 0.2; done
fi"#;

const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: u32 = 3000;

/// A server's program, its directory, and the shell that watches over it while it runs.
#[derive(Debug)]
pub(crate) struct Server {
    home: PathBuf,
    watch: Option<Child>,
    /// The signal that lets it end in good order.
    stop: &'static str,
}

impl Server {
    /// A directory for a server that does not run yet.
    pub(crate) fn new(name: &str, stop: &'static str) -> io::Result<Self> {
        let template = std::env::temp_dir().join(format!("tower-oauth-refresh-{name}.XXXXXX"));
        let made = Command::new("mktemp").arg("-d").arg(template).output()?;
        let home = PathBuf::from(String::from_utf8_lossy(&made.stdout).trim());
        if !made.status.success() || !home.is_dir() {
            return Err(io::Error::other("cannot create a temporary directory with mktemp"));
        }
        Ok(Self { home, watch: None, stop })
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Runs the program, and returns once `is_ready`.
    pub(crate) fn start(&mut self, program: &Command, is_ready: impl Fn() -> bool) -> io::Result<()> {
        let mut watch = Command::new("sh");
        watch.args(["-c", WATCH, "watch"]).arg(&self.home).arg(self.stop);
        watch.arg(program.get_program()).args(program.get_args());
        // Nobody reads what it says, least of all cargo, which would wait for the end of it.
        watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(&self.home);
        self.watch = Some(watch.spawn()?);
        for _ in 0..LOOKS {
            if is_ready() {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        let log = std::fs::read_to_string(self.home.join("log")).unwrap_or_default();
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("it does not start:\n{log}")))
    }

    /// Sends the signal and waits for the server's end. Its files stay.
    pub(crate) fn signal(&mut self, signal: &str) -> io::Result<()> {
        let Some(mut watch) = self.watch.take() else { return Ok(()) };
        if let Some(mut input) = watch.stdin.take() {
            writeln!(input, "{signal}")?;
        }
        watch.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.watch {
            Some(watch) => {
                drop(watch.stdin.take());
                let _ = watch.wait();
            }
            None => {
                let mut looks = 1..LOOKS / 100;
                while std::fs::remove_dir_all(&self.home).is_err()
                    && self.home.exists()
                    && looks.next().is_some()
                {
                    thread::sleep(LOOK_EVERY);
                }
            }
        }
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The program on the search path, if it is there.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| File::open(file).is_ok())
}
