//! What is done about a refused token, and what is not.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use tower_oauth_refresh::ErrorKind;
use tower_oauth_refresh_testkit::{Answer, Fault};

use super::each_way;
use crate::harness::{Way, World, all, crowd, send, start, within};

each_way! {
    a_refusal_that_comes_after_the_refresh_is_replayed_without_another
    refusals_during_a_refresh_join_it_and_are_replayed
    a_second_refusal_is_the_answer_and_is_no_reason_to_refresh_again
    a_refusal_without_a_reason_causes_no_storm
    a_refusal_that_no_token_cures_is_left_alone
    a_refusal_that_cannot_be_healed_is_returned_untouched
    what_one_login_was_refused_is_not_sent_again_under_the_next
}

async fn a_refusal_that_comes_after_the_refresh_is_replayed_without_another(way: Way) {
    let world = World::start(way).await;
    world.install_revoked().await;
    let gate = world.api.hold_after_check();
    let straggler = start(send(world.client(), world.request(0)));
    within(gate.arrived()).await;
    assert!(world.get(1).await.was_replayed());
    gate.release();
    let late = within(straggler).await.unwrap();
    assert_eq!((late.status, late.was_replayed()), (StatusCode::OK, true));
    assert_eq!(late.echo()["generation"], 2);
    assert_eq!(world.seen(), (1, 4));
    world.assert_clean();
}

async fn refusals_during_a_refresh_join_it_and_are_replayed(way: Way) {
    let world = World::start(way).await;
    world.install_revoked().await;
    let gate = world.auth.hold_after_commit();
    let first = start(send(world.client(), world.request(0)));
    within(gate.arrived()).await;
    let siblings = crowd(20, |id| send(world.client(), world.request(1 + id)));
    within(world.auth.ledger().until(|verdict| verdict.api_unauthorized == 21)).await;
    gate.release();
    assert_eq!(within(first).await.unwrap().status, StatusCode::OK);
    let siblings = all(siblings).await;
    assert!(siblings.iter().all(|answer| answer.status == StatusCode::OK && answer.was_replayed()));
    assert_eq!(world.seen(), (1, 42));
    world.assert_clean();
}

async fn a_second_refusal_is_the_answer_and_is_no_reason_to_refresh_again(way: Way) {
    let world = World::start(way).await;
    world.install().await;
    world.api.always(Fault::answer(Answer::invalid_token()));
    let first = world.get(0).await;
    assert_eq!((first.status, first.was_replayed()), (StatusCode::UNAUTHORIZED, true));
    assert_eq!(world.seen(), (1, 2));
    let answers = all(crowd(20, |id| send(world.client(), world.request(1 + id)))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::UNAUTHORIZED && answer.was_too_fresh()));
    // Never accepted: left alone for five seconds.
    world.clock.advance(Duration::from_secs(4));
    assert!(world.get(21).await.was_too_fresh());
    assert_eq!(world.seen(), (1, 23));
    world.clock.advance(Duration::from_secs(2));
    assert!(world.get(22).await.was_replayed());
    assert_eq!(world.seen(), (2, 25));
    world.assert_clean();
}

async fn a_refusal_without_a_reason_causes_no_storm(way: Way) {
    let world = World::start(way).await;
    world.install().await;
    world.api.always(Fault::answer(Answer::bare_unauthorized()));
    let answers = all(crowd(50, |id| send(world.client(), world.request(id)))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::UNAUTHORIZED));
    assert_eq!(world.seen().0, 1);
    for id in 50..100 {
        assert_eq!(world.get(id).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.seen().0, 1);
    world.assert_clean();
}

async fn a_refusal_that_no_token_cures_is_left_alone(way: Way) {
    let world = World::start(way).await;
    world.install().await;
    let step_up = r#"Basic realm="a, b", bearer error="insufficient_user_authentication""#;
    let step_up = Answer::new(StatusCode::UNAUTHORIZED)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(step_up));
    for (id, answer) in [Answer::insufficient_scope(), step_up].into_iter().enumerate() {
        let status = answer.status();
        world.api.respond_next(answer);
        let got = world.get(id).await;
        assert_eq!((got.status, got.report.is_none()), (status, true));
        assert!(got.headers.contains_key(header::WWW_AUTHENTICATE));
    }
    assert_eq!(world.seen(), (0, 2));
}

async fn a_refusal_that_cannot_be_healed_is_returned_untouched(way: Way) {
    let world = World::start(way).await;
    let login = world.install_revoked().await;
    let family = world.auth.family_of(login.access_token.expose_secret()).unwrap();
    world.auth.revoke_family(family);
    let explained = || Answer::invalid_token().body("the whole story");
    for _ in 0..20 {
        world.api.respond_next(explained());
    }
    // Who came after the verdict would get an error, and nothing from the API.
    let gate = world.auth.hold_after_commit();
    let callers = crowd(20, |id| send(world.client(), world.request(id)));
    within(world.auth.ledger().until(|verdict| verdict.api_unauthorized == 20)).await;
    gate.release();
    for got in all(callers).await {
        assert_eq!((got.status, &*got.body), (StatusCode::UNAUTHORIZED, &b"the whole story"[..]));
        assert_eq!(got.failure(), Some(ErrorKind::InvalidGrant));
    }
    assert_eq!(world.seen(), (1, 20));
    world.assert_clean();
}

async fn what_one_login_was_refused_is_not_sent_again_under_the_next(way: Way) {
    let world = World::start(way).await;
    world.install_revoked().await;
    let gate = world.api.hold_after_check();
    let straggler = start(send(world.client(), world.request(0)));
    within(gate.arrived()).await;
    world.install().await;
    gate.release();
    let late = within(straggler).await.unwrap();
    assert_eq!((late.status, late.was_replayed()), (StatusCode::UNAUTHORIZED, false));
    assert_eq!(world.seen(), (0, 1));
    world.assert_clean();
}
