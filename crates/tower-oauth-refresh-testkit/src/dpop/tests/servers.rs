//! Both servers against a client that proves by hand.

use std::sync::atomic::{AtomicU64, Ordering};

use http::request::Builder;
use http::{Request, StatusCode, header};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;
use tower_oauth_refresh::{AccessToken, RefreshToken, TokenSet};

use super::*;
use crate::test_client::{Got, TestClient, bearer, encode, form_request};
use crate::{AuthServer, ClientAuthentication, ManualClock, ResourceServer};

struct Prover {
    key: EcdsaKeyPair,
    drawn: AtomicU64,
}

impl Prover {
    fn new() -> Self {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap();
        Self { key, drawn: AtomicU64::new(0) }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "x": BASE64URL.encode(x), "y": BASE64URL.encode(y) })
    }

    fn thumbprint(&self) -> String {
        Key::read(&self.jwk()).unwrap_or_else(|flaw| panic!("{flaw}")).thumbprint
    }

    /// At 1 700 000 000, where the clock of these tests stands.
    fn prove(&self, method: &str, uri: &str, nonce: Option<&str>, token: Option<&AccessToken>) -> String {
        let jti = self.drawn.fetch_add(1, Ordering::Relaxed).to_string() + &self.thumbprint();
        self.sign(&json!({
            "jti": jti, "htm": method, "htu": uri, "iat": 1_700_000_000, "nonce": nonce,
            "ath": token.map(|token| BASE64URL.encode(Sha256::digest(token.expose_secret()))),
        }))
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() }).to_string();
        let input = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", BASE64URL.encode(signature))
    }
}

struct Setting {
    auth: AuthServer,
    api: ResourceServer,
    http: TestClient,
}

impl Setting {
    async fn new() -> Self {
        Self::with(ClientAuthentication::None).await
    }

    async fn with(authentication: ClientAuthentication) -> Self {
        let auth = AuthServer::builder().dpop().client("app", "").clock(ManualClock::new());
        let auth = auth.client_authentication(authentication).start().await.unwrap();
        let api = ResourceServer::start(&auth).await.unwrap();
        Self { auth, api, http: TestClient::new() }
    }

    async fn refresh(&self, token: &RefreshToken, proof: Option<&str>, more: &[(&str, &str)]) -> Got {
        let request = form_request(self.auth.token_endpoint());
        let request =
            proof.into_iter().fold(request, |request: Builder, proof| request.header("dpop", proof));
        let form = [("client_id", "app"), ("grant_type", "refresh_token")];
        let form = [&form[..], &[("refresh_token", token.expose_secret())], more].concat();
        self.http.send(request, encode(&form)).await.unwrap()
    }

    /// A refresh by `key`.
    async fn refresh_by(&self, key: &Prover, token: &RefreshToken, nonce: Option<&str>) -> Got {
        let proof = key.prove("POST", &self.auth.token_endpoint().to_string(), nonce, None);
        self.refresh(token, Some(&proof), &[]).await
    }

    async fn get_by(&self, key: &Prover, token: &AccessToken, nonce: Option<&str>) -> Got {
        let proof = key.prove("GET", &self.api.url("/things"), nonce, Some(token));
        self.get(&format!("DPoP {}", token.expose_secret()), Some(&proof)).await
    }

    async fn get(&self, authorization: &str, proof: Option<&str>) -> Got {
        let request = Request::get(self.api.url("/things?x")).header(header::AUTHORIZATION, authorization);
        let request = proof.into_iter().fold(request, |request, proof| request.header("dpop", proof));
        self.http.send(request, "").await.unwrap()
    }
}

fn nonce(got: &Got) -> String {
    got.headers["dpop-nonce"].to_str().unwrap().to_owned()
}

fn challenge(got: &Got) -> &str {
    got.headers[header::WWW_AUTHENTICATE].to_str().unwrap()
}

fn refresh_token(login: &TokenSet) -> &RefreshToken {
    login.refresh_token.as_ref().unwrap()
}

#[tokio::test]
async fn a_public_clients_tokens_are_good_with_its_key_alone() {
    let setting = Setting::new().await;
    let (key, other) = (Prover::new(), Prover::new());
    let login = setting.auth.login_bound_to(&key.thumbprint());

    let stolen = setting.refresh_by(&other, refresh_token(&login), None).await;
    assert_eq!((stolen.status, stolen.error()), (StatusCode::BAD_REQUEST, "invalid_grant".to_owned()));
    let tokens = setting.refresh_by(&key, refresh_token(&login), None).await;
    assert_eq!(tokens.json()["token_type"], "DPoP");

    let token = tokens.access_token();
    assert_eq!(setting.get_by(&key, &token, None).await.status, StatusCode::OK);
    let stolen = setting.get_by(&other, &token, None).await;
    assert!(challenge(&stolen).contains("invalid_dpop_proof"));
    let unproved = setting.get(&format!("DPoP {}", token.expose_secret()), None).await;
    assert!(challenge(&unproved).contains("invalid_dpop_proof"));
    assert!(setting.auth.ledger().verdict().is_clean(), "all of them honest so far");

    let downgraded = setting.get(&bearer(&token), None).await;
    assert!(challenge(&downgraded).starts_with("DPoP") && challenge(&downgraded).contains("invalid_token"));
    let verdict = setting.auth.ledger().verdict();
    assert_eq!((verdict.downgrades, verdict.is_clean()), (1, false));
}

#[tokio::test]
async fn a_confidential_clients_refresh_token_may_come_with_another_key() {
    let setting = Setting::with(ClientAuthentication::Assertion).await;
    let (key, other) = (Prover::new(), Prover::new());
    let login = setting.auth.login_bound_to(&key.thumbprint());
    let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let claims = |sub: &str| json!({ "iss": "app", "sub": sub, "jti": "j-1" });
    let assertion = key.sign(&claims("app"));
    let forms = [("somebody", "invalid_client"), ("", "invalid_client")];
    for (sub, error) in forms {
        let proof = other.prove("POST", &setting.auth.token_endpoint().to_string(), None, None);
        let assertion = if sub.is_empty() { "none".to_owned() } else { key.sign(&claims(sub)) };
        let more = [kind, ("client_assertion", assertion.as_str())];
        let refused = setting.refresh(refresh_token(&login), Some(&proof), &more).await;
        assert_eq!(refused.error(), error);
    }
    let proof = other.prove("POST", &setting.auth.token_endpoint().to_string(), None, None);
    let more = [kind, ("client_assertion", assertion.as_str())];
    let got = setting.refresh(refresh_token(&login), Some(&proof), &more).await;
    assert_eq!(got.status, StatusCode::OK);

    let line = setting.auth.ledger().refreshes().pop().unwrap();
    assert_eq!(line.client_authentication, Some(ClientAuthentication::Assertion));
    assert_eq!(line.assertion, Some(TokenHash::of("j-1")));
    assert!(!line.parameters.iter().any(|(name, _)| name == "client_assertion"));
    assert_eq!(setting.auth.ledger().verdict().repeated_jtis, 1, "the same jti came before");
}

#[tokio::test]
async fn a_token_request_without_a_good_proof_is_refused_and_spends_nothing() {
    let setting = Setting::new().await;
    let key = Prover::new();
    let login = setting.auth.login_bound_to(&key.thumbprint());
    let without = setting.refresh(refresh_token(&login), None, &[]).await;
    assert_eq!(without.error(), "invalid_dpop_proof");
    let elsewhere = key.prove("POST", "http://127.0.0.1/token", None, None);
    let wrong = setting.refresh(refresh_token(&login), Some(&elsewhere), &[]).await;
    assert_eq!(wrong.error(), "invalid_dpop_proof");
    assert!(setting.auth.accepts(refresh_token(&login)));
    assert_eq!(setting.auth.ledger().verdict().flawed_proofs, 1);
    assert!(!setting.auth.ledger().verdict().is_clean());
}

#[tokio::test]
async fn each_server_demands_its_own_nonce_and_every_answer_carries_it() {
    let setting = Setting::new().await;
    let key = Prover::new();
    let login = setting.auth.login_bound_to(&key.thumbprint());
    setting.auth.demand_nonce();
    setting.api.demand_nonce();

    let refused = setting.refresh_by(&key, refresh_token(&login), None).await;
    assert_eq!((refused.status, refused.error()), (StatusCode::BAD_REQUEST, "use_dpop_nonce".to_owned()));
    let tokens = setting.refresh_by(&key, refresh_token(&login), Some(&nonce(&refused))).await;
    assert_eq!((tokens.status, nonce(&tokens)), (StatusCode::OK, nonce(&refused)));

    let token = tokens.access_token();
    let refused = setting.get_by(&key, &token, None).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(challenge(&refused).contains(r#"error="use_dpop_nonce""#));
    assert_eq!(setting.get_by(&key, &token, Some(&nonce(&refused))).await.status, StatusCode::OK);
    let verdict = setting.auth.ledger().verdict();
    assert_eq!((verdict.nonce_challenges, verdict.proofs, verdict.is_clean()), (2, 4, true));

    setting.api.demand_nonce();
    let old = setting.get_by(&key, &token, Some(&nonce(&refused))).await;
    assert!(challenge(&old).contains("use_dpop_nonce") && nonce(&old) != nonce(&refused));
    assert_eq!(setting.auth.ledger().verdict().foreign_nonces, 0, "old, but the API's own");
    setting.get_by(&key, &token, Some(&nonce(&tokens))).await;
    let verdict = setting.auth.ledger().verdict();
    assert_eq!((verdict.foreign_nonces, verdict.is_clean()), (1, false));
}

#[tokio::test]
async fn a_proof_that_comes_twice_is_in_the_ledger() {
    let setting = Setting::new().await;
    let key = Prover::new();
    let login = setting.auth.login_bound_to(&key.thumbprint());
    let proof = key.prove("GET", &setting.api.url("/things"), None, Some(&login.access_token));
    let authorization = format!("DPoP {}", login.access_token.expose_secret());
    for seen in [0, 1] {
        assert_eq!(setting.get(&authorization, Some(&proof)).await.status, StatusCode::OK);
        assert_eq!(setting.auth.ledger().verdict().repeated_jtis, seen);
    }
}

#[tokio::test]
async fn of_the_sends_of_one_request_one_is_for_the_nonce() {
    let setting = Setting::new().await;
    let key = Prover::new();
    let login = setting.auth.login_bound_to(&key.thumbprint());
    setting.api.demand_nonce();
    let token = &login.access_token;
    let mut last = None;
    for sends in [0, 1, 2] {
        let proof = key.prove("GET", &setting.api.url("/"), last.as_deref(), Some(token));
        let request = Request::get(setting.api.url("/")).header("dpop", proof).header("x-request-id", "r-1");
        let request = request.header(header::AUTHORIZATION, format!("DPoP {}", token.expose_secret()));
        last = Some(nonce(&setting.http.send(request, "").await.unwrap()));
        assert_eq!(setting.auth.ledger().verdict().max_sends_of_one_request, sends);
    }
}

#[tokio::test]
async fn tokens_that_are_bound_to_no_key_are_bearer_tokens() {
    let setting = Setting::new().await;
    let login = setting.auth.login();
    assert_eq!(setting.get(&bearer(&login.access_token), None).await.status, StatusCode::OK);
    let key = Prover::new();
    let bound = setting.get_by(&key, &login.access_token, None).await;
    assert!(challenge(&bound).contains("invalid_token"));
}
