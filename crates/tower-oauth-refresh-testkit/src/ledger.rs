//! What the servers truly saw.
//!
//! A client can believe that it refreshed once; the ledger knows. It lives on the far side, counts what
//! arrived and what left, and holds hashes in place of tokens, so a test may print all of it.

mod entry;
mod verdict;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub use self::entry::{ApiRequest, ClientAuthentication, FamilyId, Revocation, TokenRequest};
pub use self::verdict::Verdict;
use crate::hash::TokenHash;
use crate::wire::Peer;

/// The common book of an [`AuthServer`](crate::AuthServer) and the
/// [`ResourceServer`](crate::ResourceServer)s that trust it. Clones are the same book.
///
/// Every entry carries a number, counted over all kinds, in the order of arrival. An entry is made when a
/// request arrives and completed when its answer leaves, so requests that are held are visible.
#[derive(Clone)]
pub struct Ledger {
    pages: Arc<Mutex<Pages>>,
    changed: Arc<watch::Sender<()>>,
}

#[derive(Default)]
struct Pages {
    next: u64,
    tokens: Vec<TokenRequest>,
    revocations: Vec<Revocation>,
    api: Vec<ApiRequest>,
    open: Vec<(usize, Peer)>,
    /// Refresh tokens whose successor has left the server.
    succeeded: HashSet<TokenHash>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { pages: Arc::default(), changed: Arc::new(watch::Sender::new(())) }
    }

    /// Every request at the token endpoint, in the order of arrival.
    #[must_use]
    pub fn token_requests(&self) -> Vec<TokenRequest> {
        self.pages().tokens.clone()
    }

    /// The requests with `grant_type=refresh_token`.
    #[must_use]
    pub fn refreshes(&self) -> Vec<TokenRequest> {
        self.pages().tokens.iter().filter(|request| request.is_refresh()).cloned().collect()
    }

    /// The refreshes of one family.
    #[must_use]
    pub fn refreshes_of(&self, family: FamilyId) -> Vec<TokenRequest> {
        let mut refreshes = self.refreshes();
        refreshes.retain(|request| request.family == Some(family));
        refreshes
    }

    /// Every request at the revocation endpoint.
    #[must_use]
    pub fn revocations(&self) -> Vec<Revocation> {
        self.pages().revocations.clone()
    }

    /// Every request at the resource servers.
    #[must_use]
    pub fn api_requests(&self) -> Vec<ApiRequest> {
        self.pages().api.clone()
    }

    /// The sends of one request, told by its `x-request-id`.
    #[must_use]
    pub fn sends_of(&self, request_id: &str) -> Vec<ApiRequest> {
        let mut sends = self.api_requests();
        sends.retain(|request| request.request_id.as_deref() == Some(request_id));
        sends
    }

    /// The whole book in a few figures.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let pages = self.pages();
        Verdict::of(&pages.tokens, &pages.revocations, &pages.api)
    }

    /// Waits until `condition` holds of the verdict, looking again whenever an entry changes. For tests
    /// that would otherwise sleep.
    pub async fn until(&self, mut condition: impl FnMut(&Verdict) -> bool) {
        let mut changed = self.changed.subscribe();
        // The sender lives in `self`, so the channel cannot close meanwhile.
        while !condition(&self.verdict()) && changed.changed().await.is_ok() {}
    }

    /// Opens the line, and says who else of the family is under way.
    pub(crate) fn open_token(&self, mut entry: TokenRequest, peer: &Peer) -> (OpenEntry, Vec<Peer>) {
        let mut pages = self.pages();
        entry.number = pages.number();
        entry.successor_delivered = entry.refresh_token.is_some_and(|hash| pages.succeeded.contains(&hash));
        let rivals = entry.family.map(|family| pages.under_way(family)).unwrap_or_default();
        let index = pages.tokens.len();
        pages.tokens.push(entry);
        pages.open.push((index, peer.clone()));
        drop(pages);
        (self.entry(Kind::Token, index), rivals)
    }

    pub(crate) fn open_revocation(&self, mut entry: Revocation) -> OpenEntry {
        let mut pages = self.pages();
        entry.number = pages.number();
        let index = pages.revocations.len();
        pages.revocations.push(entry);
        drop(pages);
        self.entry(Kind::Revocation, index)
    }

    pub(crate) fn open_api(&self, mut entry: ApiRequest) -> OpenEntry {
        let mut pages = self.pages();
        entry.number = pages.number();
        let index = pages.api.len();
        pages.api.push(entry);
        drop(pages);
        self.entry(Kind::Api, index)
    }

    fn entry(&self, kind: Kind, index: usize) -> OpenEntry {
        self.changed.send_replace(());
        OpenEntry { ledger: self.clone(), kind, index, closed: false }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn under_way(&self, family: FamilyId) -> Vec<Peer> {
        let of_family = |index: usize| self.tokens.get(index).is_some_and(|open| open.family == Some(family));
        let open = self.open.iter().filter(|(index, _)| of_family(*index));
        open.map(|(_, peer)| peer.clone()).collect()
    }

    fn close_token(&mut self, index: usize, delivered: bool) {
        self.open.retain(|(open, _)| *open != index);
        let Some(entry) = self.tokens.get_mut(index) else { return };
        entry.delivered = delivered;
        if delivered
            && entry.names_successor
            && let Some(spent) = entry.refresh_token
            && entry.issued_refresh_token.is_some_and(|issued| issued != spent)
        {
            self.succeeded.insert(spent);
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages();
        f.debug_struct("Ledger")
            .field("token_requests", &pages.tokens)
            .field("revocations", &pages.revocations)
            .field("api_requests", &pages.api)
            .finish()
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Token,
    Revocation,
    Api,
}

/// An entry whose answer has not left yet. Dropped: the answer never left.
#[derive(Debug)]
pub(crate) struct OpenEntry {
    ledger: Ledger,
    kind: Kind,
    index: usize,
    closed: bool,
}

impl OpenEntry {
    pub(crate) fn token(&self, change: impl FnOnce(&mut TokenRequest)) {
        self.ledger.pages().tokens.get_mut(self.index).map(change);
        self.ledger.changed.send_replace(());
    }

    pub(crate) fn revocation(&self, change: impl FnOnce(&mut Revocation)) {
        self.ledger.pages().revocations.get_mut(self.index).map(change);
        self.ledger.changed.send_replace(());
    }

    pub(crate) fn api(&self, change: impl FnOnce(&mut ApiRequest)) {
        self.ledger.pages().api.get_mut(self.index).map(change);
        self.ledger.changed.send_replace(());
    }

    /// The answer has left, whole or not.
    pub(crate) fn close(&mut self, delivered: bool) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let mut pages = self.ledger.pages();
        match self.kind {
            Kind::Token => pages.close_token(self.index, delivered),
            Kind::Revocation => drop(pages.revocations.get_mut(self.index).map(|r| r.delivered = delivered)),
            Kind::Api => drop(pages.api.get_mut(self.index).map(|r| r.delivered = delivered)),
        }
        drop(pages);
        self.ledger.changed.send_replace(());
    }
}

impl Drop for OpenEntry {
    fn drop(&mut self) {
        self.close(false);
    }
}
