//! The lines of the book.

use std::fmt;

use http::{Method, StatusCode, Version};
use tower_oauth_refresh::Now;

use crate::dpop::Proof;
use crate::hash::TokenHash;

/// One login and all tokens that descend from it (RFC 9700 §4.14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId(pub(crate) u64);

impl FamilyId {
    /// The tokens of the client itself (`client_credentials`), which nobody logged in for.
    pub const CLIENT: Self = Self(0);
}

impl fmt::Display for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a client showed who it is (RFC 6749 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// An `Authorization: Basic` header, id and secret form-encoded first.
    Basic,
    /// `client_id` and `client_secret` in the body.
    Post,
    /// `client_id` alone: a public client.
    None,
    /// A client assertion (RFC 7523 §2.2) about the client, by the client. Its signature is not looked at.
    Assertion,
}

/// One request at the token endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenRequest {
    /// Its place in the book.
    pub number: u64,
    /// When it arrived, by the server's clock.
    pub at: Now,
    /// HTTP version it came by.
    pub version: Version,
    /// `grant_type`; empty where it was absent.
    pub grant_type: String,
    /// The parameters that are no secrets, in their order. A value that is one of this server's tokens,
    /// or the client secret, is replaced by its hash.
    pub parameters: Vec<(String, String)>,
    /// How the client showed who it is, as far as it tried; whether it succeeded, `error` tells.
    pub client_authentication: Option<ClientAuthentication>,
    /// The `jti` of the client assertion, where there was one.
    pub assertion: Option<TokenHash>,
    /// The proof of possession, where there was one (RFC 9449 §5).
    pub proof: Option<Proof>,
    /// The family of the refresh token, if this server knows it.
    pub family: Option<FamilyId>,
    /// The refresh token that came in.
    pub refresh_token: Option<TokenHash>,
    /// Requests of this family under way when it arrived, itself included. One whose client is known to
    /// have hung up does not count.
    pub in_flight: usize,
    /// Did the refresh token have a successor already, on arrival or when the work was done?
    pub superseded: bool,
    /// Had an answer with that successor left the server when this request arrived? No client that
    /// keeps what it receives does this.
    pub successor_delivered: bool,
    /// Did this request end the family, by reuse detection?
    pub reuse_detected: bool,
    /// Were tokens issued?
    pub committed: bool,
    /// Generation of the tokens issued: the login is 1.
    pub generation: Option<u64>,
    /// The access token issued.
    pub issued_access_token: Option<TokenHash>,
    /// The refresh token named in the answer, before any fault altered it.
    pub issued_refresh_token: Option<TokenHash>,
    /// The honest verdict: the `error` code of RFC 6749 §5.2, whatever a fault made of it.
    pub error: Option<String>,
    /// The fault applied, in words.
    pub fault: Option<String>,
    /// The status sent; `None` where the connection was dropped, or nothing was sent yet.
    pub status: Option<StatusCode>,
    /// Was the whole answer handed to the transport? A client that vanished may still not have read it.
    pub delivered: bool,
    /// Does the answer that leaves hold the new refresh token?
    pub(crate) names_successor: bool,
}

impl TokenRequest {
    pub(crate) fn new(at: Now, version: Version) -> Self {
        Self {
            number: 0,
            at,
            version,
            grant_type: String::new(),
            parameters: Vec::new(),
            client_authentication: None,
            assertion: None,
            proof: None,
            family: None,
            refresh_token: None,
            in_flight: 1,
            superseded: false,
            successor_delivered: false,
            reuse_detected: false,
            committed: false,
            generation: None,
            issued_access_token: None,
            issued_refresh_token: None,
            error: None,
            fault: None,
            status: None,
            delivered: false,
            names_successor: false,
        }
    }

    /// Is it a refresh?
    #[must_use]
    pub fn is_refresh(&self) -> bool {
        self.grant_type == "refresh_token"
    }
}

/// One request at the revocation endpoint (RFC 7009).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Revocation {
    /// Its place in the book.
    pub number: u64,
    /// When it arrived, by the server's clock.
    pub at: Now,
    /// The token to revoke.
    pub token: Option<TokenHash>,
    /// Its family, if this server knows it.
    pub family: Option<FamilyId>,
    /// Is it a refresh token? `None`: not known here.
    pub is_refresh_token: Option<bool>,
    /// `token_type_hint`.
    pub hint: Option<String>,
    /// How the client showed who it is.
    pub client_authentication: Option<ClientAuthentication>,
    /// The `jti` of the client assertion, where there was one.
    pub assertion: Option<TokenHash>,
    /// The proof of possession, where there was one.
    pub proof: Option<Proof>,
    /// Was something revoked?
    pub committed: bool,
    /// The honest verdict, where it is an error.
    pub error: Option<String>,
    /// The fault applied, in words.
    pub fault: Option<String>,
    /// The status sent.
    pub status: Option<StatusCode>,
    /// Was the whole answer handed to the transport?
    pub delivered: bool,
}

/// One request at a resource server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiRequest {
    /// Its place in the book.
    pub number: u64,
    /// When it arrived, by the authorization server's clock.
    pub at: Now,
    /// HTTP version it came by.
    pub version: Version,
    /// The `x-request-id` header: what tells a replay from another request.
    pub request_id: Option<String>,
    /// Method.
    pub method: Method,
    /// Path, without the query.
    pub path: String,
    /// Did the query hold an `access_token`, which RFC 9700 §2.6 forbids?
    pub token_in_query: bool,
    /// The token it carried, as `Bearer` or `DPoP`.
    pub token: Option<TokenHash>,
    /// The proof of possession, where there was one (RFC 9449 §7).
    pub proof: Option<Proof>,
    /// Did a token that is bound to a key come as `Bearer`, which whoever stole it could do?
    pub downgraded: bool,
    /// Was it refused for want of the newest nonce, and nothing else (RFC 9449 §9)?
    pub nonce_demanded: bool,
    /// The family of that token, if known.
    pub family: Option<FamilyId>,
    /// The generation of that token in its family: the login is 1.
    pub generation: Option<u64>,
    /// Was the token good when it was checked? `false` also where a fault came before the check.
    pub accepted: bool,
    /// Bytes of the body that arrived; `None`: the body was not read, or broke off.
    pub body_len: Option<u64>,
    /// SHA-256 of the whole body, in hexadecimal.
    pub body_sha256: Option<String>,
    /// The fault applied, in words.
    pub fault: Option<String>,
    /// The status sent.
    pub status: Option<StatusCode>,
    /// Was the whole answer handed to the transport?
    pub delivered: bool,
}
