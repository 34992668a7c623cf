//! Reading a request of the token or revocation endpoint as strictly as the RFC allows.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use crate::dpop::Jwt;
use crate::hash::TokenHash;
use crate::ledger::ClientAuthentication;

/// An error answer (RFC 6749 §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) description: &'static str,
    /// The client tried HTTP authentication, so the answer must name the scheme.
    pub(super) basic: bool,
}

impl Refusal {
    pub(super) fn new(code: &'static str, description: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, description, basic: false }
    }
}

/// The parameters of a request, and the credentials the client showed.
pub(super) struct Form {
    pub(super) parameters: Vec<(String, String)>,
    basic: Option<Option<(String, String)>>,
    flaw: Option<&'static str>,
}

/// The client as the server knows it.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: String,
    /// The only way accepted; `None`: Basic and Post.
    pub(super) required: Option<ClientAuthentication>,
}

impl Form {
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let is_form = essence.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let parameters: Vec<(String, String)> = form_urlencoded::parse(body)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let repeated = |(index, (name, _)): (usize, &(String, String))| {
            name != "resource" && parameters.iter().skip(index + 1).any(|(later, _)| later == name)
        };
        let flaw = if !is_form {
            Some("the content type must be application/x-www-form-urlencoded")
        } else if parameters.iter().enumerate().any(repeated) {
            Some("a parameter is repeated")
        } else {
            None
        };
        let basic = headers.get(header::AUTHORIZATION).map(|value| read_basic(value.as_bytes()));
        Self { parameters, basic, flaw }
    }

    /// The value of a parameter; one without a value counts as absent (RFC 6749 §3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(candidate, value)| candidate == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// Which way the client took.
    pub(super) fn authentication(&self) -> Option<ClientAuthentication> {
        if self.basic.is_some() {
            Some(ClientAuthentication::Basic)
        } else if self.get("client_secret").is_some() {
            Some(ClientAuthentication::Post)
        } else if self.get("client_assertion").is_some() {
            Some(ClientAuthentication::Assertion)
        } else {
            self.get("client_id").map(|_| ClientAuthentication::None)
        }
    }

    /// What the client assertion says, without a look at its signature.
    fn assertion(&self) -> Option<Value> {
        Some(Jwt::read(self.get("client_assertion")?.as_bytes())?.claims)
    }

    /// What makes the client assertion another one than all before.
    pub(super) fn assertion_jti(&self) -> Option<TokenHash> {
        self.assertion()?.get("jti")?.as_str().map(TokenHash::of)
    }

    /// Is it a form, without contradictions, from the client?
    pub(super) fn check(&self, client: &Client) -> Result<(), Refusal> {
        if let Some(flaw) = self.flaw {
            return Err(Refusal::new("invalid_request", flaw));
        }
        if self.basic.is_some() && self.get("client_secret").is_some() {
            return Err(Refusal::new("invalid_request", "more than one way of client authentication"));
        }
        let way = self.authentication();
        let allowed = match client.required {
            Some(required) => way == Some(required),
            None => matches!(way, Some(ClientAuthentication::Basic | ClientAuthentication::Post)),
        };
        if allowed && self.is_from(client) {
            return Ok(());
        }
        Err(Refusal {
            status: StatusCode::UNAUTHORIZED,
            basic: self.basic.is_some(),
            ..Refusal::new("invalid_client", "client authentication failed")
        })
    }

    fn is_from(&self, client: &Client) -> bool {
        match &self.basic {
            Some(Some((id, secret))) => *id == client.id && *secret == client.secret,
            Some(None) => false,
            None if client.required == Some(ClientAuthentication::Assertion) => {
                let of_jwts = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let claims = self.assertion().unwrap_or_default();
                let claims_client = |name| claims.get(name).and_then(Value::as_str) == Some(&client.id);
                self.get("client_assertion_type") == Some(of_jwts)
                    && claims_client("iss")
                    && claims_client("sub")
                    && self.assertion_jti().is_some()
            }
            None => {
                let secret = self.get("client_secret");
                let public = client.required == Some(ClientAuthentication::None);
                self.get("client_id") == Some(client.id.as_str())
                    && (public || secret == Some(client.secret.as_str()))
            }
        }
    }

    /// The parameters that may be printed. Names of secrets are left out; a value that is a secret all the
    /// same, under whatever name, is replaced by its hash.
    pub(super) fn printable(&self, is_secret: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let shown = self.parameters.iter().filter(|(name, _)| !SECRETS.contains(&name.as_str()));
        shown
            .map(|(name, value)| {
                let value = if is_secret(value) { TokenHash::of(value).to_string() } else { value.clone() };
                (name.clone(), value)
            })
            .collect()
    }
}

const SECRETS: [&str; 10] = [
    "refresh_token",
    "client_secret",
    "client_assertion",
    "assertion",
    "token",
    "access_token",
    "subject_token",
    "actor_token",
    "password",
    "code_verifier",
];

/// The id and secret of a Basic header, form-decoded (RFC 6749 §2.3.1).
fn read_basic(value: &[u8]) -> Option<(String, String)> {
    let (scheme, credentials) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id), form_decode(secret)))
}

fn form_decode(text: &str) -> String {
    // The parser wants pairs: a separator inside the text must not split it.
    let pair = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(pair.as_bytes()).map(|(name, _)| name.into_owned()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
