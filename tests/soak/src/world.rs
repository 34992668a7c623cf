//! The servers, the stores, the proxies before them, and who is logged in.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;
use tower_oauth_refresh::{ClientAuth, RefreshCoordinator};
use tower_oauth_refresh_testkit::{AuthServer, FamilyId, ResourceServer, Rotation};

use crate::protocol::{Place, Side};
use crate::proxy::{Manners, Proxy};
use crate::store::{AnyStore, open};

/// Of all coordinators of a credential: short, for a silent server is waited for so long.
pub(crate) const EXCHANGE_LIMIT: Duration = Duration::from_secs(2);
/// Of an access token.
const LIFETIME: Duration = Duration::from_secs(4);
/// Far longer than a process that lost its answer needs to ask once more, several times over.
const GRACE: Duration = Duration::from_secs(120);
const STRICT: &str = "strict";
/// Of each store at each server.
const CREDENTIALS: usize = 6;

/// Delays end long before the exchange limit: a late answer is not a lost one.
const AT_TOKEN_ENDPOINT: Manners =
    Manners { hurt: 200, longest_delay: Duration::from_millis(1000), silence: Duration::from_secs(5) };
const AT_API: Manners =
    Manners { hurt: 50, longest_delay: Duration::from_millis(500), silence: Duration::from_secs(3) };
/// Shorter than the store's time limit, and longer.
const AT_STORE: Manners =
    Manners { hurt: 10, longest_delay: Duration::from_millis(500), silence: Duration::from_secs(6) };

pub(crate) struct World {
    pub(crate) servers: Vec<Server>,
    pub(crate) shelves: Vec<Shelf>,
    pub(crate) credentials: Vec<Credential>,
    dir: TempDir,
}

/// An authorization server and its API.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) auth: AuthServer,
    _api: ResourceServer,
    pub(crate) token_proxy: Proxy,
    pub(crate) api_proxy: Proxy,
}

/// A store, for workers through its proxy, if it has one.
pub(crate) struct Shelf {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) proxy: Option<Proxy>,
    /// One for each server. They install and look, and never refresh.
    observers: Vec<Arc<RefreshCoordinator>>,
    /// What each worker says of itself, by its name.
    diaries: Vec<(String, PathBuf)>,
}

pub(crate) struct Credential {
    pub(crate) key: String,
    pub(crate) shelf: usize,
    pub(crate) server: usize,
    /// One after the other.
    pub(crate) logins: Vec<Login>,
}

#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) family: FamilyId,
    first: u64,
    last: u64,
    /// Why it ended, if it did.
    pub(crate) over: Option<String>,
}

impl Login {
    /// Refreshes that were stored.
    pub(crate) fn gained(&self) -> u64 {
        self.last - self.first
    }
}

impl World {
    pub(crate) async fn start(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let servers = vec![
            Server::start("grace", Rotation::Grace(GRACE), seed).await,
            Server::start(STRICT, Rotation::Strict, seed + 1).await,
        ];
        let mut shelves = Vec::new();
        for (name, place, upstream) in places(dir.path()) {
            let proxy = match upstream {
                Some(upstream) => Some(Proxy::start(upstream, seed + 2, AT_STORE).await.unwrap()),
                None => None,
            };
            let store = open(&place).await;
            let observers = servers.iter().map(|server| server.observer(store.clone())).collect();
            let place = match (&place, &proxy) {
                (Place::Postgres(url), Some(proxy)) => Place::Postgres(redirected(url, proxy.address)),
                (Place::Redis(url), Some(proxy)) => Place::Redis(redirected(url, proxy.address)),
                _ => place,
            };
            shelves.push(Shelf { name, place, proxy, observers, diaries: Vec::new() });
        }
        let mut world = Self { servers, shelves, credentials: Vec::new(), dir };
        world.log_everybody_in().await;
        world
    }

    async fn log_everybody_in(&mut self) {
        let (shelves, servers) = (self.shelves.len(), self.servers.len());
        for (shelf, server) in (0..shelves).flat_map(|shelf| (0..servers).map(move |server| (shelf, server)))
        {
            for number in 0..CREDENTIALS {
                // A database may still know the port from another run.
                let key = format!("{} {number}", std::process::id());
                self.credentials.push(Credential { key, shelf, server, logins: Vec::new() });
                self.log_in(self.credentials.len() - 1).await;
            }
        }
    }

    /// A person logs in.
    async fn log_in(&mut self, credential: usize) {
        let one = &self.credentials[credential];
        let auth = &self.servers[one.server].auth;
        let tokens = auth.login();
        let family = auth.family_of(tokens.access_token.expose_secret()).unwrap();
        let observer = &self.shelves[one.shelf].observers[one.server];
        let first = observer.install(one.key.as_str(), tokens).await.unwrap().get();
        self.credentials[credential].logins.push(Login { family, first, last: first, over: None });
    }

    /// Looks at every credential, and has people log in again where the login is over.
    pub(crate) async fn look(&mut self) {
        for index in 0..self.credentials.len() {
            let one = &mut self.credentials[index];
            let observer = &self.shelves[one.shelf].observers[one.server];
            let Some(status) = observer.status(one.key.as_str()).await.unwrap() else {
                panic!("{} is not in the store any more", one.key)
            };
            let login = one.logins.last_mut().unwrap();
            login.last = status.generation.get();
            if let Some(error) = status.error {
                login.over = Some(format!("{:?}", error.kind()));
                self.log_in(index).await;
            }
        }
    }

    pub(crate) fn proxies(&self) -> impl Iterator<Item = (String, &Proxy)> {
        let servers = self.servers.iter().flat_map(|server| {
            let at = |what| format!("{what} of {}", server.name);
            [(at("token endpoint"), &server.token_proxy), (at("API"), &server.api_proxy)]
        });
        let stores =
            self.shelves.iter().filter_map(|shelf| Some((shelf.name.to_owned(), shelf.proxy.as_ref()?)));
        servers.chain(stores)
    }

    /// Where a worker on this shelf is to write.
    pub(crate) fn new_diary(&mut self, shelf: usize, worker: &str) -> PathBuf {
        let diary = self.dir.path().join(format!("diary of {worker}"));
        self.shelves[shelf].diaries.push((worker.to_owned(), diary.clone()));
        diary
    }

    pub(crate) fn diaries(&self, shelf: usize) -> &[(String, PathBuf)] {
        &self.shelves[shelf].diaries
    }

    /// What a worker on this shelf needs of the servers.
    pub(crate) fn sides(&self, shelf: usize) -> Vec<Side> {
        let side = |(index, server): (usize, &Server)| {
            let mine = self.credentials.iter().filter(|one| one.server == index && one.shelf == shelf);
            Side {
                name: server.name.to_owned(),
                token_endpoint: server.token_endpoint(),
                client_id: server.auth.client_id(),
                client_secret: server.auth.client_secret().expose_secret().to_owned(),
                api: format!("http://{}", server.api_proxy.address),
                keys: mine.map(|one| one.key.clone()).collect(),
            }
        };
        self.servers.iter().enumerate().map(side).collect()
    }
}

impl Server {
    async fn start(name: &'static str, rotation: Rotation, seed: u64) -> Self {
        let builder = AuthServer::builder().rotation(rotation).access_lifetime(LIFETIME);
        let auth = builder.start().await.unwrap();
        let api = ResourceServer::start(&auth).await.unwrap();
        let token_proxy =
            Proxy::start(address(&auth.token_endpoint()), seed, AT_TOKEN_ENDPOINT).await.unwrap();
        let api_proxy = Proxy::start(address(&api.origin()), seed, AT_API).await.unwrap();
        Self { name, auth, _api: api, token_proxy, api_proxy }
    }

    /// Does a lost answer end a login here?
    pub(crate) fn is_strict(&self) -> bool {
        self.name == STRICT
    }

    /// It is part of every key.
    fn token_endpoint(&self) -> String {
        format!("http://{}/token", self.token_proxy.address)
    }

    fn observer(&self, store: AnyStore) -> Arc<RefreshCoordinator> {
        let auth = ClientAuth::basic(self.auth.client_id(), self.auth.client_secret());
        let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let builder = RefreshCoordinator::builder(self.token_endpoint().parse().unwrap(), auth);
        builder.store(store).exchange_limit(EXCHANGE_LIMIT).build(http).unwrap()
    }
}

/// Every store, and where it listens.
fn places(dir: &Path) -> [(&'static str, Place, Option<SocketAddr>); 4] {
    let url = |variable: &str| {
        std::env::var(variable).unwrap_or_else(|_| panic!("this needs {variable}: cargo xtask soak has it"))
    };
    let (postgres, redis) = (url("DATABASE_URL"), url("REDIS_URL"));
    let at = |url: &str| Some(address(&url.parse().unwrap()));
    [
        ("file", Place::File(dir.join("credentials")), None),
        ("SQLite", Place::Sqlite(dir.join("credentials.db")), None),
        ("PostgreSQL", Place::Postgres(postgres.clone()), at(&postgres)),
        ("Redis", Place::Redis(redis.clone()), at(&redis)),
    ]
}

fn address(url: &http::Uri) -> SocketAddr {
    let authority = url.authority().expect("a server somewhere");
    let port = authority.port_u16().expect("a port");
    (authority.host(), port).to_socket_addrs().unwrap().next().unwrap()
}

fn redirected(url: &str, to: SocketAddr) -> String {
    let url: http::Uri = url.parse().unwrap();
    let host = format!("{}:{}", url.host().unwrap(), url.port_u16().unwrap());
    url.to_string().replacen(&host, &to.to_string(), 1)
}
