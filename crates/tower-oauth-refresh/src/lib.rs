//! A tower layer that keeps OAuth 2.0 credentials alive.
//!
//! Access tokens expire, and whoever calls an API finds out in the middle of a request. Refreshing then is
//! easy to write and hard to get right: two requests that meet a 401 together spend the same refresh token
//! twice, and where refresh tokens rotate, that ends the login (RFC 9700 §4.14). A caller that gives up
//! cancels the refresh for all others; a crash at the wrong moment takes the only valid refresh token along.
//!
//! Here a [`RefreshLayer`] around the HTTP client attaches the access token, and a [`RefreshCoordinator`]
//! behind it sees that **one** refresh runs, however many requests, tasks and processes want it; that the new
//! refresh token is stored before anybody relies on it; and that the refused request is sent once more.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode, header::AUTHORIZATION};
//! use http_body_util::Full;
//! use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};
//! use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // In earnest one hyper client is both of these. Here: a token endpoint, and an API that wants `at-2`.
//! let token_endpoint = service_fn(async |_: Request<Full<Bytes>>| {
//!     let answer = r#"{"access_token": "at-2", "refresh_token": "rt-2", "expires_in": 3600}"#;
//!     Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(answer)))
//! });
//! let api = service_fn(async |request: Request<ReplayBody<Full<Bytes>>>| {
//!     let good = request.headers()[AUTHORIZATION] == "Bearer at-2";
//!     let status = if good { StatusCode::CREATED } else { StatusCode::UNAUTHORIZED };
//!     Response::builder().status(status).body(Full::<Bytes>::default())
//! });
//!
//! let auth = ClientAuth::basic("client-id", "client-secret");
//! let coordinator =
//!     RefreshCoordinator::builder("https://auth.example/token".parse()?, auth).build(token_endpoint)?;
//! let login = TokenSet::new("at-1").with_refresh_token("rt-1"); // from whichever crate did the login
//! coordinator.install("acme", login).await?;
//!
//! let client = ServiceBuilder::new()
//!     .layer(RefreshLayer::new(coordinator, "acme").origin("https://api.example".parse()?))
//!     .service(api);
//!
//! let order = Request::post("https://api.example/orders").body(Full::<Bytes>::from("tea"))?;
//! // Refused with `at-1`, refreshed, sent once more with `at-2`; the caller sees this:
//! assert_eq!(client.oneshot(order).await?.status(), StatusCode::CREATED);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | you want to | see |
//! | --- | --- |
//! | say which requests get which token | [`RefreshLayer`] |
//! | begin and end a login, or have a token outside of requests | [`RefreshCoordinator`] |
//! | set time limits, parameters, the store | [`Builder`] |
//! | keep credentials across restarts and processes | [`TokenStore`], [`Sealed`] |
//! | act on a failure | [`RefreshError::needs_login`], [`ErrorKind`] |
//! | know whether an answer comes from a replay, or why not | [`RefreshReport`] |
//! | tell whoever is on call | [`Events`], or `tracing` events of the target `tower_oauth_refresh::events` |
//!
//! # What happens to a request
//!
//! - To an origin that was not named, or with an `Authorization` of its own: it passes untouched.
//! - The token is valid: it is attached (RFC 6750 §2.1) and the request sent. In the last tenth of the
//!   token's life, at most five minutes, a refresh also starts, and nobody waits for it.
//! - The token has expired: the request waits for the one refresh. It is never sent without a token.
//! - The API refuses the token, by a 401 that another token could cure (RFC 6750 §3.1) or by gRPC's
//!   `UNAUTHENTICATED`: if a newer one is there already, the request is sent with that; else it joins the
//!   refresh first. It is sent once more, with the body byte for byte, and what comes back is the answer.
//!   Where that cannot be, the refusal itself is the answer, and a [`RefreshReport`] in it says why.
//! - It was not sent, for there is no valid token to be had: a [`RefreshError`], shared by all who waited.
//!
//! A body is recorded as it streams, up to [`RefreshLayer::body_limit`]. A larger one is sent once.
//!
//! # Cancel safety
//!
//! Any future of this crate may be dropped at any time. A refresh is a task of its own, on the tokio runtime
//! of whoever needed it first: once begun, it goes on at the server and in the store, for the others who wait
//! and for the next request, and so do an install and a logout. Dropping a request's future does to that
//! request what dropping the inner client's would do. [`RefreshCoordinator::shutdown`] waits for what is
//! under way; a runtime that is torn down without it may take a refresh along, and the next process finds
//! that noted in the store.
//!
//! # What cannot be promised
//!
//! On a server that allows no second use of a refresh token at all, a login is lost if the server's answer
//! is: it is asked for once more, and where that fails too, the error says [`ErrorKind::LostRotation`] and not
//! that a person revoked. The same may befall a process that is frozen in the instant before it sends, or
//! cut off from its store between answer and write for longer than its lease. [`Logout::NotRevoked`] says
//! that the server may still know the login. Redirects that the client below follows by itself are not seen
//! here. And a store keeps what it is given no better than it is: [`MemoryStore`], the default, until the
//! process ends.

// middleware
mod body;
mod future;
mod layer;
mod replay;
mod report;
mod service;
// engine
mod attach;
mod coordinator;
mod endpoint;
mod store;
// vocabulary
mod challenge;
mod clock;
mod credential;
mod error;
mod error_code;
mod events;
mod foreign;
mod generation;
mod grant;
mod origin;
mod secret;
mod token;

#[cfg(test)]
mod tests;

pub use self::body::ResponseBody;
pub use self::challenge::{Challenge, Challenges};
pub use self::clock::{Clock, Now, SystemClock};
pub use self::coordinator::{BuildError, Builder, Login, Logout, Provider, RefreshCoordinator, Status};
pub use self::credential::CredentialKey;
pub use self::endpoint::{AnswerClass, AnswerDialect, ClientAuth, NotSent, TokenResponse};
pub use self::error::{ErrorKind, RefreshError};
pub use self::events::{Event, EventKind, Events};
pub use self::future::ResponseFuture;
pub use self::generation::Generation;
pub use self::grant::Grant;
pub use self::layer::RefreshLayer;
pub use self::origin::{InvalidOrigin, Origin};
pub use self::replay::{NotReplayable, ReplayBody};
pub use self::report::{RefreshReport, ReplayOutcome};
pub use self::secret::{AccessToken, BoundKey, ClientAssertion, ClientSecret, RefreshToken};
pub use self::service::Refresh;
pub use self::store::{
    BoxFuture, BoxStream, Doubt, KeyDigest, MemoryStore, Record, RecordBody, Sealed, SealingKey, StoreError,
    StoredKey, Swap, TokenStore, Version,
};
pub use self::token::{InvalidResponse, TokenSet};

/// The example of README.md is compiled with the others. The file is not part of the package.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
