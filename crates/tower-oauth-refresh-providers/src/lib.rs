//! How real providers behave around token refresh: presets with a date, and a source for every fact that
//! is applied.
//!
//! The core reads what the standards say, and what many providers do beside them. Here is the rest, provider
//! by provider: which answer means that a refresh token is dead, which one looks like it and is not, where the
//! endpoints are. It is no part of the core because it ages.
//!
//! ```
//! use tower_oauth_refresh::RefreshCoordinator;
//! use tower_oauth_refresh_providers as providers;
//! # use {bytes::Bytes, http::{Request, Response}, http_body_util::Full};
//! # let http_client = tower::service_fn(async |_: Request<Full<Bytes>>| {
//! #     Ok::<_, tower::BoxError>(Response::new(Full::<Bytes>::default()))
//! # });
//!
//! let endpoint = providers::TWITCH.token_endpoint.ok_or("not known")?;
//! let auth = providers::TWITCH.client_auth("client-id", "client-secret").ok_or("not confirmed")?;
//! let coordinator = RefreshCoordinator::builder(endpoint.value.parse()?, auth)
//!     .provider(providers::TWITCH)
//!     .build(http_client)?;
//! # drop(coordinator);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a preset does
//!
//! [`Builder::provider`] takes the name of the server in the store, the revocation endpoint, whether to refresh ahead, the parameters that a refresh
//! needs, what the provider calls things in its token answers, and the rules for answers that mean something
//! else here than elsewhere ([`Preset::rules`]). [`Preset::challenges`] does the same for the layer. Only what a source confirms is applied:
//! an unconfirmed fact can be read, and changes nothing. A rule never speaks about an answer that is a token
//! set, or that came from something in front of the server (429, 502 and the like).
//!
//! Everything else is for whoever writes the program to read: [`Preset::grace`], [`Preset::rotation`] and,
//! above all, [`Preset::gaps`]: what this provider wants and does not get from here.
//!
//! # Where the facts are
//!
//! In `providers.json`, which is edited by hand; `cargo xtask providers` writes the rest from it, including
//! the table below. A fact holds as of [`AS_OF`]. Providers change without notice.
//!
#![doc = include_str!("../docs/providers.md")]

mod preset;
#[rustfmt::skip]
mod table;

pub use self::preset::{ClientAuthMethod, Fact, Grace, Preset, Rotation, Rule, Source, TokenHeader};
pub use self::table::*;

#[expect(unused_imports, reason = "named by the documentation")]
use tower_oauth_refresh::Builder;
