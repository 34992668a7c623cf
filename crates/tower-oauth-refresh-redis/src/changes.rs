//! Who is told of changes, and for how long.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::sleep;
use tower_oauth_refresh::{BoxStream, KeyDigest};

use crate::connection::{Connector, Told};

/// Between two tries to be told again.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Listener {
    connector: Arc<Connector>,
    channel: String,
    limit: Duration,
    told: Receiver<Told>,
    subscribed: bool,
}

/// The channel on which records of this prefix are said to have changed. Channels are not keys: none of
/// the records can have this name.
pub(crate) fn channel(prefix: &str) -> String {
    format!("{prefix}changes")
}

/// What is said there: the digest of the key.
pub(crate) fn payload(digest: KeyDigest) -> String {
    format!("{:032x}", digest.to_bits())
}

/// Something else was not said by a store.
pub(crate) fn read(said: &[u8]) -> Option<KeyDigest> {
    let said = std::str::from_utf8(said).ok()?;
    let digest = KeyDigest::from_bits(u128::from_str_radix(said, 16).ok()?);
    (payload(digest) == said).then_some(digest)
}

impl Listener {
    pub(crate) fn new(connector: Arc<Connector>, channel: String, limit: Duration) -> Self {
        let told = connector.listen();
        Self { connector, channel, limit, told, subscribed: false }
    }

    pub(crate) fn into_stream(self) -> BoxStream<'static, KeyDigest> {
        Box::pin(stream::unfold(self, async |mut listener: Self| Some((listener.next().await?, listener))))
    }

    async fn next(&mut self) -> Option<KeyDigest> {
        loop {
            if self.subscribed {
                match self.told.recv().await {
                    Ok(Told::Message(digest)) => return Some(digest),
                    Ok(Told::Unsubscribed) => self.subscribed = false,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            } else if Handle::try_current().is_err() {
                return None;
            } else {
                self.subscribed = self.connector.subscribe(&self.channel, self.limit).await.is_ok();
                if !self.subscribed {
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_change_is_read_back_and_nothing_else_is() {
        let digest = KeyDigest::from_bits(0xab);
        assert_eq!(payload(digest), "000000000000000000000000000000ab");
        assert_eq!(read(payload(digest).as_bytes()), Some(digest));
        for other in
            ["", "ab", "000000000000000000000000000000AB", "+00000000000000000000000000000ab", "hello"]
        {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
        assert_eq!(read(b"\xff"), None);
        assert_eq!(channel("oauth:"), "oauth:changes");
    }
}
