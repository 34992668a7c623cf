//! The middleware in a chain that answers by itself, as it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use reqwest::ResponseBuilderExt as _;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tower::service_fn;
use tower_oauth_refresh::{
    BoundKey, ClientAuth, EventKind, NotReplayable, RefreshCoordinator, RefreshReport, ReplayOutcome,
    TokenSet,
};

use super::*;

const URL: &str = "https://api.example/things?page=2";
const INVALID: (&str, &str) = ("www-authenticate", r#"Bearer error="invalid_token""#);

/// In the extensions of a request, or of an answer.
#[derive(Clone, Debug, PartialEq)]
struct Marker(u8);

#[derive(Debug, PartialEq)]
struct Seen {
    method: Method,
    url: String,
    version: Version,
    limit: Option<Duration>,
    headers: HeaderMap,
    body: Bytes,
    marker: Option<Marker>,
    key: Option<Vec<u8>>,
}

/// The end of the chain.
#[derive(Clone, Default)]
struct Api {
    answers: Arc<Mutex<VecDeque<reqwest::Response>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    tokens: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl Middleware for Api {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> Result<reqwest::Response> {
        let (url, limit) = (request.url().to_string(), request.timeout().copied());
        let (mut head, body) = Request::<reqwest::Body>::try_from(request)?.into_parts();
        let token = head.headers.remove(AUTHORIZATION).unwrap();
        self.tokens.lock().unwrap().push(token.to_str().unwrap().to_owned());
        let body = body.collect().await?.to_bytes();
        self.seen.lock().unwrap().push(Seen {
            method: head.method,
            url,
            version: head.version,
            limit,
            headers: head.headers,
            body,
            marker: head.extensions.remove(),
            key: head.extensions.remove::<BoundKey>().map(|key| key.expose_secret().to_vec()),
        });
        Ok(self.answers.lock().unwrap().pop_front().unwrap())
    }
}

impl Api {
    fn then(&self, status: u16, header: (&str, &str), body: impl Into<reqwest::Body>) {
        let answer =
            http::Response::builder().status(status).version(Version::HTTP_2).header(header.0, header.1);
        let answer = answer.header("dpop-nonce", "n-1").url(URL.parse().unwrap()).body(body.into()).unwrap();
        self.answers.lock().unwrap().push_back(answer.into());
    }

    fn tokens(&self) -> Vec<String> {
        self.tokens.lock().unwrap().clone()
    }
}

/// Has `at-1`, and gets `at-2` where the endpoint gives any.
async fn coordinator(bound: bool, gives: bool) -> Arc<RefreshCoordinator> {
    let kind = if bound { "DPoP" } else { "Bearer" };
    let given = format!(
        r#"{{"access_token":"at-2","refresh_token":"rt-2","expires_in":3600,"token_type":"{kind}"}}"#
    );
    let (status, body) = if gives { (200, given) } else { (400, r#"{"error":"invalid_grant"}"#.to_owned()) };
    let endpoint = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = http::Response::builder().status(status).body(Full::<Bytes>::from(body.clone()));
        std::future::ready(answer.map_err(BoxError::from))
    });
    let builder =
        RefreshCoordinator::builder("https://auth.example/token".parse().unwrap(), ClientAuth::none("c"));
    let builder = if bound { builder.dpop() } else { builder };
    let coordinator = builder.build(endpoint).unwrap();
    let mut login =
        TokenSet::new("at-1").with_refresh_token("rt-1").with_expires_in(Duration::from_secs(3600));
    if bound {
        login = login.with_bound_key(BoundKey::new(*b"key"));
    }
    coordinator.install("acme", login).await.unwrap();
    coordinator
}

fn layer(coordinator: &Arc<RefreshCoordinator>) -> RefreshLayer {
    RefreshLayer::new(coordinator.clone(), "acme").origin("https://api.example".parse().unwrap())
}

fn client(layer: RefreshLayer, rest: impl Middleware) -> ClientWithMiddleware {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientBuilder::new(reqwest::Client::new()).with(RefreshMiddleware::new(layer)).with(rest).build()
}

fn outcome(answer: &reqwest::Response) -> Option<ReplayOutcome> {
    answer.extensions().get::<RefreshReport>().map(|report| report.outcome.clone())
}

fn frames(frames: impl IntoIterator<Item = Frame<Bytes>, IntoIter: Send + Sync + 'static>) -> reqwest::Body {
    reqwest::Body::wrap(StreamBody::new(stream::iter(frames.into_iter().map(Ok::<_, Infallible>))))
}

#[tokio::test]
async fn every_send_is_the_same_request_but_for_its_token() {
    for (bound, limit, marker) in
        [(false, None, None), (false, Some(Duration::from_secs(7)), Some(Marker(1))), (true, None, None)]
    {
        let api = Api::default();
        if bound {
            api.then(401, ("www-authenticate", r#"DPoP error="use_dpop_nonce""#), "");
        }
        api.then(401, INVALID, "");
        api.then(200, ("x-of", "the last"), "done");
        let client = client(layer(&coordinator(bound, true).await), api.clone());

        let mut request = Request::put(URL).version(Version::HTTP_2).header("x-a", "1").header("x-a", "2");
        if let Some(marker) = &marker {
            request = request.extension(marker.clone());
        }
        let mut request = reqwest::Request::try_from(request.body("tea").unwrap()).unwrap();
        if limit.is_some() {
            *request.timeout_mut() = limit;
        }
        request.url_mut().set_fragment(Some("part"));
        let expected = || Seen {
            method: Method::PUT,
            url: URL.to_owned(),
            version: Version::HTTP_2,
            limit,
            headers: request.headers().clone(),
            body: Bytes::from("tea"),
            marker: marker.clone(),
            key: bound.then(|| b"key".to_vec()),
        };
        let expected: Vec<_> = (0..if bound { 3 } else { 2 }).map(|_| expected()).collect();

        let answer = client.execute(request).await.unwrap();
        assert!(matches!(outcome(&answer), Some(ReplayOutcome::Replayed(_))));
        assert_eq!(answer.headers()["x-of"], "the last");
        assert_eq!(*api.seen.lock().unwrap(), expected);
        let tokens: &[_] =
            if bound { &["DPoP at-1", "DPoP at-1", "DPoP at-2"] } else { &["Bearer at-1", "Bearer at-2"] };
        assert_eq!(api.tokens(), tokens);
    }
}

#[tokio::test]
async fn an_answer_that_nobody_has_touched_is_the_chains_own() {
    let api = Api::default();
    let answer = http::Response::builder().status(203).version(Version::HTTP_2).header("x-a", "1");
    let answer = answer.extension(Marker(2)).url(URL.parse().unwrap()).body("tea").unwrap();
    api.answers.lock().unwrap().push_back(answer.into());
    let answer = client(layer(&coordinator(false, true).await), api).get(URL).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version(), answer.url().as_str()),
        (203, Version::HTTP_2, URL)
    );
    assert_eq!((answer.headers().len(), &answer.headers()["x-a"]), (1, &HeaderValue::from_static("1")));
    assert_eq!((answer.extensions().get(), answer.content_length()), (Some(&Marker(2)), Some(3)));
    assert!(outcome(&answer).is_none());
    assert_eq!(answer.text().await.unwrap(), "tea");
}

#[tokio::test]
async fn a_refusal_that_cannot_be_helped_is_the_answer_byte_for_byte() {
    // Where there is no newer token, the answer was read while one was asked for; where the body was too large for a
    // second send, it was not.
    for limit in [100, 1] {
        let api = Api::default();
        api.then(401, INVALID, frames(["sor", "ry"].map(|text| Frame::data(text.into()))));
        let client = client(layer(&coordinator(false, false).await).body_limit(limit), api.clone());
        let answer = client.post(URL).body("tea").send().await.unwrap();
        match outcome(&answer) {
            Some(ReplayOutcome::Failed(error)) => assert!(limit == 100 && error.needs_login()),
            Some(ReplayOutcome::NotReplayable(NotReplayable::TooLarge)) => assert_eq!(limit, 1),
            other => unreachable!("{other:?}"),
        }
        assert_eq!((answer.status(), answer.version()), (StatusCode::UNAUTHORIZED, Version::HTTP_2));
        assert_eq!(answer.url().as_str(), URL);
        assert_eq!(answer.headers()[INVALID.0], INVALID.1);
        assert_eq!(answer.text().await.unwrap(), "sorry");
        assert_eq!(api.tokens(), ["Bearer at-1"]);
    }
}

#[tokio::test]
async fn a_refusal_in_the_trailers_is_in_time_for_the_next_request() {
    let (api, coordinator) = (Api::default(), coordinator(false, true).await);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("16"))]);
    let body = frames([Frame::data(Bytes::from("m")), Frame::trailers(trailers)]);
    api.then(200, ("content-type", "application/grpc"), body);
    api.then(200, ("content-type", "application/grpc"), "four");
    let client = client(layer(&coordinator), api.clone());
    let answer = client.post(URL).send().await.unwrap();
    assert_eq!(answer.url().as_str(), URL);
    let read = http::Response::<reqwest::Body>::from(answer).into_body().collect().await.unwrap();
    assert_eq!(read.trailers().unwrap()["grpc-status"], "16");
    assert_eq!(read.to_bytes(), "m");
    let mut events = coordinator.events();
    let refreshed = async { while !matches!(events.next().await.unwrap().kind, EventKind::Refreshed(_)) {} };
    timeout(Duration::from_secs(60), refreshed).await.expect("a refresh");

    assert_eq!(client.post(URL).send().await.unwrap().content_length(), Some(4));
    assert_eq!(api.tokens(), ["Bearer at-1", "Bearer at-2"]);
}

/// Never answers, and can be seen to have been dropped.
struct Never(Arc<()>);

#[async_trait::async_trait]
impl Middleware for Never {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> Result<reqwest::Response> {
        let _sending = (request, self.0.clone());
        pending().await
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_while_it_is_sent_leaves_nothing_behind() {
    let (sending, body) = (Arc::new(()), Arc::new(()));
    let client = client(layer(&coordinator(false, true).await), Never(sending.clone()));
    let held = body.clone();
    let frames = stream::iter([0]).map(move |_| {
        let _ = &held;
        Ok::<_, Infallible>("tea")
    });
    let mut request = Box::pin(client.post(URL).body(reqwest::Body::wrap_stream(frames)).send());
    assert!(request.as_mut().now_or_never().is_none());
    assert_eq!((Arc::strong_count(&sending), Arc::strong_count(&body)), (3, 2), "it is being sent");
    drop(request);
    assert_eq!((Arc::strong_count(&sending), Arc::strong_count(&body)), (2, 1));
}

/// Panics once.
struct Panics(Mutex<bool>, Api);

#[async_trait::async_trait]
impl Middleware for Panics {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        let first = !mem::replace(&mut *self.0.lock().unwrap(), true);
        assert!(!first, "as the test wants it");
        self.1.handle(request, extensions, next).await
    }
}

#[tokio::test]
async fn a_panic_in_the_chain_is_the_callers_and_the_next_request_knows_nothing_of_it() {
    let api = Api::default();
    api.then(200, ("x-of", "the second"), "done");
    let client = client(layer(&coordinator(false, true).await), Panics(Mutex::default(), api));
    let sent = AssertUnwindSafe(client.post(URL).body("tea").send()).catch_unwind().await;
    assert!(sent.is_err());
    assert_eq!(client.post(URL).body("tea").send().await.unwrap().text().await.unwrap(), "done");
}

/// Refuses the first request from another place, as after a redirect; then answers.
fn refuses_from_elsewhere(api: &Api) {
    let refusal = http::Response::builder().status(401).header(INVALID.0, INVALID.1);
    let refusal = refusal.url("https://elsewhere.example/".parse().unwrap()).body("no").unwrap();
    api.answers.lock().unwrap().push_back(refusal.into());
    api.then(200, ("x-of", "the last"), "done");
}

#[tokio::test]
async fn a_request_is_sent_again_to_where_it_was_sent_and_not_to_where_the_refusal_came_from() {
    let api = Api::default();
    refuses_from_elsewhere(&api);
    let client = client(layer(&coordinator(false, true).await), api.clone());
    let answer = client.post(URL).body("tea").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.url().as_str()), (200, URL));
    assert!(api.seen.lock().unwrap().iter().all(|seen| seen.url == URL));
    assert_eq!(api.tokens(), ["Bearer at-1", "Bearer at-2"]);
}

#[tokio::test]
async fn a_refusal_from_elsewhere_says_where_it_came_from() {
    let api = Api::default();
    refuses_from_elsewhere(&api);
    let client = client(layer(&coordinator(false, false).await), api);
    let error = client.post(URL).body("tea").send().await.unwrap().error_for_status().unwrap_err();
    assert_eq!(
        (error.status(), error.url().unwrap().host_str()),
        (Some(StatusCode::UNAUTHORIZED), Some("elsewhere.example"))
    );
}

/// Sends each request as often as it takes until it is answered with something else than 503.
struct Retries;

#[async_trait::async_trait]
impl Middleware for Retries {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        loop {
            let answer = next.clone().run(request.try_clone().unwrap(), extensions).await?;
            if answer.status() != StatusCode::SERVICE_UNAVAILABLE {
                return Ok(answer);
            }
        }
    }
}

/// Has another task answer, later.
struct Elsewhere;

#[async_trait::async_trait]
impl Middleware for Elsewhere {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        let answer = next.run(request, extensions).await;
        let later = async {
            tokio::task::yield_now().await;
            answer
        };
        Handle::current().spawn(later).await.unwrap()
    }
}

#[tokio::test]
async fn whoever_retries_above_or_below_and_answers_from_another_task_is_woken_and_understood() {
    for above in [true, false] {
        let api = Api::default();
        for (status, body) in [(503, "busy"), (401, "no"), (503, "busy"), (200, "done")] {
            api.then(status, INVALID, body);
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refresh = RefreshMiddleware::new(layer(&coordinator(false, true).await));
        let client = ClientBuilder::new(reqwest::Client::new());
        let client =
            if above { client.with(Retries).with(refresh) } else { client.with(refresh).with(Retries) };
        let client = client.with(Elsewhere).with(api.clone()).build();
        let answer = client.post(URL).body("tea").send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "done");
        // Above it a retry is a request of its own, which has the newer token.
        let tokens = ["Bearer at-1", "Bearer at-1", "Bearer at-2", "Bearer at-2"];
        assert_eq!(api.tokens(), tokens, "{above}");
    }
}

#[tokio::test]
async fn a_layer_below_a_layer_leaves_what_has_a_token_alone_and_serves_what_has_none() {
    for outer_serves in [true, false] {
        let api = Api::default();
        api.then(401, INVALID, "no");
        api.then(200, ("content-type", "application/grpc"), "done");
        let (inner, outer) = (coordinator(false, true).await, coordinator(false, true).await);
        let origin = if outer_serves { "https://api.example" } else { "https://other.example" };
        let outer = RefreshLayer::new(outer, "acme").origin(origin.parse().unwrap());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = ClientBuilder::new(reqwest::Client::new()).with(RefreshMiddleware::new(outer));
        let client = client.with(RefreshMiddleware::new(layer(&inner))).with(api.clone()).build();
        let answer = client.post(URL).body("tea").send().await.unwrap();
        assert!(matches!(outcome(&answer), Some(ReplayOutcome::Replayed(_))));
        assert_eq!((answer.url().as_str(), answer.content_length()), (URL, Some(4)));
        assert_eq!(answer.text().await.unwrap(), "done");
        assert_eq!(api.tokens(), ["Bearer at-1", "Bearer at-2"]);
    }
}

#[tokio::test]
async fn a_large_refusal_that_only_the_classifier_knows_is_the_answer_frame_for_frame() {
    // More than is read ahead, and it breaks off.
    for gives in [true, false] {
        let api = Api::default();
        let frames = (0..5).map(|_| Ok(Frame::data(Bytes::from(vec![b'x'; 40_000]))));
        let broken = std::iter::once(Err(io::Error::other("torn")));
        let body = StreamBody::new(stream::iter(frames.chain(broken).collect::<Vec<_>>()));
        api.then(403, ("x-of", "the first"), reqwest::Body::wrap(body));
        api.then(403, ("x-of", "the second"), "still not");
        let layer = layer(&coordinator(false, gives).await).classifier(|head, _| head.status == 403);
        let answer = client(layer, api.clone()).head(URL).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.url().as_str()), (403, URL));
        if gives {
            assert_eq!(
                (&answer.headers()["x-of"], answer.content_length()),
                (&HeaderValue::from_static("the second"), Some(9))
            );
            assert_eq!(answer.text().await.unwrap(), "still not");
            continue;
        }
        assert_eq!(
            (&answer.headers()["x-of"], answer.content_length()),
            (&HeaderValue::from_static("the first"), None)
        );
        let mut body = http::Response::<reqwest::Body>::from(answer).into_body();
        for _ in 0..5 {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 40_000);
        }
        assert!(body.frame().await.unwrap().is_err(), "it is not a short one");
    }
}

/// Refuses a request of which it has read one frame.
struct Early(Api);

#[async_trait::async_trait]
impl Middleware for Early {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        if self.0.tokens().is_empty() {
            let frame = request.body_mut().as_mut().unwrap().frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "one ");
            *request.body_mut() = Some("".into());
        }
        self.0.handle(request, extensions, next).await
    }
}

#[tokio::test]
async fn a_stream_that_was_refused_before_its_end_is_sent_again_from_its_first_frame_to_its_last() {
    let api = Api::default();
    api.then(401, INVALID, "");
    api.then(204, ("x-of", "the last"), "");
    let client = client(layer(&coordinator(false, true).await), Early(api.clone()));
    let body = frames(["one ", "two ", "three"].map(|text| Frame::data(text.into())));
    let answer = client.post(URL).body(body).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.content_length()), (204, Some(0)));
    assert_eq!(api.seen.lock().unwrap()[1].body, "one two three");
}

#[test]
fn those_who_wait_for_one_refresh_on_several_runtimes_each_get_their_own_answer() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let coordinator = first.block_on(coordinator(false, true));
    first.block_on(coordinator.install("acme", TokenSet::from_refresh_token("rt-1"))).unwrap();
    let client = client(layer(&coordinator), Echo);
    std::thread::scope(|scope| {
        for runtime in [first, runtime(), runtime()] {
            let client = client.clone();
            scope.spawn(move || {
                runtime.block_on(futures_util::future::join_all((0..20).map(async |number| {
                    let answer = client.post(URL).body(number.to_string()).send().await.unwrap();
                    assert_eq!(answer.text().await.unwrap(), format!("Bearer at-2 {number}"));
                })));
            });
        }
    });
}

/// Answers with the token and the body of the request.
struct Echo;

#[async_trait::async_trait]
impl Middleware for Echo {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> Result<reqwest::Response> {
        let token = request.headers()[AUTHORIZATION].to_str().unwrap();
        let body = std::str::from_utf8(request.body().unwrap().as_bytes().unwrap()).unwrap();
        Ok(http::Response::new(format!("{token} {body}")).into())
    }
}

#[tokio::test]
async fn an_answer_of_grpc_that_is_all_head_is_known_to_end_there() {
    let api = Api::default();
    let answer = http::Response::builder().header("content-type", "application/grpc");
    let answer = answer.header("grpc-status", "5").url(URL.parse().unwrap()).body("").unwrap();
    api.answers.lock().unwrap().push_back(answer.into());
    let answer = client(layer(&coordinator(false, true).await), api).post(URL).send().await.unwrap();
    assert_eq!((answer.url().as_str(), answer.content_length()), (URL, Some(0)));
    assert!(http::Response::<reqwest::Body>::from(answer).body().is_end_stream());
}
