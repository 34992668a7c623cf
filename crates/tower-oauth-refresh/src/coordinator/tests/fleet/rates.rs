//! The bounds on rates hold for a fleet, not for a process.

use super::*;

const SIZES: [usize; 4] = [1, 2, 20, 50];

/// How many token requests a fleet of each size sends in this time, where each gets this answer.
async fn requests(status: u16, body: &'static str, time: Duration) -> Vec<usize> {
    let mut sent = Vec::new();
    for count in SIZES {
        let fleet = Fleet::new(count, Duration::ZERO);
        fleet.far.lifetime(MINUTE);
        fleet.install("k").await;
        fleet.refusals.lock().unwrap().something_is_wrong();
        fleet.far.outage(Some((status, body)));
        fleet.serve_every(SECOND * 5, time).await;
        sent.push(fleet.far.submissions("k"));
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn an_outage_gets_no_more_requests_from_fifty_processes_than_from_one() {
    for sent in requests(503, "", 10 * MINUTE).await {
        // Fifteen in the first 22 s, one 16 s later, then one in 30 s.
        assert!((10..=36).contains(&sent), "{sent} requests in ten minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_reason_is_asked_at_most_thirty_times_an_hour_by_all() {
    for sent in requests(400, r#"{"error":"whatever"}"#, HOUR).await {
        assert!((10..=30).contains(&sent), "{sent} requests in an hour");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_refused_asks_once_a_minute_whatever_the_number_of_processes() {
    for sent in requests(401, r#"{"error":"invalid_client"}"#, 10 * MINUTE).await {
        assert!((8..=10).contains(&sent), "{sent} requests in ten minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn users_of_fleets_of_any_size_are_served_within_seconds_after_an_outage() {
    for count in SIZES {
        // The rest of 30 s that a long outage leaves, and its jitter.
        let fleet = Fleet::new(count, SECOND * 40);
        fleet.far.lifetime(MINUTE);
        fleet.install("k").await;
        let outage = async {
            tokio::time::sleep(MINUTE).await;
            fleet.refusals.lock().unwrap().something_is_wrong();
            fleet.far.outage(Some((503, "")));
            tokio::time::sleep(5 * MINUTE).await;
            fleet.far.outage(None);
            fleet.refusals.lock().unwrap().all_is_healthy(fleet.now());
        };
        tokio::join!(outage, fleet.serve(10 * MINUTE));
        assert_eq!(fleet.far.sent_twice(), 0);
    }
}
