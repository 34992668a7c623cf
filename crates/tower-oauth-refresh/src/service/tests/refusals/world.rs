//! Processes that share a store, an authorization server with habits, and two APIs.

use std::collections::HashMap;

use tokio::time::{Instant, sleep};

use super::*;
use crate::MemoryStore;

/// What the authorization server does about a refresh.
#[derive(Clone, Copy, Debug)]
pub(super) enum Habit {
    /// Issues a token of this lifetime.
    New(u64),
    /// Returns the token in use with the time left, until it has expired.
    Same(u64),
    /// The same, without saying how much time is left.
    SameSilent(u64),
    /// Issues a token and says that its lifetime is zero.
    Zero(u64),
}

/// A strict authorization server: a refresh token works once.
pub(super) struct Server {
    start: Instant,
    pub(super) habit: Habit,
    /// From the first byte of a request to the last of the answer.
    pub(super) takes: Duration,
    issued: Mutex<Issued>,
}

#[derive(Default)]
struct Issued {
    number: u64,
    access: String,
    refresh: String,
    valid_until: HashMap<String, Duration>,
    refreshes: Vec<Duration>,
    reuses: usize,
}

/// Follows tokio's clock.
#[derive(Debug)]
pub(super) struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Now {
        let passed = Duration::from_secs(10_000_000) + self.0.elapsed();
        Now::new(UNIX_EPOCH + passed, passed)
    }
}

impl Server {
    fn new(habit: Habit, takes: Duration) -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), habit, takes, issued: Mutex::default() })
    }

    fn issued(&self) -> std::sync::MutexGuard<'_, Issued> {
        self.issued.lock().unwrap()
    }

    fn issue(&self, life: u64) -> (String, String) {
        let until = self.start.elapsed() + Duration::from_secs(life);
        let mut issued = self.issued();
        issued.number += 1;
        issued.access = format!("access-{}", issued.number);
        issued.refresh = format!("refresh-{}", issued.number);
        let access = issued.access.clone();
        issued.valid_until.insert(access, until);
        (issued.access.clone(), issued.refresh.clone())
    }

    fn login(&self) -> TokenSet {
        let (Habit::New(life) | Habit::Same(life) | Habit::SameSilent(life) | Habit::Zero(life)) = self.habit;
        let (access, refresh) = self.issue(life);
        let life = Duration::from_secs(life);
        TokenSet::new(access).with_refresh_token(refresh).with_expires_in(life)
    }

    fn exchange(&self, submitted: &str) -> Response<Full<Bytes>> {
        let now = self.start.elapsed();
        let (reused, left) = {
            let mut issued = self.issued();
            let reused = issued.refresh != submitted;
            issued.reuses += usize::from(reused);
            issued.refreshes.push(now);
            let until = issued.valid_until.get(&issued.access).copied().unwrap_or_default();
            (reused, until.saturating_sub(now))
        };
        if reused {
            let body = Full::from(r#"{"error":"invalid_grant"}"#);
            return Response::builder().status(400).body(body).unwrap();
        }
        let same = matches!(self.habit, Habit::Same(_) | Habit::SameSilent(_)) && !left.is_zero();
        let (Habit::New(life) | Habit::Same(life) | Habit::SameSilent(life) | Habit::Zero(life)) = self.habit;
        let (access, refresh) = if same {
            let issued = self.issued();
            (issued.access.clone(), issued.refresh.clone())
        } else {
            self.issue(life)
        };
        let life = if same { left.as_secs() } else { life };
        let lifetime = match self.habit {
            Habit::SameSilent(_) if same => String::new(),
            Habit::Zero(_) => r#","expires_in":0"#.to_owned(),
            _ => format!(r#","expires_in":{life}"#),
        };
        let body = format!(r#"{{"access_token":"{access}","refresh_token":"{refresh}"{lifetime}}}"#);
        Response::new(Full::from(body))
    }

    pub(super) fn revoke(&self) {
        let mut issued = self.issued();
        let access = issued.access.clone();
        issued.valid_until.insert(access, Duration::ZERO);
    }

    fn accepts(&self, authorization: &str) -> bool {
        let issued = self.issued();
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        issued.valid_until.get(token).is_some_and(|until| self.start.elapsed() < *until)
    }

    pub(super) fn refreshes(&self) -> usize {
        self.issued().refreshes.len()
    }

    pub(super) fn reuses(&self) -> usize {
        self.issued().reuses
    }

    fn endpoint(
        self: &Arc<Self>,
    ) -> tower::util::BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible> {
        let server = self.clone();
        tower::util::BoxCloneSyncService::new(service_fn(move |request: Request<Full<Bytes>>| {
            let server = server.clone();
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
                sleep(server.takes / 2).await;
                let answer = server.exchange(&form["refresh_token"]);
                sleep(server.takes / 2).await;
                Ok(answer)
            }
        }))
    }

    /// `api.example` accepts what is valid, `refuses.example` nothing.
    fn api(self: &Arc<Self>) -> Api {
        let server = self.clone();
        Api::new(service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
            let server = server.clone();
            async move {
                let token = request.headers().get(AUTHORIZATION).unwrap().to_str().unwrap().to_owned();
                let accepted = request.uri().host() == Some("api.example") && server.accepts(&token);
                drop(request);
                let mut answer = Response::new(Full::default());
                if !accepted {
                    *answer.status_mut() = StatusCode::UNAUTHORIZED;
                }
                Ok(answer)
            }
        }))
    }
}

/// Processes on one store.
#[derive(Clone)]
pub(super) struct Fleet {
    pub(super) server: Arc<Server>,
    clock: Arc<Paused>,
    store: MemoryStore,
}

impl Fleet {
    pub(super) async fn new(habit: Habit, takes: Duration) -> Self {
        let clock = Arc::new(Paused(Instant::now()));
        let store = MemoryStore::with_clock(clock.clone());
        let server = Server::new(habit, takes);
        let fleet = Self { server, clock, store };
        let set = fleet.server.login();
        fleet.coordinator().install("k", set).await.unwrap();
        fleet
    }

    fn coordinator(&self) -> Arc<RefreshCoordinator> {
        let uri = http::Uri::from_static("https://as.example/token");
        let builder = RefreshCoordinator::builder(uri, ClientAuth::none("c"));
        builder.store(self.store.clone()).clock(self.clock.clone()).build(self.server.endpoint()).unwrap()
    }

    pub(super) fn process(&self) -> Process {
        let layer = RefreshLayer::new(self.coordinator(), "k")
            .origin("https://api.example".parse().unwrap())
            .origin("https://refuses.example".parse().unwrap());
        Process { client: layer.layer(self.server.api()), trouble: Trouble::default() }
    }

    pub(super) async fn passes(&self, time: Duration) {
        sleep(time).await;
    }
}

/// One process, and what its users have seen.
pub(super) struct Process {
    client: Refresh<Api>,
    pub(super) trouble: Trouble,
}

/// Requests that were not served.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    pub(super) requests: usize,
    pub(super) failed: usize,
    since: Option<Instant>,
    /// The longest time without one that was.
    pub(super) longest: Duration,
}

impl Process {
    /// Is a request to this host served?
    pub(super) async fn get(&mut self, host: &str) -> bool {
        let request = post(&format!("https://{host}/things"), "hello");
        let answer = self.client.clone().oneshot(request).await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// A user's request to the API that accepts what is valid.
    pub(super) async fn serve(&mut self) -> bool {
        let began = Instant::now();
        let served = self.get("api.example").await;
        let trouble = &mut self.trouble;
        trouble.requests += 1;
        if served {
            trouble.since = None;
        } else {
            trouble.failed += 1;
            let since = *trouble.since.get_or_insert(began);
            trouble.longest = trouble.longest.max(since.elapsed());
        }
        served
    }
}

impl Trouble {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            failed: self.failed + other.failed,
            since: None,
            longest: self.longest.max(other.longest),
        }
    }
}
