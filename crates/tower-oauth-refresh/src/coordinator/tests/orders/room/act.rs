//! What may happen in a history.

use super::super::super::Clock as _;
use super::Room;
use super::far::What;

/// What a history begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Begin {
    /// A request that finds its token expired.
    Expired,
    /// A request that finds its token good, and due for a refresh that nobody waits for.
    Due,
}

/// A step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Act {
    /// What would come by itself: the oldest call ends well, or time passes.
    Go,
    /// Nothing is under way, and nothing more happens.
    End,
    /// The newest call ends well, before the oldest.
    Overtake,
    Ask,
    /// As a request that the API refused, with the token that it carried.
    Refused,
    DropFirst,
    DropLast,
    /// The oldest call does its work, and its answer comes after all else.
    Linger,
    /// The oldest call fails, and did nothing.
    Fail,
    /// It fails, and did it all the same.
    FailAfter,
    Panic,
    /// The server's verdict.
    InvalidGrant,
    Logout,
    Install,
    Shutdown,
    /// Less than the time to send …
    Short,
    /// … and more than any single call may take.
    Long,
    /// The runtime goes away under all of it.
    Abort,
}

impl Begin {
    pub(in super::super) const ALL: [Self; 2] = [Self::Expired, Self::Due];
}

impl Room {
    /// What may come next; the first is what comes by itself.
    pub(in super::super) fn options(&self, disturbed: bool) -> Vec<Act> {
        let calls: Vec<(What, bool)> = self.gates.calls().iter().map(|call| (call.what, call.done)).collect();
        let next = calls.iter().find(|(_, done)| !done).map(|(what, _)| *what);
        let busy = !calls.is_empty() || self.flies() || !self.asking.is_empty() || self.is_operating();
        let mut options = vec![if busy { Act::Go } else { Act::End }];
        if !disturbed {
            return options;
        }
        options.extend([Act::Short, Act::Long]);
        let mut also = |act, may| options.extend(Some(act).filter(|_| may));
        // With a token that is good and a flight under way, a request changes nothing; without one, a refused
        // request is like any other.
        let usable = self.slot.usable(self.hand.now()).is_some();
        also(Act::Ask, !usable || !self.flies());
        also(Act::Refused, usable);
        also(Act::DropFirst, !self.asking.is_empty());
        also(Act::DropLast, self.asking.len() > 1);
        also(Act::Overtake, calls.len() > 1);
        also(Act::Logout, self.logout.is_none() && !self.story.contains(&Act::Logout));
        also(Act::Install, self.install.is_none());
        also(Act::Shutdown, !self.story.contains(&Act::Shutdown));
        also(Act::Abort, !self.story.contains(&Act::Abort));
        also(Act::Linger, next.is_some());
        also(Act::Fail, !calls.is_empty());
        also(Act::FailAfter, next.is_some_and(|what| what != What::Load));
        also(Act::Panic, !calls.is_empty());
        also(Act::InvalidGrant, next == Some(What::Send));
        options
    }
}
