//! One process's own trouble: judged by what the users of the healthy ones see.

use super::far::Done;
use super::process::Network;
use super::*;

/// Sick processes beside one that is healthy: how long is its user refused, and how many requests does the server get?
async fn beside(sick: usize, network: Network) -> Duration {
    let fleet = Fleet::new(sick + 1, SECOND);
    fleet.far.lifetime(MINUTE);
    fleet.install("k").await;
    (0..sick).for_each(|number| fleet.at(number).network(network));
    fleet.serve(5 * MINUTE * rounds()).await;
    assert_eq!(fleet.far.sent_twice(), 0);
    fleet.longest_refusal()
}

#[tokio::test(start_paused = true)]
async fn hosts_that_cannot_send_delay_no_healthy_one() {
    for network in [Network::Refused, Network::NotSent] {
        for sick in [1, 9, 49] {
            assert_eq!(beside(sick, network).await, Duration::ZERO, "{sick} hosts: {network:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn users_of_hosts_that_cannot_send_get_the_token_that_another_host_has_stored() {
    let fleet = Fleet::new(10, SECOND * 3);
    fleet.far.lifetime(MINUTE);
    fleet.install("k").await;
    for number in 0..9 {
        fleet.at(number).network(Network::Refused);
        // Its user counts all the same.
        fleet.at(number).is_sick(false);
    }
    fleet.serve(10 * MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_has_long_failed_to_send_serves_what_another_has_just_stored() {
    let fleet = Fleet::new(2, SECOND);
    fleet.install("k").await;
    fleet.far.revoke_access();
    let sick = fleet.at(0);
    sick.network(Network::Refused);
    // The last of its rests is the longest, and has just begun.
    while sick.attempts() < 20 {
        sick.request(&fleet.far, "k").await.unwrap_err();
        tokio::time::sleep(SECOND).await;
    }
    fleet.at(1).request(&fleet.far, "k").await.unwrap();
    tokio::time::sleep(SECOND * 2).await;
    sick.request(&fleet.far, "k").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_host_that_cannot_send_asks_as_rarely_as_in_an_outage() {
    let fleet = Fleet::new(1, SECOND);
    fleet.install("k").await;
    fleet.far.revoke_access();
    fleet.at(0).network(Network::Refused);
    fleet.serve(10 * MINUTE).await;
    let attempts = fleet.at(0).attempts();
    assert!((10..=36).contains(&attempts), "{attempts} attempts in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_binds_only_those_who_have_it() {
    for (wrong, right) in [(1, 1), (7, 1), (1, 7), (25, 25)] {
        let fleet = Fleet::new(wrong + right, SECOND);
        fleet.far.lifetime(MINUTE);
        for number in 0..wrong {
            let process = fleet.process("former secret", |builder| builder);
            process.is_sick(true);
            fleet.replace(number, process);
        }
        fleet.install("k").await;
        fleet.serve(10 * MINUTE).await;
        let refused = fleet.far.count(Done::WrongSecret);
        assert!(refused <= 20 + wrong, "{wrong} of {}: {refused} refusals", wrong + right);
        assert_eq!((fleet.far.sent_twice(), fleet.longest_refusal()), (0, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_replaced_while_running_counts_within_two_seconds() {
    let auth = ClientAuth::post("client", "former secret");
    let fleet = Fleet::new(0, SECOND * 3);
    fleet.push(Process::new(&fleet.far, &fleet.store, auth.clone(), |builder| builder));
    fleet.refusals.lock().unwrap().something_is_wrong();
    fleet.install("k").await;
    fleet.far.revoke_access();
    let mend = async {
        tokio::time::sleep(SECOND * 10).await;
        assert!(auth.replace_secret("secret"));
        fleet.refusals.lock().unwrap().all_is_healthy(fleet.now());
    };
    tokio::join!(fleet.serve(MINUTE), mend);
    assert_eq!((fleet.far.count(Done::WrongSecret), fleet.far.count(Done::Rotated)), (1, 1));
}
