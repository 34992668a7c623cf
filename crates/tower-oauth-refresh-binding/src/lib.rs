//! Clients that sign: who they are (`private_key_jwt`, `client_secret_jwt`), and that their tokens are their own (DPoP).
//!
//! A client secret in a request is there for whoever reads the request, and so is a bearer token. A signature shows
//! that the client has a key, and is good once, for about a minute:
//!
//! | so that nobody else can | sign | with |
//! | --- | --- | --- |
//! | pretend to be the client (RFC 7523 §2.2, OpenID Connect Core §9) | each token request | [`AssertionSigner`] |
//! | use its tokens (RFC 9449) | each request, to the API as well | [`Dpop`] |
//!
//! A client may do both. The core has the places for them, [`ClientAuth::assertion`] and the HTTP clients that it
//! sends by; here is what to put there. It is a crate of its own because it brings cryptography that only a client
//! with a key needs. This is the first; the second has an [example of its own](Dpop).
//! With a certificate (RFC 8705) it is TLS that signs, for both; what is left is to
//! [exchange it](Replaceable) while the program runs.
//!
//! ```
//! use tower_oauth_refresh::RefreshCoordinator;
//! use tower_oauth_refresh_binding::{AssertionSigner, SigningKey};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt as _, Full};
//! # use tower::{BoxError, service_fn};
//! # use tower_oauth_refresh::TokenSet;
//!
//! # const PEM: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testdata/es256.pem"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let token_endpoint = service_fn(async |request: Request<Full<Bytes>>| {
//! #     let body = request.into_body().collect().await?.to_bytes();
//! #     assert!(String::from_utf8_lossy(&body).contains("&client_assertion=ey"));
//! #     let answer = r#"{"access_token": "at-2", "refresh_token": "rt-2", "expires_in": 3600}"#;
//! #     Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(answer)))
//! # });
//! // `PEM`: what `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` prints.
//! let key = SigningKey::es256_pem(PEM)?.key_id("2030-01");
//! let signer = AssertionSigner::new("https://auth.example", key);
//!
//! let endpoint = "https://auth.example/token".parse()?;
//! let coordinator =
//!     RefreshCoordinator::builder(endpoint, signer.client_auth("client-id")).build(token_endpoint)?;
//! # let old = TokenSet::new("at-1").with_refresh_token("rt-1").with_expires_in(std::time::Duration::ZERO);
//! # coordinator.install("acme", old).await?;
//! # assert_eq!(coordinator.token("acme").await?.expose_secret(), "at-2");
//!
//! // Later, without a restart: from the next attempt on, the new key signs.
//! signer.replace(SigningKey::es256_pem(PEM)?.key_id("2030-02"));
//! # Ok(())
//! # }
//! ```
//!
//! # Which key
//!
//! | the server knows | take |
//! | --- | --- |
//! | a public key on P-256 | [`SigningKey::es256_pem`] |
//! | an RSA public key | [`SigningKey::ps256_pem`] |
//! | an Ed25519 public key | [`SigningKey::ed25519_pem`] |
//! | one of these, and you have the private one as a JWK | [`SigningKey::from_jwk`] |
//! | the client secret (`client_secret_jwt`) | [`SigningKey::hs256`] |
//! | any of these, and you have it as a JWK | [`SigningKey::from_jwk`] |
//! | the public key, and the private one never leaves an HSM or KMS | [`SigningKey::callback`] |
//! | nothing yet, since the key belongs to a login (DPoP) | [`DpopKey::generate`] |
//!
//! # Which server
//!
//! [`Metadata::discover`] asks an authorization server for its endpoints, given its issuer identifier. Where an
//! API refuses what no refresh can cure, [`Needs::of`] its answer says what it wants instead, and
//! [`ResourceMetadata::fetch`] which servers it trusts.
//!
//! [`ClientAuth::assertion`]: tower_oauth_refresh::ClientAuth::assertion

mod assertion;
mod discovery;
mod document;
mod dpop;
mod jwk;
mod key;
mod listen;
mod needs;
mod proof;
mod replaceable;
mod resource;
mod server_time;
mod servers;

pub use self::assertion::AssertionSigner;
pub use self::discovery::{Metadata, Moved};
pub use self::document::MetadataError;
pub use self::dpop::{Dpop, DpopEndpoint, DpopError, DpopFuture, DpopService};
pub use self::key::{Algorithm, InvalidKey, SigningKey};
pub use self::listen::Listening;
pub use self::needs::{Authentication, Needs};
pub use self::proof::DpopKey;
pub use self::replaceable::Replaceable;
pub use self::resource::ResourceMetadata;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
