//! A proxy that delays, cuts and resets what passes through it.
//!
//! It knows nothing of HTTP or any other protocol but that one side asks and the other one answers: the first
//! bytes after an answer begin the next exchange, and its number and the seed decide its fate. When the client
//! hangs up, so does the proxy: what was not passed on by then never arrives.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use tower_oauth_refresh::{Clock as _, SystemClock};

use crate::dice::Dice;

/// Dropped, it closes everything.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// How it treats exchanges.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    /// Of a thousand exchanges, so many are hurt.
    pub(crate) hurt: u64,
    pub(crate) longest_delay: Duration,
    /// How long it says nothing where it says nothing.
    pub(crate) silence: Duration,
}

struct Shared {
    upstream: SocketAddr,
    seed: u64,
    manners: Manners,
    calm: AtomicBool,
    exchanges: AtomicU64,
    done: [AtomicU64; KINDS.len()],
    hurt: Mutex<Vec<(SystemTime, Kind)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    DelayedRequest,
    DelayedAnswer,
    LostRequest,
    LostAnswer,
    CutAnswer,
    Silence,
}

const KINDS: [Kind; 6] = [
    Kind::DelayedRequest,
    Kind::DelayedAnswer,
    Kind::LostRequest,
    Kind::LostAnswer,
    Kind::CutAnswer,
    Kind::Silence,
];

struct Fate {
    kind: Option<Kind>,
    delay: Duration,
    /// An abortive close instead of an orderly one.
    resets: bool,
    cut_at: usize,
}

/// Somebody hung up.
struct Over;

type Passed = Result<(), Over>;

impl Proxy {
    /// In front of `upstream`.
    pub(crate) async fn start(upstream: SocketAddr, seed: u64, manners: Manners) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            seed,
            manners,
            calm: AtomicBool::new(false),
            exchanges: AtomicU64::new(0),
            done: Default::default(),
            hurt: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// From now on everything passes.
    pub(crate) fn calm_down(&self) {
        self.shared.calm.store(true, Ordering::SeqCst);
    }

    /// From now on it hurts again.
    pub(crate) fn stir(&self) {
        self.shared.calm.store(false, Ordering::SeqCst);
    }

    pub(crate) fn exchanges(&self) -> u64 {
        self.shared.exchanges.load(Ordering::SeqCst)
    }

    /// What it did when.
    pub(crate) fn hurt(&self) -> Vec<(SystemTime, Kind)> {
        self.shared.hurt.lock().unwrap().clone()
    }

    /// How often it did each.
    pub(crate) fn done(&self) -> impl Iterator<Item = (Kind, u64)> {
        KINDS.into_iter().zip(self.shared.done.iter().map(|times| times.load(Ordering::SeqCst)))
    }
}

impl Kind {
    /// Does the client go without an answer to what the server has worked on?
    pub(crate) fn loses_the_answer(self) -> bool {
        matches!(self, Self::LostAnswer | Self::CutAnswer | Self::Silence)
    }
}

impl Shared {
    fn draw(&self) -> Fate {
        let number = self.exchanges.fetch_add(1, Ordering::SeqCst);
        let mut dice = Dice::of(self.seed, number);
        let hurts = dice.below(1000) < self.manners.hurt && !self.calm.load(Ordering::SeqCst);
        let kind = hurts.then(|| KINDS[dice.below(KINDS.len() as u64) as usize]);
        if let Some(kind) = kind {
            self.done[kind as usize].fetch_add(1, Ordering::SeqCst);
            self.hurt.lock().unwrap().push((SystemClock::default().now().wall, kind));
        }
        Fate {
            kind,
            delay: dice.between(Duration::from_millis(20), self.manners.longest_delay),
            resets: dice.below(2) == 0,
            cut_at: 1 + dice.below(400) as usize,
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(connections.spawn(carry(client, shared.clone()))),
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let Ok(mut server) = TcpStream::connect(shared.upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut fate: Option<Fate> = None;
    let (mut asked, mut answered) = (vec![0; 16384], vec![0; 16384]);
    loop {
        let passed = tokio::select! {
            read = client.read(&mut asked) => {
                let Some(read) = read.ok().filter(|read| *read > 0) else { return };
                match &fate {
                    Some(_) => pass(&mut server, &asked[..read]).await,
                    None => {
                        let fate = fate.insert(shared.draw());
                        ask(&mut client, &mut server, asked[..read].to_vec(), fate).await
                    }
                }
            }
            read = server.read(&mut answered) => {
                let Some(read) = read.ok().filter(|read| *read > 0) else { return };
                match fate.take() {
                    None => pass(&mut client, &answered[..read]).await,
                    Some(fate) => {
                        answer(&mut client, &mut server, &answered[..read], &fate, &shared.manners).await
                    }
                }
            }
        };
        if passed.is_err() {
            return;
        }
    }
}

async fn ask(client: &mut TcpStream, server: &mut TcpStream, mut bytes: Vec<u8>, fate: &Fate) -> Passed {
    match fate.kind {
        Some(Kind::LostRequest) => return hang_up(client, fate),
        Some(Kind::DelayedRequest) => stay(client, &mut bytes, fate.delay).await?,
        _ => {}
    }
    pass(server, &bytes).await
}

async fn answer(
    client: &mut TcpStream,
    server: &mut TcpStream,
    bytes: &[u8],
    fate: &Fate,
    manners: &Manners,
) -> Passed {
    let mut more = Vec::new();
    match fate.kind {
        Some(Kind::LostAnswer) => return hang_up(client, fate),
        Some(Kind::CutAnswer) => {
            pass(client, &bytes[..fate.cut_at.min(bytes.len())]).await?;
            return hang_up(client, fate);
        }
        Some(Kind::Silence) => {
            stay(client, &mut more, manners.silence).await?;
            return hang_up(client, fate);
        }
        Some(Kind::DelayedAnswer) => stay(client, &mut more, fate.delay).await?,
        _ => {}
    }
    pass(client, bytes).await?;
    pass(server, &more).await
}

async fn pass(to: &mut TcpStream, bytes: &[u8]) -> Passed {
    to.write_all(bytes).await.map_err(|_| Over)
}

/// Waits as long as the client does, and keeps what it goes on to say.
async fn stay(client: &mut TcpStream, said: &mut Vec<u8>, pause: Duration) -> Passed {
    let until = Instant::now() + pause;
    loop {
        tokio::select! {
            () = sleep_until(until) => return Ok(()),
            read = client.read_buf(said) => {
                read.ok().filter(|read| *read > 0).ok_or(Over)?;
            }
        }
    }
}

fn hang_up(client: &TcpStream, fate: &Fate) -> Passed {
    if fate.resets {
        let _ = client.set_zero_linger();
    }
    Err(Over)
}

#[cfg(test)]
mod tests;
