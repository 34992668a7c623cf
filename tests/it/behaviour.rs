//! What the layer promises, against servers that do as they are told, over real HTTP.
//!
//! Every test of the tables below runs four times: over HTTP/1.1 and HTTP/2, with records in the clear and
//! sealed, on one thread and on two, each pair of these at least once. What the servers' ledger says counts,
//! not what the client believes.

mod bodies;
mod flights;
mod logins;
mod redirects;
mod refusals;
mod stacks;

/// A table of tests, each an `async fn(Way)`.
macro_rules! each_way {
    ($($test:ident)*) => { $(
        mod $test {
            use crate::harness::Way;

            #[tokio::test]
            async fn over_http1() {
                super::$test(Way { http2: false, sealed: false }).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_http1_sealed() {
                super::$test(Way { http2: false, sealed: true }).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_http2() {
                super::$test(Way { http2: true, sealed: false }).await;
            }

            #[tokio::test]
            async fn over_http2_sealed() {
                super::$test(Way { http2: true, sealed: true }).await;
            }
        }
    )* };
}
use each_way;
