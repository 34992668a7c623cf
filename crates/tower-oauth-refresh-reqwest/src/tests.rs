//! What is `reqwest`'s own here; what every client promises is tested for all of them together.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Next};
use tower::{Layer as _, ServiceExt as _};
use tower_oauth_refresh::{
    ClientAuth, CredentialKey, ErrorKind, NotReplayable, NotSent, RefreshCoordinator, RefreshError,
    RefreshLayer, RefreshReport, ReplayOutcome, TokenSet,
};
use tower_oauth_refresh_testkit::{Answer, AuthServer, Fault, ResourceServer};

use crate::{RefreshMiddleware, ReqwestService, Transport};

/// The test kit's servers, and a coordinator that reaches its token endpoint over `reqwest`.
struct World {
    auth: AuthServer,
    api: ResourceServer,
    coordinator: Arc<RefreshCoordinator>,
}

impl World {
    async fn start() -> Self {
        let auth = AuthServer::start().await.unwrap();
        let api = ResourceServer::start(&auth).await.unwrap();
        let client = ClientAuth::basic(auth.client_id(), auth.client_secret());
        let transport = Transport::new(builder()).unwrap();
        let coordinator =
            RefreshCoordinator::builder(auth.token_endpoint(), client).build(transport).unwrap();
        Self { auth, api, coordinator }
    }

    /// Logs in, with an access token that the API refuses.
    async fn install_revoked(&self, key: &str) {
        let tokens = self.auth.login();
        self.coordinator.install(key, tokens.clone()).await.unwrap();
        self.auth.revoke_access_token(&tokens.access_token);
    }

    fn layer(&self) -> RefreshLayer {
        RefreshLayer::new(self.coordinator.clone(), "acme").origin(self.api.origin().try_into().unwrap())
    }

    fn client(&self, layer: RefreshLayer) -> ClientWithMiddleware {
        ClientBuilder::new(bare()).with(RefreshMiddleware::new(layer)).build()
    }

    /// Refreshes that arrived, and API requests.
    fn seen(&self) -> (usize, usize) {
        let verdict = self.auth.ledger().verdict();
        (verdict.refreshes, verdict.api_requests)
    }

    fn redirect(&self, status: StatusCode, to: &str) {
        let away = Answer::new(status).header(header::LOCATION, HeaderValue::from_str(to).unwrap());
        self.api.respond_next(away);
    }
}

/// Where another package of the same build has chosen TLS for reqwest, no client is built without a provider.
fn builder() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

fn bare() -> reqwest::Client {
    builder().build().unwrap()
}

fn outcome(answer: &reqwest::Response) -> Option<ReplayOutcome> {
    answer.extensions().get::<RefreshReport>().map(|report| report.outcome.clone())
}

fn was_not_sent(error: &(dyn StdError + 'static)) -> bool {
    error.is::<NotSent>() || error.source().is_some_and(was_not_sent)
}

#[tokio::test]
async fn a_refusal_is_healed_and_the_answer_is_as_reqwest_would_give_it() {
    let world = World::start().await;
    world.install_revoked("acme").await;
    let url = world.api.url("/things?page=2#part");
    let answer = world.client(world.layer()).post(&url).body("tea").send().await.unwrap();
    assert!(matches!(outcome(&answer), Some(ReplayOutcome::Replayed(_))));
    assert_eq!(answer.url().as_str(), world.api.url("/things?page=2"));
    assert!(answer.content_length().is_some() && answer.remote_addr().is_some());
    let echo = answer.text().await.unwrap();
    assert!(echo.contains(r#""body_length":3"#) && echo.contains(r#""query":"page=2""#), "{echo}");
    assert_eq!(world.seen(), (1, 2));
}

#[tokio::test]
async fn a_refusal_that_cannot_be_helped_still_says_whose_it_is_and_what_it_is_about() {
    for method in [Method::GET, Method::HEAD] {
        let world = World::start().await;
        let login = TokenSet::new("unknown").with_refresh_token("unknown");
        world.coordinator.install("acme", login).await.unwrap();
        let url = world.api.url("/things");
        let bare = bare().request(method.clone(), &url).send().await.unwrap();
        let answer = world.client(world.layer()).request(method, &url).send().await.unwrap();
        assert!(matches!(outcome(&answer), Some(ReplayOutcome::Failed(_))));
        assert_eq!((answer.status(), answer.version()), (bare.status(), bare.version()));
        assert_eq!((answer.url(), answer.remote_addr()), (bare.url(), bare.remote_addr()));
        assert_eq!(answer.headers().get(header::CONTENT_TYPE), bare.headers().get(header::CONTENT_TYPE));
        assert_eq!(
            answer.error_for_status().unwrap_err().to_string(),
            bare.error_for_status().unwrap_err().to_string()
        );
    }
}

#[tokio::test]
async fn a_body_in_memory_stays_so_and_follows_a_redirect_that_keeps_the_method() {
    for tower in [false, true] {
        let world = World::start().await;
        world.install_revoked("acme").await;
        // The refusal first, then the redirect.
        world.api.fault(Fault::none());
        world.redirect(StatusCode::TEMPORARY_REDIRECT, "/elsewhere");
        let answer = if tower {
            let request =
                Request::post(world.api.url("/things")).body(Full::new(Bytes::from("tea"))).unwrap();
            let answer = world.layer().layer(ReqwestService::new(bare())).oneshot(request).await.unwrap();
            answer.map(reqwest::Body::wrap).into()
        } else {
            world.client(world.layer()).post(world.api.url("/things")).body("tea").send().await.unwrap()
        };
        assert_eq!(answer.url().path(), "/elsewhere");
        let echo = answer.text().await.unwrap();
        assert!(echo.contains(r#""method":"POST""#) && echo.contains(r#""body_length":3"#), "{echo}");
        assert_eq!(world.seen(), (1, 3));
    }
}

#[tokio::test]
async fn a_small_stream_is_replayed_and_a_large_one_says_that_it_was_not() {
    for (chunks, replayed) in [(3, true), (30, false)] {
        let world = World::start().await;
        world.install_revoked("acme").await;
        let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1000]));
        let body = reqwest::Body::wrap_stream(stream::iter((0..chunks).map(move |_| chunk())));
        let client = world.client(world.layer().body_limit(10_000));
        let answer = client.post(world.api.url("/things")).body(body).send().await.unwrap();
        match outcome(&answer) {
            Some(ReplayOutcome::Replayed(_)) => assert!(replayed && answer.status() == 200),
            Some(ReplayOutcome::NotReplayable(NotReplayable::TooLarge)) => {
                assert!(!replayed && answer.status() == 401);
            }
            other => unreachable!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_credential_is_the_one_that_the_request_was_given() {
    let world = World::start().await;
    world.install_revoked("globex").await;
    let layer = RefreshLayer::credential_from_extension(world.coordinator.clone());
    let client = world.client(layer.origin(world.api.origin().try_into().unwrap()));
    let request = || client.get(world.api.url("/things"));
    let answer = request().with_extension(CredentialKey::from("globex")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let error = request().send().await.unwrap_err();
    let Error::Middleware(error) = error else { unreachable!("{error}") };
    assert_eq!(error.downcast_ref::<RefreshError>().unwrap().kind(), ErrorKind::NoCredentialKey);
    assert_eq!(world.seen(), (1, 2));
}

/// Counts what passes, and what it learned from the extensions.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

#[derive(Clone)]
struct Seen;

#[async_trait::async_trait]
impl reqwest_middleware::Middleware for Counting {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        assert_eq!(extensions.insert(Seen).is_some(), self.0.fetch_add(1, Ordering::SeqCst) > 0);
        assert!(request.headers()[header::AUTHORIZATION].is_sensitive());
        next.run(request, extensions).await
    }
}

#[tokio::test]
async fn the_rest_of_the_chain_sees_both_sends() {
    let world = World::start().await;
    world.install_revoked("acme").await;
    let (above, below) = (RefreshMiddleware::new(world.layer()), Counting::default());
    let client = ClientBuilder::new(bare()).with(above).with(below.clone()).build();
    assert_eq!(client.get(world.api.url("/things")).send().await.unwrap().status(), 200);
    assert_eq!(below.0.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn errors_of_the_chain_pass_through_as_they_are() {
    let world = World::start().await;
    world.coordinator.install("acme", world.auth.login()).await.unwrap();
    world.api.fault(Fault::drop_connection());
    let error = world.client(world.layer()).get(world.api.url("/things")).send().await.unwrap_err();
    assert!(matches!(&error, Error::Reqwest(error) if error.is_request()), "{error:?}");

    world.coordinator.install("acme", TokenSet::from_refresh_token("unknown")).await.unwrap();
    let error = world.client(world.layer()).get(world.api.url("/things")).send().await.unwrap_err();
    let Error::Middleware(error) = error else { unreachable!("{error}") };
    assert!(error.downcast_ref::<RefreshError>().unwrap().needs_login());
}

#[tokio::test]
async fn the_transport_follows_no_redirect() {
    let thief = AuthServer::start().await.unwrap();
    let world = World::start().await;
    world.install_revoked("acme").await;
    let location = HeaderValue::from_str(&thief.token_endpoint().to_string()).unwrap();
    world.auth.fault(Fault::redirect(location));
    let answer = world.client(world.layer()).get(world.api.url("/things")).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!((world.seen().0, thief.ledger().verdict().token_requests), (1, 0));
}

/// Knows no name.
struct Nowhere;

impl Resolve for Nowhere {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(std::future::ready(Err("no such host".into())))
    }
}

#[tokio::test]
async fn the_transport_tells_what_was_not_sent_from_what_may_have_arrived() {
    let send = async |client, uri: &str| {
        let request = Request::post(uri).body(reqwest::Body::from("grant_type=refresh_token")).unwrap();
        Transport::new(client).unwrap().oneshot(request).await.unwrap_err()
    };
    let error = send(builder().dns_resolver(Arc::new(Nowhere)), "http://auth.example/token").await;
    assert!(was_not_sent(&*error), "{error:?}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let error = send(builder(), &refused).await;
    assert!(was_not_sent(&*error), "{error:?}");

    let auth = AuthServer::start().await.unwrap();
    auth.fault(Fault::drop_connection());
    let error = send(builder(), &auth.token_endpoint().to_string()).await;
    assert!(!was_not_sent(&*error), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("127.0.0.1"), "it names no URL");
}
