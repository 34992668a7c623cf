//! `google-cloud-auth` with the credentials of a user.

use std::sync::Arc;

use google_cloud_auth::credentials::user_account::Builder;
use google_cloud_auth::credentials::{CacheableResource, Credentials, EntityTag};
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderValue};
use tokio::runtime::Runtime;

use super::source::Source;
use super::{Callers, now};
use crate::Failure;
use crate::hot::Send;

fn credentials(runtime: &Runtime, source: &Arc<Source>) -> Result<Credentials, Failure> {
    let address = source.serve(runtime)?;
    let user = serde_json::json!({
        "type": "authorized_user",
        "client_id": "bench",
        "client_secret": "secret",
        "refresh_token": "rt",
    });
    let _entered = runtime.enter();
    Ok(Builder::new(user).with_token_uri(format!("http://{address}/token")).build()?)
}

async fn new_header(credentials: &Credentials) -> Result<(EntityTag, HeaderValue), Failure> {
    match credentials.headers(Extensions::new()).await? {
        CacheableResource::New { entity_tag, data } => {
            Ok((entity_tag, data.get(AUTHORIZATION).ok_or("no token")?.clone()))
        }
        CacheableResource::NotModified => Err("nothing was known before".into()),
    }
}

pub(super) fn send(runtime: &Runtime) -> Result<Send, Failure> {
    let credentials = credentials(runtime, &Source::open())?;
    runtime.block_on(new_header(&credentials))?;
    Ok(Box::new(move || {
        now(async { Ok(new_header(&credentials).await?.1) });
    }))
}

/// The caller keeps the header, and asks whether it is the last one still.
pub(super) fn send_with_tag(runtime: &Runtime) -> Result<Send, Failure> {
    let credentials = credentials(runtime, &Source::open())?;
    let (tag, header) = runtime.block_on(new_header(&credentials))?;
    Ok(Box::new(move || {
        now(async {
            let mut extensions = Extensions::new();
            extensions.insert(tag.clone());
            match credentials.headers(extensions).await? {
                CacheableResource::NotModified => Ok(header.clone()),
                CacheableResource::New { .. } => Err("an hour has not passed".into()),
            }
        });
    }))
}

pub(super) fn callers(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    let credentials = credentials(runtime, source)?;
    Ok(Box::new(move || {
        let credentials = credentials.clone();
        Box::pin(async move { new_header(&credentials).await.is_ok() })
    }))
}
