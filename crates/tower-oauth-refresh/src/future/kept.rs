//! What is kept of a request that was sent with a token, in case the token is refused.
//!
//! Every request needs this, and nearly none uses it. It is written into a box that an earlier request of
//! the same thread has left, so that being ready to send once more allocates nothing.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use http::{Extensions, HeaderName, HeaderValue, Method, Request, Uri, Version, request};

use crate::coordinator::{OriginId, Slot, TokenId};

/// A request's head, as the caller made it, and the token it went out with.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) used: TokenId,
    /// Where it was sent.
    pub(crate) origin: OriginId,
    /// The credential, where the layer has many.
    pub(crate) keyed: Option<Arc<Slot>>,
    method: Method,
    uri: Option<Uri>,
    version: Version,
    /// A list is cheaper to fill than a map, and becomes one again if it comes to that.
    headers: Vec<(HeaderName, HeaderValue)>,
    extensions: Extensions,
}

/// More than this many boxes of a thread are not kept: so many requests were seldom under way at once.
const MAX_SPARE: usize = 64;

/// A box that held more headers than this is not kept.
const MAX_HEADERS: usize = 64;

type Spare = Vec<Box<Kept>>;

thread_local! {
    /// Empty ones, whose memory is used again.
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare::new()) };
}

impl Kept {
    /// The token of a request, and nothing yet of its head.
    pub(super) fn new(used: TokenId, origin: OriginId, keyed: Option<Arc<Slot>>) -> Box<Self> {
        let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok()?.pop()).ok().flatten();
        let mut kept = spare.unwrap_or_else(|| Self::empty(used));
        (kept.used, kept.origin) = (used, origin);
        kept.keyed = keyed;
        kept
    }

    /// What a replay needs to know: all but the token.
    pub(super) fn keep(&mut self, head: &request::Parts) {
        self.method = head.method.clone();
        self.uri = Some(head.uri.clone());
        self.version = head.version;
        self.headers.extend(head.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.extensions = head.extensions.clone();
    }

    #[cold]
    fn empty(used: TokenId) -> Box<Self> {
        Box::new(Self {
            used,
            origin: OriginId::default(),
            keyed: None,
            method: Method::GET,
            uri: None,
            version: Version::default(),
            headers: Vec::new(),
            extensions: Extensions::new(),
        })
    }

    /// The request's head once more.
    pub(super) fn again(mut self: Box<Self>) -> request::Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = mem::take(&mut self.method);
        head.uri = self.uri.take().unwrap_or_default();
        head.version = self.version;
        for (name, value) in self.headers.drain(..) {
            head.headers.append(name, value);
        }
        head.extensions = mem::take(&mut self.extensions);
        self.spare();
        head
    }

    /// Nobody needs it any more: forgets the request and leaves the box to the next. Not to be called is
    /// no leak, only an allocation.
    pub(super) fn spare(mut self: Box<Self>) {
        // First of all, and outside the list: a value's own drop may come back here.
        self.headers.clear();
        (self.keyed, self.uri, self.extensions) = (None, None, Extensions::new());
        if self.headers.capacity() > MAX_HEADERS {
            return;
        }
        let _ = SPARE.try_with(|spare| {
            if let Ok(mut spare) = spare.try_borrow_mut()
                && spare.len() < MAX_SPARE
            {
                spare.push(self);
            }
        });
    }
}
