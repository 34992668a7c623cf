//! Bodies that may be sent once more: what is copied, kept and allocated for it.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::Runtime;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_oauth_refresh::{RefreshLayer, ReplayBody};

use crate::Failure;
use crate::timing::cpu;
use crate::world::{Endpoint, KEY};

/// A body that yields parts of one buffer.
#[derive(Debug)]
pub struct Frames {
    rest: Bytes,
    size: usize,
    yielded: Arc<AtomicUsize>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        self.yielded.fetch_add(1, Ordering::Relaxed);
        let size = self.size.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }
}

/// One reading of a body by the API.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass {
    /// Bytes that lie elsewhere than where the caller has them.
    pub copied: usize,
    /// All bytes.
    pub read: usize,
    /// Frames the caller's body had yielded when the first arrived.
    pub before_first: usize,
    /// Seconds of the processor.
    pub took: f64,
}

/// An API that reads every body to its end; answers 401 to the first if it is to.
#[derive(Clone, Debug)]
pub struct Reader {
    from: Bytes,
    yielded: Arc<AtomicUsize>,
    refuses: bool,
    passes: Arc<Mutex<Vec<Pass>>>,
}

impl Reader {
    async fn read<B>(self, mut body: B) -> Result<Response<Full<Bytes>>, Failure>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Failure>,
    {
        let began = cpu();
        let mut pass = Pass::default();
        while let Some(frame) = body.frame().await {
            if pass.read == 0 {
                pass.before_first = self.yielded.load(Ordering::Relaxed);
            }
            let data = frame.map_err(Into::into)?.into_data().unwrap_or_default();
            pass.read += data.len();
            if !self.from.as_ptr_range().contains(&data.as_ptr()) {
                pass.copied += data.len();
            }
        }
        pass.took = (cpu() - began).as_secs_f64();
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = self.refuses && passes.is_empty();
        passes.push(pass);
        let status = if refused { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        Ok(Response::builder().status(status).body(Full::default())?)
    }
}

impl<B> Service<Request<B>> for Reader
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Failure>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Self::Response, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(self.clone().read(request.into_body()))
    }
}

/// An upload, ready to be sent once.
#[derive(Debug)]
pub struct Upload {
    runtime: Runtime,
    reader: Reader,
    endpoint: Endpoint,
    size: usize,
}

/// What is left when an answer has come: it, and with it whatever the layer still holds.
pub type Left = Result<Box<dyn std::any::Any>, Failure>;

impl Upload {
    /// So many frames of that size, refused at first or not.
    ///
    /// # Errors
    ///
    /// Where there is no runtime.
    pub fn of(frames: usize, size: usize, refuses: bool) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let yielded = Arc::new(AtomicUsize::new(0));
        let from = Bytes::from(vec![7; frames * size]);
        let passes = Arc::new(Mutex::new(Vec::with_capacity(4)));
        let reader = Reader { from, yielded, refuses, passes };
        Ok(Self { runtime, reader, endpoint: Endpoint::of(Duration::from_secs(3600)), size })
    }

    /// The caller's body.
    #[must_use]
    pub fn frames(&self) -> Frames {
        // A handle of its own, whose first clone allocates: not in what is measured.
        let rest = self.reader.from.clone();
        drop(rest.clone());
        Frames { rest, size: self.size, yielded: self.reader.yielded.clone() }
    }

    /// The same bytes, known to be one piece.
    #[must_use]
    pub fn full(&self) -> Full<Bytes> {
        Full::new(self.reader.from.clone())
    }

    /// Sends straight to the API.
    ///
    /// # Errors
    ///
    /// What sending says.
    pub fn bare<B>(&self) -> Result<impl FnMut(B) -> Left + '_, Failure>
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Failure>,
    {
        Ok(move |body| {
            let request = request(body)?;
            Ok(Box::new(self.runtime.block_on(self.reader.clone().oneshot(request))?)
                as Box<dyn std::any::Any>)
        })
    }

    /// Sends through the layer.
    ///
    /// # Errors
    ///
    /// What building or sending says.
    pub fn ours<B>(&self) -> Result<impl FnMut(B) -> Left + '_, Failure>
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Failure>,
        Reader: Service<
                Request<ReplayBody<B>>,
                Response = Response<Full<Bytes>>,
                Error = Failure,
                Future = BoxFuture<'static, Result<Response<Full<Bytes>>, Failure>>,
            >,
    {
        let coordinator = self.endpoint.coordinator(|builder| builder)?;
        self.runtime.block_on(coordinator.install(KEY, Endpoint::login(Duration::from_secs(3600))))?;
        let layer = RefreshLayer::new(coordinator, KEY).origin("https://api.example".parse()?);
        let client = layer.body_limit(64 << 20).layer(self.reader.clone());
        Ok(move |body| {
            let request = request(body)?;
            Ok(Box::new(self.runtime.block_on(client.clone().oneshot(request))?) as Box<dyn std::any::Any>)
        })
    }

    /// What the API saw.
    #[must_use]
    pub fn passes(&self) -> Vec<Pass> {
        self.reader.passes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// With room for one header more, so that attaching one is no allocation of its own.
fn request<B>(body: B) -> Result<Request<B>, Failure> {
    let mut request = Request::post("https://api.example/x").body(body)?;
    request.headers_mut().reserve(4);
    Ok(request)
}

/// Seconds for a frame of the replay.
///
/// # Errors
///
/// Where it was not replayed in full.
pub fn replay(frames: usize, size: usize) -> Result<f64, Failure> {
    let upload = Upload::of(frames, size, true)?;
    upload.ours()?(upload.frames())?;
    match upload.passes().as_slice() {
        [_, again] if again.read == frames * size => Ok(again.took / f64::from(u32::try_from(frames)?)),
        _ => Err("it was not replayed".into()),
    }
}
