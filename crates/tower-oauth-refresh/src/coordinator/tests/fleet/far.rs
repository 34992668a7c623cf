//! The far side of a fleet: an authorization server with strict rotation, and the API.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::*;

/// Both servers. What they do can be changed while they are used.
pub(in super::super) struct Far {
    state: Mutex<State>,
    api_refuses: AtomicBool,
    refusals: AtomicUsize,
}

struct State {
    lifetime: Duration,
    /// From a request to its answer.
    latency: Duration,
    secrets: HashSet<String>,
    logins: HashMap<String, Login>,
    /// What comes instead of an answer.
    outage: Option<(u16, &'static str)>,
    access: HashMap<String, Instant>,
    submissions: Vec<Submission>,
}

/// The refresh tokens of one credential.
struct Login {
    newest: u64,
    alive: bool,
}

/// One request at the token endpoint.
#[derive(Clone, Debug)]
pub(in super::super) struct Submission {
    /// Of the credential; of client credentials it is empty.
    pub(in super::super) key: String,
    pub(in super::super) done: Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Done {
    Rotated,
    /// A spent token: the login is over.
    Twice,
    /// A token of a login that is over.
    Dead,
    /// The client's secret is not one of those that count.
    WrongSecret,
    OutOfOrder,
    /// Client credentials.
    Machine,
}

impl Default for Far {
    fn default() -> Self {
        let state = State {
            lifetime: HOUR,
            latency: Duration::from_millis(50),
            secrets: HashSet::from(["secret".to_owned()]),
            logins: HashMap::new(),
            outage: None,
            access: HashMap::new(),
            submissions: Vec::new(),
        };
        Self { state: Mutex::new(state), api_refuses: AtomicBool::new(false), refusals: AtomicUsize::new(0) }
    }
}

impl Far {
    /// Of the access tokens from now on.
    pub(in super::super) fn lifetime(&self, lifetime: Duration) {
        self.state.lock().unwrap().lifetime = lifetime;
    }

    pub(in super::super) fn latency(&self, latency: Duration) {
        self.state.lock().unwrap().latency = latency;
    }

    /// The secrets that count from now on.
    pub(in super::super) fn secrets(&self, secrets: &[&str]) {
        self.state.lock().unwrap().secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    }

    /// Every token request gets this status and body from now on.
    pub(in super::super) fn outage(&self, outage: Option<(u16, &'static str)>) {
        self.state.lock().unwrap().outage = outage;
    }

    /// Does the API answer 401, whatever the token?
    pub(in super::super) fn api_refuses(&self, refuses: bool) {
        self.api_refuses.store(refuses, Ordering::SeqCst);
    }

    pub(in super::super) fn login(&self, key: &str) -> TokenSet {
        let mut state = self.state.lock().unwrap();
        state.logins.insert(key.to_owned(), Login { newest: 1, alive: true });
        let access = state.issue(&format!("at-{key}-1"));
        TokenSet::new(access).with_refresh_token(format!("rt-{key}-1")).with_expires_in(state.lifetime)
    }

    /// Every access token issued so far is refused from now on, as after a failover that lost them.
    pub(in super::super) fn revoke_access(&self) {
        self.state.lock().unwrap().access.clear();
    }

    /// The API's answer: does it take this access token?
    pub(in super::super) fn accepts(&self, access: &str) -> bool {
        let live = self.state.lock().unwrap().access.get(access).is_some_and(|until| Instant::now() < *until);
        let accepts = live && !self.api_refuses.load(Ordering::SeqCst);
        self.refusals.fetch_add(usize::from(!accepts), Ordering::SeqCst);
        accepts
    }

    /// How many requests the API has answered with 401.
    pub(in super::super) fn refusals(&self) -> usize {
        self.refusals.load(Ordering::SeqCst)
    }

    /// Requests at the token endpoint with a refresh token of this credential, or of the machine for the empty key.
    pub(in super::super) fn submissions(&self, key: &str) -> usize {
        self.log().iter().filter(|submission| submission.key == key).count()
    }

    /// All of them, in order.
    pub(in super::super) fn log(&self) -> Vec<Submission> {
        self.state.lock().unwrap().submissions.clone()
    }

    /// How many submissions were of a spent token.
    pub(in super::super) fn sent_twice(&self) -> usize {
        self.count(Done::Twice)
    }

    pub(in super::super) fn count(&self, done: Done) -> usize {
        self.log().iter().filter(|submission| submission.done == done).count()
    }

    /// One token request.
    pub(in super::super) async fn answer(&self, form: &HashMap<String, String>) -> Response<Full<Bytes>> {
        let latency = self.state.lock().unwrap().latency;
        // It arrives soon, is acted on at once, and the answer takes its time: whoever asks twice has spent a token
        // twice.
        let on_the_way = latency.min(Duration::from_millis(20));
        tokio::time::sleep(on_the_way).await;
        let answer = self.state.lock().unwrap().exchange(form);
        tokio::time::sleep(latency - on_the_way).await;
        answer
    }
}

impl State {
    fn issue(&mut self, access: &str) -> String {
        self.access.insert(access.to_owned(), Instant::now() + self.lifetime);
        access.to_owned()
    }

    fn exchange(&mut self, form: &HashMap<String, String>) -> Response<Full<Bytes>> {
        let submitted = form.get("refresh_token").map_or("", String::as_str);
        let (key, number) = match submitted.strip_prefix("rt-").and_then(|rest| rest.rsplit_once('-')) {
            Some((key, number)) => (key.to_owned(), number.parse().unwrap_or(0)),
            None => (String::new(), 0),
        };
        let (done, status, body) = self.decide(form, &key, number);
        self.submissions.push(Submission { key, done });
        Response::builder().status(status).body(Full::from(body)).unwrap()
    }

    fn decide(&mut self, form: &HashMap<String, String>, key: &str, number: u64) -> (Done, u16, String) {
        let refusal = |code: &str| format!(r#"{{"error":"{code}"}}"#);
        if let Some((status, body)) = self.outage {
            return (Done::OutOfOrder, status, body.to_owned());
        }
        if form.get("client_secret").is_none_or(|secret| !self.secrets.contains(secret)) {
            return (Done::WrongSecret, 401, refusal("invalid_client"));
        }
        let lifetime = self.lifetime.as_secs();
        if form["grant_type"] == "client_credentials" {
            let access = self.issue(&format!("machine-{}", self.submissions.len()));
            let body =
                format!(r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":{lifetime}}}"#);
            return (Done::Machine, 200, body);
        }
        let Some(login) = self.logins.get_mut(key).filter(|login| login.alive) else {
            return (Done::Dead, 400, refusal("invalid_grant"));
        };
        if login.newest != number {
            login.alive = false;
            return (Done::Twice, 400, refusal("invalid_grant"));
        }
        login.newest += 1;
        let number = login.newest;
        let access = self.issue(&format!("at-{key}-{number}"));
        let body = format!(
            r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":{lifetime},"refresh_token":"rt-{key}-{number}"}}"#
        );
        (Done::Rotated, 200, body)
    }
}
