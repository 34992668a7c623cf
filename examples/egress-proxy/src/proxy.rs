//! What to copy: one coordinator, and one client whose requests name their credential in their extensions.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderName, Uri, Version, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::{BoxError, Layer as _, ServiceExt as _};
use tower_oauth_refresh::{
    CredentialKey, ErrorKind, Origin, Refresh, RefreshCoordinator, RefreshLayer, ReplayBody, TokenSet,
};
use tower_oauth_refresh_file::{FileStore, KeyFile};

use crate::config::{Config, Route};
use crate::refusal::{self, Refusal};
use crate::{caller, hop};

/// One client for the token endpoint and the APIs; the layer goes around a clone of it.
type HttpClient = Client<HttpsConnector<HttpConnector>, ReplayBody<Body>>;

const CREDENTIAL: HeaderName = HeaderName::from_static("x-credential");
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Proxy {
    pub(crate) coordinator: Arc<RefreshCoordinator>,
    client: Refresh<HttpClient>,
    routes: Vec<Route>,
    port: u16,
}

impl Proxy {
    pub(crate) async fn open(config: &Config, port: u16) -> Result<Arc<Self>, BoxError> {
        let http = http_client()?;
        let key = KeyFile::open_or_create(config.store.join("key"))?;
        let store = FileStore::sealed(config.store.join("credentials"), key)?;
        let coordinator = RefreshCoordinator::builder(config.token_endpoint.parse()?, config.client_auth()?)
            .store(store)
            .build(http.clone())?;
        let mut layer = RefreshLayer::credential_from_extension(coordinator.clone());
        for route in &config.routes {
            // Says no to plain http to another machine, and to anything that is more than an origin.
            layer = layer.origin(route.origin.parse::<Origin>()?);
            let known = route.credentials.iter().all(|name| config.credentials.contains_key(name));
            if !known || route.credentials.is_empty() || !route.prefix.starts_with('/') {
                return Err(format!("the route {} needs a path and known credentials", route.prefix).into());
            }
        }
        log_in(&coordinator, config).await?;
        let mut routes = config.routes.clone();
        for route in &mut routes {
            // The path begins with one.
            let slash = route.origin.trim_end_matches('/').len();
            route.origin.truncate(slash);
        }
        routes.sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
        Ok(Arc::new(Self { client: layer.layer(http), coordinator, routes, port }))
    }

    /// The request as the API shall see it.
    fn outbound(&self, mut request: Parts) -> Result<Parts, Refusal> {
        caller::check(&request, self.port)?;
        let (route, path) = self.route(&request.uri).ok_or(Refusal::NoRoute)?;
        let named = match request.headers.remove(CREDENTIAL) {
            Some(name) => route.credentials.iter().find(|known| name == known.as_str()),
            None => route.credentials.first(),
        };
        let key = CredentialKey::from(named.ok_or(Refusal::NoSuchCredential)?.as_str());
        request.uri = format!("{}{path}", route.origin).parse().map_err(|_| Refusal::NoRoute)?;

        hop::strip(&mut request.headers);
        // The caller's own would keep ours away; the client below names the host, and asks for no go-ahead.
        for name in [header::AUTHORIZATION, header::HOST, header::EXPECT] {
            request.headers.remove(name);
        }
        request.version = Version::HTTP_11;
        request.extensions = Extensions::new();
        request.extensions.insert(key);
        Ok(request)
    }

    /// The route with the longest prefix that fits, and what is left of path and query.
    fn route(&self, uri: &Uri) -> Option<(&Route, String)> {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        self.routes.iter().find_map(|route| {
            let rest = path.strip_prefix(route.prefix.trim_end_matches('/'))?;
            match rest.chars().next() {
                Some('/') => Some((route, rest.to_owned())),
                // A prefix ends where a part of the path ends.
                None | Some('?') => Some((route, format!("/{rest}"))),
                Some(_) => None,
            }
        })
    }
}

/// Sends a request on, and its answer back; both bodies as they come.
pub(crate) async fn forward(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let parts = match proxy.outbound(parts) {
        Ok(parts) => parts,
        Err(refusal) => return refusal.into_response(),
    };
    match proxy.client.clone().oneshot(Request::from_parts(parts, body)).await {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            hop::strip(&mut parts.headers);
            Response::from_parts(parts, Body::new(body))
        }
        Err(error) => refusal::failed(&error),
    }
}

/// Begins a login with the refresh token from its file, where the store has none that goes on.
async fn log_in(coordinator: &Arc<RefreshCoordinator>, config: &Config) -> Result<(), BoxError> {
    for (name, credential) in &config.credentials {
        let log_in = async |_| Ok(TokenSet::from_refresh_token(credential.refresh_token()?));
        match coordinator.login_if_needed(name.as_str(), log_in).await {
            // The server has refused the token in the file before. Who asks for this credential is told.
            Err(error) if error.needs_login() && error.kind() != ErrorKind::LoginFailed => {}
            begun => drop(begun?),
        }
    }
    Ok(())
}

fn http_client() -> Result<HttpClient, BoxError> {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    tcp.enforce_http(false);
    let tls = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().enable_http2();
    Ok(Client::builder(TokioExecutor::new()).build(tls.wrap_connector(tcp)))
}
