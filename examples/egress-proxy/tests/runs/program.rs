//! The program, started with a configuration of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tower_oauth_refresh_testkit::AuthServer;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Program {
    pub(crate) address: String,
    process: Child,
    dir: TempDir,
}

impl Program {
    /// With two credentials: `/acme` has both, `/globex` its own only.
    pub(crate) async fn start(auth: &AuthServer, acme: &str, globex: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["acme", "globex"] {
            let token = auth.login().refresh_token.unwrap();
            std::fs::write(dir.path().join(name), token.expose_secret()).unwrap();
        }
        std::fs::write(dir.path().join("secret"), auth.client_secret().expose_secret()).unwrap();
        let endpoint = auth.token_endpoint().to_string();
        let config = config("127.0.0.1:0", dir.path(), &endpoint, acme, globex);
        std::fs::write(dir.path().join("egress.json"), config.replace("CLIENT", &auth.client_id())).unwrap();
        let (process, address) = run(&dir).await;
        Self { address, process, dir }
    }

    /// Another one takes its place, with what it left behind.
    pub(crate) async fn again(mut self) -> Self {
        self.process.kill().await.unwrap();
        let (process, address) = run(&self.dir).await;
        Self { address, process, dir: self.dir }
    }
}

async fn run(dir: &TempDir) -> (Child, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_egress-proxy"))
        .arg(dir.path().join("egress.json"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    (process, line.strip_prefix("listening on http://").unwrap().to_owned())
}

pub(crate) fn config(listen: &str, dir: &Path, endpoint: &str, acme: &str, globex: &str) -> String {
    let dir = dir.display();
    format!(
        r#"{{
            "listen": "{listen}", "store": "{dir}/store",
            "token_endpoint": "{endpoint}", "client_id": "CLIENT", "client_secret_file": "{dir}/secret",
            "credentials": {{
                "acme": {{ "refresh_token_file": "{dir}/acme" }},
                "globex": {{ "refresh_token_file": "{dir}/globex" }}
            }},
            "routes": [
                {{ "prefix": "/acme", "origin": "{acme}", "credentials": ["acme", "globex"] }},
                {{ "prefix": "/globex/", "origin": "{globex}", "credentials": ["globex"] }}
            ]
        }}"#
    )
}
