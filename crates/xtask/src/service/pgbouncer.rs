//! PgBouncer.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::PathBuf;

use super::postgres::{Postgres, own, unprivileged};
use super::{Server, free_port, on_path};

/// A private PgBouncer in front of a [`Postgres`], in transaction mode.
#[derive(Debug)]
pub struct PgBouncer {
    _server: Server,
    port: u16,
}

impl PgBouncer {
    /// The program, if it is installed.
    #[must_use]
    pub fn installed() -> Option<PathBuf> {
        on_path("pgbouncer").or_else(|| Some(PathBuf::from(DEBIAN)).filter(|program| program.exists()))
    }

    /// Starts one, with this many connections to the server.
    ///
    /// # Errors
    ///
    /// If it is not installed, or does not start.
    pub fn start(postgres: &Postgres, connections: u32) -> io::Result<Self> {
        let program = Self::installed().ok_or_else(|| io::Error::other("pgbouncer is not installed"))?;
        let mut server = Server::new("pgbouncer", "INT")?;
        let port = free_port()?;
        own(server.home())?;
        let settings = server.home().join("settings");
        let behind = postgres.port();
        fs::write(
            &settings,
            format!(
                "[databases]\n\
                 postgres = host=127.0.0.1 port={behind} user=postgres\n\
                 [pgbouncer]\n\
                 listen_addr = 127.0.0.1\n\
                 listen_port = {port}\n\
                 unix_socket_dir =\n\
                 auth_type = any\n\
                 pool_mode = transaction\n\
                 default_pool_size = {connections}\n\
                 ignore_startup_parameters = extra_float_digits,options\n"
            ),
        )?;
        let mut command = unprivileged(&program);
        command.arg(settings);
        server.start(&command, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok(Self { _server: server, port })
    }

    /// Where it listens, as a connection string.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

/// Not on the search path of a user.
const DEBIAN: &str = "/usr/sbin/pgbouncer";
