//! A refresh while the engine below its store dies: on private servers, stopped and started for real.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower_oauth_refresh::{ClientAuth, ErrorKind, EventKind, RefreshCoordinator, TokenStore};
use tower_oauth_refresh_redis::{RedisStore, redis};
use tower_oauth_refresh_sql::PostgresStore;
use tower_oauth_refresh_testkit::AuthServer;
use xtask::{Postgres, Redis};

use crate::harness::{EXPIRED, KEY, start, until, within};

/// An engine, its store, and how it is stopped and started.
trait Engine: Send {
    type Store: TokenStore + Clone;
    async fn store(&self) -> Self::Store;
    fn stop(&mut self);
    fn start_again(&mut self);
}

impl Engine for Redis {
    type Store = RedisStore;

    async fn store(&self) -> RedisStore {
        RedisStore::new(redis::Client::open(self.url()).unwrap()).unwrap()
    }

    fn stop(&mut self) {
        self.kill().unwrap();
    }

    fn start_again(&mut self) {
        Self::start_again(self).unwrap();
    }
}

impl Engine for Postgres {
    type Store = PostgresStore;

    async fn store(&self) -> PostgresStore {
        let pool = sqlx::postgres::PgPoolOptions::new()
            .acquire_timeout(Duration::from_secs(1))
            .connect(&self.url())
            .await
            .unwrap();
        let store = PostgresStore::new(pool);
        store.migrate().await.unwrap();
        store
    }

    fn stop(&mut self) {
        self.stop_immediately().unwrap();
    }

    fn start_again(&mut self) {
        Self::start_again(self).unwrap();
    }
}

async fn outlives_its_engine(mut engine: impl Engine) {
    let auth = AuthServer::start().await.unwrap();
    let store = engine.store().await;
    let coordinator = || {
        let client = ClientAuth::post(auth.client_id(), auth.client_secret());
        let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let builder = RefreshCoordinator::builder(auth.token_endpoint(), client).store(store.clone());
        builder.hold_limit(Duration::from_secs(1)).build(http).unwrap()
    };
    let ours = coordinator();
    let mut events = ours.events();
    ours.install(KEY, auth.login().with_expires_in(EXPIRED)).await.unwrap();

    // The answer comes, and the store is gone.
    let gate = auth.hold_after_commit();
    let asked = start({
        let ours = ours.clone();
        async move { ours.token(KEY).await }
    });
    within(gate.arrived()).await;
    engine.stop();
    gate.release();
    let error = within(asked).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unpersisted);
    // Another process finds no store, and sends nothing.
    assert_eq!(within(coordinator().token(KEY)).await.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(auth.ledger().verdict().refreshes, 1);

    // It comes back; the set is written without anybody asking, and everybody has it.
    engine.start_again();
    until(&mut events, |event| matches!(event, EventKind::Refreshed(_))).await;
    let token = ours.token(KEY).await.unwrap();
    let theirs = within(coordinator().token(KEY)).await.unwrap();
    assert_eq!(token.expose_secret(), theirs.expose_secret());
    let verdict = auth.ledger().verdict();
    assert_eq!((verdict.refreshes, verdict.reuse_detections), (1, 0));
    assert!(verdict.is_clean());
}

#[tokio::test]
async fn a_set_received_while_postgresql_dies_is_written_when_it_returns() {
    outlives_its_engine(Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn a_set_received_while_redis_dies_is_written_when_it_returns() {
    outlives_its_engine(Redis::start().unwrap()).await;
}
