//! Processes with different configurations on one store.

use super::far::Done;
use super::*;

fn machine(builder: Builder) -> Builder {
    builder.grant(Grant::ClientCredentials)
}

#[tokio::test(start_paused = true)]
async fn a_machine_and_a_user_of_one_client_and_key_never_get_each_others_token() {
    let fleet = Fleet::with(
        4,
        Duration::ZERO,
        |number, builder| {
            if number % 2 == 1 { machine(builder) } else { builder }
        },
    );
    fleet.far.lifetime(MINUTE);
    fleet.install("k").await;
    fleet.serve(5 * MINUTE).await;
    for number in 0..4 {
        let token = fleet.at(number).coordinator.token("k").await.unwrap();
        let is_machine = token.expose_secret().starts_with("machine-");
        assert_eq!(is_machine, number % 2 == 1, "process {number}");
    }
    // The logout of one leaves the other alone.
    fleet.at(1).coordinator.logout("k").await.unwrap();
    fleet.at(0).request(&fleet.far, "k").await.unwrap();
    fleet.at(0).coordinator.logout("k").await.unwrap();
    fleet.process("secret", machine).request(&fleet.far, "k").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_parameter_makes_two_grants_meet() {
    let fleet = Fleet::new(0, Duration::ZERO);
    let stored = |adjust: fn(Builder) -> Builder| fleet.process("secret", adjust).coordinator.stored_key("k");
    let keys = [
        stored(|builder| builder),
        stored(machine),
        stored(|builder| builder.parameter("client_credentials", "")),
        stored(|builder| builder.parameter("", "client_credentials")),
        stored(|builder| machine(builder).parameter("client_credentials", "")),
    ];
    for (number, key) in keys.iter().enumerate() {
        assert!(!keys[..number].contains(key), "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn client_credentials_go_on_after_a_logout_while_another_process_refreshes() {
    let fleet = Fleet::with(2, SECOND * 5, |_, builder| machine(builder));
    fleet.far.lifetime(MINUTE);
    let neighbour = fleet.at(1);
    fleet.far.latency(SECOND * 4);
    let refresh = neighbour.request(&fleet.far, "k");
    let logout = async {
        tokio::time::sleep(SECOND).await;
        fleet.at(0).coordinator.logout("k").await.unwrap();
        fleet.far.latency(Duration::from_millis(50));
    };
    let _ = tokio::join!(refresh, logout);
    fleet.serve(5 * MINUTE).await;
    assert!(fleet.at(0).coordinator.status("k").await.unwrap().unwrap().error.is_none());
}

/// A coordinator that takes itself for another: a fork of its process, or a copy of its machine.
fn copied(mut copy: Arc<Process>, of: &Process) -> Arc<Process> {
    let process = Arc::get_mut(&mut copy).unwrap();
    Arc::get_mut(&mut process.coordinator).unwrap().me = of.coordinator.me.clone();
    copy
}

#[tokio::test(start_paused = true)]
async fn two_exchange_limits_in_one_fleet_spend_no_token_twice() {
    for (long, short) in [(30, 5), (60, 10), (10, 2), (120, 3)] {
        let fleet = Fleet::with(2, MINUTE * 4, |number, builder| {
            let limit = SECOND * if number == 0 { long } else { short };
            builder.exchange_limit(limit).wait_limit(SECOND * 300)
        });
        fleet.install("k").await;
        fleet.far.revoke_access();
        // The server takes nearly as long as the patient one lets it.
        fleet.far.latency(SECOND * long - SECOND);
        fleet.serve(SECOND).await;
        let log = fleet.far.log();
        assert_eq!(
            log.iter().map(|one| one.done).collect::<Vec<_>>(),
            [Done::Rotated],
            "{long} s and {short} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_exchange_limits_the_shorter_one_may_ask_first() {
    let fleet = Fleet::with(2, MINUTE, |number, builder| {
        builder.exchange_limit(SECOND * if number == 0 { 5 } else { 30 })
    });
    fleet.install("k").await;
    fleet.far.revoke_access();
    fleet.far.latency(SECOND * 4);
    fleet.serve(MINUTE).await;
    assert_eq!((fleet.far.submissions("k"), fleet.far.sent_twice()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_process_and_its_copy_never_send_one_token_twice() {
    let fleet = Fleet::new(2, MINUTE);
    let copy = copied(fleet.process("secret", |builder| builder), &fleet.at(0));
    fleet.replace(1, copy);
    fleet.far.lifetime(MINUTE);
    fleet.install("k").await;
    fleet.far.latency(SECOND * 8);
    fleet.serve(10 * MINUTE * rounds()).await;
    assert_eq!(fleet.far.sent_twice(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_a_copy_says_that_the_other_may_have_a_newer_token() {
    let fleet = Fleet::new(2, MINUTE);
    let copy = copied(fleet.process("secret", |builder| builder), &fleet.at(0));
    fleet.replace(1, copy);
    fleet.install("k").await;
    fleet.far.revoke_access();
    fleet.far.latency(SECOND * 8);
    let refresh = fleet.request(0);
    let logout = async {
        tokio::time::sleep(SECOND).await;
        fleet.at(1).coordinator.logout("k").await.unwrap();
        let stored = fleet.store.load(&fleet.at(1).coordinator.stored_key("k")).await.unwrap();
        assert!(stored.is_some(), "the other one must find that the login has ended");
    };
    fleet.refusals.lock().unwrap().something_is_wrong();
    tokio::join!(refresh, logout);
}

/// Nothing is sent under a mark whose write failed, however often.
#[tokio::test(start_paused = true)]
async fn a_mark_under_which_nothing_was_sent_leaves_no_doubt_in_a_later_flight() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.store.faults.deaf.store(true, Ordering::SeqCst);
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::Store);
    world.store.faults.deaf.store(false, Ordering::SeqCst);
    assert!(world.stored().await.unwrap().mark.is_some());
    world.server.login(HOUR);
    tokio::time::sleep(SECOND * 2).await;
    // Somebody else's login has taken its place at the server: that is no lost answer.
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::InvalidGrant);
}
