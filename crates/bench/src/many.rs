//! Many credentials: what one costs while nothing happens, and to find its token among them.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use http::HeaderValue;
use tokio::runtime::Runtime;
use tower_oauth_refresh::{
    BoxFuture, Clock as _, CredentialKey, Now, Record, RecordBody, RefreshCoordinator, StoreError, StoredKey,
    Swap, SystemClock, TokenSet, TokenStore, Version,
};

use crate::Failure;
use crate::timing::cpu;
use crate::world::Endpoint;

const LIFE: Duration = Duration::from_secs(3600);

/// A token of a middling provider: 263 bytes with what stands before it in the header.
const TOKEN: usize = 256;

/// So long that few are alike, as names of tenants are.
fn key(number: usize) -> CredentialKey {
    format!("tenant/{number:021}").into()
}

/// Takes everything and has nothing, so that what is measured is held by the coordinator.
#[derive(Debug)]
struct Nothing;

impl TokenStore for Nothing {
    fn load<'a>(&'a self, _: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn compare_and_swap<'a>(
        &'a self,
        _: &'a StoredKey,
        _: Option<Version>,
        _: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async { Ok(Swap::Swapped) })
    }
}

/// So many logins of one coordinator, each with a valid token.
///
/// # Errors
///
/// What installing says.
pub fn logins(runtime: &Runtime, credentials: usize) -> Result<Arc<RefreshCoordinator>, Failure> {
    let coordinator =
        Endpoint::of(LIFE).coordinator(|builder| builder.store(Nothing).room(2 * credentials))?;
    runtime.block_on(async {
        for number in 0..credentials {
            let login = TokenSet::new(token(number)).with_refresh_token(format!("refresh-{number}"));
            coordinator.install(key(number), login.with_expires_in(LIFE)).await?;
        }
        Ok::<_, Failure>(())
    })?;
    Ok(coordinator)
}

fn token(number: usize) -> String {
    format!("{number:0>width$}", width = TOKEN)
}

/// What anybody would write: a map for many threads, the header behind a pointer that is swapped, and when it is over.
struct Plain {
    header: ArcSwap<HeaderValue>,
    until: Now,
}

/// One way to ask for the header of a credential, over and over. Each is given a key of its own, as a request brings one.
pub(crate) struct Lookup {
    ask: Box<dyn FnMut(usize) -> bool>,
    credentials: usize,
    next: usize,
}

impl Lookup {
    /// By `dashmap`.
    pub(crate) fn plain(credentials: usize) -> Result<Self, Failure> {
        let (map, now) = (DashMap::new(), SystemClock::default().now());
        for number in 0..credentials {
            let header = ArcSwap::from_pointee(HeaderValue::from_str(&format!("Bearer {}", token(number)))?);
            map.insert(key(number), Arc::new(Plain { header, until: now.after(LIFE) }));
        }
        let keys: Vec<_> = (0..credentials).map(key).collect();
        Ok(Self::of(credentials, move |number| {
            let key = keys.get(number).cloned();
            let found = key.and_then(|key| map.get(&key).map(|found| found.clone()));
            let valid = found.filter(|found| !SystemClock::default().now().reached(found.until));
            black_box(valid.map(|valid| HeaderValue::clone(&valid.header.load()))).is_some()
        }))
    }

    /// By [`RefreshCoordinator::authorization`].
    pub(crate) fn ours(runtime: &Runtime, credentials: usize) -> Result<Self, Failure> {
        let coordinator = logins(runtime, credentials)?;
        let keys: Vec<_> = (0..credentials).map(key).collect();
        Ok(Self::of(credentials, move |number| {
            let Some(key) = keys.get(number).cloned() else { return false };
            let asked = pin!(coordinator.authorization(key));
            matches!(black_box(asked.poll(&mut Context::from_waker(Waker::noop()))), Poll::Ready(Ok(_)))
        }))
    }

    fn of(credentials: usize, ask: impl FnMut(usize) -> bool + 'static) -> Self {
        Self { ask: Box::new(ask), credentials, next: 0 }
    }

    /// So many questions, of which no two in a row are neighbours. Seconds of each; one that is not answered makes them no
    /// number.
    pub(crate) fn take(&mut self, questions: u32) -> f64 {
        let (began, mut answered) = (cpu(), 0);
        for _ in 0..questions {
            // A stride that shares no factor with any of the counts visits them all.
            self.next = (self.next + 382_003) % self.credentials;
            answered += u32::from((self.ask)(self.next));
        }
        let took = (cpu() - began).as_secs_f64() / f64::from(questions);
        if answered == questions { took } else { f64::NAN }
    }
}
