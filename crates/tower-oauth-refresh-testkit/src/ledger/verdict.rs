//! The book in a few figures.

use std::collections::{HashMap, HashSet};

use http::StatusCode;

use super::{ApiRequest, Revocation, TokenRequest};
use crate::dpop::Proof;

/// What a whole run came to. The figures of a faultless client are in [`is_clean`](Self::is_clean).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Requests at the token endpoint, of any grant.
    pub token_requests: usize,
    /// Those with `grant_type=refresh_token`.
    pub refreshes: usize,
    /// Refreshes that issued tokens.
    pub refreshes_committed: usize,
    /// Most requests of one family under way at once.
    pub max_in_flight_per_family: usize,
    /// Families ended because a spent refresh token came again.
    pub reuse_detections: usize,
    /// Refreshes with a token that had a successor, excusable or not.
    pub superseded_submitted: usize,
    /// Those among them that came after an answer with the successor had left: never excusable.
    pub superseded_after_delivery: usize,
    /// Refreshes this server found `invalid_grant`.
    pub invalid_grants: usize,
    /// Requests at the revocation endpoint.
    pub revocations: usize,
    /// Requests at the resource servers.
    pub api_requests: usize,
    /// Those answered 401.
    pub api_unauthorized: usize,
    /// Those with an `x-request-id` that had been seen before.
    pub replays: usize,
    /// Most sends of one `x-request-id`. The first that was refused for want of a nonce does not count.
    pub max_sends_of_one_request: usize,
    /// Request ids whose sends did not all carry the same body, of those read to the end.
    pub altered_replays: usize,
    /// Requests with an access token in the URL.
    pub tokens_in_query: usize,
    /// Proofs of possession, at all endpoints.
    pub proofs: usize,
    /// Proofs with a [flaw](Proof::flaw).
    pub flawed_proofs: usize,
    /// Proofs with a nonce that the server they came to never issued.
    pub foreign_nonces: usize,
    /// Requests refused for want of the newest nonce, on both sides.
    pub nonce_challenges: usize,
    /// Proofs and client assertions whose `jti` had been seen before.
    pub repeated_jtis: usize,
    /// Bound tokens that came as `Bearer`.
    pub downgrades: usize,
}

impl Verdict {
    pub(super) fn of(tokens: &[TokenRequest], revocations: &[Revocation], api: &[ApiRequest]) -> Self {
        let refreshes = || tokens.iter().filter(|request| request.is_refresh());
        let mut sends: HashMap<&str, Vec<&ApiRequest>> = HashMap::new();
        for request in api {
            if let Some(id) = &request.request_id {
                sends.entry(id).or_default().push(request);
            }
        }
        let proofs: Vec<&Proof> = (tokens.iter().map(|request| &request.proof))
            .chain(revocations.iter().map(|request| &request.proof))
            .chain(api.iter().map(|request| &request.proof))
            .flatten()
            .collect();
        let assertions = tokens.iter().map(|request| request.assertion);
        let assertions = assertions.chain(revocations.iter().map(|request| request.assertion)).flatten();
        let mut jtis = HashSet::new();
        Self {
            token_requests: tokens.len(),
            refreshes: refreshes().count(),
            refreshes_committed: refreshes().filter(|request| request.committed).count(),
            max_in_flight_per_family: tokens.iter().map(|request| request.in_flight).max().unwrap_or(0),
            reuse_detections: tokens.iter().filter(|request| request.reuse_detected).count(),
            superseded_submitted: refreshes().filter(|request| request.superseded).count(),
            superseded_after_delivery: refreshes().filter(|request| request.successor_delivered).count(),
            invalid_grants: refreshes().filter(|r| r.error.as_deref() == Some("invalid_grant")).count(),
            revocations: revocations.len(),
            api_requests: api.len(),
            api_unauthorized: api.iter().filter(|r| r.status == Some(StatusCode::UNAUTHORIZED)).count(),
            replays: sends.values().map(|sends| sends.len() - 1).sum(),
            max_sends_of_one_request: sends.values().map(|sends| counted(sends)).max().unwrap_or(0),
            altered_replays: sends.values().filter(|sends| altered(sends)).count(),
            tokens_in_query: api.iter().filter(|request| request.token_in_query).count(),
            proofs: proofs.len(),
            flawed_proofs: proofs.iter().filter(|proof| proof.flaw.is_some()).count(),
            foreign_nonces: proofs.iter().filter(|proof| proof.foreign_nonce).count(),
            nonce_challenges: tokens.iter().filter(|r| r.error.as_deref() == Some("use_dpop_nonce")).count()
                + api.iter().filter(|request| request.nonce_demanded).count(),
            repeated_jtis: proofs
                .iter()
                .filter_map(|proof| proof.jti)
                .chain(assertions)
                .filter(|jti| !jtis.insert(*jti))
                .count(),
            downgrades: api.iter().filter(|request| request.downgraded).count(),
        }
    }

    /// Would a faultless client leave this behind, whatever the servers did? One refresh of a family at a
    /// time, no spent token after its successor, no request sent more than twice or with another body, no token
    /// in a URL; no proof that is wrong or has another server's nonce, no `jti` twice, no bound token as
    /// `Bearer`.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.max_in_flight_per_family <= 1
            && self.superseded_after_delivery == 0
            && self.max_sends_of_one_request <= 2
            && self.altered_replays == 0
            && self.tokens_in_query == 0
            && self.flawed_proofs == 0
            && self.foreign_nonces == 0
            && self.repeated_jtis == 0
            && self.downgrades == 0
    }
}

fn counted(sends: &[&ApiRequest]) -> usize {
    sends.len() - usize::from(sends.iter().any(|send| send.nonce_demanded))
}

fn altered(sends: &[&ApiRequest]) -> bool {
    let mut bodies = sends.iter().filter_map(|send| send.body_sha256.as_ref());
    bodies.next().is_some_and(|first| bodies.any(|body| body != first))
}
