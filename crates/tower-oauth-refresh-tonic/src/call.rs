//! One call: its deadline, and the status of an error that the layer reports.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::HeaderMap;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::{Code, Status, TimeoutExpired};
use tower_oauth_refresh::{ErrorKind, RefreshError};

use crate::BoxError;

pin_project! {
    /// A call of a [`RefreshChannel`](crate::RefreshChannel) under way.
    ///
    /// # Cancel safety
    ///
    /// As [`wrap`](crate::wrap) says: what is dropped is the call, never a refresh.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Call<F> {
        #[pin]
        inner: F,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<F> Call<F> {
    pub(crate) fn new(inner: F, deadline: Option<Duration>) -> Self {
        Self { inner, timer: deadline.map(sleep) }
    }
}

impl<F, T> Future for Call<F>
where
    F: Future<Output = Result<T, BoxError>>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.inner.poll(cx) {
            return Poll::Ready(answer.map_err(with_status));
        }
        let Some(timer) = this.timer.as_pin_mut() else { return Poll::Pending };
        ready!(timer.poll(cx));
        // What the channel itself fails with at this deadline.
        Poll::Ready(Err(TimeoutExpired(()).into()))
    }
}

/// The error as a [`Status`] with a code to act on, if it is one of the layer.
fn with_status(error: BoxError) -> BoxError {
    let Some(found) = error.downcast_ref::<RefreshError>() else { return error };
    let code = match found.kind() {
        _ if found.needs_login() => Code::Unauthenticated,
        ErrorKind::TooManyWaiters => Code::ResourceExhausted,
        _ if found.is_transient() => Code::Unavailable,
        _ => Code::FailedPrecondition,
    };
    let mut status = Status::new(code, found.to_string());
    status.set_source(Arc::new(found.clone()));
    status.into()
}

/// The deadline of a call, as its headers say it (`Timeout` in the gRPC protocol over HTTP/2). One that cannot be
/// read is none, as for the channel.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (unit_at, unit) = text.char_indices().next_back()?;
    let digits = text.get(..unit_at)?;
    // More than eight would be no `TimeoutValue`; a sign none either.
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(value * 3600),
        'M' => Duration::from_secs(value * 60),
        'S' => Duration::from_secs(value),
        'm' => Duration::from_millis(value),
        'u' => Duration::from_micros(value),
        'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_the_protocol_writes_them() {
        let read = |text: &'static str| {
            deadline(&HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-timeout"),
                http::HeaderValue::from_static(text),
            )]))
        };
        for (text, deadline) in [
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("200m", Some(Duration::from_millis(200))),
            ("5u", Some(Duration::from_micros(5))),
            ("7n", Some(Duration::from_nanos(7))),
            ("100000000n", None),
            ("+5m", None),
            ("5", None),
            ("m", None),
            ("5h", None),
            ("", None),
        ] {
            assert_eq!(read(text), deadline, "{text:?}");
        }
        assert_eq!(deadline(&HeaderMap::new()), None);
    }

    #[test]
    fn an_error_of_the_channel_stays_what_it_is() {
        let error = with_status(TimeoutExpired(()).into());
        assert!(error.is::<TimeoutExpired>());
    }
}
