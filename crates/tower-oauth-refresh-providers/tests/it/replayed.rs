//! Every row, replayed: what the file says a provider answers, through its preset, and what came of it.
//!
//! A real coordinator, with a token endpoint and an API in this process. Rows without such facts are
//! counted and printed, for nothing can be replayed that nobody has seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer as _, ServiceExt as _, service_fn};
use tower_oauth_refresh::{
    ClientAuth, Clock as _, MemoryStore, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet,
};
use tower_oauth_refresh_providers::{ALL, Preset};
use tower_oauth_refresh_testkit::TokioClock;

use crate::facts::{ApiAnswer, Facts, Failure, Healing, Meaning, Reading, Row, TokenAnswer};

/// A status the file does not state may be any that a provider reports errors under.
const ANY: [u16; 3] = [200, 400, 401];

/// One provider in this process: a preset's coordinator before a token endpoint that always says the same.
struct Provider {
    coordinator: Arc<RefreshCoordinator>,
    clock: TokioClock,
    /// The bodies the token endpoint got.
    submitted: Arc<Mutex<Vec<Bytes>>>,
}

impl Provider {
    fn answering(preset: Option<Preset>, status: u16, content_type: Option<&str>, body: &Value) -> Self {
        let mut answer = Response::builder().status(status);
        if let Some(content_type) = content_type {
            answer = answer.header(CONTENT_TYPE, content_type);
        }
        let answer = answer.body(Full::new(bytes(body))).expect("a response");
        let submitted = Arc::<Mutex<Vec<Bytes>>>::default();
        let ledger = submitted.clone();
        let endpoint = service_fn(move |request: Request<Full<Bytes>>| {
            let (ledger, answer) = (ledger.clone(), answer.clone());
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                ledger.lock().expect("unpoisoned").push(body);
                Ok::<_, BoxError>(answer)
            }
        });
        let clock = TokioClock::new();
        let url = "https://auth.example/token".parse().expect("an address");
        let builder = RefreshCoordinator::builder(url, ClientAuth::none("client"));
        let builder = match preset {
            Some(preset) => builder.provider(preset),
            None => builder,
        };
        let coordinator = builder
            .store(MemoryStore::with_clock(Arc::new(clock.clone())))
            .clock(Arc::new(clock.clone()))
            .build(BoxCloneService::new(endpoint))
            .expect("a coordinator");
        Self { coordinator, clock, submitted }
    }

    async fn install(&self, tokens: TokenSet) {
        self.coordinator.install("key", tokens).await.expect("installed");
    }

    /// What comes of asking for a token: the token, or the kind of the error; `InDoubt`, if the refresh token
    /// may have been spent.
    async fn token(&self) -> String {
        let Err(error) = self.coordinator.token("key").await else { return "a token".to_owned() };
        let status = self.coordinator.status("key").await.expect("readable").expect("installed");
        if status.in_doubt.is_some() { "InDoubt".to_owned() } else { format!("{:?}", error.kind()) }
    }

    fn last_submitted(&self, refresh_token: &str) -> bool {
        let submitted = self.submitted.lock().expect("unpoisoned");
        let last = submitted.last().expect("a request").to_vec();
        let form = String::from_utf8(last).expect("a form");
        form.contains(&format!("refresh_token={refresh_token}"))
    }
}

fn bytes(body: &Value) -> Bytes {
    match body {
        Value::Null => Bytes::new(),
        Value::String(text) => Bytes::from(text.clone()),
        other => Bytes::from(other.to_string()),
    }
}

fn rows() -> Vec<(Row, Preset)> {
    let rows = Facts::read().providers;
    assert_eq!(rows.len(), ALL.len());
    let pairs: Vec<_> = rows.into_iter().zip(ALL).collect();
    assert!(pairs.iter().all(|(row, preset)| row.id == preset.id));
    pairs
}

fn report(what: &str, shapes: usize, silent: &[String]) {
    println!("{shapes} {what} of {} providers", ALL.len() - silent.len());
    println!("{} providers without one: {}", silent.len(), silent.join(" "));
}

#[tokio::test(start_paused = true)]
async fn every_failure_ends_in_the_outcome_its_row_says() {
    let mut wrong = Vec::new();
    let mut shapes = BTreeMap::<Meaning, usize>::new();
    let mut silent = BTreeMap::<Meaning, Vec<String>>::new();
    for (row, preset) in rows() {
        for failure in &row.failures {
            wrong.extend(replay_failure(&row, Some(preset), failure).await);
            *shapes.entry(failure.means).or_default() += 1;
        }
        for meaning in [Meaning::Dead, Meaning::Transient, Meaning::Other] {
            if !row.failures.iter().any(|failure| failure.means == meaning) {
                silent.entry(meaning).or_default().push(row.id.clone());
            }
        }
    }
    for (meaning, shapes) in shapes {
        report(&format!("answers that mean {meaning:?}"), shapes, &silent[&meaning]);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

async fn replay_failure(row: &Row, preset: Option<Preset>, failure: &Failure) -> Vec<String> {
    let mut wrong = Vec::new();
    for status in failure.status.map_or(ANY.to_vec(), |status| vec![status]) {
        let provider = Provider::answering(preset, status, None, &failure.body);
        provider.install(TokenSet::from_refresh_token("rt-1")).await;
        let outcome = provider.token().await;
        if outcome != failure.expect {
            wrong.push(format!("{} {status} {}: {outcome}, not {}", row.id, failure.body, failure.expect));
        }
    }
    wrong
}

#[tokio::test(start_paused = true)]
async fn without_its_preset_each_provider_with_rules_is_misunderstood() {
    let mut understood = Vec::new();
    for (row, _) in rows().into_iter().filter(|(row, _)| !row.rules.is_empty()) {
        let mut wrong = Vec::new();
        for failure in &row.failures {
            wrong.extend(replay_failure(&row, None, failure).await);
        }
        if wrong.is_empty() {
            understood.push(row.id);
        }
    }
    assert!(understood.is_empty(), "rules that change nothing: {understood:?}");
}

#[tokio::test(start_paused = true)]
async fn every_token_answer_is_read_as_its_row_says() {
    let mut wrong = Vec::new();
    let mut silent = Vec::new();
    let mut shapes = 0;
    for (row, preset) in rows() {
        if row.answers.is_empty() {
            silent.push(row.id.clone());
        }
        for answer in &row.answers {
            shapes += 1;
            let found = read(preset, answer).await;
            let expected = expected(answer);
            if found != expected {
                wrong.push(format!("{} {}: {found}, not {expected}", row.id, answer.body));
            }
        }
    }
    report("token answers", shapes, &silent);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn expected(answer: &TokenAnswer) -> String {
    match &answer.expect {
        Reading::Word(_) => "unusable".to_owned(),
        Reading::Set(set) => reading(set.expires_in, set.refresh_token, set.scope.as_deref()),
    }
}

fn reading(expires_in: Option<u64>, rotated: bool, scope: Option<&str>) -> String {
    format!("expires in {expires_in:?}, rotated {rotated}, scope {scope:?}")
}

/// What is made of a token answer, by what is done afterwards: a form cannot be shown to the parser alone.
async fn read(preset: Preset, answer: &TokenAnswer) -> String {
    let provider =
        Provider::answering(Some(preset), answer.status, answer.content_type.as_deref(), &answer.body);
    provider.install(TokenSet::from_refresh_token("rt-1")).await;
    if provider.token().await != "a token" {
        return "unusable".to_owned();
    }
    let status = provider.coordinator.status("key").await.expect("readable").expect("installed");
    let left = status.expires_at.map(|end| end.duration_since(provider.clock.now().wall).expect("later"));
    let parsed = TokenSet::from_response(&answer.body).ok();
    let rotated = match left {
        Some(left) => {
            tokio::time::sleep(left).await;
            assert_eq!(provider.token().await, "a token");
            provider.last_submitted("rt-2")
        }
        // Of unknown lifetime: refused by an API instead, when it is old enough to be believed.
        None => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            refuse(&provider).await;
            provider.last_submitted("rt-2")
        }
    };
    let scope = parsed.and_then(|set| set.scope);
    reading(left.map(|left| left.as_secs()), rotated, scope.as_deref())
}

/// A request that the API refuses as often as it comes, so that its token is refreshed.
async fn refuse(provider: &Provider) {
    let origin = "https://api.example".parse().expect("an origin");
    let layer = RefreshLayer::new(provider.coordinator.clone(), "key").origin(origin);
    let api = service_fn(|_: Request<ReplayBody<Full<Bytes>>>| {
        let refusal = Response::builder().status(StatusCode::UNAUTHORIZED).body(Full::<Bytes>::default());
        std::future::ready(Ok::<_, BoxError>(refusal.expect("a response")))
    });
    let request = Request::get("https://api.example/").body(Full::<Bytes>::default()).expect("a request");
    layer.layer(api).oneshot(request).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn every_expired_token_at_an_api_is_healed_where_its_row_says_so() {
    let mut wrong = Vec::new();
    let mut silent = Vec::new();
    let mut shapes = 0;
    let mut passed = Vec::new();
    for (row, preset) in rows() {
        if row.api_expired.is_empty() {
            silent.push(row.id.clone());
        }
        for answer in &row.api_expired {
            shapes += 1;
            let found = heal(preset, answer).await;
            if found != answer.expect {
                wrong.push(format!("{} {} {}: {found:?}", row.id, answer.status, answer.body));
            }
            if found == Healing::Passed {
                passed.push(row.id.clone());
            }
        }
    }
    report("answers of an API to an expired token", shapes, &silent);
    println!("{} are passed on: {}", passed.len(), passed.join(" "));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Is a request healed that the API refuses in this way as long as it carries the old token?
async fn heal(preset: Preset, answer: &ApiAnswer) -> Healing {
    let tokens = serde_json::json!({ "access_token": "at-2", "expires_in": 3600 });
    let provider = Provider::answering(Some(preset), 200, None, &tokens);
    provider
        .install(TokenSet::new("at-1").with_refresh_token("rt-1").with_expires_in(Duration::from_secs(3600)))
        .await;
    let mut refusal = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        refusal = refusal.header(name, value);
    }
    let refusal = refusal.body(Full::new(bytes(&answer.body))).expect("a response");
    let api = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
        let refused = request.headers()[AUTHORIZATION] == "Bearer at-1";
        let created = Response::builder().status(StatusCode::CREATED).body(Full::default());
        let answer = if refused { refusal.clone() } else { created.expect("a response") };
        std::future::ready(Ok::<_, BoxError>(answer))
    });
    let origin = "https://api.example".parse().expect("an origin");
    let layer = preset.challenges(RefreshLayer::new(provider.coordinator.clone(), "key").origin(origin));
    let request = Request::get("https://api.example/").body(Full::<Bytes>::default()).expect("a request");
    let answer = layer.layer(api).oneshot(request).await.expect("an answer");
    if answer.status() == StatusCode::CREATED { Healing::Healed } else { Healing::Passed }
}
