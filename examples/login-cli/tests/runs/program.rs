//! The program, with a home of its own and no keychain.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tower_oauth_refresh_testkit::{AuthServer, ClientAuthentication, ResourceServer};

use super::front;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Program {
    pub(crate) auth: Arc<AuthServer>,
    pub(crate) api: ResourceServer,
    home: TempDir,
}

impl Program {
    /// Access tokens of a login live for so many seconds; those of a refresh for an hour.
    pub(crate) async fn installed(lifetime: u64) -> Self {
        let public = AuthServer::builder().client_authentication(ClientAuthentication::None);
        let auth = Arc::new(public.start().await.unwrap());
        let api = ResourceServer::start(&auth).await.unwrap();
        let front = front::start(auth.clone(), lifetime).await;
        let home = tempfile::tempdir().unwrap();
        let provider = json!({
            "authorization_endpoint": format!("{front}/authorize"),
            "device_authorization_endpoint": format!("{front}/device"),
            "token_endpoint": format!("{front}/token"),
            "revocation_endpoint": auth.revocation_endpoint().to_string(),
            "client_id": auth.client_id(),
            "scope": "api",
            "api": api.url(""),
        });
        std::fs::write(home.path().join("provider.json"), provider.to_string()).unwrap();
        if !cfg!(target_os = "linux") {
            // Elsewhere there always is a keychain, which is somebody's.
            tower_oauth_refresh_file::KeyFile::open_or_create(home.path().join("key")).unwrap();
        }
        Self { auth, api, home }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_login-cli"));
        command.args(words).env("LOGIN_CLI_HOME", self.home.path()).kill_on_drop(true);
        // Where Linux looks for a keychain.
        command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", self.home.path());
        command
    }

    /// Exit code, and everything it says.
    pub(crate) async fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let output: Output = timeout(PATIENCE, self.command(words).output()).await.unwrap().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    /// Begins, and reads its first line.
    pub(crate) async fn begin(&self, words: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
        let mut process = self.command(words).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        timeout(PATIENCE, output.read_line(&mut line)).await.unwrap().unwrap();
        (process, output, line.trim().to_owned())
    }
}
