//! OAuth 2.0 credentials kept alive under `reqwest` and `reqwest-middleware`.
//!
//! The layer of [`tower_oauth_refresh`] wraps services of `http` requests; `reqwest` has requests of its own.
//! Three types lead from the one to the other, and none of them decides anything:
//!
//! | you have | take |
//! | --- | --- |
//! | a token endpoint to refresh at | [`Transport`], below the coordinator |
//! | `ClientBuilder::with` of `reqwest-middleware` | [`RefreshMiddleware`], the layer as a middleware |
//! | a `tower` stack with `reqwest` at its bottom | [`ReqwestService`], below the layer |
//!
//! ```no_run
//! use reqwest_middleware::ClientBuilder;
//! use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, RefreshLayer, TokenSet};
//! use tower_oauth_refresh_reqwest::{RefreshMiddleware, Transport};
//!
//! # async fn orders(login: TokenSet) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let auth = ClientAuth::basic("client-id", "client-secret");
//! let coordinator = RefreshCoordinator::builder("https://auth.example/token".parse()?, auth)
//!     .build(Transport::new(reqwest::Client::builder())?)?;
//! coordinator.install("acme", login).await?;
//!
//! let layer = RefreshLayer::new(coordinator, "acme").origin("https://api.example".parse()?);
//! let client = ClientBuilder::new(reqwest::Client::new()).with(RefreshMiddleware::new(layer)).build();
//! println!("{}", client.get("https://api.example/orders").send().await?.status());
//! # Ok(())
//! # }
//! ```
//!
//! # TLS
//!
//! None is chosen here: say in your own manifest which of `reqwest`'s TLS features you want. With
//! `rustls-no-provider` and one crypto provider for the whole process, install that first:
//! `rustls::crypto::ring::default_provider().install_default()`.
//!
//! # Redirects
//!
//! `reqwest` follows them below the layer, which sees the last answer only. It takes the `Authorization`
//! header off where scheme, host or port change, so no token goes along to another origin; where they stay
//! the same, the token does. A refusal by the other origin looks like one by the API, and costs a refresh
//! and a replay in vain. With [`redirect::Policy::none`](reqwest::redirect::Policy::none) the redirect itself
//! is the answer. [`Transport`] never follows one.
//!
//! # Time limits
//!
//! `reqwest`'s, of client or request, hold for each send. They do not cover the wait for a refresh, which has
//! [its own](tower_oauth_refresh::Builder::wait_limit), and begin anew for a replay. To limit all of it, put a
//! `tokio::time::timeout` around the request; what is dropped then is the request, never the refresh.

mod body;
mod hatch;
mod middleware;
mod service;
#[cfg(test)]
mod tests;
mod transport;

pub use self::middleware::RefreshMiddleware;
pub use self::service::ReqwestService;
pub use self::transport::Transport;
