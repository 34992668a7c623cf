//! The same client against a server that somebody runs.

use std::fs;
use std::time::Duration;

use http::{Request, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::BoxError;
use tower_oauth_refresh::{Origin, TokenSet};

use crate::burst::Burst;
use crate::client;
use crate::options::Real;
use crate::timeline::Timeline;

/// Sends the requests. `true`: all were answered, with something other than 401.
pub(crate) async fn run(options: Real) -> Result<bool, BoxError> {
    let Real { dir, token_endpoint, auth, refresh_token_file, url, requests } = options;
    let tls = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().enable_http2();
    let http = Client::builder(TokioExecutor::new()).build(tls.build());
    let coordinator = client::coordinator(token_endpoint, auth, client::store(&dir)?, http.clone())?;
    let client = client::client(coordinator.clone(), origin(&url)?, http);
    let mut timeline = Timeline::new(coordinator.events());

    let log_in = || {
        let refresh_token = fs::read_to_string(&refresh_token_file)
            .map_err(|error| format!("cannot read {}: {error}", refresh_token_file.display()))?;
        // There is no access token yet: one that has expired already makes the first request refresh.
        Ok(TokenSet::new("none yet").with_expires_in(Duration::ZERO).with_refresh_token(refresh_token.trim()))
    };
    let start = client::pick_up_or_log_in(&coordinator, log_in).await?;
    timeline.begun(&start, &dir);
    let mut burst = Burst::new();
    for _ in 0..requests {
        burst.send(&client, Request::get(&url).body(<_>::default())?);
    }
    timeline.line("sending", format!("{requests} requests at once to {url}"));
    let answers = burst.answers().await;
    timeline.answers(&answers);
    let stored = coordinator.shutdown(Duration::from_secs(30)).await;
    Ok(stored && answers.failed.is_empty())
}

/// Scheme, host and port: what may have the token.
fn origin(url: &Uri) -> Result<Origin, BoxError> {
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err("--url needs scheme and host".into());
    };
    Ok(format!("{scheme}://{authority}").parse()?)
}
