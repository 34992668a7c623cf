//! What happened to a request on its way, for whoever asks the response.

use crate::error::RefreshError;
use crate::generation::Generation;
use crate::replay::NotReplayable;

/// Found in the extensions of a response whose token was refused: was the request sent once more, or why
/// not?
///
/// Nothing is inserted where nothing happened, nor where the request was sent once more for its proof alone.
///
/// ```
/// use http::Response;
/// use tower_oauth_refresh::{RefreshReport, ReplayOutcome};
///
/// fn log<B>(response: &Response<B>) {
///     match response.extensions().get::<RefreshReport>().map(|report| &report.outcome) {
///         None => {} // the token was good
///         Some(ReplayOutcome::Replayed(generation)) => println!("sent once more with {generation}"),
///         Some(ReplayOutcome::NotReplayable(why)) => println!("send it again yourself: {why}"),
///         Some(other) => println!("refused for good: {other:?}"),
///     }
/// }
/// # log(&Response::new(()));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RefreshReport {
    /// The generation whose token the API refused, or refused for its proof (RFC 9449 §7.1, §9).
    pub refused: Generation,
    /// What came of it.
    pub outcome: ReplayOutcome,
}

/// What came of a refusal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplayOutcome {
    /// The request was sent once more with this generation, and this is the answer to that.
    Replayed(Generation),
    /// There was a newer token, or will be; the request's body could not be sent again.
    NotReplayable(NotReplayable),
    /// The refused token is left alone for now: this origin has never accepted it, or refuses too many, and
    /// another one would be refused just so.
    TokenTooFresh,
    /// Somebody logged in anew meanwhile, perhaps as somebody else: the request was not sent under that
    /// login.
    LoginChanged,
    /// No newer token was to be had.
    Failed(RefreshError),
}
