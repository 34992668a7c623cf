//! What to copy: a store that survives, a coordinator, a client that uses it, and how a run begins.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::Connect;
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceBuilder};
use tower_oauth_refresh::{
    ClientAuth, Generation, Login, Origin, RefreshCoordinator, RefreshLayer, ReplayBody, ResponseBody,
    TokenSet, TokenStore,
};
use tower_oauth_refresh_file::{FileStore, KeyFile};

/// One hyper client serves the API and the token endpoint.
pub(crate) type HttpClient<C> = HyperClient<C, ReplayBody<Full<Bytes>>>;

/// Boxed only so that both modes of this program have one type to speak of.
pub(crate) type Client = BoxCloneService<Request<Full<Bytes>>, Response<ResponseBody<Incoming>>, BoxError>;

/// The name of the credential in the store. A tool with several accounts has several.
pub(crate) const KEY: &str = "quickstart";

/// Where the credential survives: a file that other processes may share, sealed with a key beside it. A
/// keychain would be the better place for the key.
pub(crate) fn store(dir: &Path) -> Result<impl TokenStore, BoxError> {
    let key = KeyFile::open_or_create(dir.join("key"))?;
    Ok(FileStore::sealed(dir.join("credentials"), key)?)
}

/// What keeps the credential alive, for every task of this process. `http` reaches the token endpoint.
pub(crate) fn coordinator<C>(
    token_endpoint: Uri,
    auth: ClientAuth,
    store: impl TokenStore,
    http: HttpClient<C>,
) -> Result<Arc<RefreshCoordinator>, BoxError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    Ok(RefreshCoordinator::builder(token_endpoint, auth).store(store).build(http)?)
}

/// A client whose requests to `api` carry the token, and that looks after it.
pub(crate) fn client<C>(coordinator: Arc<RefreshCoordinator>, api: Origin, http: HttpClient<C>) -> Client
where
    C: Connect + Clone + Send + Sync + 'static,
{
    #[rustfmt::skip]
    let client = ServiceBuilder::new()
        .layer(RefreshLayer::new(coordinator, KEY).origin(api))
        .service(http);
    BoxCloneService::new(client)
}

/// How a run begins.
#[derive(Debug)]
pub(crate) enum Start {
    /// With the login of an earlier run.
    PickedUp(Generation),
    LoggedIn,
}

/// Goes on with the login in the store; begins another one where there is none, or where it has ended.
pub(crate) async fn pick_up_or_log_in(
    coordinator: &Arc<RefreshCoordinator>,
    log_in: impl FnOnce() -> Result<TokenSet, BoxError>,
) -> Result<Start, BoxError> {
    // Whether a stored login has ended, the server knows.
    if let Err(error) = coordinator.token(KEY).await
        && !error.needs_login()
    {
        return Err(error.into());
    }
    match coordinator.login_if_needed(KEY, async |_| log_in()).await? {
        Login::Kept(generation) => Ok(Start::PickedUp(generation)),
        _ => Ok(Start::LoggedIn),
    }
}
