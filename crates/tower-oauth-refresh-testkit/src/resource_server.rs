//! The API behind the tokens.

use std::fmt;
use std::io;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::answer::{Answer, INVALID_TOKEN};
use crate::auth_server::{AuthServer, Shared};
use crate::dpop::{Nonces, Proof};
use crate::fault::Fault;
use crate::gate::Gate;
use crate::hash::{TokenHash, hex};
use crate::ledger::{ApiRequest, Ledger, OpenEntry};
use crate::script::Script;
use crate::wire::{Answering, Listening, Peer, Reply, WireBody};

/// An API on a free port of 127.0.0.1 that accepts the tokens of one [`AuthServer`], over real HTTP/1.1
/// and HTTP/2 (prior knowledge).
///
/// Any method on any path is answered with a JSON description of the request as it arrived: `method`,
/// `path`, `query`, `headers` (those about the body, and `x-…`), `body_length`, `body_sha256`, and the
/// `generation` of the token. A token that is expired, revoked or unknown is refused as RFC 6750 §3 says; a
/// request of type `application/grpc*` is refused with `grpc-status: 16` instead. A token that is bound to a key
/// has to come as `DPoP` and with a proof (RFC 9449 §7.1), which is checked first. The body is read before the token
/// is checked, unless a fault says [`before_body`](Fault::before_body).
///
/// Dropped, it stops at once. It keeps working when its authorization server has stopped: checking a
/// token takes no network.
pub struct ResourceServer {
    api: Arc<Api>,
    listening: Listening,
    origin: Uri,
}

struct Api {
    shared: Arc<Shared>,
    faults: Script<Fault>,
    nonces: Nonces,
}

impl ResourceServer {
    /// An API that trusts `auth_server`, served by the current tokio runtime, and only while that lives.
    ///
    /// # Errors
    ///
    /// No port could be had, or there is no tokio runtime.
    pub async fn start(auth_server: &AuthServer) -> io::Result<Self> {
        let api = Arc::new(Api {
            shared: auth_server.shared(),
            faults: Script::default(),
            nonces: Nonces::default(),
        });
        let listening = Listening::start(Arc::clone(&api)).await?;
        let origin = format!("http://{}", listening.address).parse().map_err(io::Error::other)?;
        Ok(Self { api, listening, origin })
    }

    /// Its origin: `http://127.0.0.1:…`.
    #[must_use]
    pub fn origin(&self) -> Uri {
        self.origin.clone()
    }

    /// The address of `path`, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listening.address)
    }

    /// What this server and its authorization server saw.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.api.shared.ledger.clone()
    }

    /// Proofs need a nonce from now on, which answers of this API carry (RFC 9449 §9). Said again, it is a new one,
    /// and those before are refused.
    pub fn demand_nonce(&self) {
        self.api.nonces.demand();
    }

    /// The next request gets this answer, whatever token it carries.
    pub fn respond_next(&self, answer: Answer) {
        self.fault(Fault::answer(answer));
    }

    /// The next request that has no fault yet gets this one. To commit is to check the token.
    pub fn fault(&self, fault: Fault) {
        self.api.faults.push(fault);
    }

    /// Every request gets this fault, after those queued, until [`clear`](Self::clear).
    pub fn always(&self, fault: Fault) {
        self.api.faults.stand(fault);
    }

    /// Forgets every fault still to come.
    pub fn clear(&self) {
        self.api.faults.clear();
    }

    /// The next request is held before its token is checked.
    #[must_use = "a request that is held needs its gate opened"]
    pub fn hold_before_check(&self) -> Gate {
        let gate = Gate::new();
        self.fault(Fault::hold_before_commit(&gate));
        gate
    }

    /// The token of the next request is checked, and the answer is held.
    #[must_use = "a request that is held needs its gate opened"]
    pub fn hold_after_check(&self) -> Gate {
        let gate = Gate::new();
        self.fault(Fault::hold_after_commit(&gate));
        gate
    }
}

impl fmt::Debug for ResourceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceServer").field("address", &self.listening.address).finish_non_exhaustive()
    }
}

impl Answering for Api {
    async fn answer(&self, request: Request<Incoming>, _: Peer) -> Reply {
        let (parts, body) = request.into_parts();
        let fault = self.faults.next();
        let entry = self.shared.ledger.open_api(self.describe(&parts, fault.as_ref()));
        let fault = fault.unwrap_or_else(Fault::none);
        let (mut unread, mut read) = (None, None);
        if fault.reads_body {
            let whole = hash_body(body).await?;
            entry.api(|line| (line.body_len, line.body_sha256) = (Some(whole.0), Some(whole.1.clone())));
            read = Some(whole);
        } else {
            unread = Some(body);
        }
        let (answer, cut) = fault.play(|| self.check(&parts, read, &entry)).await?;
        // Kept until here: dropping it tells hyper to drain the request or close.
        drop(unread);
        let answer = self.nonces.stamp(answer);
        entry.api(|line| line.status = Some(answer.status));
        Some(WireBody::respond(answer, cut, entry))
    }
}

impl Api {
    fn describe(&self, parts: &Parts, fault: Option<&Fault>) -> ApiRequest {
        let (at, token) = (self.shared.clock.now(), credentials(&parts.headers).map(|(_, token)| token));
        ApiRequest {
            number: 0,
            at,
            version: parts.version,
            request_id: text(&parts.headers, "x-request-id"),
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            token_in_query: parts.uri.query().is_some_and(|query| query.contains("access_token=")),
            token: token.map(TokenHash::of),
            proof: Proof::of(parts, token, at.wall, &self.nonces),
            downgraded: false,
            nonce_demanded: false,
            family: None,
            generation: None,
            accepted: false,
            body_len: None,
            body_sha256: None,
            fault: fault.map(ToString::to_string),
            status: None,
            delivered: false,
        }
    }

    fn check(&self, parts: &Parts, body: Option<(u64, String)>, entry: &OpenEntry) -> Answer {
        let Some((scheme, token)) = credentials(&parts.headers) else {
            let challenge = if self.shared.dpop { DPOP } else { r#"Bearer realm="testkit""# };
            return refusal(&parts.headers, HeaderValue::from_static(challenge));
        };
        if let Err(challenge) = self.check_binding(scheme, token, entry) {
            return refusal(&parts.headers, challenge);
        }
        let known = self.shared.families().check(token, self.shared.clock.now());
        let Some(known) = known else { return refusal(&parts.headers, INVALID_TOKEN) };
        entry.api(|line| {
            (line.family, line.generation) = (Some(known.family), Some(known.generation));
            line.accepted = known.good;
        });
        if known.good { echo(parts, body, known.generation) } else { refusal(&parts.headers, INVALID_TOKEN) }
    }

    /// Does the token come as what it is: bound to a key, with a proof of that, or bound to none?
    fn check_binding(&self, scheme: Scheme, token: &str, entry: &OpenEntry) -> Result<(), HeaderValue> {
        let key = self.shared.families().key_of(token);
        let Some(key) = key else {
            return if scheme == Scheme::Bearer { Ok(()) } else { Err(INVALID_TOKEN) };
        };
        if scheme == Scheme::Bearer {
            entry.api(|line| line.downgraded = true);
            return Err(HeaderValue::from_static(INVALID_BOUND_TOKEN));
        }
        let mut proof = None;
        entry.api(|line| proof = line.proof.clone());
        let proof = proof.filter(|proof| proof.flaw.is_none() && proof.key.as_ref() == Some(&key));
        let Some(proof) = proof else { return Err(HeaderValue::from_static(INVALID_PROOF)) };
        if !self.nonces.accepts(proof.nonce.as_deref()) {
            entry.api(|line| line.nonce_demanded = true);
            return Err(HeaderValue::from_static(USE_NONCE));
        }
        Ok(())
    }
}

/// RFC 6750 §3, or what a gRPC server says instead. Without a token there is no error code (§3.1).
fn refusal(headers: &HeaderMap, challenge: HeaderValue) -> Answer {
    if text(headers, "content-type").is_some_and(|kind| kind.starts_with("application/grpc")) {
        return Answer::grpc_unauthenticated();
    }
    Answer::bare_unauthorized().header(header::WWW_AUTHENTICATE, challenge)
}

fn echo(parts: &Parts, body: Option<(u64, String)>, generation: u64) -> Answer {
    let (length, sha256) = body.unzip();
    let shown = |name: &str| {
        name.starts_with("x-")
            || name.starts_with("content-")
            || ["accept", "te", "user-agent"].contains(&name)
    };
    let headers: Map<String, Value> = parts
        .headers
        .keys()
        .filter(|name| shown(name.as_str()))
        .map(|name| (name.to_string(), text(&parts.headers, name.as_str()).into()))
        .collect();
    let members = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "headers": headers,
        "body_length": length,
        "body_sha256": sha256,
        "generation": generation,
    });
    Answer::json(StatusCode::OK, &members)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

fn credentials(headers: &HeaderMap) -> Option<(Scheme, &str)> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let scheme = [("bearer", Scheme::Bearer), ("dpop", Scheme::Dpop)]
        .into_iter()
        .find_map(|(name, kind)| scheme.eq_ignore_ascii_case(name).then_some(kind))?;
    Some((scheme, token.trim()))
}

const DPOP: &str = r#"DPoP realm="testkit", algs="ES256 PS256 EdDSA""#;
const INVALID_BOUND_TOKEN: &str = r#"DPoP realm="testkit", algs="ES256 PS256 EdDSA", error="invalid_token", error_description="it is bound""#;
const INVALID_PROOF: &str = r#"DPoP realm="testkit", algs="ES256 PS256 EdDSA", error="invalid_dpop_proof""#;
const USE_NONCE: &str = r#"DPoP realm="testkit", algs="ES256 PS256 EdDSA", error="use_dpop_nonce""#;

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Length and SHA-256, without keeping the body. `None`: it broke off.
async fn hash_body(mut body: Incoming) -> Option<(u64, String)> {
    let (mut length, mut hash) = (0, Sha256::new());
    while let Some(frame) = body.frame().await {
        if let Some(chunk) = frame.ok()?.data_ref() {
            length += chunk.len() as u64;
            hash.update(chunk);
        }
    }
    Some((length, hex(&hash.finalize())))
}

#[cfg(test)]
mod tests;
