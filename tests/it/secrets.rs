//! No eight bytes of a secret in anything that is said: logs at every level, `Debug` of every type in reach,
//! errors with their sources, panics. Also where the server says it first.
//!
//! Each test goes one way through the library, over HTTP/1.1 and HTTP/2, with real tokens. The authorization
//! server draws its tokens from a seed; a second one of the same seed says in advance which they will be.

mod watch;

use std::error::Error as StdError;
use std::future::{poll_fn, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::runtime::Handle;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_oauth_refresh::{
    BoxFuture, Builder, Challenges, ClientAssertion, ClientAuth, ClientSecret, Events, MemoryStore, NotSent,
    Record, RecordBody, Refresh, RefreshCoordinator, RefreshError, RefreshLayer, RefreshReport, ReplayBody,
    Sealed, SealingKey, StoreError, StoredKey, Swap, TokenSet, TokenStore, Version,
};
use tower_oauth_refresh_testkit::{
    Answer, AuthServer, Fault, FaultyStore, ResourceServer, Rotation, StoreFault, TokioClock,
};

use self::watch::{Listening, Watch};

const KEY: &str = "acme";
const SEED: u64 = 7;
const SECRET: &str = "Wq8zKfR2mXv5TbN9cYd4";
const ASSERTION: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ0ZXN0In0.S1gn4tur3Byt3s";
const SEALING: [u8; 32] = [
    0xc3, 0x9a, 0xf1, 0x88, 0xd7, 0xe2, 0xb4, 0xa5, 0x96, 0xcb, 0x8d, 0xfe, 0xa1, 0x92, 0xe7, 0xd0, 0xbb,
    0xc8, 0x9f, 0xf3, 0x84, 0xad, 0xde, 0xb6, 0xe9, 0x8a, 0xd5, 0xc2, 0xf7, 0x99, 0xa8, 0xec,
];
/// For what a server makes up itself.
const FOREIGN: &str = "Zp3Lq7Vw1Hx6Jk0Ns4";

type Http = Client<HttpConnector, ReplayBody<Full<Bytes>>>;
type Store = FaultyStore<Sealed<MemoryStore>>;

type Failure = Box<dyn StdError + Send + Sync>;

/// Paused time jumps ahead when nothing is ready, and for a moment the bytes on a socket are not. A blocking
/// task keeps time where it is.
struct Standstill {
    _alive: mpsc::Sender<()>,
}

impl Standstill {
    fn begin() -> Self {
        let (alive, ended) = mpsc::channel();
        Handle::current().spawn_blocking(move || ended.recv().is_err());
        Self { _alive: alive }
    }
}

/// Shows the head of each request as a logging client would, and what it fails with.
#[derive(Clone, Debug)]
struct Shown {
    inner: Http,
    watch: Watch,
    manner: Manner,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Sends,
    Panics,
    Hangs,
}

impl Service<Request<ReplayBody<Full<Bytes>>>> for Shown {
    type Response = Response<UnsyncBoxBody<Bytes, Failure>>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Self::Response, Failure>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Service::poll_ready(&mut self.inner, cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<ReplayBody<Full<Bytes>>>) -> Self::Future {
        self.watch.debug(&request);
        match self.manner {
            Manner::Sends => {}
            Manner::Panics => panic!("the client panics at {:?}", request.uri()),
            Manner::Hangs => return Box::pin(std::future::pending()),
        }
        let (sent, watch) = (self.inner.call(request), self.watch.clone());
        Box::pin(async move {
            let _standstill = Standstill::begin();
            let (parts, mut body) = match sent.await {
                Ok(answer) => answer.into_parts(),
                Err(error) => {
                    watch.error(&error);
                    return Err(if error.is_connect() { NotSent::new(error).into() } else { error.into() });
                }
            };
            let (mut read, mut end) = (Vec::new(), None);
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => read.extend(frame.into_data().unwrap_or_default()),
                    Err(error) => {
                        end = Some(Err(error.into()));
                        break;
                    }
                }
            }
            let body = Full::from(read).map_err(|never| match never {}).with_trailers(ready(end));
            Ok(Response::from_parts(parts, body.boxed_unsync()))
        })
    }
}

struct Bench {
    watch: Watch,
    auth: AuthServer,
    api: ResourceServer,
    store: Store,
    clock: TokioClock,
    http: Shown,
    coordinator: Arc<RefreshCoordinator>,
    events: Events,
    login: Mutex<TokenSet>,
    _listening: Listening,
}

impl Bench {
    async fn start(http2: bool) -> Self {
        let watch = Watch::default();
        keep_all(&watch).await;
        let listening = watch.listen();
        let clock = TokioClock::new();
        let auth = AuthServer::builder().seed(SEED).client("app", SECRET).clock(clock.clone());
        watch.debug(&auth);
        let auth = auth.start().await.unwrap();
        let api = ResourceServer::start(&auth).await.unwrap();
        let memory = MemoryStore::with_clock(Arc::new(clock.clone()));
        let store = FaultyStore::new(Sealed::new(memory, SealingKey::new(SEALING)));
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        let http = Shown { inner: client, watch: watch.clone(), manner: Manner::Sends };
        let builder = builder(&auth, ClientAuth::basic("app", SECRET), &store, &clock);
        watch.debug(&builder);
        let coordinator = builder.build(http.clone()).unwrap();
        let login = auth.login();
        Self {
            events: coordinator.events(),
            login: Mutex::new(login),
            _listening: listening,
            watch,
            auth,
            api,
            store,
            clock,
            http,
            coordinator,
        }
    }

    fn login(&self) -> TokenSet {
        self.login.lock().unwrap().clone()
    }

    fn refresh_token(&self) -> String {
        self.login().refresh_token.unwrap().expose_secret().to_owned()
    }

    /// Installs a new login whose access token has expired.
    async fn expired(&self) {
        let login = self.auth.login().with_expires_in(Duration::ZERO);
        *self.login.lock().unwrap() = login.clone();
        self.watch.debug(&login);
        self.told(&self.coordinator.install(KEY, login).await);
    }

    fn told<T: std::fmt::Debug>(&self, result: &Result<T, RefreshError>) {
        self.watch.debug(result);
        if let Err(error) = result {
            self.watch.error(error);
        }
    }

    fn client(&self) -> Refresh<Shown> {
        let layer = RefreshLayer::new(self.coordinator.clone(), KEY);
        let layer = layer.origin(self.api.origin().try_into().unwrap());
        self.watch.debug(&layer);
        layer.layer(self.http.clone())
    }

    /// One request through the layer, and everything that can be printed about it.
    async fn request(&self) -> Option<StatusCode> {
        let request = Request::get(self.api.url("/x?y=z")).body(Full::from("body")).unwrap();
        let mut sending = Box::pin(self.client().oneshot(request));
        self.watch.debug(&sending);
        let answer = poll_fn(|cx| pin!(&mut sending).poll(cx)).await;
        match answer {
            Ok(answer) => {
                self.watch.debug(&answer.extensions().get::<RefreshReport>());
                self.watch.debug(&Challenges::parse(answer.headers()));
                self.watch.debug(answer.body());
                let status = answer.status();
                let _ = answer.into_body().collect().await;
                Some(status)
            }
            Err(error) => {
                self.watch.error(&*error);
                None
            }
        }
    }

    /// A token is asked for, and the coordinator about itself.
    async fn ask(&self) {
        self.told(&self.coordinator.token(KEY).await);
        // In a task, for a store that panics does so here.
        let coordinator = self.coordinator.clone();
        let status = Handle::current().spawn(async move { coordinator.status(KEY).await });
        match status.await {
            Ok(status) => self.told(&status),
            Err(panic) => self.watch.error(&panic),
        }
        self.request().await;
        self.watch.debug(&self.coordinator);
    }

    async fn finish(mut self) {
        loop {
            let event = tokio::select! {
                biased;
                event = self.events.next() => event,
                () = ready(()) => None,
            };
            let Some(event) = event else { break };
            self.watch.debug(&event);
        }
        self.watch.debug(&self.events);
        self.watch.debug(&(&self.auth, &self.api, &self.store, &self.store.inner()));
        self.watch.debug(&self.auth.ledger());
        self.watch.debug(&self.auth.ledger().refreshes());
        self.watch.debug(&self.auth.ledger().verdict());
        assert!(self.watch.has_said("tower_oauth_refresh::events: tokens installed"), "the log was heard");
        let leaks = self.watch.leaks();
        assert!(leaks.is_empty(), "{leaks:#?}");
    }
}

fn builder(auth: &AuthServer, client: ClientAuth, store: &Store, clock: &TokioClock) -> Builder {
    RefreshCoordinator::builder(auth.token_endpoint(), client)
        .revocation_endpoint(auth.revocation_endpoint())
        .store(store.clone())
        .clock(Arc::new(clock.clone()))
}

/// Everything that is secret in any of these tests.
async fn keep_all(watch: &Watch) {
    let twin = AuthServer::builder().seed(SEED).start().await.unwrap();
    for _ in 0..40 {
        let login = twin.login();
        watch.keep("access token", login.access_token.expose_secret());
        watch.keep("refresh token", login.refresh_token.unwrap().expose_secret());
    }
    watch.keep("client secret", SECRET);
    watch.keep("basic", &format!("app:{SECRET}"));
    watch.keep("assertion", ASSERTION);
    watch.keep("token of a stranger", FOREIGN);
    watch.keep_bytes("sealing key", &SEALING);
}

async fn in_every_way(path: impl AsyncFn(&Bench)) {
    for http2 in [false, true] {
        let bench = Bench::start(http2).await;
        path(&bench).await;
        bench.finish().await;
    }
}

#[tokio::test]
async fn what_is_searched_for_is_found() {
    let watch = Watch::default();
    let _listening = watch.listen();
    watch.keep("token", "0123456789-secret+/=");
    watch.note("seven bytes", "0123456 9-secre %2B%2F");
    assert!(watch.leaks().is_empty(), "{:?}", watch.leaks());
    let leak = |said: &dyn Fn()| {
        watch.forget();
        said();
        !watch.leaks().is_empty()
    };
    assert!(leak(&|| watch.note("eight", "x9-secretx")));
    assert!(leak(&|| watch.note("form", "ret%2B%2F%")));
    assert!(leak(&|| watch.note("base64", "MDEyMzQ1Njc4OS1zZWNyZXQrLz0=")));
    assert!(leak(&|| watch.note("hex", "...3031323334353637...")));
    assert!(!leak(&|| watch.note("four bytes in hex", "...30313233...")));
    assert!(leak(&|| watch.debug(b"0123456789".as_slice())), "a list of numbers");
    assert!(leak(&|| tracing::trace!(target: "anywhere", token = "0123456789", "told")));
    assert!(leak(&|| watch.error(&NotSent::new("0123456789"))), "a source");
    assert!(leak(&|| {
        let _ = std::panic::catch_unwind(|| panic!("0123456789"));
    }));
    assert!(!leak(&|| watch.note("nothing", "of it")));
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_everything_goes_well() {
    in_every_way(async |bench| {
        bench.told(&bench.coordinator.install(KEY, bench.login()).await);
        assert_eq!(bench.request().await, Some(StatusCode::OK));
        let issued = Arc::new(Mutex::new(Vec::new()));
        let seen = issued.clone();
        bench.auth.always(Fault::alter(move |members| {
            for name in ["access_token", "refresh_token"] {
                let issued = members.get(name).unwrap_or_else(|| panic!("no {name} in {members:?}"));
                seen.lock().unwrap().push(issued.as_str().unwrap().to_owned());
            }
        }));
        bench.auth.revoke_all_access_tokens();
        assert_eq!(bench.request().await, Some(StatusCode::OK), "refreshed and replayed");
        bench.expired().await;
        bench.ask().await;
        assert!(bench.watch.has_said("TRACE hyper_util"), "the logs of others are heard as well");
        let issued = issued.lock().unwrap().clone();
        assert!(
            issued.len() >= 4 && issued.iter().all(|token| bench.watch.knows(token)),
            "the twin is right"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_the_server_refuses() {
    in_every_way(async |bench| {
        for code in
            ["invalid_client", "invalid_request", "interaction_required", "invalid_scope", "server_error"]
        {
            bench.expired().await;
            bench.auth.always(Fault::answer(Answer::oauth_error(StatusCode::BAD_REQUEST, code)));
            bench.ask().await;
            bench.auth.clear();
        }
        for status in [400, 401, 403, 404, 418, 429, 500, 503] {
            bench.expired().await;
            bench.auth.always(Fault::answer(Answer::new(StatusCode::from_u16(status).unwrap())));
            bench.ask().await;
            bench.auth.clear();
        }
        bench.auth.set_client_secret("another");
        bench.expired().await;
        bench.ask().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_the_grant_is_dead() {
    in_every_way(async |bench| {
        bench.expired().await;
        bench.auth.expire_refresh_token(&bench.login().refresh_token.unwrap());
        bench.ask().await;
        assert!(bench.coordinator.token(KEY).await.unwrap_err().needs_login());
        bench.expired().await;
        bench.auth.fault(Fault::drop_connection().after_commit());
        bench.ask().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_the_server_is_out_of_order() {
    in_every_way(async |bench| {
        for fault in [
            Fault::drop_connection(),
            Fault::drop_connection().after_commit(),
            Fault::cut_body_at(20),
            Fault::cut_body_at(90),
            Fault::cut_body_at(250),
            Fault::not_json(),
            Fault::redirect(HeaderValue::from_static("http://127.0.0.1:9/token")),
        ] {
            bench.expired().await;
            bench.auth.fault(fault.clone());
            bench.auth.fault(fault);
            bench.ask().await;
            bench.auth.clear();
        }
        let hanging = Shown { manner: Manner::Hangs, ..bench.http.clone() };
        let client = ClientAuth::basic("app", SECRET);
        let coordinator = builder(&bench.auth, client, &bench.store, &bench.clock).build(hanging).unwrap();
        bench.told(&coordinator.install(KEY, bench.login()).await);
        bench.told(&coordinator.token(KEY).await);
    })
    .await;
}

/// An answer that repeats `secret` wherever a server can.
fn echo(status: u16, code: &str, secret: &str) -> Answer {
    let header = HeaderValue::from_str(secret).unwrap();
    let challenge =
        format!("Bearer error=\"{secret}\", realm={secret}, {secret}=\"{secret}\", {secret} {secret}");
    let body = json!({
        "error": code, "error_description": secret, "error_uri": format!("https://as.example/?{secret}"),
        "errors": [{ "errorType": secret, "message": secret }], "message": secret, secret: secret,
        "refresh_token_expires_in": secret, "issued_token_type": secret,
    });
    Answer::json(StatusCode::from_u16(status).unwrap(), &body)
        .header(WWW_AUTHENTICATE, HeaderValue::from_str(&challenge).unwrap())
        .header(WWW_AUTHENTICATE, HeaderValue::from_str(&format!("Bearer error=\"{secret}\"")).unwrap())
        .header(RETRY_AFTER, header.clone())
        .header(LOCATION, HeaderValue::from_str(&format!("https://as.example/{secret}")).unwrap())
        .header(HeaderName::from_static("x-debug"), header)
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_the_token_endpoint_repeats_it() {
    in_every_way(async |bench| {
        for status in [200, 302, 400, 401, 403, 429, 500, 503] {
            for code in ["invalid_grant", "invalid_client", "something_else", "the refresh token", ""] {
                bench.expired().await;
                let secret = bench.refresh_token();
                let code = if code.contains(' ') { &secret } else { code };
                bench.auth.always(Fault::answer(echo(status, code, &secret)));
                bench.ask().await;
                bench.auth.clear();
            }
        }
        for error in [
            json!({ "code": SECRET, "message": SECRET }),
            json!([SECRET]),
            json!(SECRET),
            json!({ SECRET: 1 }),
        ] {
            bench.expired().await;
            bench.auth.always(Fault::merge(json!({ "error": error, "access_token": null })));
            bench.ask().await;
            bench.auth.clear();
        }
        let page = format!("<h1>{}</h1><p>{SECRET}", bench.refresh_token());
        for kind in ["text/html", "text/plain", "application/x-www-form-urlencoded", SECRET] {
            bench.expired().await;
            let kind = HeaderValue::from_str(kind).unwrap();
            bench.auth.always(Fault::answer(
                Answer::new(StatusCode::BAD_REQUEST).header(CONTENT_TYPE, kind).body(page.clone()),
            ));
            bench.ask().await;
            bench.auth.clear();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_the_api_repeats_it() {
    in_every_way(async |bench| {
        for status in [401, 403, 500] {
            bench.told(&bench.coordinator.install(KEY, bench.auth.login()).await);
            let token = bench.coordinator.token(KEY).await.unwrap();
            bench.api.respond_next(echo(status, "invalid_token", token.expose_secret()));
            bench.api.respond_next(echo(status, "invalid_token", token.expose_secret()));
            bench.request().await;
            bench.api.clear();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_answers_are_malformed() {
    in_every_way(async |bench| {
        let spaced = format!("{FOREIGN} {FOREIGN}");
        for members in [
            json!({ "access_token": spaced }),
            json!({ "access_token": [FOREIGN] }),
            json!({ "access_token": { FOREIGN: FOREIGN } }),
            json!({ "access_token": null }),
            json!({ "refresh_token": [FOREIGN] }),
            json!({ "refresh_token": 17 }),
            json!({ "refresh_token": "" }),
            json!({ "token_type": FOREIGN }),
            json!({ "token_type": [FOREIGN] }),
            json!({ "expires_in": FOREIGN }),
            json!({ "refresh_in": FOREIGN }),
            json!({ "id_token": FOREIGN, "session": FOREIGN }),
            json!({ "error": FOREIGN }),
        ] {
            for login in [TokenSet::from_response(&members), TokenSet::from_response(&json!([members]))] {
                bench.watch.debug(&login);
                let _ = login.map_err(|error| bench.watch.error(&error));
            }
            bench.expired().await;
            bench.auth.always(Fault::merge(members));
            bench.ask().await;
            bench.auth.clear();
        }
        for body in [
            format!("{{\"access_token\":\"{FOREIGN}"),
            format!("access_token={FOREIGN}&x=%ff"),
            FOREIGN.to_owned(),
        ] {
            bench.expired().await;
            bench.auth.always(Fault::answer(Answer::new(StatusCode::OK).body(body)).after_commit());
            bench.ask().await;
            bench.auth.clear();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_the_store_fails_or_panics() {
    in_every_way(async |bench| {
        for fault in [StoreFault::fail(), StoreFault::fail_after_write(), StoreFault::panic()] {
            for at in 0..4 {
                bench.store.clear();
                bench.expired().await;
                for _ in 0..at {
                    bench.store.fault_swap(StoreFault::none());
                    bench.store.fault_load(StoreFault::none());
                }
                bench.store.fault_swap(fault.clone());
                bench.ask().await;
                bench.store.clear();
                bench.store.fault_load(fault.clone());
                bench.ask().await;
            }
            bench.store.clear();
            bench.store.always_swap(fault.clone());
            bench.told(&bench.coordinator.install(KEY, bench.auth.login()).await);
            bench.told(&bench.coordinator.logout(KEY).await);
            bench.told(&bench.coordinator.forget(KEY).await);
        }
        bench.store.clear();
        // Received, and not to be stored for a while.
        bench.expired().await;
        bench.store.fault_swap(StoreFault::none());
        bench.store.always_swap(StoreFault::fail());
        bench.ask().await;
        bench.store.clear();
        bench.told(&Ok(bench.coordinator.shutdown(Duration::from_secs(5)).await));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_the_client_panics_or_cannot_connect() {
    in_every_way(async |bench| {
        bench.expired().await;
        let panicking = Shown { manner: Manner::Panics, ..bench.http.clone() };
        let client = ClientAuth::post("app", SECRET);
        bench.watch.debug(&client);
        let coordinator = builder(&bench.auth, client, &bench.store, &bench.clock).build(panicking).unwrap();
        bench.told(&coordinator.install(KEY, bench.login()).await);
        bench.told(&coordinator.token(KEY).await);
        assert!(bench.watch.has_said("the client panics at"), "the panic was heard");
        let nowhere = RefreshCoordinator::builder(
            "http://127.0.0.1:9/token".parse().unwrap(),
            ClientAuth::basic_raw("app", SECRET),
        )
        .clock(Arc::new(bench.clock.clone()))
        .build(bench.http.clone())
        .unwrap();
        bench.told(&nowhere.install(KEY, bench.login()).await);
        bench.told(&nowhere.token(KEY).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_of_a_signed_assertion() {
    in_every_way(async |bench| {
        for fails in [false, true] {
            let client = ClientAuth::assertion("app", move || {
                ready(if fails {
                    Err(format!("cannot sign {ASSERTION}").into())
                } else {
                    Ok(ASSERTION.into())
                })
            });
            bench.watch.debug(&(&client, ClientAssertion::new(ASSERTION), ClientSecret::new(SECRET)));
            let coordinator = builder(&bench.auth, client, &bench.store, &bench.clock);
            bench.watch.debug(&coordinator);
            let coordinator = coordinator.build(bench.http.clone()).unwrap();
            bench.told(&coordinator.install(KEY, bench.auth.login().with_expires_in(Duration::ZERO)).await);
            bench.told(&coordinator.token(KEY).await);
            bench.told(&coordinator.logout(KEY).await);
        }
    })
    .await;
}

/// Hands out records that are wrong in one place, with a token in it.
#[derive(Debug)]
struct Garbled(MemoryStore, fn(&str) -> String);

impl TokenStore for Garbled {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let Some(record) = self.0.load(key).await? else { return Ok(None) };
            let garbled = (self.1)(&String::from_utf8_lossy(record.body.bytes()));
            Ok(Some(Record::new(RecordBody::new(record.body.version(), garbled.into_bytes()), record.age)))
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.0.compare_and_swap(key, expected, new)
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_of_a_record_that_cannot_be_read() {
    const GARBLED: [fn(&str) -> String; 6] = [
        |text| text.chars().take(text.len() / 2).collect(),
        |text| text.replacen(":{", ":", 1),
        |text| {
            text.replace("\"Bearer\"", "17")
                .replace("\"generation\":", &format!("\"generation\":\"{FOREIGN}\",\"x\":"))
        },
        |text| text.replace("\"marks\":0", &format!("\"marks\":\"{FOREIGN}\"")),
        |text| text.replace("\"format\":1", "\"format\":2"),
        |_| format!("\"{FOREIGN}\""),
    ];
    in_every_way(async |bench| {
        for garble in GARBLED {
            let store = Garbled(MemoryStore::new(), garble);
            bench.watch.debug(&store);
            let memory = store.0.clone();
            let coordinator =
                RefreshCoordinator::builder(bench.auth.token_endpoint(), ClientAuth::none("app"))
                    .store(store)
                    .build(bench.http.clone())
                    .unwrap();
            // Installed twice: the second finds the record that cannot be read.
            for _ in 0..2 {
                bench.told(
                    &coordinator.install(KEY, bench.auth.login().with_expires_in(Duration::ZERO)).await,
                );
                bench.told(&coordinator.token(KEY).await);
            }
            bench.told(&coordinator.status(KEY).await);
            assert!(coordinator.status(KEY).await.is_err(), "the record cannot be read");
            bench.told(&coordinator.logout(KEY).await);
            bench.watch.debug(&memory);
        }
        // The types of a store, with a record that was sealed, and opened with another key.
        let key: StoredKey = KEY.into();
        let memory = MemoryStore::new();
        let sealed = Sealed::new(memory.clone(), SealingKey::new(SEALING));
        let body = RecordBody::new(Version::from_bits(1), bench.refresh_token().into_bytes());
        bench.watch.debug(&(&body, &sealed, SealingKey::new(SEALING)));
        sealed.compare_and_swap(&key, None, Some(&body)).await.unwrap();
        bench.watch.debug(&sealed.load(&key).await.unwrap());
        bench.watch.debug(&sealed.compare_and_swap(&key, None, None).await.unwrap());
        let other = Sealed::new(memory, SealingKey::new([1; 32]));
        bench.watch.error(&other.load(&key).await.unwrap_err());
        bench.ask().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_when_logging_out() {
    in_every_way(async |bench| {
        for status in [200, 400, 401, 503] {
            bench.expired().await;
            bench.auth.fault_revocation(Fault::answer(echo(
                status,
                "invalid_client",
                &bench.refresh_token(),
            )));
            bench.told(&bench.coordinator.logout(KEY).await);
            bench.ask().await;
        }
        bench.expired().await;
        bench.auth.fault_revocation(Fault::drop_connection());
        bench.told(&bench.coordinator.logout(KEY).await);
        bench.expired().await;
        bench.told(&bench.coordinator.forget(KEY).await);
        bench.told(&bench.coordinator.logout(KEY).await);
        bench.auth.set_rotation(Rotation::Strict);
        bench.ask().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_said_of_a_configuration_that_cannot_be_right() {
    in_every_way(async |bench| {
        bench.expired().await;
        let insecure = format!("http://app:{FOREIGN}@as.example/token?secret={FOREIGN}");
        let builder =
            RefreshCoordinator::builder(insecure.parse().unwrap(), ClientAuth::basic("app", SECRET));
        bench.watch.debug(&builder);
        bench.watch.error(&builder.build(bench.http.clone()).unwrap_err());
        let builder = RefreshCoordinator::builder(bench.auth.token_endpoint(), ClientAuth::none("app"));
        let builder = builder.parameter("client_secret", SECRET);
        bench.watch.debug(&builder);
        bench.watch.error(&builder.build(bench.http.clone()).unwrap_err());
        bench.ask().await;
    })
    .await;
}
