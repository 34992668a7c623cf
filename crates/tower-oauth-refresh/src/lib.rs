//! A tower layer that keeps OAuth 2.0 credentials alive.

mod body;
#[cfg_attr(not(test), expect(dead_code, reason = "the middleware that asks is not there yet"))]
mod challenge;
mod clock;
mod credential;
#[cfg_attr(not(test), expect(dead_code, reason = "the driver that asks is not there yet"))]
mod endpoint;
mod error_code;
mod generation;
mod replay;
mod secret;
mod store;
mod token;

pub use self::body::ResponseBody;
pub use self::challenge::{Challenge, Challenges};
pub use self::clock::{Clock, Now, SystemClock};
pub use self::credential::CredentialKey;
pub use self::generation::Generation;
pub use self::replay::{NotReplayable, ReplayBody};
pub use self::secret::{AccessToken, ClientSecret, RefreshToken};
pub use self::store::{
    BoxFuture, BoxStream, MemoryStore, Record, RecordBody, StoreError, Swap, TokenStore, Version,
};
pub use self::token::{InvalidResponse, TokenSet};
