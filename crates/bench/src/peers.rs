//! Other clients for OAuth beside ours, each as it is published, with a token source of ours: only where it does the
//! same job, and only what can be driven in one process.
//!
//! `cargo xtask bench --peers` prints the tables. Times are ratios to ours by the way of the other rows: turn by
//! turn, in one thread's processor time.

mod aws;
mod azure;
mod by_hand;
mod google;
mod meeting;
mod ours;
mod source;
mod table;
mod yup;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Runtime;

pub use self::table::report;
use crate::Failure;
use crate::hot::{self, Send, Shared};

type Waiting = Pin<Box<dyn Future<Output = bool> + std::marker::Send>>;

/// Makes one caller after the other.
type Callers = Box<dyn Fn() -> Waiting>;

/// A request, or a question for the token, while the token is valid.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// As the command line calls it.
    pub name: &'static str,
    make: fn(&Runtime) -> Result<Send, Failure>,
}

/// Every way.
pub const WAYS: &[Way] = &[
    Way { name: "ours: authorization", make: ours::send },
    Way { name: "aws", make: aws::send },
    Way { name: "google", make: google::send },
    Way { name: "google, entity tag", make: google::send_with_tag },
    Way { name: "yup", make: yup::send },
    Way { name: "bare", make: |_| in_tower("bare") },
    Way { name: "ours: no replay", make: |_| in_tower("ours, no replay") },
    Way { name: "ours: ready to replay", make: |_| in_tower("ours, ready to replay") },
    Way { name: "azure: nothing", make: azure::send_bare },
    Way { name: "azure", make: azure::send },
    Way { name: "chain", make: by_hand::send_bare },
    Way { name: "ours: in the chain", make: by_hand::send_ours },
    Way { name: "by hand", make: by_hand::send },
    Way { name: "by hand, again", make: by_hand::send_again },
];

impl Way {
    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        WAYS.iter().copied().find(|way| way.name == name)
    }

    /// For one thread, which has entered the runtime.
    ///
    /// # Errors
    ///
    /// Where the client cannot be built, or gets no token.
    pub fn sender(self, runtime: &Runtime) -> Result<Send, Failure> {
        (self.make)(runtime)
    }
}

fn in_tower(name: &str) -> Result<Send, Failure> {
    Ok(hot::Way::named(name).ok_or("no such way")?.sender(&Shared::new()?))
}

/// What the clients need around them.
///
/// # Errors
///
/// Where there is no runtime.
pub fn runtime() -> Result<Runtime, Failure> {
    // Whoever is first installs it; nothing here speaks TLS, yet some clients will not be built without.
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn now<T>(future: impl Future<Output = Result<T, Failure>>) {
    let answered = matches!(pin!(future).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_)));
    assert!(answered, "with a valid token nobody waits");
}
