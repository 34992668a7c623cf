use std::collections::HashSet;
use std::sync::Mutex;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;
use tower::{BoxError, service_fn};
use tower_oauth_refresh::{ErrorKind, RefreshCoordinator, TokenSet};
use tower_oauth_refresh_testkit::{AuthServer, ClientAuthentication, Fault, ManualClock, TokioClock};

use super::*;
use crate::Algorithm;

const ISSUER: &str = "https://as.example";
const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

fn signer(key: SigningKey) -> AssertionSigner {
    AssertionSigner::new(ISSUER, key).clock(Arc::new(ManualClock::new()))
}

fn hs256() -> SigningKey {
    SigningKey::hs256(SECRET).unwrap()
}

fn assertion(signer: &AssertionSigner) -> String {
    signer.sign("app").now_or_never().unwrap().unwrap().expose_secret().to_owned()
}

fn part(jwt: &str, index: usize) -> Value {
    serde_json::from_slice(&BASE64URL.decode(jwt.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

/// The bodies of the requests so far.
type Bodies = Arc<Mutex<Vec<Bytes>>>;

fn assertions(bodies: &Bodies) -> Vec<String> {
    let assertion = |body: &Bytes| {
        let form: Vec<_> = form_urlencoded::parse(body).into_owned().collect();
        let get = |name: &str| form.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone());
        assert_eq!(get("client_id").as_deref(), Some("app"));
        let kind = get("client_assertion_type").unwrap();
        assert_eq!(kind, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        get("client_assertion").unwrap()
    };
    bodies.lock().unwrap().iter().map(assertion).collect()
}

// 7523-02, 7523-03, 7523-06
#[test]
fn the_claims_are_those_of_rfc_7523_and_time_comes_from_the_clock() {
    let jwt = assertion(&signer(hs256().key_id("k\"1")));
    assert_eq!(part(&jwt, 0), json!({ "typ": "JWT", "alg": "HS256", "kid": "k\"1" }));
    let claims = part(&jwt, 1);
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(BASE64URL.decode(jti).unwrap().len(), 16);
    let expected = json!({
        "iss": "app", "sub": "app", "aud": ISSUER, "jti": jti, "iat": 1_700_000_000, "exp": 1_700_000_060
    });
    assert_eq!(claims, expected);
}

#[test]
fn the_signature_is_over_header_and_claims() {
    let jwt = assertion(&signer(hs256()));
    assert!(part(&jwt, 0).get("kid").is_none());
    let (input, signature) = jwt.rsplit_once('.').unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    ring::hmac::verify(&key, input.as_bytes(), &BASE64URL.decode(signature).unwrap()).unwrap();
}

#[test]
fn of_ten_thousand_assertions_no_two_have_the_same_jti() {
    let signer = signer(hs256());
    let jti = |_| part(&assertion(&signer), 1)["jti"].as_str().unwrap().to_owned();
    assert_eq!((0..10_000).map(jti).collect::<HashSet<_>>().len(), 10_000);
}

#[test]
fn nothing_shows_a_key() {
    let signer = signer(hs256().key_id("k1"));
    let shown = format!("{signer:?} {:?} {:?}", signer.client_auth("app"), signer.sign("app").now_or_never());
    assert!(shown.contains(ISSUER) && shown.contains("k1"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("eyJ"), "{shown}");
}

/// A refresh whose first attempt is lost on the way to a real server; `between` happens before the second.
async fn refresh_with_a_retry(
    signer: &AssertionSigner,
    between: impl Fn() + Clone + Send + 'static,
) -> Bodies {
    let server =
        AuthServer::builder().client("app", "").client_authentication(ClientAuthentication::Assertion);
    let server = server.start().await.unwrap();
    server.fault(Fault::drop_connection());
    let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let bodies = Bodies::default();
    let transport = service_fn({
        let bodies = bodies.clone();
        move |request: Request<Full<Bytes>>| {
            let (bodies, http, between) = (bodies.clone(), http.clone(), between.clone());
            async move {
                let body = request.body().clone().collect().await?.to_bytes();
                bodies.lock().unwrap().push(body);
                let answer = http.request(request).await;
                between();
                Ok::<_, BoxError>(answer?)
            }
        }
    });
    let coordinator = RefreshCoordinator::builder(server.token_endpoint(), signer.client_auth("app"));
    let coordinator = coordinator.build(transport).unwrap();
    coordinator.install("acme", server.login().with_expires_in(Duration::ZERO)).await.unwrap();
    coordinator.token("acme").await.unwrap();
    let requests = server.ledger().token_requests();
    let committed: Vec<_> = requests.iter().map(|request| request.committed).collect();
    assert_eq!(committed, [false, true], "what the server saw");
    bodies
}

#[tokio::test]
async fn a_retry_of_a_real_coordinator_carries_another_assertion() {
    let signer = signer(hs256());
    let sent = assertions(&refresh_with_a_retry(&signer, || ()).await);
    assert_eq!(sent.len(), 2);
    assert_ne!(part(&sent[0], 1)["jti"], part(&sent[1], 1)["jti"]);
    assert_ne!(sent[0], sent[1]);
}

#[tokio::test]
async fn a_key_replaced_between_two_attempts_signs_the_second() {
    let signer = signer(hs256().key_id("old"));
    let pem = include_str!("../testdata/es256.pem");
    let between = {
        let signer = signer.clone();
        move || signer.replace(SigningKey::es256_pem(pem).unwrap().key_id("new"))
    };
    let sent = assertions(&refresh_with_a_retry(&signer, between).await);
    let headers: Vec<_> = sent.iter().map(|jwt| part(jwt, 0)).collect();
    let old = json!({ "typ": "JWT", "alg": "HS256", "kid": "old" });
    assert_eq!(headers, [old, json!({ "typ": "JWT", "alg": "ES256", "kid": "new" })]);

    let (input, signature) = sent[1].rsplit_once('.').unwrap();
    // The public key is what comes last in the file.
    let der = pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
    let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &der[der.len() - 65..]);
    verifier.verify(input.as_bytes(), &BASE64URL.decode(signature).unwrap()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_fails_sends_nothing_and_once_it_works_the_login_is_alive() {
    let bodies = Bodies::default();
    let transport = service_fn({
        let bodies = bodies.clone();
        move |request: Request<Full<Bytes>>| {
            let bodies = bodies.clone();
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                bodies.lock().unwrap().push(body);
                let tokens = r#"{"access_token": "at-2", "refresh_token": "rt-2", "expires_in": 3600}"#;
                let answer = Response::builder().status(StatusCode::OK).body(Full::<Bytes>::from(tokens));
                Ok::<_, BoxError>(answer?)
            }
        }
    });
    let asked = Arc::new(Mutex::new(0));
    let broken = SigningKey::callback(Algorithm::Ps256, {
        let asked = asked.clone();
        move |_| {
            *asked.lock().unwrap() += 1;
            async { Err(format!("the module is locked: {SECRET}").into()) }
        }
    });
    let signer = signer(broken);
    let endpoint = "https://as.example/token".parse().unwrap();
    let coordinator = RefreshCoordinator::builder(endpoint, signer.client_auth("app"));
    let coordinator = coordinator.clock(Arc::new(TokioClock::new())).build(transport).unwrap();
    let old = TokenSet::new("at-1").with_refresh_token("rt-1").with_expires_in(Duration::ZERO);
    coordinator.install("acme", old).await.unwrap();
    let error = coordinator.token("acme").await.unwrap_err();
    assert!(*asked.lock().unwrap() > 0 && bodies.lock().unwrap().is_empty(), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "the callback that signs has failed");
    assert!(!format!("{error} {error:?} {source:?}").contains("hunter2") && source.source().is_none());

    signer.replace(hs256());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(coordinator.token("acme").await.unwrap().expose_secret(), "at-2");
    assert_eq!(assertions(&bodies).len(), 1);
}
