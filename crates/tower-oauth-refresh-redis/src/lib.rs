//! OAuth 2.0 credentials in Redis or Valkey, shared by any number of hosts.
//!
//! [`RedisStore`] is a [`TokenStore`](tower_oauth_refresh::TokenStore) for fleets that run Redis anyway:
//! compare-and-swap and clock are one script at the server, and a process that waits for another's refresh
//! is told of its end. Where a login must not be lost, take PostgreSQL instead: Redis promises less, and how
//! much less is a matter of how it is set up. For one machine take the file store.
//!
//! ```
//! use tower_oauth_refresh::{Sealed, SealingKey};
//! use tower_oauth_refresh_redis::{RedisStore, redis};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = SealingKey::generate()?;
//! let client = redis::Client::open("redis://redis.internal:6379/")?;
//! let store = Sealed::new(RedisStore::new(client)?, key); // connects when it is first used
//! # drop(store);
//! # Ok(())
//! # }
//! ```
//!
//! For TLS (`rediss://`) enable the feature `tokio-rustls-comp` of the `redis` crate in your own manifest.
//!
//! # What Redis does and does not promise
//!
//! A server that rotates refresh tokens takes the old one back the moment it hands out the new one. If Redis
//! then forgets the new one, the old one returns. The coordinator that refreshed still has the new set in memory and
//! puts it back (`StoreRegressed`), but only when it next refreshes. If another process refreshes before, or no process
//! has it any more, the old one is submitted, and a strict server ends the login, perhaps on suspicion of theft.
//!
//! | Redis is set up with | a crash of the process or the machine forgets |
//! | --- | --- |
//! | `appendonly yes`, `appendfsync always` | nothing that was answered |
//! | `appendonly yes`, `appendfsync everysec`, as is usual | a crash of the machine: the last second or two |
//! | snapshots only (`save …`), the default | everything since the last snapshot: minutes |
//! | none of these | everything: every login is over |
//!
//! - **Replication is asynchronous.** A failover (Sentinel, a cluster, a managed service) elects a replica
//!   that may not have the last writes, however they were synced, and in a network partition two primaries
//!   may take writes for a while, of which one side's are thrown away. Then a rotated refresh token can be
//!   lost, and so can a lease: two processes may refresh at once, which costs the same login.
//!   [`RedisStore::wait_replicas`] narrows the gap and does not close it.
//! - **A primary with replicas needs `min-replicas-to-write` of at least 1.** One that was replaced does not know
//!   it for some seconds. Without its replicas it then refuses to answer; otherwise who is still connected to it
//!   would load old records, and submit refresh tokens that are spent. The store asks for that
//!   (`INFO replication`) once a connection, and fails where it is not so; it does not notice when it is turned off at
//!   run time. How long it takes to notice that replicas are gone is its
//!   `min-replicas-max-lag`. [`RedisStore::accept_stale_loads_after_failover`] is for those who cannot set it.
//! - **Eviction must be off** (`maxmemory-policy noeviction`). Under the `allkeys` policies a full Redis throws
//!   logins away. The records have no expiry, so the `volatile` policies spare them. Without eviction a full
//!   Redis refuses writes: refreshes fail with `ErrorKind::Store`, and nothing is sent until there is room.
//! - **`FLUSHALL` and a restart without persistence** look like a store in which nobody ever logged in: loads
//!   find nothing, and what was loaded earlier cannot be written over it.
//! - **The age of a record is by the server's wall clock.** Slewing it is fine. Setting it forward, or a
//!   failover to a server whose clock is ahead, lets a lease look older than it is, and another process may
//!   take it too early.
//!
//! Only a single primary, or what looks like one, is spoken to. Each record is one key and a script touches
//! no other, so a proxy in front of a cluster will do; the store does not follow a cluster's redirections or
//! ask a Sentinel.

mod answer;
mod changes;
mod connection;
mod failure;
mod replication;
mod store;

pub use redis;

pub use self::store::RedisStore;
