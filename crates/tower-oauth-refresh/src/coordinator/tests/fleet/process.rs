//! One process of a fleet: a coordinator, its way to the server, and its user.

use std::sync::Mutex;

use super::super::*;
use super::far::Far;
use crate::endpoint::NotSent;

/// A process.
pub(in super::super) struct Process {
    pub(in super::super) coordinator: Arc<RefreshCoordinator>,
    network: Arc<Mutex<Network>>,
    attempts: Arc<AtomicUsize>,
    sick: AtomicBool,
}

/// A process's way to the authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Network {
    Fine,
    /// Connections are refused: the request does not leave.
    Refused,
    /// The name cannot be resolved, or nothing can be signed: the request does not leave.
    NotSent,
    /// The request arrives, and the answer does not.
    AnswersLost,
}

impl Process {
    pub(super) fn new(
        far: &Arc<Far>,
        store: &MemoryStore,
        auth: ClientAuth,
        adjust: impl FnOnce(Builder) -> Builder,
    ) -> Arc<Self> {
        let network = Arc::new(Mutex::new(Network::Fine));
        let attempts = Arc::<AtomicUsize>::default();
        let builder = RefreshCoordinator::builder(http::Uri::from_static("https://as.example/token"), auth)
            .store(Distant(store.clone()))
            .clock(Arc::new(StepClock::new()));
        let coordinator = adjust(builder).build(service(far, &network, &attempts)).unwrap();
        Arc::new(Self { coordinator, network, attempts, sick: AtomicBool::new(false) })
    }

    /// From now on this is its way to the server. Where it is not fine, the process is sick, and what its user sees
    /// does not count.
    pub(in super::super) fn network(&self, network: Network) {
        *self.network.lock().unwrap() = network;
        self.is_sick(network != Network::Fine);
    }

    /// Is something wrong with this process, so that its user may well be refused?
    pub(in super::super) fn is_sick(&self, sick: bool) {
        self.sick.store(sick, Ordering::SeqCst);
    }

    /// Requests that it has handed to its HTTP client, sent or not.
    pub(in super::super) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    pub(super) fn is_healthy(&self) -> bool {
        !self.sick.load(Ordering::SeqCst)
    }

    /// What the layer does for a request: a token, the API, and after a refusal once more. `Err`: why its user is not
    /// served.
    pub(in super::super) async fn request(&self, far: &Far, key: &str) -> Result<(), String> {
        let failed = |error: RefreshError| format!("{error}");
        let slot = self.coordinator.slot(&key.into());
        let used = match self.coordinator.token_for(&slot) {
            Token::Ready(current) => current,
            Token::Wait(waiter) => waiter.wait().await.map_err(failed)?,
            Token::Fail(error) => return Err(failed(error)),
        };
        if far.accepts(used.access_token().expose_secret()) {
            slot.accepted(used.id(), OriginId::default());
            return Ok(());
        }
        let again = match self.coordinator.refused(&slot, used.id(), OriginId::default()) {
            Refusal::Replay(current) => current,
            Refusal::Wait(waiter) => waiter.wait().await.map_err(failed)?,
            Refusal::TooFresh => return Err("401, and the token is fresh".to_owned()),
            Refusal::Fail(error) => return Err(failed(error)),
        };
        if far.accepts(again.access_token().expose_secret()) {
            slot.accepted(again.id(), OriginId::default());
            return Ok(());
        }
        self.coordinator.refused_again(&slot, again.id(), OriginId::default());
        Err("401, and the replay too".to_owned())
    }
}

type TokenEndpoint = BoxCloneSyncService<
    Request<Full<Bytes>>,
    Response<Full<Bytes>>,
    Box<dyn std::error::Error + Send + Sync>,
>;

fn service(far: &Arc<Far>, network: &Arc<Mutex<Network>>, attempts: &Arc<AtomicUsize>) -> TokenEndpoint {
    let (far, network, attempts) = (far.clone(), network.clone(), attempts.clone());
    TokenEndpoint::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        attempts.fetch_add(1, Ordering::SeqCst);
        let (far, network) = (far.clone(), network.clone());
        async move {
            use http_body_util::BodyExt as _;
            let way = *network.lock().unwrap();
            match way {
                Network::Refused => {
                    return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
                }
                Network::NotSent => return Err(NotSent::new("no such host").into()),
                Network::Fine | Network::AnswersLost => {}
            }
            let body = request.into_body().collect().await?.to_bytes();
            let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
            let answer = far.answer(&form).await;
            if way == Network::AnswersLost {
                return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
            }
            Ok(answer)
        }
    }))
}

/// A store that takes a moment, so that processes meet.
pub(in super::super) struct Distant(pub(in super::super) MemoryStore);

const AWAY: Duration = Duration::from_millis(2);

impl TokenStore for Distant {
    fn load<'a>(&'a self, key: &'a StoredKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            tokio::time::sleep(AWAY).await;
            let found = self.0.load(key).await;
            tokio::time::sleep(AWAY).await;
            found
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoredKey,
        expected: Option<Version>,
        new: Option<&'a RecordBody>,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            tokio::time::sleep(AWAY).await;
            let swapped = self.0.compare_and_swap(key, expected, new).await;
            tokio::time::sleep(AWAY).await;
            swapped
        })
    }
}
