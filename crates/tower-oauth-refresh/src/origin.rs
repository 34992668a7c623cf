//! Which origins may receive the access token.
//!
//! An origin is scheme, host and port (RFC 6454). The layer compares it on every request it sees, after
//! normalising both sides; where anything is unusual about a URI, the request is not managed.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Uri};
use sha2::{Digest as _, Sha256};

/// An origin that may receive the access token: `https`, or `http` on this machine itself.
///
/// ```
/// # use tower_oauth_refresh::Origin;
/// let origin: Origin = "https://api.example".parse()?;
/// assert_eq!(origin.to_string(), "https://api.example:443");
/// assert!("http://api.example".parse::<Origin>().is_err());
/// # Ok::<(), tower_oauth_refresh::InvalidOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    secure: bool,
    host: Box<str>,
    port: u16,
    /// The authority, as nearly all URIs of this origin spell it.
    spelled: Box<str>,
}

/// Why a text is no [`Origin`] for an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOrigin {
    /// Not an absolute URI of scheme and authority.
    #[error("not an absolute http or https URI")]
    NotAbsolute,
    /// `http` to another machine: the token would cross the network in clear (RFC 6750 §5.3).
    #[error("plain http is allowed to loopback only")]
    Insecure,
    /// More than an origin: a path, a query or a user name.
    #[error("an origin has a scheme, a host and a port, nothing more")]
    NotAnOrigin,
}

impl Origin {
    /// The origin of a request's URI.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`], if no token may go there.
    pub fn of(uri: &Uri) -> Result<Self, InvalidOrigin> {
        let (secure, host, port) = parts(uri).ok_or(InvalidOrigin::NotAbsolute)?;
        if !is_confidential(uri) {
            return Err(InvalidOrigin::Insecure);
        }
        let host = host.to_ascii_lowercase().into_boxed_str();
        let spelled =
            if port == default_port(secure) { host.clone() } else { format!("{host}:{port}").into() };
        Ok(Self { secure, host, port, spelled })
    }

    /// The same for equal origins in every process and release.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut first = [0; 8];
        first.iter_mut().zip(Sha256::digest(self.to_string())).for_each(|(to, from)| *to = from);
        u64::from_be_bytes(first)
    }

    /// Does `uri` lead to this origin?
    #[inline]
    pub(crate) fn matches(&self, uri: &Uri) -> bool {
        self.is_spelled_by(uri) || self.is_meant_by(uri)
    }

    /// Does no `Host` name another origin than this one? Servers and proxies go by it, so that it decides who reads the
    /// request, whatever its URI says.
    #[inline]
    pub(crate) fn agrees_with_host(&self, headers: &HeaderMap) -> bool {
        headers.get_all(HOST).iter().all(|host| {
            host.as_bytes() == self.spelled.as_bytes()
                || Authority::try_from(host.as_bytes()).is_ok_and(|authority| self.is_named_by(&authority))
        })
    }

    /// One comparison, on the path of every request.
    #[inline]
    fn is_spelled_by(&self, uri: &Uri) -> bool {
        let scheme = if self.secure { &Scheme::HTTPS } else { &Scheme::HTTP };
        uri.scheme() == Some(scheme)
            && uri.authority().is_some_and(|authority| authority.as_str() == &*self.spelled)
    }

    fn is_meant_by(&self, uri: &Uri) -> bool {
        is_secure(uri) == Some(self.secure)
            && uri.authority().is_some_and(|authority| self.is_named_by(authority))
    }

    fn is_named_by(&self, authority: &Authority) -> bool {
        host_and_port(authority, self.secure)
            .is_some_and(|(host, port)| port == self.port && host.eq_ignore_ascii_case(&self.host))
    }
}

impl TryFrom<Uri> for Origin {
    type Error = InvalidOrigin;

    fn try_from(uri: Uri) -> Result<Self, InvalidOrigin> {
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
            || !matches!(uri.path(), "" | "/")
            || uri.query().is_some()
        {
            return Err(InvalidOrigin::NotAnOrigin);
        }
        Self::of(&uri)
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        text.parse::<Uri>().map_err(|_| InvalidOrigin::NotAbsolute)?.try_into()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Is what goes to `uri` kept from the network: https, or loopback?
pub(crate) fn is_confidential(uri: &Uri) -> bool {
    parts(uri).is_some_and(|(secure, host, _)| secure || is_loopback(host))
}

/// One spelling of all that mean the same (RFC 3986 §6.2.2.1, §6.2.3): scheme and host in lower case, and neither the dot
/// of the root nor the default port. What is unusual stays as it is.
pub(crate) fn normalised(uri: &Uri) -> String {
    let Ok(origin) = Origin::of(uri) else { return uri.to_string() };
    let scheme = if origin.secure { "https" } else { "http" };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("{scheme}://{}{path}", origin.spelled)
}

/// Https, host without its trailing dot, and port. `None` for anything unusual, a user name included.
fn parts(uri: &Uri) -> Option<(bool, &str, u16)> {
    let secure = is_secure(uri)?;
    let (host, port) = host_and_port(uri.authority()?, secure)?;
    Some((secure, host, port))
}

fn is_secure(uri: &Uri) -> Option<bool> {
    match uri.scheme_str()? {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

fn host_and_port(authority: &Authority, secure: bool) -> Option<(&str, u16)> {
    let host = authority.host();
    let host = host.strip_suffix('.').unwrap_or(host);
    let after_host = authority.as_str().get(authority.host().len()..)?;
    let port = match after_host {
        "" | ":" => default_port(secure),
        _ => authority.port_u16()?,
    };
    // Only one dot is the root; a second would be stripped when the origin is read again.
    let named = !host.is_empty() && !host.ends_with('.');
    (named && !authority.as_str().contains('@')).then_some((host, port))
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(origin: &str, uri: &str) -> bool {
        origin.parse::<Origin>().unwrap().matches(&uri.parse().unwrap())
    }

    #[test]
    fn origins_are_compared_normalised() {
        for uri in [
            "https://api.example/x",
            "HTTPS://API.example:443/",
            "https://api.example./x?y",
            "https://api.example:",
        ] {
            assert!(matches("https://api.example", uri), "{uri}");
        }
    }

    #[test]
    fn another_scheme_host_port_or_user_is_another_origin() {
        for uri in [
            "http://api.example/",
            "https://api.example:8443/",
            "https://api.example.evil.example/",
            "https://evil-api.example/",
            "https://user@api.example/",
            "https://api.example@evil.example/",
            "https://xn--pi-7ia.example/",
            "https://api.example../",
            "ftp://api.example/",
            "/relative",
        ] {
            assert!(!matches("https://api.example", uri), "{uri}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for text in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:3000", "http://127.9.9.9"] {
            assert!(text.parse::<Origin>().is_ok(), "{text}");
        }
        for text in
            ["http://api.example", "http://0.0.0.0", "http://127.0.0.1.evil.example", "http://localhost.evil"]
        {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin::Insecure), "{text}");
        }
    }

    #[test]
    fn more_than_an_origin_is_refused() {
        for text in ["https://a.example/path", "https://a.example/?q", "https://u@a.example"] {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin::NotAnOrigin), "{text}");
        }
        for text in ["a.example", "/x", "", "https:///", "*", "https://..", "https://api.example.."] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }

    /// Pieces of URIs, so that random texts get past the first colon.
    fn nearly() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(
            &[
                "http",
                "https",
                "://",
                ":",
                "@",
                ".",
                "/",
                "?",
                "#",
                "[",
                "]",
                "::1",
                "127.0.0.1",
                "localhost",
                "api.example",
                "443",
                "80",
                "0",
                "65536",
                "%2e",
                "xn--",
                "\\",
                " ",
            ][..],
        );
        let piece =
            prop_oneof![8 => pieces.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
        (
            prop::sample::select(&["", "https://", "http://", "HTTPS://"][..]),
            prop::collection::vec(piece, 0..7),
        )
            .prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_an_origin_keeps_its_promises(text in prop_oneof![4 => nearly(), 1 => any::<String>()]) {
            let Ok(origin) = text.parse::<Origin>() else { return Ok(()) };
            let shown = origin.to_string();
            prop_assert_eq!(&shown.parse::<Origin>(), &Ok(origin.clone()), "it is read as it is shown");
            prop_assert!(origin.matches(&text.parse().unwrap()), "{text} leads to itself");
            let spelled: Uri = format!("{}://{}", if origin.secure { "https" } else { "http" }, origin.spelled).parse().unwrap();
            prop_assert!(origin.is_spelled_by(&spelled) && origin.is_meant_by(&spelled), "{spelled} is one spelling of it");
            let clear = shown.strip_prefix("http://").is_none_or(|rest| {
                rest.starts_with("localhost:") || rest.starts_with("127.") || rest.starts_with("[::1]:")
            });
            prop_assert!(clear, "{shown} is in clear");
        }

        #[test]
        fn a_uri_that_matches_has_the_same_host(text in nearly()) {
            let origin: Origin = "https://api.example".parse().unwrap();
            let Ok(uri) = text.parse::<Uri>() else { return Ok(()) };
            if origin.matches(&uri) {
                let host = uri.host().unwrap().to_ascii_lowercase();
                prop_assert!(matches!(host.as_str(), "api.example" | "api.example."), "{text}");
                prop_assert!(uri.port_u16().is_none_or(|port| port == 443), "{text}");
                prop_assert!(!uri.authority().unwrap().as_str().contains('@'), "{text}");
            }
        }
    }
}
