//! Real sockets: accepting, serving, hanging up.
//!
//! A request is worked on in a task of its own, not in hyper's: a client that hangs up must not stop the
//! server from committing, because no real server is stopped by it.

mod body;
mod tasks;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

pub(crate) use self::body::WireBody;
use self::tasks::Tasks;

/// What answers the requests of a server.
pub(crate) trait Answering: Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>, peer: Peer) -> impl Future<Output = Reply> + Send;
}

/// How a request ends. `None`: the connection is closed without an answer.
pub(crate) type Reply = Option<Response<WireBody>>;

/// Whether the client of a request is still there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer(Arc<AtomicBool>);

impl Peer {
    pub(crate) fn is_gone(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A listening socket and everything that serves it; dropped, all of it stops at once.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    tasks: Arc<Tasks>,
}

impl Listening {
    pub(crate) async fn start(handler: Arc<impl Answering>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let tasks = Arc::new(Tasks::new()?);
        tasks.spawn(accept(listener, handler, Arc::clone(&tasks)));
        Ok(Self { address, tasks })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

async fn accept(listener: TcpListener, handler: Arc<impl Answering>, tasks: Arc<Tasks>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => tasks.spawn(serve(stream, Arc::clone(&handler), Arc::clone(&tasks))),
            // Out of file descriptors, or a client gone before it was accepted: the next may fare better.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn serve(stream: TcpStream, handler: Arc<impl Answering>, tasks: Arc<Tasks>) {
    let _ = stream.set_nodelay(true);
    let hang_up = Arc::new(Notify::new());
    let service = service_fn(|request| {
        let (hang_up, handler) = (Arc::clone(&hang_up), Arc::clone(&handler));
        dispatch(request, handler, hang_up, &tasks)
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        () = hang_up.notified() => {}
        // How a connection ends concerns the client; the ledger has what matters.
        _ = connection => {}
    }
}

/// Starts the work, and returns the future that waits for it in the connection's own task.
fn dispatch<H: Answering>(
    request: Request<Incoming>,
    handler: Arc<H>,
    hang_up: Arc<Notify>,
    tasks: &Tasks,
) -> impl Future<Output = Result<Response<WireBody>, oneshot::error::RecvError>> + use<H> {
    let peer = Peer::default();
    let watch = Watch { peer: peer.clone(), answered: false };
    let (answered, answer) = oneshot::channel();
    tasks.spawn(async move {
        match handler.answer(request, peer).await {
            Some(response) => drop(answered.send(response)),
            None => hang_up.notify_one(),
        }
    });
    async move {
        let response = answer.await;
        watch.end();
        response
    }
}

/// Notices when hyper gives up on a request, as it does when the client is gone.
struct Watch {
    peer: Peer,
    answered: bool,
}

impl Watch {
    fn end(mut self) {
        self.answered = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.answered {
            self.peer.0.store(true, Ordering::Release);
        }
    }
}
