//! Many credentials that have expired at once.

use std::collections::HashSet;
use std::io;
use std::sync::Mutex;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;
use tower::service_fn;
use tower_oauth_refresh::{ClientAuth, RefreshCoordinator, TokenSet};

use super::*;

/// What it took.
#[derive(Debug)]
struct Cost {
    writes: usize,
    reads: usize,
    each: Duration,
}

/// Of a token, in bytes: about a short JWT.
const LEN: usize = 500;

/// Each refresh token works once.
async fn answer(
    request: Request<Full<Bytes>>,
    spent: Arc<Mutex<HashSet<Bytes>>>,
) -> io::Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert!(spent.lock().unwrap().insert(body), "a refresh token was sent twice");
    let number = spent.lock().unwrap().len();
    let answer = serde_json::json!({
        "access_token": "b".repeat(LEN), "token_type": "Bearer", "expires_in": 3600,
        "refresh_token": format!("r{number:0LEN$}"),
    });
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(answer.to_string().into()).unwrap())
}

/// Refreshes so many credentials in one sealed file, all of which are asked for at once. A write takes so much longer
/// than it does on this disk.
async fn refresh_at_once(count: usize, a_write_takes: Duration) -> Cost {
    let dir = dir();
    let mut store = open(&dir);
    Arc::make_mut(&mut store.file).a_write_takes = a_write_takes;
    let spent = Arc::new(Mutex::new(HashSet::new()));
    let endpoint = spent.clone();
    let transport = service_fn(move |request| answer(request, endpoint.clone()));
    let auth = ClientAuth::basic("client", "secret".to_owned());
    let coordinator = RefreshCoordinator::builder("https://as.example/token".parse().unwrap(), auth)
        .store(Sealed::new(store.clone(), SealingKey::new([7; 32])))
        .build(transport)
        .unwrap();
    let mut installs = JoinSet::new();
    for number in 0..count {
        let login = TokenSet::new("a".repeat(LEN)).with_refresh_token(format!("{number:0LEN$}"));
        let (coordinator, login) = (coordinator.clone(), login.with_expires_in(Duration::ZERO));
        installs.spawn(async move { coordinator.install(number.to_string(), login).await.unwrap() });
    }
    installs.join_all().await;
    let before = (store.file.counted.writes.load(Relaxed), store.file.counted.reads.load(Relaxed));
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..count {
        let coordinator = coordinator.clone();
        callers.spawn(async move { coordinator.token(number.to_string()).await.map(drop) });
    }
    let failed = callers.join_all().await.into_iter().filter_map(Result::err).collect::<Vec<_>>();
    let each = begun.elapsed() / u32::try_from(count).unwrap();
    assert!(failed.is_empty(), "{} of {count} were not refreshed: {:?}", failed.len(), failed.first());
    assert_eq!(spent.lock().unwrap().len(), count);
    let counted = &store.file.counted;
    Cost {
        writes: counted.writes.load(Relaxed) - before.0,
        reads: counted.reads.load(Relaxed) - before.1,
        each,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_refreshes_at_once_share_the_writes_of_a_slow_disk() {
    let cost = refresh_at_once(200, Duration::from_millis(20)).await;
    // Each one alone writes twice, its mark and its token set.
    assert!(cost.writes <= 150, "{cost:?}");
    assert!(cost.reads <= 10, "nobody else writes: {cost:?}");
}

/// By the clock only in `cargo xtask verify`: it takes the time that it takes on this disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_thousands_at_once_is_refreshed_almost_as_soon_as_of_few() {
    let rounds: u32 = std::env::var("VERIFY_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let count = if rounds == 1 { 300 } else { 3000 };
    let mut few = Vec::new();
    for _ in 0..rounds {
        few.push(refresh_at_once(30, Duration::ZERO).await.each);
    }
    few.sort_unstable();
    let few = few[few.len() / 2];
    let many = refresh_at_once(count, Duration::ZERO).await;
    println!(
        "of 30, each takes {few:?} (the median of {rounds} runs); of {count}, {:?}: {many:?}",
        many.each
    );
    assert!(rounds == 1 || many.each <= few * 3);
}
