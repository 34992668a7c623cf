mod answers;
mod unsent;

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;

use super::*;
use crate::clock::{Now, SystemClock};
use crate::secret::ClientAssertion;

const SECOND: Duration = Duration::from_secs(1);

fn target(auth: ClientAuth, dpop: bool) -> Target {
    Target {
        token: Uri::from_static("https://as.example/token"),
        issuer: None,
        revocation: None,
        auth,
        parameters: Vec::new(),
        dialect: AnswerDialect::new(),
        classifiers: Vec::new(),
        dpop,
    }
}

/// A client that takes `making` to sign and a server that takes `answering`; what came of a refresh with
/// a limit of ten seconds, how long it took, and how many requests arrived.
async fn refresh(making: Duration, answering: Duration) -> (Answer, Duration, usize) {
    let arrived = Arc::new(AtomicUsize::new(0));
    let transport = tower::service_fn({
        let arrived = arrived.clone();
        move |_: Request<Full<Bytes>>| {
            arrived.fetch_add(1, Ordering::SeqCst);
            async move {
                sleep(answering).await;
                let tokens = r#"{"access_token": "a", "refresh_token": "r"}"#;
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(tokens)))
            }
        }
    });
    let auth = ClientAuth::assertion("app", move || async move {
        sleep(making).await;
        Ok(ClientAssertion::new("signed"))
    });
    let endpoint = Endpoint::new(target(auth, false), Arc::new(SystemClock), transport);
    let start = Instant::now();
    let answer =
        endpoint.refresh(Grant::RefreshToken, Some("r".into()), None, SystemClock.now(), 10 * SECOND).await;
    (answer, start.elapsed(), arrived.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn signing_and_sending_share_one_time_limit() {
    let (answer, took, arrived) = refresh(8 * SECOND, 8 * SECOND).await;
    assert!(matches!(answer, Answer::Lost), "{answer:?}");
    assert_eq!((took, arrived), (10 * SECOND, 1));
    let (answer, ..) = refresh(5 * SECOND, 5 * SECOND).await;
    assert!(matches!(answer, Answer::Tokens(_)), "one that came in the last moment is read: {answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_takes_too_long_is_not_sent_later() {
    let (answer, took, arrived) = refresh(30 * SECOND, SECOND).await;
    assert!(matches!(answer, Answer::NotSent(None)), "{answer:?}");
    assert_eq!((took, arrived), (10 * SECOND, 0));
}

/// Answers of a server to a client that signs `a-1`, `a-2`, …: what came of a refresh, and what the requests said.
async fn asked(dpop: bool, answers: &'static [(u16, &'static str)]) -> (Answer, Vec<String>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let transport = tower::service_fn({
        let said = said.clone();
        move |request: Request<Full<Bytes>>| {
            let said = said.clone();
            async move {
                let key = request.extensions().get::<BoundKey>().map(|key| key.expose_secret().to_vec());
                assert_eq!(key.as_deref(), Some(&b"key"[..]));
                let body = request.into_body().collect().await?.to_bytes();
                let (_, assertion) = std::str::from_utf8(&body).unwrap().rsplit_once('=').unwrap();
                let mut said = said.lock().unwrap();
                let (status, answer) = answers[said.len()];
                said.push(assertion.to_owned());
                let answer = Response::builder().status(status).body(Full::<Bytes>::from(answer));
                Ok::<_, Infallible>(answer.unwrap())
            }
        }
    });
    let signed = AtomicUsize::new(0);
    let auth = ClientAuth::assertion("app", move || {
        let number = signed.fetch_add(1, Ordering::SeqCst) + 1;
        std::future::ready(Ok(ClientAssertion::new(format!("a-{number}"))))
    });
    let endpoint = Endpoint::new(target(auth, dpop), Arc::new(SystemClock), transport);
    let key = Some(BoundKey::new(*b"key"));
    let answer =
        endpoint.refresh(Grant::RefreshToken, Some("r".into()), key, SystemClock.now(), 10 * SECOND).await;
    let said = said.lock().unwrap().clone();
    (answer, said)
}

const NONCE: (u16, &str) = (400, r#"{"error": "use_dpop_nonce"}"#);
const BOUND: (u16, &str) = (200, r#"{"access_token": "a", "refresh_token": "r-2", "token_type": "DPoP"}"#);
const BEARER: (u16, &str) = (200, r#"{"access_token": "a", "refresh_token": "r-2", "token_type": "Bearer"}"#);

/// 9449-08, 7523-04
#[tokio::test]
async fn a_server_that_wants_a_nonce_gets_the_request_made_anew_and_once() {
    let (answer, said) = asked(true, &[NONCE, BOUND]).await;
    assert!(matches!(answer, Answer::Tokens(_)), "{answer:?}");
    assert_eq!(said, ["a-1", "a-2"], "each with an assertion of its own");
    let (answer, said) = asked(true, &[(401, NONCE.1), NONCE, BOUND]).await;
    assert!(matches!(answer, Answer::Configuration { .. }), "{answer:?}");
    assert_eq!(said.len(), 2);
}

#[tokio::test]
async fn a_client_without_bound_tokens_does_not_ask_twice() {
    let (answer, said) = asked(false, &[NONCE, BEARER]).await;
    assert!(matches!(answer, Answer::Configuration { .. }), "{answer:?}");
    assert_eq!(said.len(), 1);
}

/// 9449-03
#[tokio::test]
async fn a_token_of_another_type_than_expected_is_not_used_and_its_refresh_token_is_kept() {
    for (dpop, answer) in [(true, &[BEARER]), (false, &[BOUND])] {
        let (answer, _) = asked(dpop, answer).await;
        let Answer::Unusable { refresh_token: Some(refresh_token) } = answer else { panic!("{answer:?}") };
        assert_eq!(refresh_token.expose_secret(), "r-2");
    }
}

/// A machine that can be suspended, which tokio's timers do not notice.
#[derive(Debug, Default)]
struct Suspended(Mutex<Duration>);

impl Suspended {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for Suspended {
    fn now(&self) -> Now {
        let passed = *self.0.lock().unwrap();
        Now::new(std::time::UNIX_EPOCH + passed, passed)
    }
}

/// How many requests of a refresh arrive where a machine is suspended: before the exchange is begun, before it is ready
/// to send, while it signs, and while the server says that it wants a nonce.
async fn sent_around(suspensions: [Duration; 4]) -> (Answer, usize) {
    let clock = Arc::new(Suspended::default());
    let arrived = Arc::new(AtomicUsize::new(0));
    let transport = tower::service_fn({
        let (clock, arrived) = (clock.clone(), arrived.clone());
        move |_: Request<Full<Bytes>>| {
            let (status, body) = if arrived.fetch_add(1, Ordering::SeqCst) == 0 { NONCE } else { BOUND };
            clock.pass(suspensions[3]);
            let answer = Response::builder().status(status).body(Full::<Bytes>::from(body)).unwrap();
            std::future::ready(Ok::<_, Infallible>(answer))
        }
    });
    let transport = tower::ServiceBuilder::new()
        .layer_fn(|inner| Waking { inner, clock: clock.clone(), suspended: suspensions[1] })
        .service(transport);
    let auth = ClientAuth::assertion("app", {
        let clock = clock.clone();
        move || {
            clock.pass(suspensions[2]);
            std::future::ready(Ok(ClientAssertion::new("signed")))
        }
    });
    let began = clock.now();
    clock.pass(suspensions[0]);
    let endpoint = Endpoint::new(target(auth, true), clock, transport);
    let answer = endpoint.refresh(Grant::RefreshToken, Some("r".into()), None, began, 10 * SECOND).await;
    (answer, arrived.load(Ordering::SeqCst))
}

/// Takes its time to be ready.
#[derive(Clone)]
struct Waking<S> {
    inner: S,
    clock: Arc<Suspended>,
    suspended: Duration,
}

impl<S: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for Waking<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.clock.pass(self.suspended);
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> S::Future {
        self.inner.call(request)
    }
}

#[tokio::test]
async fn nothing_of_an_attempt_is_sent_after_its_limit_though_the_machine_was_suspended() {
    let never = Duration::ZERO;
    let (answer, arrived) = sent_around([never; 4]).await;
    assert!(matches!(answer, Answer::Tokens(_)), "{answer:?}");
    assert_eq!(arrived, 2);
    for (suspensions, first) in [
        ([10 * SECOND, never, never, never], 0),
        ([never, 10 * SECOND, never, never], 0),
        ([never, never, 10 * SECOND, never], 0),
        ([5 * SECOND, never, 5 * SECOND, never], 0),
        ([never, 6 * SECOND, never, never], 1),
        ([never, never, 6 * SECOND, never], 1),
        ([never, never, never, 10 * SECOND], 1),
    ] {
        let (answer, arrived) = sent_around(suspensions).await;
        assert!(
            matches!(answer, Answer::NotSent(None)),
            "a server that wants a nonce spends nothing: {answer:?}"
        );
        assert_eq!(arrived, first, "{suspensions:?}");
    }
}

/// Panics when it is cloned, when it is made ready, or when it is called.
#[derive(Default)]
struct Panicking {
    clone: bool,
    ready: bool,
    call: bool,
}

impl Clone for Panicking {
    fn clone(&self) -> Self {
        assert!(!self.clone, "the clone panics");
        Self { ..*self }
    }
}

impl Service<Request<Full<Bytes>>> for Panicking {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        assert!(!self.ready, "it panics before it is ready");
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(!self.call, "the call panics");
        std::future::ready(Ok(Response::new(Full::from(r#"{"access_token":"a","refresh_token":"r-2"}"#))))
    }
}

#[tokio::test]
async fn a_transport_that_panics_before_it_is_called_has_sent_nothing() {
    let exchange = async |transport: Panicking, auth: ClientAuth| {
        let endpoint = Endpoint::new(target(auth, false), Arc::new(SystemClock), transport);
        endpoint.refresh(Grant::RefreshToken, Some("r".into()), None, SystemClock.now(), 10 * SECOND).await
    };
    let fine = || ClientAuth::none("app");
    for transport in
        [Panicking { clone: true, ..Panicking::default() }, Panicking { ready: true, ..Panicking::default() }]
    {
        let answer = exchange(transport, fine()).await;
        assert!(matches!(answer, Answer::NotSent(None)), "{answer:?}");
    }
    let assertion = ClientAuth::assertion("app", || async { panic!("the signature panics") });
    let answer = exchange(Panicking::default(), assertion).await;
    assert!(matches!(answer, Answer::NotSent(None)), "{answer:?}");
    let answer = exchange(Panicking { call: true, ..Panicking::default() }, fine()).await;
    assert!(matches!(answer, Answer::Lost), "{answer:?}");
    assert!(matches!(exchange(Panicking::default(), fine()).await, Answer::Tokens(_)));
}
