//! Which refusals a newer token can help, and what the trailers of a replay say about its token.

use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;

use super::*;

/// Was the request sent again with another token?
async fn heals(scheme: &'static str, challenge: &'static str) -> bool {
    let world = Arc::<World>::default();
    let answer = Response::builder().status(401).header("www-authenticate", challenge);
    world.answers.lock().unwrap().push_back(answer.body(Full::default()).unwrap());
    let dpop = scheme == "DPoP";
    let coordinator = coordinator_with(|builder| if dpop { builder.dpop() } else { builder }, scheme).await;
    let layer = RefreshLayer::new(coordinator, "k").origin("https://api.example".parse().unwrap());
    layer.layer(world.api()).oneshot(post(URI, "")).await.unwrap();
    world.tokens().iter().any(|token| token.ends_with("at-2"))
}

#[tokio::test]
async fn an_invalid_token_is_replaced_whatever_other_challenges_say() {
    for scheme in ["Bearer", "DPoP"] {
        for challenge in [
            r#"DPoP error="invalid_request", Bearer error="invalid_token""#,
            r#"Bearer error="insufficient_scope", DPoP error="invalid_token", algs="ES256""#,
            r#"Bearer error="invalid_token", error_description="no", Basic realm="x""#,
        ] {
            assert!(heals(scheme, challenge).await, "{scheme}: {challenge}");
        }
    }
}

#[tokio::test]
async fn beside_the_scheme_in_use_no_other_is_heard() {
    for (scheme, other) in [("Bearer", "DPoP"), ("DPoP", "Bearer")] {
        for error in [
            "insufficient_scope",
            "insufficient_user_authentication",
            "insufficient_claims",
            "invalid_request",
            "invalid_dpop_proof",
        ] {
            let only: &str = format!("Basic realm=x, {other} error=\"{error}\"").leak();
            assert!(!heals(scheme, only).await, "{scheme}: {only}");
            let both: &str = format!("{scheme} realm=x, {other} error=\"{error}\"").leak();
            assert!(heals(scheme, both).await, "{scheme}: {both}");
            let ours: &str = format!("{other} realm=x, {scheme} error=\"{error}\"").leak();
            assert!(!heals(scheme, ours).await, "{scheme}: {ours}");
        }
    }
}

#[tokio::test]
async fn a_proof_that_is_refused_costs_no_refresh() {
    assert!(!heals("DPoP", r#"DPoP error="invalid_dpop_proof", algs="ES256""#).await);
}

type Answers = Arc<Mutex<VecDeque<Response<BoxBody<Bytes, Infallible>>>>>;

/// A gRPC answer with its status in the header fields.
fn at_once(status: &'static str) -> Response<BoxBody<Bytes, Infallible>> {
    let answer = Response::builder().header("content-type", "application/grpc").header("grpc-status", status);
    answer.body(BoxBody::default()).unwrap()
}

/// A gRPC answer with its status in the trailers.
fn in_trailers(status: &'static str) -> Response<BoxBody<Bytes, Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let frames = [Ok(Frame::data(Bytes::from("m"))), Ok(Frame::trailers(trailers))];
    let answer = Response::builder().header("content-type", "application/grpc");
    answer.body(BoxBody::new(StreamBody::new(stream::iter(frames)))).unwrap()
}

/// Sends one request after the other to an API with these answers. The generation of the last replay, if the last one
/// was replayed.
async fn last_replay(answers: impl IntoIterator<Item = Response<BoxBody<Bytes, Infallible>>>) -> Option<u64> {
    let answers: Answers = Arc::new(Mutex::new(answers.into_iter().collect()));
    let api = service_fn({
        let answers = answers.clone();
        move |_: Request<ReplayBody<Full<Bytes>>>| {
            let answer = answers.lock().unwrap().pop_front().unwrap_or_else(|| in_trailers("0"));
            std::future::ready(Ok::<_, Infallible>(answer))
        }
    });
    let layer = RefreshLayer::new(coordinator().await, "k").origin("https://api.example".parse().unwrap());
    let client = layer.layer(api);
    loop {
        let response = client.clone().oneshot(post(URI, "")).await.unwrap();
        let replayed = match report(&response) {
            Some(ReplayOutcome::Replayed(generation)) => Some(generation.get()),
            _ => None,
        };
        response.into_body().collect().await.unwrap();
        if answers.lock().unwrap().is_empty() {
            return replayed;
        }
    }
}

#[tokio::test]
async fn a_replay_accepted_in_its_trailers_counts_as_accepted() {
    // The replay of the first request is accepted, so that the refusal of the next one is a revocation.
    assert_eq!(last_replay([at_once("16"), in_trailers("0"), at_once("16")]).await, Some(3));
    assert_eq!(last_replay([at_once("16"), in_trailers("5"), at_once("16")]).await, None);
}

#[tokio::test]
async fn a_replay_refused_in_its_trailers_counts_as_refused() {
    // What the API accepts after it has refused the token does not count: it may accept anything there.
    let answers = [at_once("16"), in_trailers("16"), in_trailers("0"), at_once("16")];
    assert_eq!(last_replay(answers).await, None);
}
