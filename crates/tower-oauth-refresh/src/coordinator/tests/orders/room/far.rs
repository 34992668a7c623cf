//! The far side of a history: a store and a strict authorization server, each call of which ends when and how
//! the history says.

use std::collections::{BTreeSet, VecDeque};
use std::panic::resume_unwind;
use std::sync::atomic::AtomicU64;

use tokio::sync::oneshot;

use super::super::super::*;
use super::Act;

/// Calls that wait to be let through, the oldest first.
#[derive(Default)]
pub(super) struct Gates {
    calls: Mutex<VecDeque<Call>>,
    pub(super) open: AtomicBool,
}

pub(super) struct Call {
    pub(super) what: What,
    /// Its work is done, and its answer lingers.
    pub(super) done: bool,
    pub(super) end: oneshot::Sender<Act>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Load,
    Swap,
    Send,
    Revoke,
}

/// A strict authorization server.
#[derive(Default)]
pub(super) struct Far {
    /// Of each login: how many refreshes, and whether it is over.
    pub(super) logins: Vec<(usize, bool)>,
    pub(super) reuses: usize,
    /// Refresh tokens whose answer was handed over.
    pub(super) delivered: BTreeSet<String>,
    pub(super) revoked: BTreeSet<String>,
    pub(super) stored: BTreeSet<String>,
    /// Something happened that no client can make good.
    pub(super) excused: bool,
}

/// Both clocks, moved by the history alone.
#[derive(Debug, Default)]
pub(super) struct Hand(pub(super) AtomicU64);

pub(super) struct Gated {
    pub(super) gates: Arc<Gates>,
    pub(super) far: Arc<Mutex<Far>>,
    pub(super) records: MemoryStore,
}

impl Gates {
    pub(super) fn calls(&self) -> std::sync::MutexGuard<'_, VecDeque<Call>> {
        self.calls.lock().unwrap()
    }

    /// An answer that lingers comes after all else.
    pub(super) fn end_oldest(&self, act: Act) -> (What, bool) {
        let mut calls = self.calls();
        let oldest = calls.iter().position(|call| !call.done).unwrap_or(0);
        let call = calls.remove(oldest).unwrap();
        drop(calls);
        call.end.send(act).unwrap();
        (call.what, call.done)
    }

    pub(super) fn end_newest(&self) {
        let call = self.calls().pop_back().unwrap();
        call.end.send(Act::Go).unwrap();
    }

    /// The work is done, and its answer has come.
    async fn arrive(&self, what: What, act: Act) -> bool {
        match act {
            Act::Linger => self.wait(what, true).await != Act::Fail,
            act => act != Act::FailAfter,
        }
    }

    /// How the call is to end.
    async fn pass(&self, what: What) -> Act {
        if self.open.load(Ordering::SeqCst) { Act::Go } else { self.wait(what, false).await }
    }

    async fn wait(&self, what: What, done: bool) -> Act {
        let (end, ends) = oneshot::channel();
        self.calls().push_back(Call { what, done, end });
        let act = ends.await.unwrap();
        if act == Act::Panic {
            // Without a word on the screen.
            resume_unwind(Box::new("told to"));
        }
        act
    }
}

impl Far {
    pub(super) fn log_in(&mut self, lifetime: Duration) -> TokenSet {
        self.logins.push((0, false));
        let name = format!("{}-0", self.logins.len() - 1);
        TokenSet::new(format!("access-{name}")).with_refresh_token(name).with_expires_in(lifetime)
    }

    /// The newest of each login that is not over.
    pub(super) fn newest(&self) -> Vec<String> {
        let alive = self.logins.iter().enumerate().filter(|(_, (_, over))| !over);
        alive.map(|(login, (refreshes, _))| format!("{login}-{refreshes}")).collect()
    }

    /// The last of the first so many logins that was stored: is it over?
    pub(super) fn is_over(&self, of_first: usize) -> bool {
        let is_stored =
            |login: &usize| self.stored.iter().any(|token| token.starts_with(&format!("{login}-")));
        let last = (0..of_first).rev().find(is_stored);
        last.is_some_and(|login| self.logins[login].1)
    }

    fn find(&mut self, token: &str) -> (usize, usize, &mut (usize, bool)) {
        let (login, number) = token.split_once('-').unwrap();
        let login: usize = login.parse().unwrap();
        (login, number.parse().unwrap(), &mut self.logins[login])
    }

    /// What was received and neither stored nor given back.
    pub(super) fn lost(&self) -> Vec<String> {
        let kept = |token: &&String| self.stored.contains(*token) || self.revoked.contains(*token);
        self.delivered.iter().filter(|token| !kept(token)).cloned().collect()
    }

    /// What an honest server answers.
    fn exchange(&mut self, token: &str) -> Response<Full<Bytes>> {
        let (login, number, (newest, over)) = self.find(token);
        if *over || number != *newest {
            let reused = !*over;
            *over = true;
            self.reuses += usize::from(reused);
            return refusal();
        }
        *newest += 1;
        let name = format!("{login}-{newest}");
        let answer = format!(
            r#"{{"access_token":"access-{name}","token_type":"Bearer","expires_in":3600,"refresh_token":"{name}"}}"#
        );
        self.delivered.insert(name);
        Response::new(Full::from(answer))
    }

    fn revoke(&mut self, token: &str) {
        let (_, _, (_, over)) = self.find(token);
        *over = true;
        self.revoked.insert(token.to_owned());
    }
}

fn refusal() -> Response<Full<Bytes>> {
    Response::builder().status(400).body(Full::from(r#"{"error":"invalid_grant"}"#)).unwrap()
}

pub(super) fn service(
    gates: Arc<Gates>,
    far: Arc<Mutex<Far>>,
) -> BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, std::io::Error> {
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (gates, far) = (gates.clone(), far.clone());
        async move {
            use http_body_util::BodyExt as _;
            let revokes = request.uri().path() == "/revoke";
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
            if revokes && form["token_type_hint"] == "access_token" {
                return Ok(Response::default());
            }
            if revokes {
                let act = gates.pass(What::Revoke).await;
                if act == Act::Fail {
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
                far.lock().unwrap().revoke(&form["token"]);
                return if gates.arrive(What::Revoke, act).await {
                    Ok(Response::default())
                } else {
                    Err(std::io::ErrorKind::ConnectionReset.into())
                };
            }
            let act = gates.pass(What::Send).await;
            if act == Act::Fail {
                let body = Full::from("out of order");
                return Ok(Response::builder().status(503).body(body).unwrap());
            }
            if act == Act::InvalidGrant {
                return Ok(refusal());
            }
            let answer = far.lock().unwrap().exchange(&form["refresh_token"]);
            if gates.arrive(What::Send, act).await {
                Ok(answer)
            } else {
                Err(std::io::ErrorKind::ConnectionReset.into())
            }
        }
    }))
}

impl TokenStore for Gated {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let act = self.gates.pass(What::Load).await;
            if act == Act::Fail {
                return Err(StoreError::unavailable("told to"));
            }
            let found = self.records.load(key).await;
            if self.gates.arrive(What::Load, act).await {
                found
            } else {
                Err(StoreError::unavailable("told to"))
            }
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            let act = self.gates.pass(What::Swap).await;
            if act == Act::Fail {
                return Err(StoreError::unavailable("told to"));
            }
            let swap = self.records.compare_and_swap(key, expected, new).await?;
            if let (Swap::Swapped, Some(body)) = (&swap, new) {
                let record = crate::store::record::CredentialRecord::decode(body).unwrap();
                let token = record.refresh_token().map(|token| token.expose_secret().to_owned());
                self.far.lock().unwrap().stored.extend(token);
            }
            if self.gates.arrive(What::Swap, act).await {
                Ok(swap)
            } else {
                Err(StoreError::unavailable("told to"))
            }
        })
    }
}

impl Clock for Hand {
    fn now(&self) -> Now {
        let passed = HOUR + Duration::from_millis(self.0.load(Ordering::SeqCst));
        Now::new(UNIX_EPOCH + HOUR * 500_000 + passed, passed)
    }
}
