//! What is logged on the way.

use std::io;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use tower_oauth_refresh::BoundKey;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::world::World;

#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// While it lives, everything this thread logs is collected.
fn listen(said: &Said) -> DefaultGuard {
    let writer = said.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_default(log)
}

#[tokio::test]
async fn a_lost_key_is_told_to_whoever_is_on_call() {
    let said = Said::default();
    let _log = listen(&said);
    let world = World::public().await;
    let mut login = world.log_in().await;
    login.bound_key = Some(BoundKey::new(*b"hunter2-hunter2"));
    world.coordinator.install("acme", login).await.unwrap();
    world.let_tokens_expire();
    world.coordinator.token("acme").await.unwrap_err();
    assert!(said.text().contains("the DPoP key of the login cannot be read"), "{}", said.text());
    assert!(!said.text().contains("hunter2"));
}

#[tokio::test]
async fn no_proof_is_in_any_log() {
    let said = Said::default();
    let _log = listen(&said);
    for world in [World::public().await, World::public_over_http2().await] {
        world.log_in().await;
        world.demand_nonces();
        world.let_tokens_expire();
        let answer = world.post("r-1", "tea").await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        said.0.lock().unwrap().extend_from_slice(format!("{:?} {answer:?}", world.client).as_bytes());

        let said = said.text();
        let sent = world.sent.lock().unwrap();
        assert_eq!(sent.len(), 4, "a refresh and a request, each with its nonce");
        for headers in sent.iter() {
            let proof = headers["dpop"].to_str().unwrap();
            for part in proof.split('.') {
                assert!(!said.contains(&part[..16]) && !said.contains(&part[part.len() - 16..]));
            }
            said.lines().for_each(|line| assert!(!line.contains("eyJ0eXAi"), "{line}"));
        }
    }
    for other in ["TRACE hyper_util", "h2::", "refreshed"] {
        assert!(said.text().contains(other), "the logs of others are heard as well: {other}");
    }
}
