//! A web back end that keeps its users' tokens to itself.
//!
//! The browser logs in by the authorization code flow with PKCE and gets a cookie, which names a session and
//! is worth nothing anywhere else. The session names the credential, and the credential's tokens never leave
//! this process but for the authorization server and the API. This is the way of a *backend for frontend*.
//!
//! | to see | open |
//! | --- | --- |
//! | the coordinator and the client with the layer | `backend.rs` |
//! | a login that ends in `install` | `login.rs` |
//! | a call on behalf of a session, and a logout that revokes | `account.rs` |
//! | sessions and their cookie | `session.rs` |
//! | what keeps other sites from pressing the buttons | `same_origin.rs` |
//!
//! [`pages`] is the whole application as an axum router; `main.rs` serves it.

mod account;
mod backend;
mod clock;
mod id_token;
mod live;
mod login;
mod outbound;
mod pages;
mod pending;
mod revoke;
mod same_origin;
mod session;

pub use self::backend::{Backend, Provider};
pub use self::clock::MovableClock;
pub use self::pages::pages;
