//! `aws-smithy-runtime`'s identity cache, with a resolver of ours.

use std::sync::Arc;

use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime_api::client::identity::http::Token;
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityFuture, ResolveCachedIdentity as _, ResolveIdentity, SharedIdentityCache,
    SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;
use tokio::runtime::Runtime;

use super::source::{Source, header};
use super::{Callers, now};
use crate::Failure;
use crate::hot::Send;

struct Cached {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    config: ConfigBag,
}

#[derive(Debug)]
struct Resolver(Arc<Source>);

impl ResolveIdentity for Resolver {
    fn resolve_identity<'a>(&'a self, _: &'a RuntimeComponents, _: &'a ConfigBag) -> IdentityFuture<'a> {
        IdentityFuture::new(async {
            let (token, until) = self.0.token_until().await?;
            Ok(Identity::new(Token::new(token, Some(until)), Some(until)))
        })
    }
}

impl Cached {
    fn of(source: &Arc<Source>) -> Result<Self, Failure> {
        let components = RuntimeComponentsBuilder::for_tests()
            .with_time_source(Some(SystemTimeSource::new()))
            .with_sleep_impl(Some(SharedAsyncSleep::new(TokioSleep::new())))
            .build()?;
        Ok(Self {
            cache: IdentityCache::lazy().build(),
            resolver: SharedIdentityResolver::new(Resolver(source.clone())),
            components,
            config: ConfigBag::base(),
        })
    }

    async fn identity(&self) -> Result<Identity, Failure> {
        self.cache.resolve_cached_identity(self.resolver.clone(), &self.components, &self.config).await
    }
}

pub(super) fn send(runtime: &Runtime) -> Result<Send, Failure> {
    let cached = Cached::of(&Source::open())?;
    runtime.block_on(cached.identity())?;
    Ok(Box::new(move || {
        now(async {
            let identity = cached.identity().await?;
            header(identity.data::<Token>().ok_or("no token")?.token())
        });
    }))
}

pub(super) fn callers(runtime: &Runtime, source: &Arc<Source>) -> Result<Callers, Failure> {
    let cached = Arc::new(Cached::of(source)?);
    runtime.block_on(cached.identity())?;
    Ok(Box::new(move || {
        let cached = cached.clone();
        Box::pin(async move { cached.identity().await.is_ok() })
    }))
}
