//! `azure_core`'s policy for bearer tokens, with a credential of ours, before a policy that answers at once.

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Context, Method, Request, StatusCode, Url};
use azure_core::time::OffsetDateTime;
use tokio::runtime::Runtime;

use super::source::Source;
use super::{Callers, now};
use crate::Failure;
use crate::hot::Send;

#[derive(Debug)]
struct Credential(Arc<Source>);

#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let given = self.0.token_until().await;
        let (token, until) = given.map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))?;
        Ok(AccessToken::new(token, OffsetDateTime::from(until)))
    }
}

#[derive(Debug)]
struct Answers;

#[async_trait]
impl Policy for Answers {
    async fn send(&self, _: &Context, request: &mut Request, _: &[Arc<dyn Policy>]) -> PolicyResult {
        black_box(request);
        Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), ""))
    }
}

/// What a policy costs that does nothing.
#[derive(Debug)]
struct PassesOn;

#[async_trait]
impl Policy for PassesOn {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let (first, others) = next
            .split_first()
            .ok_or_else(|| azure_core::Error::with_message(ErrorKind::Other, "there is nothing below"))?;
        first.send(context, request, others).await
    }
}

#[derive(Clone)]
struct Pipeline {
    policy: Arc<dyn Policy>,
    below: [Arc<dyn Policy>; 1],
    url: Url,
}

impl Pipeline {
    fn of(policy: impl Policy + 'static) -> Result<Self, Failure> {
        let url = Url::parse("https://api.example/orders/17?full=yes")?;
        Ok(Self { policy: Arc::new(policy), below: [Arc::new(Answers)], url })
    }

    fn bearer(source: &Arc<Source>) -> Result<Self, Failure> {
        Self::of(BearerTokenAuthorizationPolicy::new(Arc::new(Credential(source.clone())), ["orders"]))
    }

    async fn send(&self) -> Result<(), Failure> {
        let mut request = Request::new(self.url.clone(), Method::Post);
        request.insert_header("accept", "application/json");
        request.insert_header("content-type", "application/json");
        request.insert_header("user-agent", "bench");
        request.insert_header("x-request-id", "0123456789abcdef");
        request.set_body("{\"tea\": 1}");
        self.policy.send(&Context::new(), &mut request, &self.below).await?;
        Ok(())
    }
}

pub(super) fn send_bare(_: &Runtime) -> Result<Send, Failure> {
    let pipeline = Pipeline::of(PassesOn)?;
    Ok(Box::new(move || now(pipeline.send())))
}

pub(super) fn send(runtime: &Runtime) -> Result<Send, Failure> {
    let pipeline = Pipeline::bearer(&Source::open())?;
    runtime.block_on(pipeline.send())?;
    Ok(Box::new(move || now(pipeline.send())))
}

pub(super) fn callers(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    let pipeline = Pipeline::bearer(source)?;
    runtime.block_on(pipeline.send())?;
    Ok(Box::new(move || {
        let pipeline = pipeline.clone();
        Box::pin(async move { pipeline.send().await.is_ok() })
    }))
}
