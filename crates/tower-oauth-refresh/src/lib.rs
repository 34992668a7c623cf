//! A tower layer that keeps OAuth 2.0 credentials alive.

mod body;
mod clock;
mod credential;
mod generation;
mod replay;
mod secret;
mod store;
mod token;

pub use self::body::ResponseBody;
pub use self::clock::{Clock, Now, SystemClock};
pub use self::credential::CredentialKey;
pub use self::generation::Generation;
pub use self::replay::{NotReplayable, ReplayBody};
pub use self::secret::{AccessToken, ClientSecret, RefreshToken};
pub use self::store::{
    BoxFuture, BoxStream, MemoryStore, Record, RecordBody, StoreError, Swap, TokenStore, Version,
};
pub use self::token::TokenSet;
