//! The token endpoint (RFC 6749 §3.2) and the revocation endpoint (RFC 7009 §2).

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tower_oauth_refresh::RefreshToken;

use super::Shared;
use super::families::Issued;
use super::form::{Form, Refusal};
use crate::answer::Answer;
use crate::dpop::Proof;
use crate::fault::Fault;
use crate::hash::TokenHash;
use crate::ledger::{FamilyId, OpenEntry, Revocation, TokenRequest};
use crate::wire::{Answering, Peer, Reply, WireBody};

/// No honest token request is longer.
const FORM_LIMIT: usize = 256 * 1024;
/// Turns given to other connections before requests under way are counted: more than a tokio worker takes before it looks at
/// its sockets.
const TURNS: usize = 128;

impl Answering for Shared {
    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Reply {
        let (parts, body) = request.into_parts();
        let is_token = match parts.uri.path() {
            "/token" => true,
            "/revoke" => false,
            _ => return plain(StatusCode::NOT_FOUND),
        };
        if parts.method != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED);
        }
        let Ok(body) = Limited::new(body, FORM_LIMIT).collect().await else { return None };
        let form = Form::read(&parts.headers, &body.to_bytes());
        if is_token { self.token(&parts, &form, &peer).await } else { self.revoke(&parts, &form).await }
    }
}

impl Shared {
    async fn token(&self, parts: &Parts, form: &Form, peer: &Peer) -> Reply {
        let mut arrival = self.describe(parts, form);
        let fault = self.token_faults.next();
        arrival.fault = fault.as_ref().map(ToString::to_string);
        let (entry, rivals) = self.ledger.open_token(arrival, peer);
        let rivals = count_staying(rivals).await;
        entry.token(|line| line.in_flight += rivals);
        let mut successor = None;
        let work = || match self.grant(form, &entry) {
            Ok(issued) => {
                successor = issued.refresh_token.clone();
                token_answer(&issued)
            }
            Err(refusal) => {
                entry.token(|line| line.error = Some(refusal.code.to_owned()));
                refused(&refusal)
            }
        };
        let (answer, cut) = fault.unwrap_or_else(Fault::none).play(work).await?;
        let answer = self.nonces.stamp(answer);
        let names_successor = successor.is_some_and(|token| names(&answer, &token));
        entry.token(|line| {
            line.status = Some(answer.status);
            line.names_successor = names_successor;
        });
        Some(WireBody::respond(answer, cut, entry))
    }

    fn describe(&self, parts: &Parts, form: &Form) -> TokenRequest {
        let mut line = TokenRequest::new(self.clock.now(), parts.version);
        form.get("grant_type").unwrap_or_default().clone_into(&mut line.grant_type);
        line.parameters = form.printable(|value| self.is_secret(value));
        line.client_authentication = form.authentication();
        line.assertion = form.assertion_jti();
        line.proof = Proof::of(parts, None, line.at.wall, &self.nonces);
        if let Some(token) = form.get("refresh_token") {
            let families = self.families();
            line.refresh_token = Some(TokenHash::of(token));
            line.family = families.find(token).map(|(family, _)| family);
            line.superseded = families.is_spent(token);
        } else if line.grant_type == "client_credentials" {
            line.family = Some(FamilyId::CLIENT);
        }
        line
    }

    fn grant(&self, form: &Form, entry: &OpenEntry) -> Result<Issued, Refusal> {
        form.check(&self.client())?;
        let key = if self.dpop { Some(self.proved(entry)?) } else { None };
        let issued = match form.get("grant_type") {
            Some("refresh_token") => self.refresh(form, key, entry)?,
            Some("client_credentials") => {
                let scope = form.get("scope").map(ToOwned::to_owned).or_else(|| self.scope.clone());
                self.families().client_credentials(scope, key, self.clock.now())
            }
            Some(_) => return Err(Refusal::new("unsupported_grant_type", "this grant is not offered")),
            None => return Err(Refusal::new("invalid_request", "grant_type is missing")),
        };
        entry.token(|line| {
            line.committed = true;
            line.generation = Some(issued.generation);
            line.issued_access_token = Some(TokenHash::from(&issued.access_token));
            line.issued_refresh_token = issued.refresh_token.as_ref().map(TokenHash::from);
        });
        Ok(issued)
    }

    /// The key of a proof that nothing is wrong with (RFC 9449 §5 and §8).
    fn proved(&self, entry: &OpenEntry) -> Result<String, Refusal> {
        let mut proof = None;
        entry.token(|line| proof = line.proof.clone());
        let wrong = |description| Refusal::new("invalid_dpop_proof", description);
        let proof = proof.ok_or(wrong("the proof is missing"))?;
        if let Some(flaw) = proof.flaw {
            return Err(wrong(flaw));
        }
        if !self.nonces.accepts(proof.nonce.as_deref()) {
            return Err(Refusal::new("use_dpop_nonce", "the proof needs the nonce of this answer"));
        }
        proof.key.ok_or(wrong("jwk"))
    }

    fn refresh(&self, form: &Form, key: Option<String>, entry: &OpenEntry) -> Result<Issued, Refusal> {
        let Some(token) = form.get("refresh_token") else {
            return Err(Refusal::new("invalid_request", "refresh_token is missing"));
        };
        let now = self.clock.now();
        let mut families = self.families();
        let granted = families
            .find(token)
            .and_then(|(family, _)| families.granted_scope(family))
            .map(ToOwned::to_owned);
        let asked = form.get("scope").map(ToOwned::to_owned);
        if asked.as_deref().is_some_and(|asked| !is_within(asked, granted.as_deref())) {
            return Err(Refusal::new("invalid_scope", "wider than what was granted"));
        }
        if families.is_too_early(token, now) {
            return Err(Refusal::new("invalid_request", "the access token has not expired yet"));
        }
        let mut under_way = 0;
        entry.token(|line| under_way = line.in_flight);
        if families.one_at_a_time && under_way > 1 {
            return Err(Refusal::new("invalid_grant", "token request is already being processed"));
        }
        if families.is_bound_elsewhere(token, key.as_deref()) {
            return Err(Refusal::new("invalid_grant", "the refresh token is bound to another key"));
        }
        let spent = families.is_spent(token);
        let result = families.refresh(token, asked.or(granted), key, now);
        drop(families);
        let reuse_detected = result.as_ref().is_err_and(|dead| dead.reuse_detected);
        entry.token(|line| {
            line.superseded |= spent;
            line.reuse_detected = reuse_detected;
        });
        result.map_err(|_| Refusal::new("invalid_grant", "the refresh token is invalid, expired or revoked"))
    }

    async fn revoke(&self, parts: &Parts, form: &Form) -> Reply {
        let token = form.get("token");
        let found = token.and_then(|token| self.families().find(token));
        let fault = self.revocation_faults.next();
        let at = self.clock.now();
        let entry = self.ledger.open_revocation(Revocation {
            number: 0,
            at,
            token: token.map(TokenHash::of),
            family: found.map(|(family, _)| family),
            is_refresh_token: found.map(|(_, is_refresh)| is_refresh),
            hint: form.get("token_type_hint").filter(|hint| !self.is_secret(hint)).map(ToOwned::to_owned),
            client_authentication: form.authentication(),
            assertion: form.assertion_jti(),
            proof: Proof::of(parts, None, at.wall, &self.nonces),
            committed: false,
            error: None,
            fault: fault.as_ref().map(ToString::to_string),
            status: None,
            delivered: false,
        });
        let work = || match self.revoke_token(form) {
            Ok(revoked) => {
                entry.revocation(|line| line.committed = revoked);
                Answer::new(StatusCode::OK)
            }
            Err(refusal) => {
                entry.revocation(|line| line.error = Some(refusal.code.to_owned()));
                refused(&refusal)
            }
        };
        let (answer, cut) = fault.unwrap_or_else(Fault::none).play(work).await?;
        let answer = self.nonces.stamp(answer);
        entry.revocation(|line| line.status = Some(answer.status));
        Some(WireBody::respond(answer, cut, entry))
    }

    /// A refresh token ends its family, an access token only itself (RFC 7009 §2.1). An unknown token is
    /// no error (§2.2).
    fn revoke_token(&self, form: &Form) -> Result<bool, Refusal> {
        form.check(&self.client())?;
        let Some(token) = form.get("token") else {
            return Err(Refusal::new("invalid_request", "token is missing"));
        };
        let mut families = self.families();
        let found = families.find(token);
        match found {
            Some((family, true)) => families.revoke_family(family),
            Some((_, false)) => families.revoke_access(token),
            None => {}
        }
        Ok(found.is_some())
    }
}

/// How many of the clients under way are not hanging up. One that hung up and comes again on a new
/// connection must not be counted twice, whichever connection is served first.
async fn count_staying(mut clients: Vec<Peer>) -> usize {
    for _ in 0..TURNS {
        clients.retain(|client| !client.is_gone());
        if clients.is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    clients.len()
}

fn is_within(asked: &str, granted: Option<&str>) -> bool {
    let granted: Vec<&str> = granted.unwrap_or_default().split(' ').collect();
    asked.split(' ').all(|scope| granted.contains(&scope))
}

fn names(answer: &Answer, token: &RefreshToken) -> bool {
    let token = token.expose_secret().as_bytes();
    answer.body.windows(token.len()).any(|window| window == token)
}

fn token_answer(issued: &Issued) -> Answer {
    let mut members = json!({
        "access_token": issued.access_token.expose_secret(),
        "token_type": if issued.key.is_some() { "DPoP" } else { "Bearer" },
        "expires_in": issued.expires_in.as_secs(),
    });
    if let Value::Object(members) = &mut members {
        if let Some(token) = &issued.refresh_token {
            members.insert("refresh_token".to_owned(), token.expose_secret().into());
        }
        if let Some(scope) = &issued.scope {
            members.insert("scope".to_owned(), scope.as_str().into());
        }
    }
    uncached(Answer::json(StatusCode::OK, &members))
}

fn refused(refusal: &Refusal) -> Answer {
    let body = json!({ "error": refusal.code, "error_description": refusal.description });
    let answer = uncached(Answer::json(refusal.status, &body));
    if !refusal.basic {
        return answer;
    }
    answer.header(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Basic realm="testkit""#))
}

fn uncached(answer: Answer) -> Answer {
    answer.header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

fn plain(status: StatusCode) -> Reply {
    let mut response = Response::new(WireBody::empty());
    *response.status_mut() = status;
    Some(response)
}
