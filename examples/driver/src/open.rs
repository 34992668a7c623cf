//! A credential, and the client that carries its tokens.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Layer as _;
use tower_oauth_refresh::{
    ClientAuth, MemoryStore, Origin, Refresh, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet,
    TokenStore,
};
use tower_oauth_refresh_file::FileStore;
use tower_oauth_refresh_redis::{RedisStore, redis};
use tower_oauth_refresh_sql::{PostgresStore, SqliteStore, sqlx};

use crate::dump::Seen;
use crate::protocol::{Open, Refusal, millis};

type Failure = Box<dyn Error + Send + Sync>;
pub(crate) type Api = Refresh<Client<HttpConnector, ReplayBody<Full<Bytes>>>>;

/// Everything that is alive of an opened credential.
pub(crate) struct Credential {
    pub(crate) key: String,
    pub(crate) coordinator: Arc<RefreshCoordinator>,
    pub(crate) api: Api,
    /// The rest, only to be shown: layer, store and the tokens that came.
    pub(crate) shown: Box<dyn Debug + Send + Sync>,
}

/// Bodies to this size are sent again. A check has no way to wish for less; nothing is copied.
const BODY_LIMIT: usize = 64 << 20;
/// Shorter than servers keep idle connections, so that no request meets one that is being closed.
const IDLE_LIMIT: Duration = Duration::from_secs(3);

/// Builds the client, and stores the tokens if it is told to.
pub(crate) async fn open(open: &Open, seen: &Seen) -> Result<Credential, Refusal> {
    let (id, secret) = (open.client_id.clone(), open.client_secret.clone().unwrap_or_default());
    let auth = match open.auth.as_str() {
        "basic" => ClientAuth::basic(id, secret),
        "post" => ClientAuth::post(id, secret),
        "none" => ClientAuth::none(id),
        _ => return Err(Refusal::Unsupported),
    };
    match open_store(open, auth).await {
        Ok(Some(credential)) => Ok(credential),
        Ok(None) => Err(Refusal::Unsupported),
        Err(error) => Err(seen.refusal(&*error)),
    }
}

/// The stores there are: another one is another arm.
async fn open_store(open: &Open, auth: ClientAuth) -> Result<Option<Credential>, Failure> {
    let member = |name| open.store.as_ref().and_then(|store| store.get(name)?.as_str());
    let credential = match (member("kind"), member("path"), member("url")) {
        // Of this `open` alone: the memory of another one is not seen.
        (None | Some("memory"), ..) => assemble(open, auth, MemoryStore::new()).await,
        (Some("file"), Some(path), _) => assemble(open, auth, FileStore::open(path)?).await,
        (Some("sqlite"), Some(path), _) => assemble(open, auth, SqliteStore::open(path).await?).await,
        (Some("postgres"), _, Some(url)) => {
            let store = PostgresStore::new(sqlx::PgPool::connect(url).await?);
            store.migrate().await?;
            assemble(open, auth, store).await
        }
        (Some("redis"), _, Some(url)) => {
            assemble(open, auth, RedisStore::new(redis::Client::open(url)?)?).await
        }
        _ => return Ok(None),
    };
    credential.map(Some)
}

async fn assemble(
    open: &Open,
    auth: ClientAuth,
    store: impl TokenStore + Clone + Debug,
) -> Result<Credential, Failure> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let http: Client<_, ReplayBody<Full<Bytes>>> = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_LIMIT)
        .build(connector);
    let mut builder = RefreshCoordinator::builder(open.token_endpoint.parse()?, auth).store(store.clone());
    if let Some(endpoint) = &open.revocation_endpoint {
        builder = builder.revocation_endpoint(endpoint.parse()?);
    }
    if let Some(limit) = millis(open.exchange_ms) {
        // Shorter ones are refused: they cannot work.
        builder = builder.exchange_limit(limit.max(Duration::from_secs(1)));
    }
    if let Some(age) = millis(open.challenge_min_age_ms) {
        builder = builder.challenge_min_age(age);
    }
    let coordinator = builder.build(http.clone())?;
    let mut layer = RefreshLayer::new(coordinator.clone(), open.cred.as_str()).body_limit(BODY_LIMIT);
    for origin in &open.origins {
        layer = layer.origin(origin.parse::<Origin>()?);
    }
    let tokens = tokens(open);
    if let Some(tokens) = tokens.clone().filter(|_| open.seed) {
        coordinator.install(open.cred.as_str(), tokens).await?;
    }
    let api = layer.layer(http);
    Ok(Credential { key: open.cred.clone(), coordinator, api, shown: Box::new((layer, store, tokens)) })
}

fn tokens(open: &Open) -> Option<TokenSet> {
    let mut tokens = TokenSet::new(open.access_token.clone()?);
    if let Some(refresh_token) = open.refresh_token.clone() {
        tokens = tokens.with_refresh_token(refresh_token);
    }
    // A lifetime of nothing is over at once, which is what a negative one says.
    if let Some(seconds) = open.expires_in {
        tokens = tokens.with_expires_in(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    }
    Some(tokens)
}
