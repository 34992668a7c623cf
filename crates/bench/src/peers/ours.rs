//! Ours, where it is asked for a token.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tower::{Layer as _, ServiceExt as _};
use tower_oauth_refresh::{CredentialKey, RefreshCoordinator, RefreshLayer};

use super::source::Source;
use super::{Callers, now};
use crate::Failure;
use crate::hot::{Api, Send, Template};
use crate::world::{Endpoint, KEY};

pub(super) fn send(runtime: &Runtime) -> Result<Send, Failure> {
    let coordinator = Source::open().coordinator()?;
    runtime.block_on(coordinator.install(KEY, Endpoint::login(Duration::from_secs(3600))))?;
    let key = CredentialKey::from(KEY);
    Ok(Box::new(move || {
        now(async { Ok(coordinator.authorization(key.clone()).await?) });
    }))
}

/// Callers that ask for the token.
pub(super) fn callers(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    let coordinator = expired(runtime, source)?;
    Ok(Box::new(move || {
        let coordinator = coordinator.clone();
        Box::pin(async move { coordinator.token(KEY).await.is_ok() })
    }))
}

/// Callers that send a request through the layer.
pub(super) fn requests(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    let layer = RefreshLayer::new(expired(runtime, source)?, KEY).origin("https://api.example".parse()?);
    let client = layer.layer(Api);
    let template = Template::new(false);
    Ok(Box::new(move || {
        let sent = client.clone().oneshot(template.request());
        Box::pin(async move { sent.await.is_ok() })
    }))
}

/// The login has a token that has expired.
pub(super) fn expired(runtime: &Runtime, source: &Arc<Source>) -> Result<Arc<RefreshCoordinator>, Failure> {
    let coordinator = source.coordinator()?;
    runtime.block_on(coordinator.install(KEY, Endpoint::login(Duration::ZERO)))?;
    Ok(coordinator)
}
