//! A document of metadata: fetched, bounded, and its members read.

use std::future::poll_fn;

use bytes::Bytes;
use http::header::ACCEPT;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::Value;
use tower_oauth_refresh::Origin;
use tower_service::Service;

use crate::BoxError;

/// Why there is no metadata. Nothing that a server wrote is in the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// What was asked about has no metadata: it is not `https` (or loopback), or more than an identifier may be.
    #[error("this is no https URL that metadata could be about")]
    InvalidUrl,
    /// No answer, or one that broke off.
    #[error("the server of the metadata gave no whole answer")]
    Unreachable(#[source] BoxError),
    /// Another answer than a document. Of several places, what the first one said that was not 404. A redirect is
    /// such an answer too: it is not followed.
    #[error("there is no metadata, the server answered {0}")]
    Status(StatusCode),
    /// More than 1 MiB.
    #[error("the metadata is longer than 1 MiB")]
    TooLong,
    /// Not a JSON object, or a member occurs twice.
    #[error("the metadata is not a JSON object with each member once")]
    NotJson,
    /// The metadata says that it is about another issuer or resource, so it must not be used (RFC 8414 §3.3,
    /// RFC 9728 §3.3).
    #[error("the metadata is about another {what}{}", if *.slash { ", by its slash at the end alone" } else { "" })]
    Foreign {
        /// `issuer` or `resource`.
        what: &'static str,
        /// Would a slash at the end, more or less, make them the same?
        slash: bool,
    },
    /// A member that cannot be right.
    #[error("the metadata's {member} {fault}")]
    Member {
        /// Which one.
        member: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
}

/// The document at `uri`. No redirect is followed here.
pub(crate) async fn get<S, T, R>(transport: &mut S, uri: Uri) -> Result<Bytes, MetadataError>
where
    S: Service<Request<T>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    T: From<Bytes>,
    R: Body,
    R::Error: Into<BoxError>,
{
    let unreachable = |error: S::Error| MetadataError::Unreachable(error.into());
    let mut request = Request::new(T::from(Bytes::new()));
    *request.uri_mut() = uri;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    poll_fn(|cx| transport.poll_ready(cx)).await.map_err(unreachable)?;
    let (parts, body) = transport.call(request).await.map_err(unreachable)?.into_parts();
    if parts.status != StatusCode::OK {
        return Err(MetadataError::Status(parts.status));
    }
    match Limited::new(body, LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(MetadataError::TooLong),
        Err(error) => Err(MetadataError::Unreachable(error)),
    }
}

/// Takes the members that `D` names. What has another name is not kept.
pub(crate) fn read<'a, D: Deserialize<'a>>(json: &'a [u8]) -> Result<D, MetadataError> {
    // A list would be taken for an object without its names.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(MetadataError::NotJson);
    }
    serde_json::from_slice(json).map_err(|_| MetadataError::NotJson)
}

/// Is the document about what was asked for, byte for byte?
pub(crate) fn check_subject(what: &'static str, said: &Value, asked: &str) -> Result<(), MetadataError> {
    let said = match said {
        Value::Null => return Err(MetadataError::Member { member: what, fault: "is missing" }),
        Value::String(said) => said,
        _ => return Err(MetadataError::Member { member: what, fault: "is no text" }),
    };
    if said == asked {
        return Ok(());
    }
    let slash = said.strip_suffix('/') == Some(asked) || asked.strip_suffix('/') == Some(said);
    Err(MetadataError::Foreign { what, slash })
}

/// A URL that something confidential may be sent to.
pub(crate) fn url(text: &str) -> Option<Uri> {
    // The parser of URIs drops a fragment, and takes bytes outside ASCII.
    let plain = text.len() <= MAX_TEXT && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    text.parse().ok().filter(|uri| plain && Origin::of(uri).is_ok())
}

/// A URL about which there may be metadata: without query and fragment (RFC 8414 §2, RFC 9728 §1.2).
pub(crate) fn identifier(text: &str) -> Option<Uri> {
    url(text).filter(|_| !text.contains('?'))
}

/// May `named` be in metadata about `subject`? Plain http on this machine may only where the subject is that itself:
/// a server elsewhere must not choose the local program that receives a refresh token.
pub(crate) fn may_name(subject: &str, named: &Uri) -> bool {
    let in_clear = |uri: &Uri| uri.scheme() == Some(&Scheme::HTTP);
    !in_clear(named) || url(subject).is_some_and(|subject| in_clear(&subject))
}

/// An endpoint in metadata about `issuer`.
pub(crate) fn endpoint(
    issuer: &str,
    member: &'static str,
    value: &Value,
) -> Result<Option<Uri>, MetadataError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => {
            let fault = "is no https URL";
            let uri = url(text).filter(|uri| may_name(issuer, uri));
            uri.map(Some).ok_or(MetadataError::Member { member, fault })
        }
        _ => Err(MetadataError::Member { member, fault: "is no text" }),
    }
}

pub(crate) fn list(member: &'static str, value: &Value) -> Result<Option<Vec<String>>, MetadataError> {
    let invalid = |fault| MetadataError::Member { member, fault };
    let entries = match value {
        Value::Null => return Ok(None),
        Value::Array(entries) if entries.len() <= MAX_ENTRIES => entries,
        Value::Array(_) => return Err(invalid("has too many entries")),
        _ => return Err(invalid("is no list")),
    };
    let entry = |value: &Value| {
        let text = value.as_str().filter(|text| text.len() <= MAX_TEXT && !text.contains(char::is_control));
        text.map(str::to_owned).ok_or_else(|| invalid("has an entry that is no short text"))
    };
    entries.iter().map(entry).collect::<Result<_, _>>().map(Some)
}

/// Real documents have a few kilobytes.
const LIMIT: usize = 1024 * 1024;

/// No URL that anybody uses is longer, and no name of a method or a scope.
const MAX_TEXT: usize = 2048;

/// Some servers list a few hundred scopes.
const MAX_ENTRIES: usize = 1024;
