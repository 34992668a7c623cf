//! The ID token: who logged in, and that it was this very login.
//!
//! It came straight from the token endpoint over TLS, which is why its signature need not be checked (OpenID
//! Connect Core §3.1.3.7, rule 6). The `openidconnect` crate checks signatures, too.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::ExtraTokenFields;
use serde::{Deserialize, Serialize};

use crate::backend::Provider;

/// What the `oauth2` crate shall read beside the tokens.
#[derive(Deserialize, Serialize)]
pub(crate) struct IdToken {
    id_token: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    nonce: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl ExtraTokenFields for IdToken {}

impl IdToken {
    /// Who logged in; `None`: this token is not the answer to our request.
    pub(crate) fn subject(&self, provider: &Provider, nonce: &str) -> Option<String> {
        let payload = self.id_token.split('.').nth(1)?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let ours = match &claims.aud {
            Audience::One(client) => *client == provider.client_id,
            Audience::Many(clients) => clients.len() == 1 && clients.contains(&provider.client_id),
        };
        (ours && claims.iss == provider.issuer && claims.nonce == nonce).then_some(claims.sub)
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn subject(claims: &Value) -> Option<String> {
        let provider = json!({
            "issuer": "https://auth.example", "client_id": "me", "client_secret": "", "scope": "", "api": "",
            "authorization_endpoint": "", "token_endpoint": "", "revocation_endpoint": "",
        });
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        let token = IdToken { id_token: format!("e30.{payload}.c2ln") };
        token.subject(&serde_json::from_value(provider).unwrap(), "n-1")
    }

    #[test]
    fn only_the_answer_to_this_login_counts() {
        let good = json!({ "iss": "https://auth.example", "aud": "me", "sub": "alice", "nonce": "n-1" });
        assert_eq!(subject(&good).as_deref(), Some("alice"));
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        assert!(subject(&with("aud", json!(["me"]))).is_some());
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("aud", json!("somebody else")),
            ("aud", json!(["me", "somebody else"])),
            ("nonce", json!("n-2")),
            ("nonce", Value::Null),
        ] {
            assert_eq!(subject(&with(name, value.clone())), None, "{name}: {value}");
        }
    }
}
