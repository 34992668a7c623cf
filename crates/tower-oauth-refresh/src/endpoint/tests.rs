use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Full;
use tokio::time::Instant;

use super::*;
use crate::clock::SystemClock;
use crate::secret::ClientAssertion;

const SECOND: Duration = Duration::from_secs(1);

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
    let token = Uri::from_static("https://as.example/token");
    let dialect = AnswerDialect::new();
    let target = Target { token, revocation: None, auth, parameters: Vec::new(), dialect, classifier: None };
    let endpoint = Endpoint::new(target, Arc::new(SystemClock), transport);
    let start = Instant::now();
    let answer = endpoint.refresh(Grant::RefreshToken, Some(&RefreshToken::new("r")), 10 * SECOND).await;
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
    assert!(matches!(answer, Answer::NotSent), "{answer:?}");
    assert_eq!((took, arrived), (10 * SECOND, 0));
}
