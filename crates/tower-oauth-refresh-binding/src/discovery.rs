//! What an authorization server says about itself: its endpoints, found by its issuer identifier (RFC 8414, OpenID
//! Connect Discovery).
//!
//! Presets of `tower-oauth-refresh-providers` know what a server does *not* say; this asks the server.
//!
//! ```
//! use tower_oauth_refresh_binding::{AssertionSigner, Metadata, SigningKey};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use tower::{BoxError, service_fn};
//!
//! # const PEM: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testdata/es256.pem"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let http_client = service_fn(async |request: Request<Full<Bytes>>| {
//! #     assert_eq!(request.uri(), "https://auth.example/.well-known/oauth-authorization-server");
//! #     let answer = r#"{
//! #         "issuer": "https://auth.example", "token_endpoint": "https://auth.example/token",
//! #         "token_endpoint_auth_methods_supported": ["private_key_jwt"]
//! #     }"#;
//! #     Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(answer)))
//! # });
//! // The issuer comes from a person or a file, never from a token or an answer.
//! let metadata = Metadata::discover("https://auth.example", http_client.clone()).await?;
//! assert!(metadata.takes_auth_method("private_key_jwt"));
//!
//! let signer = AssertionSigner::new(metadata.issuer(), SigningKey::es256_pem(PEM)?);
//! let coordinator = metadata.builder(signer.client_auth("client-id")).build(http_client.clone())?;
//!
//! // Later: new metadata, as long as it sends refresh tokens nowhere new.
//! let origins = metadata.origins();
//! let metadata = Metadata::discover(metadata.issuer(), http_client).await?.within(&origins)?;
//! # drop((coordinator, metadata));
//! # Ok(())
//! # }
//! ```

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use serde::Deserialize;
use serde_json::Value;
use tower_oauth_refresh::{Builder, ClientAuth, ClientSecret, Origin, Provider, RefreshCoordinator};
use tower_service::Service;

use crate::BoxError;
use crate::document::{self, MetadataError};

/// What an authorization server says about itself. Checked: it is about the issuer that was asked for, and each
/// endpoint is `https`, or plain `http` on this machine where the issuer itself is.
///
/// As a [`Provider`] it sets the revocation endpoint; [`builder`](Self::builder) takes the token endpoint too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    issuer: String,
    endpoints: Endpoints,
    mtls: Aliases,
    auth_methods: Vec<String>,
    dpop_algorithms: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoints {
    token: Uri,
    revocation: Option<Uri>,
    introspection: Option<Uri>,
}

/// The endpoints again, for clients with a certificate. None once they are in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Aliases {
    token: Option<Uri>,
    revocation: Option<Uri>,
    introspection: Option<Uri>,
}

impl Metadata {
    /// Asks `issuer` at the places where it may have put its metadata, in this order, until one is right:
    ///
    /// 1. `/.well-known/oauth-authorization-server`, put before the path of the issuer (RFC 8414 §3.1);
    /// 2. `/.well-known/openid-configuration`, put before the path (RFC 8414 §5);
    /// 3. `/.well-known/openid-configuration`, put after the path (OpenID Connect Discovery §4), where there is one.
    ///
    /// `issuer` is compared with the document's to the letter, so write it as the server does, with its slash at
    /// the end or without. There is no time limit here; give the client one. Redirects are not followed here, nor
    /// should the client follow them.
    ///
    /// # Errors
    ///
    /// [`MetadataError`]: what the first place said that was more than 404. A client that fails ends it at once.
    ///
    /// # Cancel safety
    ///
    /// These are GET requests: dropping the future changes nothing at the server.
    pub async fn discover<S, T, R>(issuer: &str, mut transport: S) -> Result<Self, MetadataError>
    where
        S: Service<Request<T>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        T: From<Bytes>,
        R: Body,
        R::Error: Into<BoxError>,
    {
        let places = document::identifier(issuer).map(|uri| well_known(&uri)).unwrap_or_default();
        let mut trouble = None;
        for place in places {
            let answer = document::get(&mut transport, place).await;
            match answer.and_then(|json| Self::read(issuer, &json)) {
                Ok(metadata) => return Ok(metadata),
                Err(error @ MetadataError::Unreachable(_)) => return Err(error),
                Err(error) if trouble.as_ref().is_none_or(is_not_found) => trouble = Some(error),
                Err(_) => {}
            }
        }
        Err(trouble.unwrap_or(MetadataError::InvalidUrl))
    }

    fn read(issuer: &str, json: &[u8]) -> Result<Self, MetadataError> {
        let wire: Wire = document::read(json)?;
        document::check_subject("issuer", &wire.issuer, issuer)?;
        let missing = MetadataError::Member { member: "token_endpoint", fault: "is missing" };
        let aliases = wire.mtls_endpoint_aliases;
        let invalid = MetadataError::Member { member: "mtls_endpoint_aliases", fault: "is no object" };
        if !(aliases.is_null() || aliases.is_object()) {
            return Err(invalid);
        }
        let alias = |member| document::endpoint(issuer, member, aliases.get(member).unwrap_or(&Value::Null));
        let auth_methods = document::list(AUTH_METHODS, &wire.token_endpoint_auth_methods_supported)?;
        let algorithms = document::list(DPOP_ALGORITHMS, &wire.dpop_signing_alg_values_supported)?;
        Ok(Self {
            issuer: issuer.to_owned(),
            endpoints: Endpoints {
                token: document::endpoint(issuer, TOKEN, &wire.token_endpoint)?.ok_or(missing)?,
                revocation: document::endpoint(issuer, REVOCATION, &wire.revocation_endpoint)?,
                introspection: document::endpoint(issuer, INTROSPECTION, &wire.introspection_endpoint)?,
            },
            mtls: Aliases {
                token: alias(TOKEN)?,
                revocation: alias(REVOCATION)?,
                introspection: alias(INTROSPECTION)?,
            },
            auth_methods: auth_methods.unwrap_or_else(|| vec![DEFAULT_AUTH_METHOD.to_owned()]),
            dpop_algorithms: algorithms.unwrap_or_default(),
        })
    }

    /// The same, for a client that shows a certificate: the endpoints of `mtls_endpoint_aliases` in place of the
    /// others, as far as there are any (RFC 8705 §5).
    #[must_use]
    pub fn for_mtls(mut self) -> Self {
        let Aliases { token, revocation, introspection } = std::mem::take(&mut self.mtls);
        self.endpoints.token = token.unwrap_or(self.endpoints.token);
        self.endpoints.revocation = revocation.or(self.endpoints.revocation);
        self.endpoints.introspection = introspection.or(self.endpoints.introspection);
        self
    }

    /// The origins that a refresh token is sent to: those of the token and the revocation endpoint, and of their
    /// aliases as long as [`for_mtls`](Self::for_mtls) may put them in their place. What a person consented to, to be
    /// kept for [`within`](Self::within); an [`Origin`] is written and read as text.
    #[must_use]
    pub fn origins(&self) -> Vec<Origin> {
        let (used, mtls) = (&self.endpoints, &self.mtls);
        let endpoints =
            [Some(&used.token), used.revocation.as_ref(), mtls.token.as_ref(), mtls.revocation.as_ref()];
        let mut origins = Vec::new();
        for origin in endpoints.into_iter().flatten().filter_map(|endpoint| Origin::of(endpoint).ok()) {
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        origins
    }

    /// This metadata, if it sends refresh tokens to none but these origins. For whoever asks again: a server that
    /// has been taken over, or its metadata, cannot lead refresh tokens elsewhere without somebody's consent.
    ///
    /// A client without a certificate that sends to no alias asks for consent to them all the same; one with a
    /// certificate may ask after `for_mtls`, and then for those endpoints alone.
    ///
    /// Whether or not there is consent, a coordinator keeps its credentials under the token endpoint it was
    /// built with. At another endpoint they are installed anew.
    ///
    /// # Errors
    ///
    /// [`Moved`]: it would send them to others as well.
    pub fn within(self, origins: &[Origin]) -> Result<Self, Moved> {
        let to: Vec<_> = self.origins().into_iter().filter(|origin| !origins.contains(origin)).collect();
        if to.is_empty() { Ok(self) } else { Err(Moved { to, metadata: Box::new(self) }) }
    }

    /// A coordinator's builder for these endpoints.
    ///
    /// It knows the logins in its store by the token endpoint: after that has moved they are not found. With
    /// [`Builder::issuer`] they are, so then take [`within`](Self::within) for every document.
    pub fn builder(&self, auth: ClientAuth) -> Builder {
        RefreshCoordinator::builder(self.endpoints.token.clone(), auth).provider(self)
    }

    /// The client secret, sent as this server takes it: by `client_secret_basic`, else by `client_secret_post`.
    /// `None`: it takes neither, and wants a key or a certificate.
    pub fn secret_auth(&self, id: impl Into<String>, secret: impl Into<ClientSecret>) -> Option<ClientAuth> {
        if self.takes_auth_method(DEFAULT_AUTH_METHOD) {
            Some(ClientAuth::basic(id, secret))
        } else {
            self.takes_auth_method("client_secret_post").then(|| ClientAuth::post(id, secret))
        }
    }

    /// The issuer identifier, as it was asked for: what an [`AssertionSigner`](crate::AssertionSigner) takes.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The token endpoint.
    #[must_use]
    pub fn token_endpoint(&self) -> &Uri {
        &self.endpoints.token
    }

    /// The revocation endpoint (RFC 7009).
    #[must_use]
    pub fn revocation_endpoint(&self) -> Option<&Uri> {
        self.endpoints.revocation.as_ref()
    }

    /// The introspection endpoint (RFC 7662).
    #[must_use]
    pub fn introspection_endpoint(&self) -> Option<&Uri> {
        self.endpoints.introspection.as_ref()
    }

    /// May a client authenticate at the token endpoint by this method, such as `private_key_jwt`? A server that
    /// does not say takes `client_secret_basic` (RFC 8414 §2).
    #[must_use]
    pub fn takes_auth_method(&self, method: &str) -> bool {
        self.auth_methods.iter().any(|known| known == method)
    }

    /// The algorithms of DPoP proofs that the server takes, such as `ES256` (RFC 9449 §5.1). None: it does not say
    /// that it knows DPoP.
    #[must_use]
    pub fn dpop_algorithms(&self) -> &[String] {
        &self.dpop_algorithms
    }
}

impl Provider for &Metadata {
    fn configure(self, builder: Builder) -> Builder {
        match self.revocation_endpoint() {
            Some(endpoint) => builder.revocation_endpoint(endpoint.clone()),
            None => builder,
        }
    }
}

/// Metadata that sends refresh tokens where nobody has consented to yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata sends refresh tokens to another origin: {}", self.shown())]
pub struct Moved {
    to: Vec<Origin>,
    metadata: Box<Metadata>,
}

impl Moved {
    /// The origins in question.
    #[must_use]
    pub fn to(&self) -> &[Origin] {
        &self.to
    }

    /// The metadata all the same, once somebody has consented.
    #[must_use]
    pub fn consent(self) -> Metadata {
        *self.metadata
    }

    fn shown(&self) -> String {
        self.to.iter().map(Origin::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Where the metadata of `issuer` may be.
fn well_known(issuer: &Uri) -> Vec<Uri> {
    // A slash at the end is taken off first, by both documents.
    let path = issuer.path().strip_suffix('/').unwrap_or(issuer.path());
    let mut places = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{path}/.well-known/openid-configuration"));
    }
    let place = |path: String| {
        let mut parts = issuer.clone().into_parts();
        parts.path_and_query = Some(path.parse().ok()?);
        Uri::from_parts(parts).ok()
    };
    places.into_iter().filter_map(place).collect()
}

fn is_not_found(error: &MetadataError) -> bool {
    matches!(error, MetadataError::Status(StatusCode::NOT_FOUND))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    issuer: Value,
    token_endpoint: Value,
    revocation_endpoint: Value,
    introspection_endpoint: Value,
    mtls_endpoint_aliases: Value,
    token_endpoint_auth_methods_supported: Value,
    dpop_signing_alg_values_supported: Value,
}

const TOKEN: &str = "token_endpoint";
const REVOCATION: &str = "revocation_endpoint";
const INTROSPECTION: &str = "introspection_endpoint";
const AUTH_METHODS: &str = "token_endpoint_auth_methods_supported";
const DPOP_ALGORITHMS: &str = "dpop_signing_alg_values_supported";
const DEFAULT_AUTH_METHOD: &str = "client_secret_basic";

#[cfg(test)]
mod tests;
