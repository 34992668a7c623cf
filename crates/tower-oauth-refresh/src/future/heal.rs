//! What is done about an answer that refuses the token: a newer token and the same request, once. Where only the proof
//! was refused (RFC 9449 §7.1, §9): the same token and the same request, once too, and neither counts as the other.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, FutureExt as _, select};
use http::{Request, Response};
use http_body::Body;
use tokio::time::timeout;
use tower_service::Service;

use super::{Exchange, ready_service};
use crate::body::{RefusedBody, ResponseBody};
use crate::coordinator::{Current, Refusal, Slot, Waiter, runtime};
use crate::error::{ErrorKind, RefreshError};
use crate::layer::Asks;
use crate::replay::ReplayBody;
use crate::report::{RefreshReport, ReplayOutcome};
use crate::service::BoxError;

/// How long the rest of a refused answer may keep a replay waiting that could go at once.
const READ_AHEAD_LIMIT: Duration = Duration::from_millis(100);

impl<B> Exchange<B>
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends the request once more, as the answer asks, at most once for a proof and once with a newer token.
    /// Where no replay is possible, the refused answer is the answer, every byte of it.
    pub(super) async fn heal<S, R>(
        self,
        mut service: S,
        mut answer: Response<R>,
        mut asks: Asks,
    ) -> Result<Response<ResponseBody<R>>, BoxError>
    where
        S: Service<Request<ReplayBody<B>>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body,
    {
        let mut exchange = self;
        let (config, keyed) = (exchange.config.clone(), exchange.kept.keyed.clone());
        let Some(slot) = keyed.as_ref().or(config.fixed()) else {
            return Ok(answer.map(ResponseBody::plain));
        };
        let (mut proof, mut newer) = (false, None);
        loop {
            let used = exchange.kept.used;
            match asks {
                Asks::Proof if !proof => proof = true,
                Asks::Token if newer.is_none() => {}
                Asks::Nothing | Asks::Proof | Asks::Token => break,
            }
            let (parts, body) = answer.into_parts();
            let mut body = RefusedBody::new(body);
            let again = exchange.token(asks, slot, &mut body).await;
            let again = again.and_then(|token| Ok((exchange.again(&token)?, token)));
            let ((request, sent), token) = match again {
                Ok(again) => again,
                Err(outcome) => {
                    let mut response = Response::from_parts(parts, ResponseBody::refused(body));
                    response.extensions_mut().insert(RefreshReport { refused: used.generation, outcome });
                    return Ok(response);
                }
            };
            drop((parts, body));
            ready_service(&mut service).await?;
            // A request belongs to the login that it was first sent under. There is one, so nobody has to log in.
            if config.coordinator.in_use(slot)?.id().login != used.login {
                return Err(RefreshError::new(ErrorKind::Aborted).into());
            }
            answer = service.call(request).await.map_err(Into::into)?;
            if asks == Asks::Token {
                newer = Some((used.generation, token));
            }
            (asks, exchange) = (config.asks(&mut answer), sent);
        }
        let Some((refused, token)) = newer else {
            return Ok(exchange.accepted(answer, false));
        };
        let mut response = if asks == Asks::Token {
            config.coordinator.refused_again(slot, exchange.kept.used, exchange.kept.origin);
            answer.map(ResponseBody::plain)
        } else {
            exchange.accepted(answer, true)
        };
        let outcome = ReplayOutcome::Replayed(token.generation());
        response.extensions_mut().insert(RefreshReport { refused, outcome });
        Ok(response)
    }

    /// The token that the request is to be sent with, while as much of the refused answer is read as comes.
    async fn token<R: Body>(
        &self,
        asks: Asks,
        slot: &Arc<Slot>,
        body: &mut RefusedBody<R>,
    ) -> Result<Arc<Current>, ReplayOutcome> {
        let (used, origin) = (self.kept.used, self.kept.origin);
        let (refusal, replayable) = match asks {
            Asks::Proof => {
                let same = self.config.coordinator.same_login(slot, used);
                (Refusal::Replay(same.ok_or(ReplayOutcome::LoginChanged)?), self.replay.check())
            }
            Asks::Nothing | Asks::Token => {
                (self.config.coordinator.refused(slot, used, origin), self.replay.check())
            }
        };
        let token = match (refusal, replayable) {
            (Refusal::TooFresh, _) => return Err(ReplayOutcome::TokenTooFresh),
            (Refusal::Fail(error), _) => return Err(ReplayOutcome::Failed(error)),
            // The flight goes on for the next request; this one need not wait for it.
            (_, Err(reason)) => return Err(ReplayOutcome::NotReplayable(reason)),
            (Refusal::Wait(waiter), Ok(())) => {
                let token = wait_and_read(waiter, body).await.map_err(ReplayOutcome::Failed)?;
                if token.id() == used {
                    return Err(ReplayOutcome::TokenTooFresh);
                }
                token
            }
            (Refusal::Replay(token), Ok(())) => {
                read_for_a_moment(body).await;
                token
            }
        };
        // Perhaps another account's: what was asked of the one must not be done to the other.
        if token.id().login == used.login { Ok(token) } else { Err(ReplayOutcome::LoginChanged) }
    }

    /// The request once more, with this token, and what is kept of it now.
    fn again(self, token: &Current) -> Result<(Request<ReplayBody<B>>, Self), ReplayOutcome> {
        let Self { config, mut kept, replay } = self;
        let (keyed, origin) = (kept.keyed.take(), kept.origin);
        let (body, replay) = replay.again().map_err(ReplayOutcome::NotReplayable)?;
        let mut head = kept.again();
        let exchange = Self::begin(&head, replay, config, keyed, (token.id(), origin));
        token.attachment().attach(&mut head);
        Ok((Request::from_parts(head, body), exchange))
    }
}

/// The refused answer is read as it comes, for a moment; outside of tokio there are no timers, and only what is
/// there already is read.
async fn read_for_a_moment<R: Body>(body: &mut RefusedBody<R>) {
    if runtime().is_ok() {
        let _ = timeout(READ_AHEAD_LIMIT, body.read_ahead()).await;
    } else {
        let _ = body.read_ahead().now_or_never();
    }
}

/// The refused answer is read while the flight runs, so that its connection is free for the replay.
async fn wait_and_read<R: Body>(
    waiter: Waiter,
    body: &mut RefusedBody<R>,
) -> Result<Arc<Current>, RefreshError> {
    let told = pin!(waiter.wait());
    match select(told, pin!(body.read_ahead())).await {
        Either::Left((told, _)) => told,
        Either::Right(((), told)) => told.await,
    }
}
