//! What a credential costs that nobody uses right now.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use tower_oauth_refresh::{BoxFuture, Record, RecordBody, StoreError, Swap, TokenStore, Version};
use tower_oauth_refresh::{ClientAuth, CredentialKey, RefreshCoordinator, TokenSet};

use crate::Failure;
use crate::verdict::Table;

const CREDENTIALS: u32 = 20_000;
/// Bytes of an access token, and of a refresh token.
const TOKEN: usize = 263;

/// Takes everything and keeps nothing, so that only the coordinator's own memory is seen.
#[derive(Debug)]
struct Nowhere;

impl TokenStore for Nowhere {
    fn load<'a>(&'a self, _: &'a CredentialKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(ready(Ok(None)))
    }

    fn compare_and_swap<'a>(
        &'a self,
        _: &'a CredentialKey,
        _: Option<Version>,
        _: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(ready(Ok(Swap::Swapped)))
    }
}

/// Live bytes of many idle credentials, shared out.
///
/// # Errors
///
/// What installing says.
pub fn rows(table: &mut Table) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let coordinator = coordinator()?;
    let mut installed = Ok(());
    let used = allocation_counter::measure(|| {
        installed = runtime.block_on(install(&coordinator));
    });
    installed?;
    let each = used.bytes_current as f64 / f64::from(CREDENTIALS);
    println!("\nan idle credential: {each:.0} bytes, of which {} are its two tokens", 2 * TOKEN);
    println!("tasks for {CREDENTIALS} idle credentials: {}", runtime.metrics().num_alive_tasks());
    table.at_most("tasks of idle credentials", runtime.metrics().num_alive_tasks() as f64, 0.0, "");
    // With tokens of this size, a million in 700 MB.
    table.at_most("an idle credential", each, 700.0, "bytes");
    Ok(())
}

fn coordinator() -> Result<Arc<RefreshCoordinator>, Failure> {
    let endpoint = Uri::from_static("https://auth.example/token");
    let nobody = tower::service_fn(|_: Request<Full<Bytes>>| {
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    Ok(RefreshCoordinator::builder(endpoint, ClientAuth::none("bench")).store(Nowhere).build(nobody)?)
}

async fn install(coordinator: &Arc<RefreshCoordinator>) -> Result<(), Failure> {
    for number in 0..CREDENTIALS {
        let mut token = format!("{number:08}");
        token.extend(std::iter::repeat_n('t', TOKEN - token.len()));
        let login = TokenSet::new(token.as_str())
            .with_refresh_token(token.as_str())
            .with_expires_in(Duration::from_secs(3600));
        coordinator.install(format!("account-{number:08}"), login).await?;
    }
    Ok(())
}
