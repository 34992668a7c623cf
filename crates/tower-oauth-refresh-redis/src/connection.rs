//! One connection for all calls and all messages, made when it is needed and given up when it is dead.
//!
//! The client's own reconnecting connection is not used: it hands out the error of a reconnection that
//! failed long ago to the first call after Redis came back, and it keeps a connection that no longer
//! answers. Here nobody reconnects in the background, and the next call finds out how things are now.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, Msg, Pipeline, ProtocolVersion, PushInfo, RedisError,
    RedisResult, Value,
};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, broadcast};
use tokio::time::timeout;
use tower_oauth_refresh::KeyDigest;

use crate::changes::read;
use crate::failure::Failure;
use crate::replication::Replication;

/// How many messages a reader may be behind before it misses some.
const BACKLOG: usize = 1024;

pub(crate) struct Connector {
    client: Client,
    current: Mutex<Arc<Connection>>,
    told: broadcast::Sender<Told>,
}

/// What the server says unasked.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Message(KeyDigest),
    /// The connection is gone, and the subscription with it.
    Unsubscribed,
}

/// A connection that may still have to be made, by whoever needs it first.
#[derive(Default)]
struct Connection {
    redis: OnceCell<MultiplexedConnection>,
    replication: OnceCell<Replication>,
    subscribed: OnceCell<()>,
}

/// When must the server be one that stops answering soon after it was replaced?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    WithReplicas,
    Always,
    Never,
}

/// A call that failed, perhaps with its connection.
struct Failed {
    failure: Failure,
    gives_up: bool,
}

impl Connector {
    /// Changes of the client's settings: RESP3, in which messages and answers share a connection, and no
    /// waiting for more to send.
    pub(crate) fn new(client: &Client) -> RedisResult<Arc<Self>> {
        let info: &ConnectionInfo = client.get_connection_info();
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.clone().set_redis_settings(redis).set_tcp_settings(tcp))?;
        let told = broadcast::Sender::new(BACKLOG);
        Ok(Arc::new(Self { client, current: Mutex::default(), told }))
    }

    /// Sends the commands in one go, over one connection.
    pub(crate) async fn call(
        self: &Arc<Self>,
        commands: &Pipeline,
        fence: Fence,
        limit: Duration,
    ) -> Result<Vec<Value>, Failure> {
        let connection = self.current();
        let answers = async {
            let mut redis = self.connected(&connection).await?.clone();
            connection.check(fence, &mut redis).await?;
            Ok(commands.query_async(&mut redis).await?)
        };
        self.within(limit, &connection, answers).await
    }

    /// Asks to be told what is said on the channel, once a connection.
    pub(crate) async fn subscribe(self: &Arc<Self>, channel: &str, limit: Duration) -> Result<(), Failure> {
        let connection = self.current();
        let subscribed = async {
            let mut redis = self.connected(&connection).await?.clone();
            connection.subscribed.get_or_try_init(|| redis.subscribe(channel)).await.copied()?;
            Ok(())
        };
        self.within(limit, &connection, subscribed).await
    }

    /// What will be said from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Told> {
        self.told.subscribe()
    }

    async fn within<T>(
        &self,
        limit: Duration,
        connection: &Arc<Connection>,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failure> {
        // Timers and sockets of tokio panic without it.
        Handle::try_current().map_err(|error| Failure::Client(error.to_string()))?;
        let Ok(result) = timeout(limit, work).await else {
            self.give_up(connection);
            return Err(Failure::NoAnswer(limit));
        };
        result.map_err(|Failed { failure, gives_up }| {
            if gives_up {
                self.give_up(connection);
            }
            failure
        })
    }

    async fn connected<'a>(
        self: &Arc<Self>,
        connection: &'a Arc<Connection>,
    ) -> RedisResult<&'a MultiplexedConnection> {
        connection
            .redis
            .get_or_try_init(|| {
                let ear = Ear { connector: Arc::downgrade(self), connection: Arc::downgrade(connection) };
                // Time is limited around it all.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(None)
                    .set_push_sender(move |push| ear.hear(push));
                async move { self.client.get_multiplexed_async_connection_with_config(&config).await }
            })
            .await
    }

    fn current(&self) -> Arc<Connection> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next call makes another connection, unless somebody was faster to see this one dead.
    fn give_up(&self, connection: &Arc<Connection>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, connection) {
            *current = Arc::default();
            // Nobody may be listening.
            let _ = self.told.send(Told::Unsubscribed);
        }
    }
}

impl Connection {
    /// Looked at once a connection: a failover ends it.
    async fn check(&self, fence: Fence, redis: &mut MultiplexedConnection) -> Result<(), Failed> {
        if fence == Fence::Never {
            return Ok(());
        }
        let replication = self.replication.get_or_try_init(async || {
            let info: RedisResult<String> = redis::cmd("INFO").arg("replication").query_async(redis).await;
            info.map(|info| Replication::read(&info))
        });
        let replication = replication.await.map_err(|error| match Failure::from(&error) {
            Failure::Refused(code) => Failure::Info(code).into(),
            _ => Failed::from(error),
        })?;
        if replication.is_fenced(fence) { Ok(()) } else { Err(Failure::NoFence.into()) }
    }
}

impl From<RedisError> for Failed {
    fn from(error: RedisError) -> Self {
        let failure = Failure::from(&error);
        let gives_up = error.is_unrecoverable_error() || failure.is_wrong_server();
        Self { failure, gives_up }
    }
}

/// Of a server that does not suit: the next call looks again.
impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, gives_up: true }
    }
}

/// Passes on what the server says over a connection, and notices its end before somebody tries to use it. It lives in
/// the connection's task, which ends with the runtime where the connection was made.
struct Ear {
    connector: Weak<Connector>,
    connection: Weak<Connection>,
}

impl Ear {
    fn hear(&self, push: PushInfo) -> Result<(), redis::aio::SendError> {
        let connector = self.connector.upgrade().ok_or(redis::aio::SendError)?;
        let message = Msg::from_push_info(push);
        if let Some(digest) = message.and_then(|message| read(message.get_payload_bytes()))
            && connector.told.send(Told::Message(digest)).is_err()
            && let Some(connection) = self.connection.upgrade()
        {
            // Nobody waits any more. The next call is made over a connection that is told nothing.
            connector.give_up(&connection);
        }
        Ok(())
    }
}

/// By the client when the connection breaks, and by the runtime when it ends.
impl Drop for Ear {
    fn drop(&mut self) {
        if let (Some(connector), Some(connection)) = (self.connector.upgrade(), self.connection.upgrade())
            // Otherwise it is for the next one who waits to try again.
            && connection.redis.initialized()
        {
            connector.give_up(&connection);
        }
    }
}

#[cfg(test)]
mod tests;
