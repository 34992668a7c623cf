//! The HTTP client below the token endpoint, whichever it is.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use tower_service::Service;

use crate::error::Cause;
use crate::foreign::{self, Panicked, guarded};
use crate::store::BoxFuture;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Longer answers are not read to the end (RFC 6749 §5.1 answers have a few kilobytes).
const ANSWER_LIMIT: usize = 1024 * 1024;

/// An HTTP client, its types erased. Cloned for every attempt, so it need not be `Sync`.
pub(crate) trait Transport: Send {
    fn boxed_clone(&self) -> Box<dyn Transport>;
    /// Comes before [`send`](Self::send).
    fn ready(&mut self) -> BoxFuture<'_, Result<(), Unsent>>;
    fn send(self: Box<Self>, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, Unsent>>;
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Unsent {
    /// Surely: not a byte of the request left. And why, as far as that is known to hold no secret.
    Certain(Option<Cause>),
    /// It may have arrived.
    InDoubt,
}

/// Marks an error of a token endpoint's transport as raised before anything of the request was sent.
///
/// A refresh that never left leaves no doubt about the refresh token. A failed connection is recognised
/// by its [`io::ErrorKind`]; a transport that knows better wraps its error in this, anywhere in the chain
/// of sources. The [`RefreshError`](crate::RefreshError) has the same source then, and whoever waited for the token may
/// write that into a log: nothing secret may be in its text. Of other errors nothing is passed on.
///
/// A request that the server refused without looking at the refresh token is as good as one that was not sent, where
/// the next will be another one.
#[derive(Clone, Debug)]
pub struct NotSent(Cause);

impl NotSent {
    /// `source` was raised before anything was sent, and says nothing secret.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self(source.into().into())
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was not sent")
    }
}

impl StdError for NotSent {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

pub(super) struct Client<S, T, R> {
    service: S,
    bodies: PhantomData<fn(T) -> R>,
}

impl<S, T, R> Client<S, T, R> {
    pub(super) fn new(service: S) -> Self {
        Self { service, bodies: PhantomData }
    }
}

impl<S, T, R> Transport for Client<S, T, R>
where
    S: Service<Request<T>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    T: From<Bytes> + Send + 'static,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    fn boxed_clone(&self) -> Box<dyn Transport> {
        Box::new(Self::new(self.service.clone()))
    }

    fn ready(&mut self) -> BoxFuture<'_, Result<(), Unsent>> {
        Box::pin(async {
            let ready = poll_fn(|cx| self.service.poll_ready(cx)).await;
            ready.map_err(|error| before_sending(&*error.into()))
        })
    }

    fn send(self: Box<Self>, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, Unsent>> {
        let mut service = self.service;
        Box::pin(async move {
            let doubt = |Panicked| Unsent::InDoubt;
            let call = foreign::call(|| service.call(request.map(T::from))).map_err(doubt)?;
            let answer = guarded(call).await.map_err(doubt).and_then(|answer| {
                answer.map_err(|error| foreign::call(|| unsent(&*error.into())).unwrap_or_else(doubt))
            });
            // An answer is not lost for what a drop does: not for this one, nor for those below.
            let _ = foreign::call(|| drop(service));
            let (mut parts, body) = answer?.into_parts();
            let body = guarded(Limited::new(body, ANSWER_LIMIT).collect()).await.map_err(doubt)?;
            let body = foreign::call(|| body.map(|body| body.to_bytes().to_vec())).map_err(doubt)?;
            let _ = foreign::call(|| drop(std::mem::take(&mut parts.extensions)));
            Ok(Response::from_parts(parts, body.map_err(|_| Unsent::InDoubt)?.into()))
        })
    }
}

/// In doubt, unless some error in the chain can only come before the request.
fn unsent(error: &(dyn StdError + 'static)) -> Unsent {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(NotSent(cause)) = error.downcast_ref() {
            return Unsent::Certain(Some(cause.clone()));
        }
        if let Some(kind) = error.downcast_ref().map(io::Error::kind)
            && matches!(kind, ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable)
        {
            // Not its own text: anything may be in that.
            return Unsent::Certain(Some(Arc::new(io::Error::from(kind))));
        }
        // An `io::Error` passes over the one in it.
        let inside = error.downcast_ref().and_then(io::Error::get_ref);
        next = inside.map(|error| error as _).or_else(|| error.source());
    }
    Unsent::InDoubt
}

/// An error of what comes before the request in any case.
pub(super) fn before_sending(error: &(dyn StdError + 'static)) -> Unsent {
    match unsent(error) {
        Unsent::InDoubt => Unsent::Certain(None),
        certain @ Unsent::Certain(_) => certain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_over_a_mebibyte_is_not_read_to_its_end_and_leaves_doubt() {
        for (over, understood) in [(0, true), (1, false)] {
            let service = tower::service_fn(move |_: Request<Bytes>| {
                let body = http_body_util::Full::new(Bytes::from(vec![b' '; ANSWER_LIMIT + over]));
                std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(body)))
            });
            let mut client = Box::new(Client::new(service));
            client.ready().await.unwrap();
            let sent = client.send(Request::new(Bytes::new())).await;
            assert!(if understood { sent.is_ok() } else { matches!(sent, Err(Unsent::InDoubt)) });
        }
    }

    #[test]
    fn only_errors_from_before_the_request_leave_no_doubt() {
        let io = |kind| -> BoxError { Box::new(io::Error::from(kind)) };
        assert!(matches!(unsent(&*io(io::ErrorKind::ConnectionRefused)), Unsent::Certain(Some(_))));
        assert!(matches!(unsent(&*io(io::ErrorKind::ConnectionReset)), Unsent::InDoubt));
        assert!(matches!(unsent(&NotSent::new("no such host")), Unsent::Certain(Some(_))));
        assert!(matches!(before_sending(&*io(io::ErrorKind::ConnectionReset)), Unsent::Certain(None)));
    }

    #[test]
    fn of_why_nothing_was_sent_only_what_was_said_to_be_harmless_is_passed_on() {
        let said = |error: &(dyn StdError + 'static)| match before_sending(error) {
            Unsent::Certain(cause) => cause.map(|cause| cause.to_string()),
            Unsent::InDoubt => panic!("it came before"),
        };
        assert_eq!(said(&io::Error::other(NotSent::new("no key"))).as_deref(), Some("no key"));
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "hunter2");
        assert_eq!(said(&refused).as_deref(), Some("connection refused"));
        assert_eq!(said(&io::Error::other("hunter2")), None);
    }
}
