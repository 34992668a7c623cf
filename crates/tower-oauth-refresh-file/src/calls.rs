//! The calls of the store, and what is done for all that wait at once.

use std::iter::once;
use std::sync::Arc;

use tokio::sync::oneshot::Sender;
use tower_oauth_refresh::{Record, RecordBody, StoreError, StoredKey, Swap, Version};

use crate::file::StoreFile;
use crate::turns::{Call, Turn};

pub(crate) type Answer<T> = Result<T, StoreError>;

pub(crate) struct Load {
    pub(crate) file: Arc<StoreFile>,
    pub(crate) key: StoredKey,
    pub(crate) answer: Sender<Answer<Option<Record>>>,
}

pub(crate) struct Write {
    pub(crate) file: Arc<StoreFile>,
    pub(crate) key: StoredKey,
    pub(crate) expected: Option<Version>,
    pub(crate) new: Option<RecordBody>,
    pub(crate) answer: Sender<Answer<Swap>>,
}

impl Call for Load {
    fn is_dropped(&self) -> bool {
        self.answer.is_closed()
    }

    fn carry_out(self, turn: Turn<Self>) {
        let file = self.file.clone();
        let loads: Vec<_> = once(self).chain(turn.waiting()).collect();
        // Before reading: a record written in between is young, not old.
        let now = file.now();
        let contents = file.resolve().and_then(|path| file.contents(&path));
        drop(turn);
        for Self { key, answer, .. } in loads {
            let loaded = match &contents {
                Ok(contents) => contents.get(&key, &now),
                Err(failure) => Err(failure.clone().into()),
            };
            // The call may have been dropped meanwhile.
            let _ = answer.send(loaded);
        }
    }
}

impl Call for Write {
    fn is_dropped(&self) -> bool {
        self.answer.is_closed()
    }

    fn carry_out(self, turn: Turn<Self>) {
        let file = self.file.clone();
        let (calls, at_most) = file.pace.next(file.clock.now().boot);
        turn.gather(calls, at_most);
        let _replaced = file.hold();
        let locked = file.lock();
        let began = file.clock.now().boot;
        // Only now: whoever came while the lock was waited for need not wait for another write.
        let writes: Vec<_> = once(self).chain(turn.waiting()).collect();
        let swaps = match &locked {
            Ok((path, _lock)) => file.swap(path, &writes),
            Err(failure) => writes.iter().map(|_| Err(failure.clone().into())).collect(),
        };
        drop(locked);
        file.pace.ended(began, file.clock.now().boot, writes.len() + turn.waiting_count());
        drop(turn);
        for (write, swapped) in writes.into_iter().zip(swaps) {
            let _ = write.answer.send(swapped);
        }
    }
}
