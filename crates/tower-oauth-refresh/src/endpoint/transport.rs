//! The HTTP client below the token endpoint, whichever it is.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use tower_service::Service;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// Surely: not a byte of the request left.
    Certain,
    /// It may have arrived.
    InDoubt,
}

/// Marks an error of a token endpoint's transport as raised before anything of the request was sent.
///
/// A refresh that never left leaves no doubt about the refresh token. A failed connection is recognised
/// by its [`io::ErrorKind`]; a transport that knows better wraps its error in this, anywhere in the chain
/// of sources.
#[derive(Debug)]
pub struct NotSent(BoxError);

impl NotSent {
    /// `source` was raised before anything was sent.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self(source.into())
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
        Box::pin(async { poll_fn(|cx| self.service.poll_ready(cx)).await.map_err(|_| Unsent::Certain) })
    }

    fn send(
        mut self: Box<Self>,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, Unsent>> {
        Box::pin(async move {
            let answer =
                self.service.call(request.map(T::from)).await.map_err(|error| unsent(&*error.into()))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(|_| Unsent::InDoubt)?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        })
    }
}

/// In doubt, unless some error in the chain can only come before the request.
fn unsent(error: &(dyn StdError + 'static)) -> Unsent {
    let mut next = Some(error);
    while let Some(error) = next {
        let refused = error.downcast_ref::<io::Error>().is_some_and(|error| {
            use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
            matches!(
                error.kind(),
                ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable
            )
        });
        if refused || error.is::<NotSent>() {
            return Unsent::Certain;
        }
        next = error.source();
    }
    Unsent::InDoubt
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
            assert_eq!(sent.err(), (!understood).then_some(Unsent::InDoubt));
        }
    }

    #[test]
    fn only_errors_from_before_the_request_leave_no_doubt() {
        let io = |kind| -> BoxError { Box::new(io::Error::from(kind)) };
        assert_eq!(unsent(&*io(io::ErrorKind::ConnectionRefused)), Unsent::Certain);
        assert_eq!(unsent(&*io(io::ErrorKind::ConnectionReset)), Unsent::InDoubt);
        assert_eq!(unsent(&NotSent::new("no such host")), Unsent::Certain);
    }
}
