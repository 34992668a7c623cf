//! Starts npm `oidc-provider`, a certified authorization server, with a resource server beside it.
//!
//! Unlike the test kit's server, this one was written by others from the same RFCs: it tells whether we
//! read them alike. Each [`Provider`] is a process of its own on free ports of the loopback interface, and
//! ends with the value (or, whatever happens to this process, when its standard input closes).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Longer than any of these takes on a busy machine, shorter than a person waits.
const PATIENCE: Duration = Duration::from_secs(60);

type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// A running authorization server and its resource server.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) ready: Ready,
    client: HttpClient,
    // Killed when dropped.
    _process: Child,
}

/// What the server says once it listens.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) revocation_endpoint: String,
    pub(crate) introspection_endpoint: String,
    /// Answers a valid token with the length and SHA-256 of the request's body.
    pub(crate) echo: String,
    /// The same, over TLS.
    pub(crate) tls_echo: Option<String>,
    control: String,
    /// The API, by the name it has in the `resource` parameter (RFC 8707).
    pub(crate) resource: String,
    /// By how they authenticate: `basic`, `post`, `public`, `assertion`, or by how their tokens are bound:
    /// `dpop`, `certificate`, `self_signed`, `public_certificate`.
    pub(crate) clients: HashMap<String, Registered>,
}

/// A client that is registered at the server.
#[derive(Debug, Deserialize)]
pub(crate) struct Registered {
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
}

/// The answer of the token endpoint, as far as the tests read it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) expires_in: u64,
    pub(crate) scope: String,
}

/// What the servers saw since they started.
#[derive(Debug, Deserialize)]
pub(crate) struct Counters {
    /// By grant type, `authorization_code` for each login.
    pub(crate) token_requests: HashMap<String, u64>,
    /// Refreshes that ended in a token set, delivered or not.
    pub(crate) refreshed: u64,
    pub(crate) invalid_grants: u64,
    /// Of these, how many were a refresh token that had been used before.
    pub(crate) reuses: u64,
    /// Most refreshes of one grant that were under way at the same time.
    pub(crate) max_refreshes_at_once: u64,
    pub(crate) answers_spoiled: u64,
    pub(crate) api_requests: u64,
    pub(crate) challenges: u64,
    /// Grants that ended by revocation or reuse.
    pub(crate) revocations: u64,
    /// Proofs at the resource server that had not the right nonce, and nothing else that was wrong.
    pub(crate) proofs_demanded_again: u64,
    /// Proofs that were wrong: not about this request and token, by another key, or seen before.
    pub(crate) proofs_refused: u64,
}

/// A request to the token or the revocation endpoint, as it arrived, and how it was answered.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenRequest {
    pub(crate) path: String,
    pub(crate) resource: Vec<String>,
    pub(crate) assertion: Option<Assertion>,
    pub(crate) proof: Option<Proof>,
    pub(crate) status: u16,
    pub(crate) error: Option<String>,
}

/// What a client's assertion said.
#[derive(Debug, Deserialize)]
pub(crate) struct Assertion {
    pub(crate) alg: String,
    pub(crate) jti: String,
    pub(crate) aud: String,
}

/// What a DPoP proof said, and a part of the key that signed it.
#[derive(Debug, Deserialize)]
pub(crate) struct Proof {
    pub(crate) jti: String,
    pub(crate) nonce: Option<String>,
    pub(crate) key: String,
}

/// Which of the two servers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Authorization,
    Resource,
}

/// What becomes of the answer to the next refresh, after the server has committed it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Only this many bytes of its body arrive.
    CutAt(usize),
    /// Nothing of it arrives.
    Drop,
    /// It stays back until [`Provider::release`].
    Hold,
}

/// In which form access tokens are issued.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    /// Signed, and valid until they expire whatever becomes of their grant.
    Jwt,
    /// Looked up at each use.
    Opaque,
}

impl Provider {
    /// Starts the servers; access tokens live for `ttl`.
    pub(crate) async fn start(format: Format, ttl: Duration) -> Self {
        let format = match format {
            Format::Jwt => "jwt",
            Format::Opaque => "opaque",
        };
        Self::start_with(&json!({ "access_token_format": format, "access_token_ttl": ttl.as_secs() })).await
    }

    /// Starts the servers with the options of `start.mjs`.
    pub(crate) async fn start_with(options: &Value) -> Self {
        let home = home();
        assert!(
            home.join("node_modules/oidc-provider").exists(),
            "oidc-provider is not installed: run `cargo xtask test`, which installs it"
        );
        let mut process = Command::new(node(&home))
            .arg(home.join("start.mjs"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is there: `cargo xtask test` installs it");
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        tokio::time::timeout(PATIENCE, output.read_line(&mut line)).await.expect("it starts").unwrap();
        let ready =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("it did not start, see above: {line:?}"));
        Self { ready, client: Client::builder(TokioExecutor::new()).build_http(), _process: process }
    }

    /// A new login of a new subject, through the authorization code flow.
    pub(crate) async fn mint(&self, client: &str) -> Tokens {
        self.control(Method::POST, "mint", json!({ "client": client })).await
    }

    /// Somebody logs in as far as the code, asked for with these parameters besides the usual ones. What is to be
    /// posted to the token endpoint for it, but for the client's authentication.
    pub(crate) async fn authorize(&self, client: &str, parameters: &Value) -> Vec<(String, String)> {
        let form: HashMap<_, _> = self
            .control(Method::POST, "authorize", json!({ "client": client, "parameters": parameters }))
            .await;
        form.into_iter().collect()
    }

    /// Every request to the token and the revocation endpoint so far.
    pub(crate) async fn token_requests(&self) -> Vec<TokenRequest> {
        self.control(Method::GET, "token-requests", Value::Null).await
    }

    /// The resource server knows none of the nonces any more that it gave out.
    pub(crate) async fn forget_nonces(&self) {
        let _: Value = self.control(Method::POST, "forget-nonces", json!({})).await;
    }

    /// Is the token good (RFC 7662)? Asked by a client that has nothing to do with it.
    pub(crate) async fn is_active(&self, token: &str) -> bool {
        let answer = self.post_form(&self.ready.introspection_endpoint, "post", &[("token", token)]).await;
        answer.unwrap().1["active"].as_bool().unwrap()
    }

    /// From now on the resource server refuses this access token; its refresh token lives on.
    pub(crate) async fn revoke_access_token(&self, access_token: &str) {
        let _: Value =
            self.control(Method::POST, "revoke-access-token", json!({ "access_token": access_token })).await;
    }

    /// Spoils the answer to the next refresh.
    pub(crate) async fn spoil_next_refresh(&self, fault: Fault) {
        let fault = match fault {
            Fault::CutAt(bytes) => json!({ "cut_at": bytes }),
            Fault::Drop => json!({ "drop": true }),
            Fault::Hold => json!({ "hold": true }),
        };
        let _: Value = self.control(Method::POST, "next-refresh-answer", fault).await;
    }

    /// The next requests to this server get these bytes for an answer, one each. It does not see them.
    pub(crate) async fn answer_raw(&self, side: Side, answers: &[Vec<u8>]) {
        let answers: Vec<_> = answers.iter().map(|bytes| STANDARD.encode(bytes)).collect();
        let body = json!({ "side": format!("{side:?}"), "answers": answers });
        let _: Value = self.control(Method::POST, "answer-raw", body).await;
    }

    /// How many of these nobody has asked for yet.
    pub(crate) async fn raw_left(&self, side: Side) -> usize {
        self.control(Method::POST, "raw-left", json!({ "side": format!("{side:?}") })).await
    }

    /// Waits until an answer is being held.
    pub(crate) async fn held(&self) {
        let _: Value = self.control(Method::POST, "held", json!({})).await;
    }

    /// Sends every answer that is being held.
    pub(crate) async fn release(&self) {
        let _: Value = self.control(Method::POST, "release", json!({})).await;
    }

    /// Every token that the server has issued.
    pub(crate) async fn issued(&self) -> Vec<String> {
        self.control(Method::GET, "issued", Value::Null).await
    }

    /// What the servers saw since they started.
    pub(crate) async fn counters(&self) -> Counters {
        self.control(Method::GET, "counters", Value::Null).await
    }

    /// Posts a form as a client would that knows nothing of this project; `None`: no whole answer came.
    pub(crate) async fn post_form(
        &self,
        uri: &str,
        client: &str,
        form: &[(&str, &str)],
    ) -> Option<(u16, Value)> {
        let Registered { client_id, client_secret } = &self.ready.clients[client];
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        match (client, client_secret) {
            ("basic", Some(secret)) => {
                let encode =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encode(client_id), encode(secret));
                request = request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
            }
            (_, secret) => {
                body.append_pair("client_id", client_id);
                body.extend_pairs(secret.iter().map(|secret| ("client_secret", secret)));
            }
        }
        let response = self.send(request.body(Full::from(body.finish())).unwrap()).await?;
        let status = response.status().as_u16();
        Some((status, serde_json::from_slice(response.body()).unwrap_or_default()))
    }

    /// One refresh, as above.
    pub(crate) async fn refresh(&self, client: &str, refresh_token: &str) -> Option<(u16, Value)> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.post_form(&self.ready.token_endpoint, client, &form).await
    }

    /// Calls the resource server.
    pub(crate) async fn call_api(&self, access_token: &str, body: &'static [u8]) -> Response<Bytes> {
        let request = Request::post(&self.ready.echo)
            .header(header::AUTHORIZATION, format!("Bearer {access_token}"))
            .body(Full::from(body))
            .unwrap();
        self.send(request).await.expect("the resource server answers")
    }

    async fn control<T: DeserializeOwned>(&self, method: Method, command: &str, body: Value) -> T {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{command}", self.ready.control))
            .body(Full::from(if body.is_null() { String::new() } else { body.to_string() }))
            .unwrap();
        let response = self.send(request).await.expect("the control endpoint answers");
        let text = String::from_utf8_lossy(response.body());
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{command}: {} {text}", response.status()))
    }

    /// `None`: the answer did not arrive, or not to its end.
    async fn send(&self, request: Request<Full<Bytes>>) -> Option<Response<Bytes>> {
        let exchange = async {
            let (parts, body) = self.client.request(request).await.ok()?.into_parts();
            Some(Response::from_parts(parts, body.collect().await.ok()?.to_bytes()))
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("an answer, or none, but not silence")
    }
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc-provider")
}

/// The Node that was fetched because the system's is too old, or else the system's.
fn node(home: &Path) -> PathBuf {
    let fetched = home.join("node_modules/node/bin/node");
    if fetched.exists() { fetched } else { PathBuf::from("node") }
}
