//! Where things are.

use std::path::PathBuf;

use serde::Deserialize;
use tower::BoxError;

const MISSING: &str = r#"write this there, as your provider tells you:
{
  "authorization_endpoint": "https://auth.example/authorize",
  "device_authorization_endpoint": "https://auth.example/device",
  "token_endpoint": "https://auth.example/token",
  "revocation_endpoint": "https://auth.example/revoke",
  "client_id": "a public client, with the redirect URI http://127.0.0.1/callback",
  "scope": "openid offline_access",
  "api": "https://api.example"
}"#;

/// The authorization server, named as in its own metadata (RFC 8414 §2, RFC 8628 §4), and the API.
#[derive(Deserialize)]
pub(crate) struct Provider {
    pub(crate) authorization_endpoint: String,
    pub(crate) device_authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) revocation_endpoint: String,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    /// The one origin that gets the token.
    pub(crate) api: String,
}

pub(crate) struct Settings {
    /// For the credentials, and for the key where there is no keychain.
    pub(crate) home: PathBuf,
    pub(crate) provider: Provider,
}

impl Settings {
    pub(crate) fn read() -> Result<Self, BoxError> {
        let home = match std::env::var_os("LOGIN_CLI_HOME") {
            Some(home) => PathBuf::from(home),
            None => std::env::home_dir().ok_or("there is no home directory")?.join(".local/state/login-cli"),
        };
        let file = home.join("provider.json");
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("cannot read {}: {error}\n{MISSING}", file.display()))?;
        let provider = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Self { home, provider })
    }
}
