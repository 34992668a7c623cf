//! Requests under way, and what became of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::{BoxError, Service as _, ServiceExt as _};
use tower_oauth_refresh::{RefreshReport, ReplayOutcome};

use crate::client::Client;

/// Requests sent at once.
#[derive(Debug)]
pub(crate) struct Burst {
    size: usize,
    tasks: JoinSet<Result<Answer, BoxError>>,
    /// One permit for every request that the client has taken.
    taken: Arc<Semaphore>,
}

/// One answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    took: Duration,
    replayed: bool,
}

/// What became of a burst.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) answered: usize,
    pub(crate) replayed: usize,
    pub(crate) slowest: Duration,
    pub(crate) failed: Vec<BoxError>,
}

impl Burst {
    pub(crate) fn new() -> Self {
        Self { size: 0, tasks: JoinSet::new(), taken: Arc::new(Semaphore::new(0)) }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn send(&mut self, client: &Client, request: Request<Full<Bytes>>) {
        self.size += 1;
        self.tasks.spawn(send(client.clone(), request, self.taken.clone()));
    }

    /// Until the client has taken every request and either sent it or keeps it waiting.
    pub(crate) async fn taken(&self) -> Result<(), BoxError> {
        let size = u32::try_from(self.size)?;
        // Nothing closes it.
        let _ = self.taken.acquire_many(size).await?;
        Ok(())
    }

    /// Drops every request where it stands.
    pub(crate) async fn abandon(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) async fn answers(self) -> Answers {
        let mut answers = Answers::default();
        for answer in self.tasks.join_all().await {
            match answer {
                Ok(Answer { status: StatusCode::UNAUTHORIZED, .. }) => {
                    answers.failed.push("401 Unauthorized, all the same".into());
                }
                Ok(answer) => {
                    answers.answered += 1;
                    answers.replayed += usize::from(answer.replayed);
                    answers.slowest = answers.slowest.max(answer.took);
                }
                Err(error) => answers.failed.push(error),
            }
        }
        answers
    }
}

async fn send(
    mut client: Client,
    request: Request<Full<Bytes>>,
    taken: Arc<Semaphore>,
) -> Result<Answer, BoxError> {
    let start = Instant::now();
    let response = client.ready().await?.call(request);
    taken.add_permits(1);
    let response = response.await?;
    let report = response.extensions().get::<RefreshReport>();
    let replayed = report.is_some_and(|report| matches!(report.outcome, ReplayOutcome::Replayed(_)));
    let status = response.status();
    response.into_body().collect().await?;
    Ok(Answer { status, took: start.elapsed(), replayed })
}
