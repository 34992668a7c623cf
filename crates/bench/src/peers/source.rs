//! Where every client's tokens come from: counted, held back where a measurement asks for it, and served over HTTP
//! to those that take nothing else.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tower_oauth_refresh::{ClientAuth, RefreshCoordinator};

use crate::Failure;
use crate::timing::cpu;

const LIFE: Duration = Duration::from_secs(3600);

/// A source of tokens.
#[derive(Debug)]
pub(super) struct Source {
    asked: AtomicUsize,
    gate: Semaphore,
    /// The first token is worth nothing, and what comes after it is what is measured.
    expired: bool,
    answered: OnceLock<Duration>,
}

impl Source {
    /// Gives tokens that are good for an hour.
    pub(super) fn open() -> Arc<Self> {
        Self::that(Semaphore::MAX_PERMITS, false)
    }

    /// Gives one token that has expired already, and then waits to be released.
    pub(super) fn expired() -> Arc<Self> {
        Self::that(1, true)
    }

    /// Waits to be released.
    pub(super) fn held() -> Arc<Self> {
        Self::that(0, false)
    }

    fn that(permits: usize, expired: bool) -> Arc<Self> {
        let (asked, gate) = (AtomicUsize::new(0), Semaphore::new(permits));
        Arc::new(Self { asked, gate, expired, answered: OnceLock::new() })
    }

    /// Lets it answer from now on.
    pub(super) fn release(&self) {
        self.gate.add_permits(1_000_000);
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// The processor's time of the first answer that was not worthless.
    pub(super) fn answered(&self) -> Option<Duration> {
        self.answered.get().copied()
    }

    /// A token and how long it lives.
    pub(super) async fn token(&self) -> Result<(String, Duration), Failure> {
        let worthless = self.expired && self.asked() == 0;
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        self.gate.acquire().await?.forget();
        if !worthless {
            self.answered.get_or_init(cpu);
        }
        Ok((format!("{number:t>893}"), if worthless { Duration::ZERO } else { LIFE }))
    }

    /// A token and when it expires.
    pub(super) async fn token_until(&self) -> Result<(String, SystemTime), Failure> {
        let (token, life) = self.token().await?;
        #[expect(clippy::disallowed_methods, reason = "the clients read the machine's clock")]
        let now = SystemTime::now();
        Ok((token, now + life))
    }

    /// As a token endpoint has it.
    pub(super) async fn answer(&self) -> Result<Response<Full<Bytes>>, Failure> {
        let (token, life) = self.token().await?;
        let life = life.as_secs();
        let body = format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","refresh_token":"rt","expires_in":{life}}}"#
        );
        let mut response = Response::new(Full::from(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// Serves it on the loopback device, in tasks of `runtime`.
    pub(super) fn serve(self: &Arc<Self>, runtime: &Runtime) -> Result<SocketAddr, Failure> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (source, connections) = (self.clone(), runtime.handle().clone());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let source = source.clone();
                connections.spawn(async move {
                    let service = hyper::service::service_fn(move |_| {
                        let source = source.clone();
                        async move { source.answer().await.map_err(std::io::Error::other) }
                    });
                    let mut server = auto::Builder::new(TokioExecutor::new());
                    server.http2().max_concurrent_streams(100_000);
                    // A client that goes away is no failure here.
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Ok(address)
    }

    /// A coordinator that asks it.
    pub(super) fn coordinator(self: &Arc<Self>) -> Result<Arc<RefreshCoordinator>, Failure> {
        let source = self.clone();
        let endpoint = tower::service_fn(move |_: Request<Full<Bytes>>| {
            let source = source.clone();
            async move { source.answer().await }
        });
        let uri = http::Uri::from_static("https://auth.example/token");
        Ok(RefreshCoordinator::builder(uri, ClientAuth::none("bench")).build(endpoint)?)
    }
}

/// The header of a token, as each of the clients that hand out a text leaves it to its caller.
pub(super) fn header(token: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}
