//! What to copy: a store that many processes share, a coordinator, a client.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use oauth2::basic::BasicTokenResponse;
use tower::{BoxError, Layer as _, ServiceExt as _};
use tower_oauth_refresh::{
    ClientAuth, Clock as _, Logout, Refresh, RefreshCoordinator, RefreshError, RefreshLayer, Status,
    SystemClock, TokenSet,
};
use tower_oauth_refresh_file::FileStore;

use crate::key::{self, Place};
use crate::outbound::{HttpClient, http_client, read};
use crate::settings::{Provider, Settings};

/// The name of the credential in the store. A program with several accounts has several.
const KEY: &str = "account";

pub(crate) struct Account {
    pub(crate) provider: Provider,
    pub(crate) http: HttpClient,
    pub(crate) place: Place,
    coordinator: Arc<RefreshCoordinator>,
    client: Refresh<HttpClient>,
}

impl Account {
    pub(crate) async fn open(Settings { home, provider }: Settings) -> Result<Self, BoxError> {
        let http = http_client()?;
        let (key, place) = key::open(&home, key::in_keychain(&home)).await?;
        let client = ClientAuth::none(provider.client_id.as_str());
        let coordinator = RefreshCoordinator::builder(provider.token_endpoint.parse()?, client)
            .revocation_endpoint(provider.revocation_endpoint.parse()?)
            .store(FileStore::sealed(home.join("credentials"), key)?)
            .build(http.clone())?;
        let layer = RefreshLayer::new(coordinator.clone(), KEY).origin(provider.api.parse()?);
        Ok(Self { provider, client: layer.layer(http.clone()), http, place, coordinator })
    }

    /// Ends the login from before, if there is one: stored over, it would live on at the server. Before the new one
    /// begins, since a server may revoke all logins of a client and user together.
    pub(crate) async fn end_former(&self) -> Result<Logout, RefreshError> {
        match self.coordinator.status(KEY).await? {
            Some(status) if !status.error.as_ref().is_some_and(RefreshError::needs_login) => {
                self.log_out().await
            }
            _ => Ok(Logout::NothingStored),
        }
    }

    /// Begins the login that the `oauth2` crate made.
    pub(crate) async fn keep(&self, login: &BasicTokenResponse) -> Result<(), BoxError> {
        self.coordinator.install(KEY, TokenSet::from_response(login)?).await?;
        Ok(())
    }

    pub(crate) async fn get(&self, url: &str) -> Result<Response<Vec<u8>>, BoxError> {
        let request = Request::get(url).body(Full::<Bytes>::default())?;
        Ok(read(self.client.clone().oneshot(request).await?).await?)
    }

    pub(crate) async fn status(&self) -> Result<Option<Status>, RefreshError> {
        self.coordinator.status(KEY).await
    }

    pub(crate) async fn log_out(&self) -> Result<Logout, RefreshError> {
        self.coordinator.logout(KEY).await
    }

    /// The time until then; nothing, if it is past.
    pub(crate) fn left(&self, until: Option<SystemTime>) -> Option<Duration> {
        let now = SystemClock::default().now().wall;
        until.map(|until| until.duration_since(now).unwrap_or_default())
    }
}
