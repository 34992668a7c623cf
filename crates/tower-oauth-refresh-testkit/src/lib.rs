//! An authorization server that misbehaves on request, for tests of whatever refreshes OAuth 2.0 tokens.
//!
//! Mocked token endpoints answer what the test's author believes. Real ones rotate the refresh token and
//! end the login when the old one comes twice; they lose an answer after the work is done; they answer HTML,
//! or nothing. Here are servers that do all that, over real HTTP, when told, and that keep a [`Ledger`]
//! of what truly arrived.
//!
//! | | |
//! | --- | --- |
//! | [`AuthServer`] | token and revocation endpoint, with the [`Rotation`] rules of real servers |
//! | [`ResourceServer`] | an API that accepts its tokens, refuses the others, and describes what it got |
//! | [`Fault`], [`Gate`], [`Answer`] | what goes wrong, and when |
//! | [`AuthServerBuilder::dpop`], [`Proof`] | tokens that are bound to a key (RFC 9449), with nonces or without |
//! | [`Ledger`], [`Verdict`] | what each server saw: refreshes at once, spent tokens, replays, proofs |
//! | [`ManualClock`], [`TokioClock`] | time that a test moves |
//! | [`FaultyStore`] | a token store that fails, hangs or panics |
//! | [`store_conformance!`] | the promises of a token store, as tests: one line per store |
//!
//! Nothing here knows the client under test, which may be any. This one refreshes by hand, and the answer
//! is lost after the server rotated:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, header::CONTENT_TYPE};
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower_oauth_refresh_testkit::{AuthServer, ClientAuthentication, Fault};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let public = AuthServer::builder().client("app", "").client_authentication(ClientAuthentication::None);
//! let server = public.start().await?;
//! let refresh_token = server.login().refresh_token.ok_or("no refresh token")?;
//! let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let refresh = || {
//!     let form = form_urlencoded::Serializer::new(String::new())
//!         .append_pair("grant_type", "refresh_token")
//!         .append_pair("client_id", "app")
//!         .append_pair("refresh_token", refresh_token.expose_secret())
//!         .finish();
//!     let request = Request::post(server.token_endpoint())
//!         .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
//!         .body(Full::from(form));
//!     http.request(request.unwrap())
//! };
//!
//! server.fault(Fault::drop_connection().after_commit());
//! assert!(refresh().await.is_err());
//! // Sent again, the spent token looks stolen, and the login is over.
//! assert_eq!(refresh().await?.status(), 400);
//!
//! let verdict = server.ledger().verdict();
//! assert_eq!((verdict.refreshes, verdict.reuse_detections), (2, 1));
//! assert!(verdict.is_clean(), "the client could not know");
//! # Ok(())
//! # }
//! ```

mod answer;
mod auth_server;
mod clock;
pub mod conformance;
mod dpop;
mod fault;
mod gate;
mod hash;
mod ledger;
mod resource_server;
mod script;
mod store;
#[cfg(test)]
mod test_client;
mod wire;

pub use self::answer::Answer;
pub use self::auth_server::{AuthServer, AuthServerBuilder, Rotation};
pub use self::clock::{ManualClock, TokioClock};
pub use self::dpop::Proof;
pub use self::fault::Fault;
pub use self::gate::Gate;
pub use self::hash::TokenHash;
pub use self::ledger::{
    ApiRequest, ClientAuthentication, FamilyId, Ledger, Revocation, TokenRequest, Verdict,
};
pub use self::resource_server::ResourceServer;
pub use self::store::{FaultyStore, StoreFault};
