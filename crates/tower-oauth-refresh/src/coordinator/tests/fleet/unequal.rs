//! Processes with different configurations on one store.

use super::*;
use crate::grant::Grant;

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
