//! A tower layer that keeps OAuth 2.0 credentials alive.

// middleware
mod body;
mod future;
mod layer;
mod replay;
mod report;
mod service;
// engine
mod attach;
mod coordinator;
mod endpoint;
mod store;
// vocabulary
mod challenge;
mod clock;
mod credential;
mod error;
mod error_code;
mod events;
mod generation;
mod grant;
mod origin;
mod secret;
mod token;

pub use self::body::ResponseBody;
pub use self::challenge::{Challenge, Challenges};
pub use self::clock::{Clock, Now, SystemClock};
pub use self::coordinator::{BuildError, Builder, Logout, RefreshCoordinator, Status};
pub use self::credential::CredentialKey;
pub use self::endpoint::{AnswerClass, ClientAuth, NotSent, TokenResponse};
pub use self::error::{ErrorKind, RefreshError};
pub use self::events::{Event, EventKind, Events};
pub use self::future::ResponseFuture;
pub use self::generation::Generation;
pub use self::grant::Grant;
pub use self::layer::RefreshLayer;
pub use self::origin::{InvalidOrigin, Origin};
pub use self::replay::{NotReplayable, ReplayBody};
pub use self::report::{RefreshReport, ReplayOutcome};
pub use self::secret::{AccessToken, ClientAssertion, ClientSecret, RefreshToken};
pub use self::service::Refresh;
pub use self::store::{
    BoxFuture, BoxStream, MemoryStore, Record, RecordBody, Sealed, SealingKey, StoreError, Swap, TokenStore,
    Version,
};
pub use self::token::{InvalidResponse, TokenSet};
