//! Bodies on their way between the layer and `reqwest`.
//!
//! `reqwest` knows two kinds: bytes in memory, which it can send again by itself after a redirect that keeps
//! the method (RFC 9110 §15.4.8), and streams, which it cannot. What was in memory stays so.

use std::any::Any;
use std::error::Error as StdError;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Body;
use http_body_util::Full;
use tower_oauth_refresh::ReplayBody;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The body for `reqwest`, in memory if it was.
pub(crate) fn outbound<B>(mut body: B) -> reqwest::Body
where
    B: Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    if body.is_end_stream() && body.size_hint().exact() == Some(0) {
        return Bytes::new().into();
    }
    // Bytes in memory can be taken at once. Any other body is not polled ahead of time.
    let known: &mut dyn Any = &mut body;
    if let Some(body) = known.downcast_mut::<reqwest::Body>() {
        return mem::take(body);
    }
    if let Some(replay) = known.downcast_mut::<ReplayBody<Full<Bytes>>>() {
        return take(replay).unwrap_or_default().into();
    }
    if let Some(full) = known.downcast_mut::<Full<Bytes>>() {
        return take(full).unwrap_or_default().into();
    }
    reqwest::Body::wrap(body)
}

/// The bytes of a body of `reqwest` that has them in memory; its stream otherwise.
pub(crate) fn in_memory(mut body: reqwest::Body) -> Result<Full<Bytes>, reqwest::Body> {
    if body.as_bytes().is_none() {
        return Err(body);
    }
    Ok(take(&mut body).map(Full::new).unwrap_or_default())
}

/// The one frame of a body that is in memory. `None`: it is empty.
fn take<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Option<Bytes> {
    match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}
