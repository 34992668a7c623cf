use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
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
    let target = Target {
        token,
        issuer: None,
        revocation: None,
        auth,
        parameters: Vec::new(),
        dialect,
        classifier: None,
        dpop: false,
    };
    let endpoint = Endpoint::new(target, Arc::new(SystemClock), transport);
    let start = Instant::now();
    let answer = endpoint.refresh(Grant::RefreshToken, Some("r".into()), None, 10 * SECOND).await;
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
    let token = Uri::from_static("https://as.example/token");
    let dialect = AnswerDialect::new();
    let target = Target {
        token,
        issuer: None,
        revocation: None,
        auth,
        parameters: Vec::new(),
        dialect,
        classifier: None,
        dpop,
    };
    let endpoint = Endpoint::new(target, Arc::new(SystemClock), transport);
    let key = Some(BoundKey::new(*b"key"));
    let answer = endpoint.refresh(Grant::RefreshToken, Some("r".into()), key, 10 * SECOND).await;
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
