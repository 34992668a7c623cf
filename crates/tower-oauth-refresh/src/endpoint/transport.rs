//! The HTTP client below the token endpoint, whichever it is.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::response::Parts;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::Sleep;
use tower_service::Service;

use crate::error::{Cause, ErrorKind, RefreshError};
use crate::foreign::{self, guarded};
use crate::store::BoxFuture;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Longer answers are not read to the end (RFC 6749 §5.1 answers have a few kilobytes).
const ANSWER_LIMIT: usize = 1024 * 1024;

/// An HTTP client, its types erased. Cloned for every attempt, so it need not be `Sync`.
pub(crate) trait Transport: Send {
    fn boxed_clone(&self) -> Box<dyn Transport>;
    /// Comes before [`send`](Self::send).
    fn ready(&mut self) -> BoxFuture<'_, Result<(), Unsent>>;
    /// Until the deadline. Of an answer that is not over by then, or breaks off, what there is.
    fn send<'a>(
        self: Box<Self>,
        request: Request<Bytes>,
        deadline: Pin<&'a mut Sleep>,
    ) -> BoxFuture<'a, Result<Response<Bytes>, Unsent>>;
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
/// A refresh that never left leaves no doubt about the refresh token. `hyper-util`'s errors of names, connections and
/// TLS are recognised, and so is [`io::ErrorKind::ConnectionRefused`]; a transport that knows better wraps its error
/// in this, anywhere in the chain of sources. The [`RefreshError`](crate::RefreshError) has the same source then, and whoever waited for the token may
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

    fn send<'a>(
        mut self: Box<Self>,
        request: Request<Bytes>,
        deadline: Pin<&'a mut Sleep>,
    ) -> BoxFuture<'a, Result<Response<Bytes>, Unsent>> {
        Box::pin(async move {
            let mut heard = Heard::default();
            // What is read is kept outside, for whatever below may fail or panic. Even where it is dropped.
            let hearing = &mut heard;
            let listening = guarded(async move {
                tokio::select! {
                    biased;
                    failure = self.listen(request, hearing) => failure,
                    () = deadline => None,
                }
            });
            let failure = listening.await.ok().flatten();
            heard.answer().ok_or_else(|| failure.unwrap_or(Unsent::InDoubt))
        })
    }
}

impl<S, T, R> Client<S, T, R>
where
    S: Service<Request<T>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    T: From<Bytes>,
    R: Body,
{
    /// Sends, and writes down what comes back. The reason, if there is no answer at all.
    async fn listen(&mut self, request: Request<Bytes>, heard: &mut Heard) -> Option<Unsent> {
        let call = self.service.call(request.map(T::from));
        // The future's drop comes after the answer, and must not take it along.
        let answer = match guarded(call).await.ok()? {
            Ok(answer) => answer,
            Err(error) => return Some(unsent(&*error.into())),
        };
        let (head, body) = answer.into_parts();
        heard.head = Some(head);
        let mut body = pin!(body);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return None };
            if let Ok(data) = frame.into_data() {
                let room = ANSWER_LIMIT - heard.body.len();
                let fits = data.remaining() <= room;
                heard.body.put(data.take(room));
                if !fits {
                    return None;
                }
            }
        }
        heard.ended = true;
        None
    }
}

/// An answer, as far as it has come.
#[derive(Default)]
struct Heard {
    head: Option<Parts>,
    body: Vec<u8>,
    ended: bool,
}

impl Heard {
    /// The answer, if it can be told what is missing of it. A JSON object lacks its end where it breaks off, but the
    /// beginning of a form is a form.
    fn answer(self) -> Option<Response<Bytes>> {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        let tells = self.ended || body.trim_ascii_start().starts_with(b"{");
        let mut head = self.head?;
        // What the client has put there may panic when it is dropped.
        let _ = foreign::call(|| drop(std::mem::take(&mut head.extensions)));
        tells.then(|| Response::from_parts(head, self.body.into()))
    }
}

/// In doubt, unless some error in the chain can only come before the request.
fn unsent(error: &(dyn StdError + 'static)) -> Unsent {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused};
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(NotSent(cause)) = error.downcast_ref() {
            return Unsent::Certain(Some(cause.clone()));
        }
        // The client goes through the layer that it serves.
        let ours = error.downcast_ref::<RefreshError>();
        if let Some(error) = ours.filter(|error| error.kind() == ErrorKind::Reentrant) {
            return Unsent::Certain(Some(Arc::new(error.clone())));
        }
        let io = error.downcast_ref::<io::Error>();
        // A connection that was made can end with any other kind: a host may become unreachable.
        if let Some(kind @ (ConnectionRefused | AddrNotAvailable)) = io.map(io::Error::kind) {
            // Not its own text: anything may be in that.
            return Unsent::Certain(Some(Arc::new(io::Error::from(kind))));
        }
        if io.is_none() && error.to_string() == NO_CONNECTION {
            return Unsent::Certain(Some(Arc::new(connection_error(error))));
        }
        // An `io::Error` passes over the one in it.
        let inside = io.and_then(io::Error::get_ref);
        next = inside.map(|error| error as _).or_else(|| error.source());
    }
    Unsent::InDoubt
}

/// What `hyper-util`'s client says of an error that came before there was a connection (`Error::is_connect`). The type
/// is of no use: it differs between versions, and would be a dependency for every other client. With another text such
/// a refresh would be in doubt, which is the safe side.
const NO_CONNECTION: &str = "client error (Connect)";

/// The kind of the first I/O error in the chain, if it is any, and no text of others.
fn connection_error(error: &(dyn StdError + 'static)) -> io::Error {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref().map(io::Error::kind) {
            None | Some(io::ErrorKind::Other) => next = error.source(),
            Some(kind) => return kind.into(),
        }
    }
    io::Error::new(io::ErrorKind::NotConnected, "no connection")
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
    use std::task::Poll;
    use std::time::Duration;

    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    async fn send<R>(answer: impl FnOnce() -> R + Clone + Send + 'static) -> Result<Response<Bytes>, Unsent>
    where
        R: Body<Data = Bytes, Error = io::Error> + Send + 'static,
    {
        let service = tower::service_fn(move |_: Request<Bytes>| {
            std::future::ready(Ok::<_, io::Error>(Response::new(answer.clone()())))
        });
        let mut client = Box::new(Client::new(service));
        client.ready().await.unwrap();
        let deadline = pin!(tokio::time::sleep(Duration::from_secs(10)));
        client.send(Request::new(Bytes::new()), deadline).await
    }

    type End = fn() -> Poll<Option<io::Result<Frame<Bytes>>>>;

    /// Some frames, and then an error, a panic or silence.
    fn body(
        frames: &'static [&'static [u8]],
        then: End,
    ) -> impl Body<Data = Bytes, Error = io::Error> + Send + 'static {
        let mut frames = frames.iter();
        StreamBody::new(futures_util::stream::poll_fn(move |_| match frames.next() {
            Some(frame) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(frame))))),
            None => then(),
        }))
    }

    #[tokio::test]
    async fn an_answer_over_a_mebibyte_is_not_read_to_its_end() {
        for (over, understood) in [(0, true), (1, false)] {
            let body = move || {
                let spaces = Bytes::from(vec![b' '; ANSWER_LIMIT + over]);
                http_body_util::Full::new(spaces).map_err(|error| match error {})
            };
            let sent = send(body).await;
            assert!(if understood { sent.is_ok() } else { matches!(sent, Err(Unsent::InDoubt)) });
        }
        let long: &'static [u8] = vec![b'x'; ANSWER_LIMIT].leak();
        let long: &'static [&'static [u8]] = vec![&b"{"[..], long, long].leak();
        let answer = send(move || body(long, || panic!("polled for more than is read"))).await.unwrap();
        assert_eq!(answer.body().len(), ANSWER_LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_answer_that_breaks_off_what_came_is_kept() {
        let ends: [End; 3] = [
            || Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            || panic!("the body panics"),
            || Poll::Pending,
        ];
        for end in ends {
            let object = send(move || body(&[b"{\"refresh_token\":", b"\"rt\","], end)).await.unwrap();
            assert_eq!(object.body(), &b"{\"refresh_token\":\"rt\","[..]);
            let marked = send(move || body(&[b"\xef\xbb\xbf", b"{\"refresh_token\":\"rt\","], end)).await;
            assert!(marked.is_ok(), "a byte order mark before it");
            let form = send(move || body(&[b"refresh_token=r"], end)).await;
            assert!(matches!(form, Err(Unsent::InDoubt)), "half a token, or a whole one");
            assert!(matches!(send(move || body(&[], end)).await, Err(Unsent::InDoubt)));
        }
    }

    #[test]
    fn only_errors_from_before_the_request_leave_no_doubt() {
        let io = |kind| -> BoxError { Box::new(io::Error::from(kind)) };
        assert!(matches!(unsent(&*io(io::ErrorKind::ConnectionRefused)), Unsent::Certain(Some(_))));
        for kind in [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
        ] {
            assert!(matches!(unsent(&*io(kind)), Unsent::InDoubt), "a connection may end with it: {kind}");
        }
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
