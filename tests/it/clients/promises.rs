//! The promises, each a run of one client between fresh servers.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use tower_oauth_refresh::{BoxFuture, EventKind};
use tower_oauth_refresh_testkit::{Answer, Fault};

use super::client::{Call, Kind, LIMIT, Outcome, Stage};
use crate::harness::{all, crowd, start, until, within};

const HOUR: Duration = Duration::from_secs(3600);

/// How a promise was kept.
pub(super) enum Cell {
    Kept,
    /// It does not apply, or the client's own interface is in the way.
    Except(&'static str),
}

type Run = fn(Kind) -> BoxFuture<'static, Cell>;

/// `name => function` for each.
macro_rules! promises {
    ($($text:literal => $run:ident)*) => {
        pub(super) const PROMISES: [(&str, Run); [$($text),*].len()] =
            [$(($text, |kind| Box::pin($run(kind)))),*];
    };
}

promises! {
    "attaches the token" => attaches
    "marks the header as sensitive" => marks
    "sends no token to another origin" => keeps_the_token_home
    "takes no token along when a redirect leads to another origin" => redirects
    "refreshes ahead of the end, and nobody waits" => refreshes_ahead
    "never sends a token that has expired: refreshes first" => refreshes_first
    "heals a refusal with one refresh and one replay" => heals
    "needs one refresh for fifty refusals at once" => shares
    "keeps the rotated token when the caller goes away during the refresh" => outlives_its_caller
    "fails with a typed error, and sends nothing, once the login is over" => tells_the_end
    "gives the API's own refusal where the token endpoint is out of order" => gives_the_refusal
    "sends a body over the limit once, and its refusal is the answer" => sends_a_large_body_once
    "says in the answer why there was no replay" => says_why
}

const NO_EXTENSIONS: &str = "A refused call of `tonic` ends in a `Status`, which cannot carry the report.";
const NO_REDIRECTS: &str = "gRPC has no redirects.";

fn ok() -> Outcome {
    Outcome { status: Some(200), said: String::new() }
}

fn replayed() -> Outcome {
    Outcome { status: Some(200), said: "replayed".to_owned() }
}

fn refused(kind: Kind, said: &str) -> Outcome {
    let said = if kind == Kind::Tonic { "" } else { said };
    Outcome { status: Some(401), said: said.to_owned() }
}

async fn attaches(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install().await;
    assert_eq!(stage.call(0).await, ok());
    assert!(stage.world.auth.ledger().api_requests()[0].accepted);
    Cell::Kept
}

async fn marks(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install_revoked().await;
    assert_eq!(stage.call(0).await, replayed());
    assert_eq!(stage.probe.marked(), [true, true], "the replay too");
    Cell::Kept
}

async fn keeps_the_token_home(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    let other = stage.other().await;
    stage.world.install().await;
    let call = Call { id: 0, origin: other.url.clone(), body: "tea".into() };
    assert_eq!(stage.client.call(call).await, Outcome { status: Some(401), said: String::new() });
    let sent = stage.world.auth.ledger().api_requests();
    assert_eq!(sent.iter().map(|request| request.token).collect::<Vec<_>>(), [None]);
    assert_eq!(stage.world.seen(), (0, 1));
    Cell::Kept
}

async fn redirects(kind: Kind) -> Cell {
    if kind == Kind::Tonic {
        return Cell::Except(NO_REDIRECTS);
    }
    let stage = Stage::set(kind).await;
    let other = stage.other().await;
    stage.world.install().await;
    let location = HeaderValue::from_str(&format!("{}/elsewhere", other.url)).unwrap();
    let away = Answer::new(StatusCode::FOUND).header(header::LOCATION, location);
    stage.world.api.always(Fault::answer(away));
    let outcome = stage.call(0).await;
    let mut arrived = stage.world.auth.ledger().api_requests();
    arrived.retain(|request| request.path == "/elsewhere");
    assert!(arrived.iter().all(|request| request.token.is_none()));
    if matches!(kind, Kind::Reqwest | Kind::ReqwestTls | Kind::ReqwestMiddleware) {
        assert!(!arrived.is_empty(), "it follows");
    } else {
        assert_eq!((outcome.status, arrived.len()), (Some(302), 0), "it does not follow");
    }
    Cell::Kept
}

async fn refreshes_ahead(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install().await;
    stage.world.clock.advance(HOUR - Duration::from_secs(120));
    let gate = stage.world.auth.hold_before_commit();
    let mut events = stage.world.coordinator.events();
    assert_eq!(stage.call(0).await, ok());
    within(gate.arrived()).await;
    gate.release();
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    assert_eq!(stage.call(1).await, ok());
    let sent = stage.world.auth.ledger().api_requests();
    assert_eq!(sent.iter().map(|request| request.generation).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert_eq!(stage.world.seen(), (1, 2));
    Cell::Kept
}

async fn refreshes_first(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install_expired().await;
    assert_eq!(stage.call(0).await, ok());
    assert_eq!(stage.world.seen(), (1, 1));
    Cell::Kept
}

async fn heals(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install_revoked().await;
    assert_eq!(stage.call_with(0, "x".repeat(LIMIT / 2)).await, replayed());
    assert_eq!(stage.world.seen(), (1, 2));
    let verdict = stage.world.auth.ledger().verdict();
    assert_eq!((verdict.replays, verdict.altered_replays), (1, 0));
    assert!(stage.world.auth.ledger().api_requests().iter().all(|sent| sent.body_len == Some(5000)));
    stage.world.assert_clean();
    Cell::Kept
}

async fn shares(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install_revoked().await;
    let gate = stage.world.auth.hold_before_commit();
    let calls = crowd(50, |id| stage.call(id));
    within(stage.world.auth.ledger().until(|verdict| verdict.api_unauthorized == 50)).await;
    within(gate.arrived()).await;
    gate.release();
    assert!(all(calls).await.iter().all(|outcome| *outcome == replayed()));
    assert_eq!(stage.world.seen(), (1, 100));
    stage.world.assert_clean();
    Cell::Kept
}

async fn outlives_its_caller(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install_expired().await;
    let gate = stage.world.auth.hold_after_commit();
    let caller = start(stage.call(0));
    within(gate.arrived()).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    let mut events = stage.world.coordinator.events();
    gate.release();
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    assert_eq!(stage.call(1).await, ok());
    // With the refresh token that nobody waited for.
    stage.world.clock.advance(HOUR);
    assert_eq!(stage.call(2).await, ok());
    assert_eq!(stage.world.seen().0, 2);
    stage.world.assert_clean();
    Cell::Kept
}

async fn tells_the_end(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install_expired().await;
    stage.world.auth.revoke_all();
    for id in 0..2 {
        assert_eq!(stage.call(id).await, Outcome { status: None, said: "InvalidGrant".to_owned() });
    }
    assert_eq!(stage.world.seen(), (1, 0), "asked once");
    Cell::Kept
}

async fn gives_the_refusal(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install_revoked().await;
    stage.world.auth.always(Fault::answer(Answer::new(StatusCode::SERVICE_UNAVAILABLE)));
    assert_eq!(stage.call(0).await, refused(kind, "Unavailable"));
    assert_eq!(stage.world.seen().1, 1);
    stage.world.assert_clean();
    Cell::Kept
}

async fn sends_a_large_body_once(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install_revoked().await;
    let mut events = stage.world.coordinator.events();
    assert_eq!(stage.call_with(0, "x".repeat(2 * LIMIT)).await.status, Some(401));
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    assert_eq!(stage.call_with(1, "x".repeat(2 * LIMIT)).await, ok());
    assert_eq!(stage.world.seen(), (1, 2));
    stage.world.assert_clean();
    Cell::Kept
}

async fn says_why(kind: Kind) -> Cell {
    let stage = Stage::set(kind).await;
    stage.world.install_revoked().await;
    let outcome = stage.call_with(0, "x".repeat(2 * LIMIT)).await;
    assert_eq!(outcome, refused(kind, "the request body exceeds the replay limit"));
    if kind == Kind::Tonic { Cell::Except(NO_EXTENSIONS) } else { Cell::Kept }
}
