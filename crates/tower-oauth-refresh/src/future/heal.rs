//! What is done about an answer that refuses the token: a newer token and the same request, once.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::{Request, Response};
use http_body::Body;
use tokio::time::timeout;
use tower_service::Service;

use super::{Exchange, ready_service};
use crate::body::{RefusedBody, ResponseBody};
use crate::coordinator::{Current, Refusal, Waiter};
use crate::error::RefreshError;
use crate::replay::ReplayBody;
use crate::report::{RefreshReport, ReplayOutcome};
use crate::service::{BoxError, attach};

/// How long the rest of a refused answer may keep a replay waiting that could go at once.
const READ_AHEAD_LIMIT: Duration = Duration::from_millis(100);

impl<B> Exchange<B>
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Heals the answer if it refuses the token.
    pub(super) async fn answered<S, R>(
        self,
        service: S,
        mut answer: Response<R>,
    ) -> Result<Response<ResponseBody<R>>, BoxError>
    where
        S: Service<Request<ReplayBody<B>>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body,
    {
        let refused = self.config.is_challenge(&mut answer);
        if refused { self.heal(service, answer).await } else { Ok(self.accepted(answer)) }
    }

    /// Gets a newer token and sends the request once more. Whatever comes back then is the answer; where
    /// no replay is possible, the refused answer is, every byte of it.
    pub(super) async fn heal<S, R>(
        self,
        mut service: S,
        refused: Response<R>,
    ) -> Result<Response<ResponseBody<R>>, BoxError>
    where
        S: Service<Request<ReplayBody<B>>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body,
    {
        let Self { config, kept, replay } = self;
        let used = kept.used;
        let keyed = kept.keyed.clone();
        let Some(slot) = keyed.as_ref().or(config.fixed()) else {
            return Ok(refused.map(ResponseBody::plain));
        };
        let (parts, body) = refused.into_parts();
        let mut body = RefusedBody::new(body);
        let generation = used.generation;
        let refusal = config.coordinator.refused(slot, used);
        let found = match (refusal, replay.check()) {
            (Refusal::TooFresh, _) => Err(ReplayOutcome::TokenTooFresh),
            (Refusal::Fail(error), _) => Err(ReplayOutcome::Failed(error)),
            // The flight goes on for the next request; this one need not wait for it.
            (_, Err(reason)) => Err(ReplayOutcome::NotReplayable(reason)),
            (Refusal::Wait(waiter), Ok(())) => {
                wait_and_read(waiter, &mut body).await.map_err(ReplayOutcome::Failed)
            }
            (Refusal::Replay(current), Ok(())) => {
                let _ = timeout(READ_AHEAD_LIMIT, body.read_ahead()).await;
                Ok(current)
            }
        };
        let replay = found.and_then(|current| {
            // Perhaps another account's: what was asked of the one must not be done to the other.
            if current.held.login != used.login {
                return Err(ReplayOutcome::LoginChanged);
            }
            let again = replay.again().map_err(ReplayOutcome::NotReplayable)?;
            Ok((again, current))
        });
        let (again, current) = match replay {
            Ok(replay) => replay,
            Err(outcome) => {
                let mut response = Response::from_parts(parts, ResponseBody::refused(body));
                response.extensions_mut().insert(RefreshReport { refused: generation, outcome });
                return Ok(response);
            }
        };
        drop((parts, body));
        ready_service(&mut service).await?;
        let mut request = kept.again(again);
        attach(request.headers_mut(), current.header());
        let mut answer = service.call(request).await.map_err(Into::into)?;
        if config.is_challenge(&mut answer) {
            config.coordinator.refused_again(slot, &current);
        }
        let mut response = answer.map(ResponseBody::plain);
        let outcome = ReplayOutcome::Replayed(current.generation());
        response.extensions_mut().insert(RefreshReport { refused: generation, outcome });
        Ok(response)
    }
}

/// The refused answer is read while the flight runs, so that its connection is free for the replay.
async fn wait_and_read<R: Body>(
    waiter: Waiter,
    body: &mut RefusedBody<R>,
) -> Result<std::sync::Arc<Current>, RefreshError> {
    let told = pin!(waiter.wait());
    match select(told, pin!(body.read_ahead())).await {
        Either::Left((told, _)) => told,
        Either::Right(((), told)) => told.await,
    }
}
