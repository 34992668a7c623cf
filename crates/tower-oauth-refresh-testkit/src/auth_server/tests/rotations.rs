//! One test a rule, and what they have in common.

use super::*;

struct Bench {
    server: AuthServer,
    api: ResourceServer,
    client: TestClient,
    clock: ManualClock,
}

async fn bench(rotation: Rotation) -> Bench {
    let clock = ManualClock::new();
    let server = AuthServer::builder().rotation(rotation).clock(clock.clone()).start().await.unwrap();
    let api = ResourceServer::start(&server).await.unwrap();
    Bench { server, api, client: TestClient::new(), clock }
}

impl Bench {
    fn login(&self) -> RefreshToken {
        refresh_token(&self.server.login())
    }

    async fn refresh(&self, token: &RefreshToken) -> crate::test_client::Got {
        self.client.refresh(&self.server, token).await.unwrap()
    }

    async fn dies(&self, token: &RefreshToken) {
        let got = self.refresh(token).await;
        assert_eq!((got.status, got.error().as_str()), (StatusCode::BAD_REQUEST, "invalid_grant"));
    }

    async fn uses(&self, token: &AccessToken) -> StatusCode {
        self.client.get(&self.api, token).await.status
    }

    fn reuse_detections(&self) -> usize {
        self.server.ledger().verdict().reuse_detections
    }
}

fn same(left: &RefreshToken, right: &RefreshToken) -> bool {
    left.expose_secret() == right.expose_secret()
}

#[tokio::test]
async fn strict_a_spent_token_that_comes_again_ends_the_family_with_its_newest_tokens() {
    let bench = bench(Rotation::Strict).await;
    let (old, other) = (bench.login(), bench.login());
    let got = bench.refresh(&old).await;
    assert_eq!(bench.uses(&got.access_token()).await, StatusCode::OK);
    bench.dies(&old).await;
    bench.dies(&got.refresh_token()).await;
    assert_eq!(bench.uses(&got.access_token()).await, StatusCode::UNAUTHORIZED);
    assert!(bench.server.accepts(&other), "another login is another family");
    let verdict = bench.server.ledger().verdict();
    assert_eq!((verdict.reuse_detections, verdict.invalid_grants), (1, 2));
    assert_eq!((verdict.superseded_submitted, verdict.superseded_after_delivery), (1, 1));
    assert!(!verdict.is_clean());
}

#[tokio::test]
async fn strict_two_refreshes_at_once_end_the_login() {
    let bench = bench(Rotation::Strict).await;
    let token = bench.login();
    let gates = [bench.server.hold_before_commit(), bench.server.hold_before_commit()];
    let flights = gates.clone().map(|_| {
        let (client, request) = (bench.client.clone(), form_request(bench.server.token_endpoint()));
        let basic = basic(&bench.server.client_id(), bench.server.client_secret().expose_secret());
        let form = encode(&[("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())]);
        spawn(async move { client.send(request.header(header::AUTHORIZATION, basic), form).await })
    });
    for gate in &gates {
        gate.arrived().await;
    }
    gates.iter().for_each(Gate::release);
    let mut statuses = Vec::new();
    for flight in flights {
        statuses.push(flight.await.unwrap().unwrap().status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    let verdict = bench.server.ledger().verdict();
    assert_eq!((verdict.max_in_flight_per_family, verdict.reuse_detections), (2, 1));
    assert_eq!((verdict.superseded_submitted, verdict.superseded_after_delivery), (1, 0));
}

#[tokio::test]
async fn never_the_refresh_token_stays_and_is_not_repeated() {
    let bench = bench(Rotation::Never).await;
    let token = bench.login();
    for generation in 2..5 {
        let got = bench.refresh(&token).await;
        assert!(got.json().get("refresh_token").is_none());
        let line = bench.server.ledger().refreshes().pop().unwrap();
        assert_eq!((line.generation, line.superseded), (Some(generation), false));
    }
    assert!(bench.server.ledger().verdict().is_clean());
}

#[tokio::test]
async fn grace_a_spent_token_works_inside_the_window_and_is_reuse_after_it() {
    let bench = bench(Rotation::Grace(Duration::from_secs(10))).await;
    let old = bench.login();
    let first = bench.refresh(&old).await.refresh_token();
    bench.clock.advance(Duration::from_secs(9));
    let second = bench.refresh(&old).await.refresh_token();
    assert!(!same(&first, &second));
    assert!(bench.server.accepts(&first) && bench.server.accepts(&second));
    assert_eq!(bench.reuse_detections(), 0);
    bench.clock.advance(Duration::from_secs(1));
    bench.dies(&old).await;
    assert_eq!(bench.reuse_detections(), 1);
    assert!(!bench.server.accepts(&first) && !bench.server.accepts(&second));
}

#[tokio::test]
async fn until_new_token_used_the_old_one_dies_with_the_first_api_request() {
    let bench = bench(Rotation::UntilNewTokenUsed).await;
    let old = bench.login();
    bench.refresh(&old).await;
    bench.clock.advance(Duration::from_secs(3000));
    let got = bench.refresh(&old).await;
    assert_eq!(bench.uses(&got.access_token()).await, StatusCode::OK);
    bench.dies(&old).await;
    assert!(bench.server.accepts(&got.refresh_token()), "the family lives on");
    assert_eq!(bench.reuse_detections(), 0);
}

#[tokio::test]
async fn until_new_token_used_the_old_one_dies_with_the_next_refresh_too() {
    let bench = bench(Rotation::UntilNewTokenUsed).await;
    let old = bench.login();
    let new = bench.refresh(&old).await.refresh_token();
    bench.refresh(&new).await;
    bench.dies(&old).await;
    assert!(bench.server.accepts(&new), "its own successor is unused");
}

#[tokio::test]
async fn same_answer_repeats_it_byte_for_byte_until_shortly_after_its_first_use() {
    let bench = bench(Rotation::SameAnswer(Duration::from_secs(10))).await;
    let old = bench.login();
    let first = bench.refresh(&old).await;
    bench.clock.advance(Duration::from_secs(600));
    assert_eq!(bench.refresh(&old).await.body, first.body);
    assert_eq!(bench.uses(&first.access_token()).await, StatusCode::OK);
    bench.clock.advance(Duration::from_secs(9));
    assert_eq!(bench.refresh(&old).await.body, first.body);
    bench.clock.advance(Duration::from_secs(1));
    bench.dies(&old).await;
    assert!(bench.server.accepts(&first.refresh_token()), "the family lives on");
}

#[tokio::test]
async fn parent_allowed_gives_the_newest_token_to_its_parent_and_ends_the_family_for_a_grandparent() {
    let bench = bench(Rotation::ParentAllowed).await;
    let grandparent = bench.login();
    let parent = bench.refresh(&grandparent).await.refresh_token();
    let newest = bench.refresh(&parent).await;
    bench.clock.advance(Duration::from_secs(86_400));
    let again = bench.refresh(&parent).await;
    assert!(same(&again.refresh_token(), &newest.refresh_token()));
    assert_ne!(again.access_token().expose_secret(), newest.access_token().expose_secret());
    assert_eq!(bench.reuse_detections(), 0);
    bench.dies(&grandparent).await;
    assert_eq!(bench.reuse_detections(), 1);
    assert!(!bench.server.accepts(&newest.refresh_token()));
}

#[tokio::test]
async fn an_old_access_token_outlives_a_refresh_unless_told_otherwise() {
    for (dies, status) in [(false, StatusCode::OK), (true, StatusCode::UNAUTHORIZED)] {
        let server = AuthServer::builder().access_dies_at_refresh(dies).start().await.unwrap();
        let api = ResourceServer::start(&server).await.unwrap();
        let (client, tokens) = (TestClient::new(), server.login());
        let got = client.refresh(&server, &refresh_token(&tokens)).await.unwrap();
        assert_eq!(client.get(&api, &tokens.access_token).await.status, status);
        assert_eq!(client.get(&api, &got.access_token()).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_revoked_family_is_dead_under_every_rule_and_no_reuse() {
    let minute = Duration::from_secs(60);
    for rotation in [
        Rotation::Strict,
        Rotation::Never,
        Rotation::Grace(minute),
        Rotation::UntilNewTokenUsed,
        Rotation::SameAnswer(minute),
        Rotation::ParentAllowed,
    ] {
        let bench = bench(rotation).await;
        let (token, other) = (bench.login(), bench.login());
        bench.refresh(&token).await;
        bench.server.revoke_family(bench.server.family_of(token.expose_secret()).unwrap());
        bench.dies(&token).await;
        assert!(bench.server.accepts(&other));
        assert_eq!(bench.reuse_detections(), 0);
    }
}

#[tokio::test]
async fn at_most_once_in_a_day_the_refresh_token_changes_and_its_predecessor_works_until_then() {
    let day = Duration::from_secs(86_400);
    let bench = bench(Rotation::AtMostOnceIn(day)).await;
    let first = bench.login();
    for _ in 0..3 {
        assert!(bench.refresh(&first).await.json()["refresh_token"].is_null());
    }
    bench.clock.advance(day);
    let changed = bench.refresh(&first).await;
    assert!(!same(&first, &changed.refresh_token()));
    let again = bench.refresh(&first).await;
    assert_eq!(again.status, StatusCode::OK, "its successor has not been used");
    assert_eq!(bench.uses(&changed.access_token()).await, StatusCode::OK);
    bench.dies(&first).await;
    assert_eq!(bench.reuse_detections(), 0);
}

#[tokio::test]
async fn a_refresh_too_early_is_refused_and_a_later_one_is_not() {
    let clock = ManualClock::new();
    let builder = AuthServer::builder().clock(clock.clone()).access_lifetime(Duration::from_secs(600));
    let server = builder.refuses_earlier_than(Duration::from_secs(30)).start().await.unwrap();
    let (client, token) = (TestClient::new(), refresh_token(&server.login()));
    let early = client.refresh(&server, &token).await.unwrap();
    assert_eq!((early.status, early.error().as_str()), (StatusCode::BAD_REQUEST, "invalid_request"));
    clock.advance(Duration::from_secs(570));
    assert_eq!(client.refresh(&server, &token).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_is_told_to_wait_and_the_login_lives() {
    let server = AuthServer::builder().one_at_a_time(true).start().await.unwrap();
    let (client, token) = (TestClient::new(), refresh_token(&server.login()));
    let gate = server.hold_before_commit();
    let (held, refused) = tokio::join!(client.refresh(&server, &token), async {
        gate.arrived().await;
        let refused = client.refresh(&server, &token).await.unwrap();
        gate.release();
        refused
    });
    assert_eq!((refused.status, refused.error().as_str()), (StatusCode::BAD_REQUEST, "invalid_grant"));
    assert_eq!(held.unwrap().status, StatusCode::OK);
}
