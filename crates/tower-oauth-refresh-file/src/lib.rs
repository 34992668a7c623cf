//! One file of credentials, shared by any number of processes on one machine.
//!
//! For command-line tools, agents and small services: nothing to run, nothing to migrate. A
//! [`FileStore`] is a [`TokenStore`](tower_oauth_refresh::TokenStore) that replaces its file whole, so a
//! reader never meets half of one, and takes a lock beside it to write, so two processes never overwrite
//! each other. Every write costs two `fsync`s and rewrites every record, so the swaps that wait meanwhile are written
//! together. For many thousands of credentials, or for several machines, take the SQL or Redis store. A directory shared over a network is several machines.
//!
//! Most want it encrypted:
//!
//! ```
//! use tower_oauth_refresh_file::{FileStore, KeyFile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let home = home.path();
//! let key = KeyFile::open_or_create(home.join("my-tool/key"))?; // or from a keychain, which is better
//! let store = FileStore::sealed(home.join("my-tool/credentials"), key)?;
//! # drop(store);
//! # Ok(())
//! # }
//! ```
//!
//! # Beside the file
//!
//! `credentials.lock` and `credentials.queue` are empty, hold the locks and stay. `credentials.tmp` exists
//! while a write is under way; one left behind by a killed process is ignored and replaced by the next
//! write. `credentials.damaged-…` is what could not be read when a new login replaced it: nothing reads or removes it,
//! and there may be tokens in it. The file is replaced by renaming, so its *directory* must be writable, and in a container it is
//! the directory that must be mounted.

mod calls;
mod contents;
mod disk;
mod failure;
mod file;
mod kept;
mod key_file;
mod lock;
mod owner;
mod pace;
mod store;
mod turns;

pub use self::key_file::KeyFile;
pub use self::store::FileStore;
