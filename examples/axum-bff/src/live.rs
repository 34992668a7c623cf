//! What the page shows of an account, as it changes: the state of its credential, and never a token.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Weak};

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::runtime::Handle;
use tower::BoxError;
use tower_oauth_refresh::{Clock as _, EventKind, Events, RefreshError};

use crate::backend::Backend;
use crate::session::{Current, Session};

/// So many lines are kept for the page.
const LINES: usize = 9;

/// What happened to the credential of a session, newest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    lines: VecDeque<Line>,
    told: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    number: u64,
    text: String,
    good: bool,
}

/// The account as the page shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    subject: String,
    generation: Option<u64>,
    /// Negative: expired so long ago. None: not known.
    expires_in_ms: Option<i128>,
    refreshing: bool,
    needs_login: bool,
    lines: VecDeque<Line>,
}

impl Session {
    /// Adds a line to what the page shows.
    pub(crate) fn tell(&self, text: String, good: bool) {
        self.news.send_modify(|news| {
            news.told += 1;
            news.lines.push_back(Line { number: news.told, text, good });
            while news.lines.len() > LINES {
                news.lines.pop_front();
            }
        });
    }

    pub(crate) async fn account(&self, backend: &Backend) -> Account {
        // Without a store to ask there is nothing to show but what happened.
        let status = backend.coordinator.status(self.key.clone()).await.ok().flatten();
        let ended =
            status.as_ref().is_none_or(|status| status.error.as_ref().is_some_and(RefreshError::needs_login));
        let now = backend.clock.now().wall;
        let expires_at = status.as_ref().filter(|_| !ended).and_then(|status| status.expires_at);
        Account {
            subject: self.subject.clone(),
            generation: status.as_ref().map(|status| status.generation.get()),
            expires_in_ms: expires_at.map(|at| match at.duration_since(now) {
                Ok(left) => left.as_millis().cast_signed(),
                Err(error) => -error.duration().as_millis().cast_signed(),
            }),
            refreshing: status.as_ref().is_some_and(|status| status.refreshing.is_some()),
            needs_login: ended,
            lines: self.news.borrow().lines.clone(),
        }
    }
}

/// `GET /live`: the account, now and whenever something happens to it (server-sent events).
pub(crate) async fn live(
    State(backend): State<Arc<Backend>>,
    Current(session): Current,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let news = session.news.subscribe();
    // The state itself is the first thing to tell.
    let first = true;
    let told =
        stream::unfold((backend, session, news, first), |(backend, session, mut news, first)| async move {
            if !first {
                news.changed().await.ok()?;
            }
            news.mark_unchanged();
            let account = serde_json::to_string(&session.account(&backend).await).ok()?;
            Some((Ok(Event::default().data(account)), (backend, session, news, false)))
        });
    Sse::new(told).keep_alive(KeepAlive::default())
}

/// Passes on what the coordinator tells, to the sessions that it is about, for as long as the back end lives.
pub(crate) fn start_listening(backend: &Arc<Backend>) -> Result<(), BoxError> {
    let events = backend.coordinator.events();
    Handle::try_current()?.spawn(listen(events, Arc::downgrade(backend)));
    Ok(())
}

async fn listen(mut events: Events, backend: Weak<Backend>) {
    while let Some(event) = events.next().await {
        let Some(backend) = backend.upgrade() else { return };
        if let Some(session) = backend.sessions.with_key(&event.key)
            && let Some((text, good)) = line(&event.kind)
        {
            session.tell(text, good);
        }
    }
}

fn line(event: &EventKind) -> Option<(String, bool)> {
    Some(match event {
        EventKind::RefreshStarted => ("A refresh is on its way".to_owned(), true),
        EventKind::Refreshed(generation) => (format!("Refreshed: generation {generation} is stored"), true),
        EventKind::Adopted(generation) => (format!("Adopted generation {generation}"), true),
        EventKind::Failed(error) => (format!("The refresh failed: {error}"), false),
        EventKind::PersistFailed => ("The new tokens could not be stored yet".to_owned(), false),
        _ => return None,
    })
}
