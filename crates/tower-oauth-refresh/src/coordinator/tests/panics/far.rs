//! The authorization server, its API, and the HTTP client that reaches it.

use std::collections::VecDeque;

use http::header::AUTHORIZATION;
use http_body::{Body, Frame};
use tower_service::Service;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Right,
    /// The first answer is a 503.
    Outage,
    /// The store does not take the first commit.
    FullStore,
}

/// A server that ends the login when a refresh token comes after its successor was used. The one just spent may come
/// again: what it is told is what it was told before.
#[derive(Debug)]
pub(super) struct Far {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    issued: usize,
    newest: String,
    before: Option<String>,
    ended: bool,
    outages: usize,
    unavailable: bool,
    submitted: Vec<String>,
    revoked: Vec<String>,
    /// The API refuses these.
    refused: Vec<String>,
    plan: (i64, i64),
}

impl Far {
    pub(super) fn new(script: Script) -> Arc<Self> {
        let outages = usize::from(script == Script::Outage);
        Arc::new(Self { state: Mutex::new(State { outages, ..State::default() }) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn plan(&self, left: i64, gap: i64) {
        self.state().plan = (left, gap);
    }

    pub(super) fn planned(&self) -> (i64, i64) {
        self.state().plan
    }

    pub(super) fn login(&self, lifetime: Duration) -> TokenSet {
        let mut state = self.state();
        state.issued += 1;
        state.newest = format!("refresh-{}", state.issued);
        TokenSet::new(format!("access-{}", state.issued))
            .with_refresh_token(state.newest.clone())
            .with_expires_in(lifetime)
    }

    pub(super) fn newest(&self) -> String {
        self.state().newest.clone()
    }

    /// Was the outage the last that anybody heard?
    pub(super) fn had_outage_just_now(&self) -> bool {
        std::mem::take(&mut self.state().unavailable)
    }

    pub(super) fn has_revoked(&self) -> bool {
        let state = self.state();
        state.revoked.contains(&state.newest)
    }

    pub(super) fn refuse_current(&self) {
        let mut state = self.state();
        let current = format!("Bearer access-{}", state.issued);
        state.refused.push(current);
    }

    /// What the server makes of it all, once this token is in use.
    pub(super) fn check(&self, access_token: &str, doubtful: bool, places: &[&str]) {
        let state = self.state();
        assert!(!state.ended, "the login is lost after {places:?}: {:?}", state.submitted);
        assert_eq!(access_token, format!("access-{}", state.issued), "after {places:?}");
        let mut once = state.submitted.clone();
        once.sort_unstable();
        once.dedup();
        let twice = state.submitted.len() - once.len();
        assert!(twice == 0 || doubtful, "sent twice after {places:?}: {:?}", state.submitted);
    }

    pub(super) fn api<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let token = request.headers()[AUTHORIZATION].to_str().unwrap().to_owned();
        let refused = self.state().refused.contains(&token);
        Response::builder().status(if refused { 401 } else { 200 }).body(Full::default()).unwrap()
    }

    fn answer(&self, path: &str, form: &HashMap<String, String>) -> (u16, String) {
        let mut state = self.state();
        if path == "/revoke" {
            state.revoked.push(form["token"].clone());
            return (200, String::new());
        }
        if state.outages > 0 {
            state.outages -= 1;
            state.unavailable = true;
            return (503, String::new());
        }
        let submitted = form["refresh_token"].clone();
        state.unavailable = false;
        state.submitted.push(submitted.clone());
        if submitted == state.newest {
            state.issued += 1;
            state.before = Some(submitted);
            state.newest = format!("refresh-{}", state.issued);
        } else if Some(submitted) != state.before {
            state.ended = true;
            return (400, r#"{"error":"invalid_grant"}"#.to_owned());
        }
        let (number, newest) = (state.issued, &state.newest);
        let answer = format!(
            r#"{{"access_token":"access-{number}","token_type":"Bearer","expires_in":3600,"refresh_token":"{newest}"}}"#
        );
        (200, answer)
    }
}

/// An HTTP client whose every call is stepped.
pub(super) struct Wire {
    far: Arc<Far>,
    loud: Loud,
}

impl Wire {
    pub(super) fn new(far: Arc<Far>, mine: Arc<Mine>) -> Self {
        Self { far, loud: Loud(mine, "client: drop of the client") }
    }
}

impl Clone for Wire {
    fn clone(&self) -> Self {
        self.loud.0.step("client: clone");
        Self { far: self.far.clone(), loud: self.loud.clone() }
    }
}

impl Service<Request<Full<Bytes>>> for Wire {
    type Response = Response<SteppedBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<SteppedBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.loud.0.step("client: ready");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        self.loud.0.step("client: call");
        let (far, mine) = (self.far.clone(), self.loud.0.clone());
        let loud = Loud(mine.clone(), "client: drop of the future");
        let exchange = async move {
            use http_body_util::BodyExt as _;
            mine.step("client: poll");
            tokio::task::yield_now().await;
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let (status, answer) = far.answer(&path, &form_urlencoded::parse(&body).into_owned().collect());
            tokio::task::yield_now().await;
            mine.step("client: answered");
            let body = SteppedBody {
                frames: VecDeque::from([Bytes::from(answer)]),
                loud: Loud(mine.clone(), "client: drop of the body"),
            };
            let mut answer = Response::builder().status(status).body(body).unwrap();
            answer.extensions_mut().insert(Loud(mine, "client: drop of what came with the answer"));
            Ok(answer)
        };
        Box::pin(Dropped { exchange: Box::pin(exchange), _loud: loud })
    }
}

/// Its drop panics when it is over, too.
struct Dropped<T> {
    exchange: BoxFuture<'static, T>,
    _loud: Loud,
}

impl<T> Future for Dropped<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.exchange.as_mut().poll(cx)
    }
}

pub(super) struct SteppedBody {
    frames: VecDeque<Bytes>,
    loud: Loud,
}

impl Body for SteppedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.frames.pop_front();
        self.loud.0.step(if next.is_some() { "client: body" } else { "client: body ends" });
        Poll::Ready(next.map(|data| Ok(Frame::data(data))))
    }
}
