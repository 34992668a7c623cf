//! What an API says about itself, and which authorization servers it trusts (RFC 9728).
//!
//! ```
//! use tower_oauth_refresh_binding::{Metadata, ResourceMetadata};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use tower::{BoxError, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let http_client = service_fn(async |request: Request<Full<Bytes>>| {
//! #     let answer = if request.uri().path().ends_with("oauth-protected-resource") {
//! #         r#"{"resource": "https://api.example", "authorization_servers": ["https://auth.example"]}"#
//! #     } else {
//! #         r#"{"issuer": "https://auth.example", "token_endpoint": "https://auth.example/token"}"#
//! #     };
//! #     Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(answer)))
//! # });
//! // From `Needs::of` a refused request.
//! let url = "https://api.example/.well-known/oauth-protected-resource".parse()?;
//! let api = ResourceMetadata::fetch(&url, "https://api.example", http_client.clone()).await?;
//!
//! // The API names it. Whether to trust it is for the program to know.
//! let issuer = api.authorization_servers().iter().find(|issuer| *issuer == "https://auth.example");
//! let metadata = Metadata::discover(issuer.ok_or("a server we do not know")?, http_client).await?;
//! # drop(metadata);
//! # Ok(())
//! # }
//! ```

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use serde::Deserialize;
use serde_json::Value;
use tower_oauth_refresh::Origin;
use tower_service::Service;

use crate::BoxError;
use crate::document::{self, MetadataError};

/// What an API says about itself. Checked: it is about the API that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceMetadata {
    resource: String,
    authorization_servers: Vec<String>,
}

impl ResourceMetadata {
    /// The document at `url`, which an API named when it refused a request
    /// ([`Needs::resource_metadata`](crate::Needs::resource_metadata)). It must be about `resource`, byte for byte:
    /// the URL that was requested, or the identifier that the program has for the API (RFC 9728 §3.3).
    ///
    /// Plain http on this machine is refused, as `url` and as a server, unless `resource` is itself at such a URL.
    ///
    /// `url` is the API's word. Where others than the program choose the API, look at its host first: this is a
    /// request from inside your network. There is no time limit here; give the client one. Redirects are not
    /// followed here, nor should the client follow them.
    ///
    /// # Errors
    ///
    /// [`MetadataError`].
    ///
    /// # Cancel safety
    ///
    /// It is one GET request: dropping the future changes nothing at the server.
    pub async fn fetch<S, T, R>(url: &Uri, resource: &str, mut transport: S) -> Result<Self, MetadataError>
    where
        S: Service<Request<T>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        T: From<Bytes>,
        R: Body,
        R::Error: Into<BoxError>,
    {
        if Origin::of(url).is_err() || !document::may_name(resource, url) {
            return Err(MetadataError::InvalidUrl);
        }
        let json = document::get(&mut transport, url.clone()).await?;
        let wire: Wire = document::read(&json)?;
        document::check_subject("resource", &wire.resource, resource)?;
        let servers = document::list(SERVERS, &wire.authorization_servers)?.unwrap_or_default();
        let may_be = |server: &Uri| document::may_name(resource, server);
        if !servers.iter().all(|server| document::identifier(server).is_some_and(|uri| may_be(&uri))) {
            return Err(MetadataError::Member {
                member: SERVERS,
                fault: "has an entry that is no https URL",
            });
        }
        Ok(Self { resource: resource.to_owned(), authorization_servers: servers })
    }

    /// The API's identifier: the `resource` of a token request (RFC 8707).
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The issuers whose tokens the API takes, for [`Metadata::discover`](crate::Metadata::discover). The API may
    /// name whom it likes: never send one of them a token that another issued.
    #[must_use]
    pub fn authorization_servers(&self) -> &[String] {
        &self.authorization_servers
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    resource: Value,
    authorization_servers: Value,
}

const SERVERS: &str = "authorization_servers";

#[cfg(test)]
mod tests;
