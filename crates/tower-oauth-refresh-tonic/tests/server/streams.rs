//! Calls whose requests are streams: they are sent once more as far as they were kept, and never half.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::stream;

use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::server::{self, NamedService};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tower::{Service, ServiceExt as _, service_fn};
use tower_oauth_refresh::{BoxFuture, EventKind, NotReplayable, RefreshReport, ReplayOutcome};

use crate::{LIMIT, Messages, Strict, World, asking};

/// On the wire a stream of requests is the same whether one answer comes or many.
type Codec = ProstCodec<HealthCheckRequest, HealthCheckResponse>;

/// Answers each message as it comes.
const TALK: PathAndQuery = PathAndQuery::from_static("/test.Streams/Talk");
/// One answer, to all that was said; the token is looked at before, or after.
const JUDGE_FIRST: PathAndQuery = PathAndQuery::from_static("/test.Streams/JudgeFirst");
const JUDGE_LAST: PathAndQuery = PathAndQuery::from_static("/test.Streams/JudgeLast");

/// The service, written by hand: no crate has one that is generated.
#[derive(Clone)]
pub(crate) struct Streams(pub(crate) Strict);

impl NamedService for Streams {
    const NAME: &'static str = "test.Streams";
}

impl Service<http::Request<Body>> for Streams {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (api, method) = (self.0.clone(), request.uri().path().to_owned());
        Box::pin(async move {
            let service = service_fn(move |call| answer(api.clone(), method.clone(), call));
            Ok(server::Grpc::new(ProstCodec::<_, HealthCheckRequest>::default())
                .streaming(service, request)
                .await)
        })
    }
}

/// The length of each message; of several in one answer, as its digits.
async fn answer(
    api: Strict,
    method: String,
    call: Request<Streaming<HealthCheckRequest>>,
) -> Result<Response<Messages>, Status> {
    let length = |message: &HealthCheckRequest| i32::try_from(message.service.len()).unwrap();
    let verdict = Strict::check(&api, &call);
    if method != JUDGE_LAST.path() {
        verdict.clone()?;
    }
    let said = call.into_inner();
    if method == TALK.path() {
        let answers = said.map_ok(move |message| HealthCheckResponse { status: length(&message) });
        return Ok(Response::new(Box::pin(answers)));
    }
    let said: Vec<_> = said.try_collect().await?;
    verdict?;
    let status = said.iter().map(length).fold(0, |digits, length| digits * 10 + length);
    Ok(Response::new(Box::pin(stream::iter([Ok(HealthCheckResponse { status })]))))
}

fn letters(lengths: impl IntoIterator<Item = usize>) -> Vec<HealthCheckRequest> {
    lengths.into_iter().map(|length| asking("x".repeat(length))).collect()
}

#[tokio::test]
async fn a_stream_of_requests_that_is_refused_is_sent_once_more_from_its_beginning() {
    for method in [JUDGE_FIRST, JUDGE_LAST] {
        let world = World::start().await;
        world.install_revoked().await;
        let mut client = Grpc::new(world.channel.clone());
        client.ready().await.unwrap();
        let said = Request::new(stream::iter(letters([1, 2, 3])));
        let answer = client.client_streaming(said, method, Codec::default()).await.unwrap();
        assert_eq!(answer.get_ref().status, 123);
        assert!(answer.extensions().get::<RefreshReport>().is_some(), "it says that it was sent once more");
        assert_eq!((world.refreshes(), world.api.calls()), (1, 2));
    }
}

#[tokio::test]
async fn a_conversation_that_is_refused_before_it_begins_goes_on_with_what_was_said() {
    let world = World::start().await;
    world.install_revoked().await;
    let (say, said) = mpsc::unbounded_channel();
    let said = stream::unfold(said, async |mut said| said.recv().await.map(|message| (message, said)));
    let tell = |length| say.send(asking("x".repeat(length))).unwrap();

    tell(1);
    let mut client = Grpc::new(world.channel.clone());
    client.ready().await.unwrap();
    let conversation = client.streaming(Request::new(said), TALK, Codec::default()).await.unwrap();
    let mut answers = conversation.into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().status, 1);
    // Together more than is kept: what is under way needs no second copy.
    for length in [2, 600, 700] {
        tell(length);
        assert_eq!(usize::try_from(answers.message().await.unwrap().unwrap().status), Ok(length));
    }
    drop(say);
    assert!(answers.message().await.unwrap().is_none());
    assert_eq!((world.refreshes(), world.api.calls()), (1, 2));
}

#[tokio::test]
async fn a_stream_of_requests_over_the_limit_is_sent_once_and_the_report_says_why() {
    for both_ways in [false, true] {
        let world = World::start().await;
        world.install_revoked().await;
        let mut events = world.coordinator.events();
        let reports = Arc::new(Mutex::new(Vec::new()));
        let seen = reports.clone();
        // Below `tonic`, whose `Status` has no place for it.
        let channel = world.channel.clone().map_response(move |answer: http::Response<_>| {
            seen.lock().unwrap().push(answer.extensions().get::<RefreshReport>().cloned());
            answer
        });
        let mut client = Grpc::new(channel);
        client.ready().await.unwrap();
        let said = Request::new(stream::iter(letters([LIMIT / 10; 20])));
        let refused = if both_ways {
            client.streaming(said, JUDGE_LAST, Codec::default()).await.map(drop)
        } else {
            client.client_streaming(said, JUDGE_LAST, Codec::default()).await.map(drop)
        };
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
        let outcome = reports.lock().unwrap().pop().flatten().unwrap().outcome;
        assert!(matches!(outcome, ReplayOutcome::NotReplayable(NotReplayable::TooLarge)), "{outcome:?}");

        let refreshed =
            async { while !matches!(events.next().await.unwrap().kind, EventKind::Refreshed(_)) {} };
        timeout(Duration::from_secs(60), refreshed).await.expect("a refresh");
        assert_eq!(world.api.calls(), 1, "nothing of it is sent twice");
        client.ready().await.unwrap();
        let said = Request::new(stream::iter(letters([1])));
        client.client_streaming(said, JUDGE_FIRST, Codec::default()).await.unwrap();
        assert_eq!((world.refreshes(), world.api.calls()), (1, 2), "the next call has the new token");
    }
}
