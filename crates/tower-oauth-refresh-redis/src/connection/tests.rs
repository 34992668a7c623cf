use std::sync::Arc;
use std::time::Duration;

use redis::{Client, Pipeline};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{Connector, Fence, Told};
use crate::failure::Failure;

const LIMIT: Duration = Duration::from_secs(1);

fn ping() -> Pipeline {
    Pipeline::new().cmd("PING").to_owned()
}

fn connector(port: u16) -> Arc<Connector> {
    Connector::new(&Client::open(format!("redis://127.0.0.1:{port}/")).unwrap()).unwrap()
}

/// A server that takes connections and says nothing.
async fn silence() -> (TcpListener, Arc<Connector>) {
    let silence = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connector = connector(silence.local_addr().unwrap().port());
    (silence, connector)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_at_the_limit_whoever_came_first() {
    let (_silence, connector) = silence().await;
    let began = Instant::now();
    let ping = ping();
    let (first, second, subscribed) = tokio::join!(
        connector.call(&ping, Fence::Never, LIMIT),
        connector.call(&ping, Fence::Never, LIMIT),
        connector.subscribe("changes", LIMIT),
    );
    assert_eq!(first.unwrap_err(), Failure::NoAnswer(LIMIT));
    assert_eq!(second.unwrap_err(), Failure::NoAnswer(LIMIT));
    assert_eq!(subscribed.unwrap_err(), Failure::NoAnswer(LIMIT));
    assert_eq!(began.elapsed(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_given_up_is_not_used_again() {
    let (_silence, connector) = silence().await;
    let mut told = connector.listen();
    let before = connector.current();
    connector.call(&ping(), Fence::Never, LIMIT).await.unwrap_err();
    let after = connector.current();
    assert!(!Arc::ptr_eq(&before, &after));
    assert!(matches!(told.try_recv(), Ok(Told::Unsubscribed)));

    // Somebody slower finds the same one dead: the new one is left alone.
    connector.give_up(&before);
    assert!(Arc::ptr_eq(&after, &connector.current()));
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn nobody_listening_is_an_error_of_the_connection() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let failure = connector(port).call(&ping(), Fence::Never, LIMIT).await.unwrap_err();
    assert!(failure.is_connection(), "{failure}");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let connector = connector(1);
    let call =
        futures_util::FutureExt::now_or_never(async { connector.call(&ping(), Fence::Never, LIMIT).await });
    assert!(matches!(call, Some(Err(Failure::Client(_)))));
}
