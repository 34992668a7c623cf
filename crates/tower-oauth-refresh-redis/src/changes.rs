//! Who is told of changes, and for how long.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::sleep;
use tower_oauth_refresh::{BoxStream, StoredKey};

use crate::connection::{Connector, Told};

/// Between two tries to be told again.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Listener {
    connector: Arc<Connector>,
    prefix: Arc<str>,
    limit: Duration,
    told: Receiver<Told>,
    subscribed: bool,
}

/// The channel on which records of this prefix are said to have changed. Channels are not keys: none of
/// the records can have this name.
pub(crate) fn channel(prefix: &str) -> String {
    format!("{prefix}changes")
}

impl Listener {
    pub(crate) fn new(connector: Arc<Connector>, prefix: Arc<str>, limit: Duration) -> Self {
        let told = connector.listen();
        Self { connector, prefix, limit, told, subscribed: false }
    }

    pub(crate) fn into_stream(self) -> BoxStream<'static, StoredKey> {
        Box::pin(stream::unfold(self, async |mut listener: Self| Some((listener.next().await?, listener))))
    }

    async fn next(&mut self) -> Option<StoredKey> {
        loop {
            if self.subscribed {
                match self.told.recv().await {
                    Ok(Told::Message(name)) => {
                        if let Some(key) = self.key(&name) {
                            return Some(key);
                        }
                    }
                    Ok(Told::Unsubscribed) => self.subscribed = false,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            } else if Handle::try_current().is_err() {
                return None;
            } else {
                self.subscribed = self.connector.subscribe(&channel(&self.prefix), self.limit).await.is_ok();
                if !self.subscribed {
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn key(&self, name: &[u8]) -> Option<StoredKey> {
        let name = std::str::from_utf8(name).ok()?;
        name.strip_prefix(&*self.prefix).map(StoredKey::from)
    }
}
