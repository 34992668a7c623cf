//! A change that is rolled out over a running fleet, one process after the other.

use super::far::Done;
use super::process::Distant;
use super::*;
use crate::store::{Sealed, SealingKey};

const PROCESSES: usize = 8;

/// One process after the other is replaced by one with this secret and configuration.
async fn roll_out(fleet: &Fleet, secret: &str, adjust: impl Fn(Builder) -> Builder) {
    for number in 0..fleet.len() {
        tokio::time::sleep(SECOND * 25).await;
        fleet.replace(number, fleet.process(secret, &adjust));
    }
}

/// No token sent twice, no login lost, and no user of a healthy process refused for a moment.
fn assert_unharmed(fleet: &Fleet) {
    assert_eq!((fleet.far.sent_twice(), fleet.far.count(Done::Dead)), (0, 0));
    assert!(fleet.far.count(Done::Rotated) >= 8, "{}", fleet.far.count(Done::Rotated));
    assert_eq!(fleet.longest_refusal(), Duration::ZERO);
}

async fn fleet_of_short_tokens() -> Fleet {
    let fleet = Fleet::new(PROCESSES, Duration::ZERO);
    fleet.far.lifetime(SECOND * 40);
    fleet.install("k").await;
    fleet
}

#[tokio::test(start_paused = true)]
async fn an_exchange_limit_is_changed_while_eight_processes_run() {
    for (before, after, latency) in [(10, 60, 9), (60, 10, 9), (10, 3, 2)] {
        let limit = |seconds| move |builder: Builder| builder.exchange_limit(SECOND * seconds);
        let fleet = Fleet::with(PROCESSES, Duration::ZERO, |_, builder| limit(before)(builder));
        fleet.far.lifetime(MINUTE);
        fleet.far.latency(SECOND * latency);
        fleet.install("k").await;
        tokio::join!(fleet.serve(10 * MINUTE * rounds()), roll_out(&fleet, "secret", limit(after)));
        assert_unharmed(&fleet);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_changed_while_eight_processes_run() {
    let fleet = fleet_of_short_tokens().await;
    fleet.far.secrets(&["secret", "next secret"]);
    let change = async {
        roll_out(&fleet, "next secret", |builder| builder).await;
        fleet.far.secrets(&["next secret"]);
    };
    tokio::join!(fleet.serve(10 * MINUTE * rounds()), change);
    assert_unharmed(&fleet);
    assert_eq!(fleet.far.count(Done::WrongSecret), 0);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_the_server_drops_too_early_harms_no_process_that_has_the_next_one() {
    let fleet = fleet_of_short_tokens().await;
    let change = async {
        tokio::time::sleep(SECOND * 20).await;
        // The first one has it already.
        fleet.replace(0, fleet.process("next secret", |builder| builder));
        fleet.far.secrets(&["next secret"]);
        (1..PROCESSES).for_each(|number| fleet.at(number).is_sick(true));
        roll_out(&fleet, "next secret", |builder| builder).await;
    };
    tokio::join!(fleet.serve(10 * MINUTE * rounds()), change);
    assert_unharmed(&fleet);
}

/// First everybody learns to open sealed records, then everybody seals; and back.
#[tokio::test(start_paused = true)]
async fn sealing_is_turned_on_and_off_while_eight_processes_run() {
    let fleet = fleet_of_short_tokens().await;
    let sealed = || Sealed::new(Distant(fleet.store.clone()), SealingKey::new([7; 32])).also_reads_unsealed();
    let change = async {
        roll_out(&fleet, "secret", |builder| builder.store(sealed().writes_unsealed())).await;
        roll_out(&fleet, "secret", |builder| builder.store(sealed())).await;
        roll_out(&fleet, "secret", |builder| builder.store(sealed().writes_unsealed())).await;
        roll_out(&fleet, "secret", |builder| builder).await;
    };
    tokio::join!(fleet.serve(16 * MINUTE), change);
    assert_unharmed(&fleet);
}
