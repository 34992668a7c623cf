//! The servers behind TLS, and what only a client that speaks it can get wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryFutureExt as _;
use http::{HeaderValue, StatusCode, Version, header};
use http_body_util::Full;
use hyper_util::client::legacy::Client as Http;
use hyper_util::rt::TokioExecutor;
use tower::service_fn;
use tower_oauth_refresh::{Builder, ErrorKind, NotSent, RefreshLayer};
use tower_oauth_refresh_reqwest::Transport;
use tower_oauth_refresh_testkit::Answer;

use super::client::{Kind, Stage};
use crate::harness::{BoxError, Certificate, Front, KEY, World, within};

pub(super) struct Tls {
    pub(super) certificate: Certificate,
    pub(super) auth: Front,
    pub(super) api: Front,
}

impl Tls {
    pub(super) async fn before(world: &World) -> Self {
        let certificate = Certificate::new();
        let auth = certificate.front(&world.auth.token_endpoint()).await;
        let api = certificate.front(&world.api.origin()).await;
        Self { certificate, auth, api }
    }

    /// A coordinator that finds the token endpoint there.
    pub(super) fn builder(&self, world: &World) -> Builder {
        // That clock stands still, and a rest by it has no end: who waits for one waits for all of this.
        world.builder_at(self.auth.url("/token").parse().unwrap()).wait_limit(Duration::from_secs(5))
    }

    /// A layer that finds the API there.
    pub(super) fn layer(&self, world: &World) -> RefreshLayer {
        RefreshLayer::new(world.coordinator.clone(), KEY).origin(self.api.url("").parse().unwrap())
    }
}

#[tokio::test]
async fn http2_is_spoken_where_tls_agrees_on_it() {
    let stage = Stage::set(Kind::HyperUtilTls).await;
    stage.world.install_expired().await;
    assert_eq!(stage.call(0).await.status, Some(200));
    let ledger = stage.world.auth.ledger();
    assert_eq!(
        (ledger.refreshes()[0].version, ledger.api_requests()[0].version),
        (Version::HTTP_2, Version::HTTP_2)
    );
}

#[tokio::test]
async fn a_redirect_from_tls_to_plain_http_takes_no_token_along() {
    let stage = Stage::set(Kind::ReqwestTls).await;
    stage.world.install().await;
    let plain = HeaderValue::from_str(&stage.world.api.url("/elsewhere")).unwrap();
    stage.world.api.respond_next(Answer::new(StatusCode::FOUND).header(header::LOCATION, plain));
    // It follows, to the same machine and the same API; the refusal there looks like the API's.
    assert_eq!(stage.call(0).await.status, Some(200));
    let sent = stage.world.auth.ledger().api_requests();
    let seen: Vec<_> = sent.iter().map(|sent| (sent.path.as_str(), sent.token.is_some())).collect();
    assert_eq!(seen, [("/things", true), ("/elsewhere", false), ("/things", true)]);
}

/// Also where nobody asks `is_connect` of hyper-util's error.
#[tokio::test]
async fn a_token_endpoint_that_the_client_does_not_trust_learns_nothing_and_the_login_goes_on() {
    for tells in [true, false] {
        let stage = Stage::set(Kind::HyperUtilTls).await;
        stage.world.install_expired().await;
        let tls = stage.tls.as_ref().unwrap();
        let client = Http::builder(TokioExecutor::new());
        let wary = client.build::<_, Full<Bytes>>(Certificate::new().connector());
        let trusting = client.build(tls.certificate.connector());
        let told = Arc::new(AtomicBool::new(false));
        let choice = told.clone();
        let transport = service_fn(move |request| {
            let client = if choice.load(Ordering::SeqCst) { &trusting } else { &wary };
            client.request(request).map_err(move |error| -> BoxError {
                if tells && error.is_connect() { NotSent::new(error).into() } else { error.into() }
            })
        });
        let coordinator = tls.builder(&stage.world).build(transport).unwrap();
        let error = within(coordinator.token(KEY)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "tells: {tells}");
        assert_eq!(stage.world.seen(), (0, 0));

        told.store(true, Ordering::SeqCst);
        stage.world.clock.advance(Duration::from_secs(60));
        within(coordinator.token(KEY)).await.unwrap();
        assert_eq!(stage.world.seen(), (1, 0));
        stage.world.assert_clean();
    }
}

#[tokio::test]
async fn a_refresh_that_reqwest_trusts_nobody_with_is_in_no_doubt() {
    let stage = Stage::set(Kind::ReqwestTls).await;
    stage.world.install_expired().await;
    let stranger = reqwest::Certificate::from_der(&Certificate::new().der()).unwrap();
    let wary = Transport::new(reqwest::Client::builder().no_proxy().tls_certs_only([stranger])).unwrap();
    let coordinator = stage.tls.as_ref().unwrap().builder(&stage.world).build(wary).unwrap();
    assert_eq!(within(coordinator.token(KEY)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(stage.world.seen(), (0, 0));
}
