//! The authorization server and the API that this example brings along, for whoever has none at hand.

use std::path::Path;
use std::process::Stdio;

use axum_bff::Provider;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tower::BoxError;

/// Access tokens live for a minute: long enough to look at, short enough to see them renewed.
const LIFETIME: u64 = 60;

pub(crate) struct OwnProvider {
    pub(crate) provider: Provider,
    // It stops when its standard input closes.
    _process: Child,
}

impl OwnProvider {
    /// For an application at this origin.
    pub(crate) async fn start(origin: &str) -> Result<Self, BoxError> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oidc-provider");
        if !home.join("node_modules/oidc-provider").exists() {
            let installed = Command::new("npm").arg("ci").current_dir(&home).status().await?;
            if !installed.success() {
                return Err("npm could not install the authorization server".into());
            }
        }
        let options = json!({
            "access_token_ttl": LIFETIME, "login_page": true, "redirect_uris": [format!("{origin}/callback")],
        });
        // Where the system's Node is too old, `cargo xtask test` has put another one here.
        let fetched = home.join("node_modules/node/bin/node");
        let node = if fetched.exists() { fetched } else { "node".into() };
        let mut process = Command::new(node)
            .arg(home.join("start.mjs"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("the authorization server says nothing")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let ready: Value = serde_json::from_str(&line.ok_or("the authorization server does not start")?)?;
        Ok(Self { provider: provider(&ready)?, _process: process })
    }
}

fn provider(ready: &Value) -> Result<Provider, BoxError> {
    let client = ready.pointer("/clients/basic").cloned().unwrap_or_default();
    let of = |object: &Value, name| object.get(name).cloned().unwrap_or_default();
    Ok(serde_json::from_value(json!({
        "issuer": of(ready, "issuer"),
        "authorization_endpoint": of(ready, "authorization_endpoint"),
        "token_endpoint": of(ready, "token_endpoint"),
        "revocation_endpoint": of(ready, "revocation_endpoint"),
        "client_id": of(&client, "client_id"),
        "client_secret": of(&client, "client_secret"),
        "scope": "openid api:read api:write",
        "api": of(ready, "echo"),
    }))?)
}
