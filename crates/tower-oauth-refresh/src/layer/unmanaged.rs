//! Why a request gets no token, for the log: an API's 401 does not say that no token was sent.

use std::fmt;
use std::sync::atomic::Ordering;

use http::{HeaderMap, Uri};

use super::{Config, is_relative};
use crate::foreign;
use crate::origin::{InvalidOrigin, Origin};

/// Never with a path, a query, a user name or a header's value in it.
struct Reason<'a> {
    config: &'a Config,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

impl Config {
    /// Of a request that passes through as it is.
    #[cold]
    pub(crate) fn say_why_not(&self, uri: &Uri, headers: &HeaderMap) {
        let reason = Reason { config: self, uri, headers };
        // The log belongs to others, and may panic.
        let _ = foreign::call(|| {
            if self.origins.is_empty() && !self.said_no_origin.swap(true, Ordering::Relaxed) {
                tracing::warn!("the layer names no origin: no request gets a token");
            }
            tracing::debug!(%reason, "a request gets no token");
        });
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, uri, headers } = self;
        if config.origins.is_empty() {
            return f.write_str("the layer names no origin");
        }
        if let Some((origin, _)) = config.named(uri) {
            return if origin.agrees_with_host(headers) {
                f.write_str("it has an Authorization of its own")
            } else {
                write!(f, "its Host is not that of {origin}")
            };
        }
        if is_relative(uri) {
            return f.write_str("its URI has no authority, and the layer no `relative_requests_to`");
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return f.write_str("its URI has a user name");
        }
        match Origin::of(uri) {
            Ok(origin) => {
                write!(f, "{origin} is none of")?;
                config.origins.iter().try_for_each(|(origin, _)| write!(f, " {origin}"))
            }
            Err(InvalidOrigin::Insecure) => f.write_str("its URI is plain http to another machine"),
            Err(_) => f.write_str("its URI is neither http nor https"),
        }
    }
}
