//! Redis.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Server, free_port, on_path};

/// A private Redis that is as durable as Redis gets: every write is in its log, and the log on the disk,
/// before it is answered.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    program: PathBuf,
    port: u16,
}

impl Redis {
    /// The program, if it is installed.
    #[must_use]
    pub fn installed() -> Option<PathBuf> {
        on_path("redis-server")
    }

    /// Starts one.
    ///
    /// # Errors
    ///
    /// If it is not installed, or does not start.
    pub fn start() -> io::Result<Self> {
        let program = Self::installed().ok_or_else(|| io::Error::other("redis-server is not installed"))?;
        // KILL, for it refuses TERM while it writes its first log; its files are removed anyway.
        let mut redis = Self { server: Server::new("redis", "KILL")?, program, port: free_port()? };
        redis.start_again()?;
        Ok(redis)
    }

    /// Where it listens, as a connection string.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    ///
    /// If its shell cannot be told.
    pub fn kill(&mut self) -> io::Result<()> {
        self.server.signal("KILL")
    }

    /// Starts it on the files and the port it had.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start_again(&mut self) -> io::Result<()> {
        let port = self.port;
        let mut command = Command::new(&self.program);
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .arg("--dir")
            .arg(self.server.home());
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        self.server.start(&command, || answers(port).unwrap_or(false))
    }
}

/// It accepts connections before it has read its log.
fn answers(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG")
}
