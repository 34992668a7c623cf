//! A client of hyper-util that gets no connection, and one that has one.

use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;

async fn exchange<R>(connector: HttpConnector<R>, port: u16) -> Answer
where
    HttpConnector<R>: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let transport = Http::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let token = format!("http://localhost:{port}/token").parse().unwrap();
    let target = Target { token, ..target(ClientAuth::none("app"), false) };
    let endpoint = Endpoint::new(target, Arc::new(SystemClock), transport);
    endpoint.refresh(Grant::RefreshToken, Some("r".into()), None, SystemClock.now(), 10 * SECOND).await
}

#[tokio::test]
async fn a_connection_that_is_refused_has_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let answer = exchange(HttpConnector::new(), port).await;
    assert!(matches!(answer, Answer::NotSent(Some(_))), "{answer:?}");
}

#[tokio::test]
async fn a_name_that_has_no_address_has_sent_nothing() {
    let nowhere = tower::service_fn(|_: Name| async {
        Err::<std::vec::IntoIter<std::net::SocketAddr>, _>(std::io::Error::other("no such host: hunter2"))
    });
    let answer = exchange(HttpConnector::new_with_resolver(nowhere), 1).await;
    let Answer::NotSent(Some(cause)) = answer else { panic!("{answer:?}") };
    assert!(!format!("{cause} {cause:?}").contains("hunter2"), "{cause:?}");
}

#[tokio::test]
async fn a_connection_that_ends_after_the_request_leaves_doubt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"refresh_token=r&client_id=app") {
            connection.read_buf(&mut seen).await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(exchange(HttpConnector::new(), port), server);
    assert!(matches!(answer, Answer::Lost), "{answer:?}");
}
