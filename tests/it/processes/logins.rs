//! Logins that end and begin in one process while another refreshes.

use std::time::Duration;

use tower_oauth_refresh_testkit::{FamilyId, Gate, Rotation, TokenRequest};

use super::protocol::{Fate, Happened, Order, Reply};
use super::stores::{StoreKind, on_each_store};
use super::team::{Login, Worker, World};

/// A process whose refresh has been done at the server and not been answered.
async fn refreshing(kind: StoreKind) -> (World, Login, Worker, Gate) {
    let world = World::start(kind, Rotation::Strict, Duration::from_secs(10)).await;
    let login = world.log_in_expired().await;
    let mut holder = world.worker().await;
    let gate = world.auth.hold_after_commit();
    holder.order(&Order::Get).await;
    gate.arrived().await;
    (world, login, holder, gate)
}

/// The one refresh, whose token was given back at the server.
fn assert_given_back(world: &World, login: &Login) -> TokenRequest {
    let refreshes = world.refreshes(login);
    let [refresh] = refreshes.as_slice() else { panic!("{refreshes:#?}") };
    let revocations = world.auth.ledger().revocations();
    let fresh = refresh.issued_refresh_token.unwrap();
    let given_back = revocations.iter().any(|one| one.committed && one.token == Some(fresh));
    assert!(given_back, "{:?}: {revocations:#?}", world.assignment.place);
    refresh.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_under_a_refresh_of_another_process_is_final() {
    on_each_store(async |kind| {
        let (world, login, mut holder, gate) = refreshing(kind).await;
        let mut other = world.worker().await;
        let Reply::LoggedOut(how) = other.ask(Order::Logout).await else { panic!("no logout") };
        assert_eq!(how, "NotRevoked", "only the refreshing process knows the newest token");
        gate.release();
        assert_eq!(holder.fate().await, Fate::Failed("LoggedOut".to_owned()), "{kind:?}");
        assert_given_back(&world, &login);

        for worker in [&mut holder, &mut other] {
            let Fate::Failed(error) = worker.get().await else { panic!("{kind:?}: served") };
            assert!(["LoggedOut", "NotInstalled"].contains(&error.as_str()), "{kind:?}: {error}");
        }
        let left = world.status().await;
        let error = left.map(|known| known.error);
        assert!(error.is_none_or(|error| error.as_deref() == Some("LoggedOut")), "{kind:?}: it is gone");
        assert!(holder.end().await.iter().any(|(what, _)| *what == Happened::Discarded), "{kind:?}");
        assert_eq!(world.auth.ledger().verdict().api_requests, 0, "{kind:?}: nobody carried a token");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_as_somebody_else_under_a_refresh_of_another_process_stays() {
    on_each_store(async |kind| {
        let (world, login, mut holder, gate) = refreshing(kind).await;
        let mut other = world.worker().await;
        let tokens = world.auth.login();
        let refresh_token = tokens.refresh_token.clone().unwrap();
        let install = Order::Install {
            access_token: tokens.access_token.expose_secret().to_owned(),
            refresh_token: refresh_token.expose_secret().to_owned(),
        };
        let Reply::Installed(generation) = other.ask(install).await else { panic!("not installed") };
        assert!(generation > login.generation);
        gate.release();
        assert_eq!(holder.fate().await, Fate::Served, "{kind:?}");
        assert_given_back(&world, &login);

        assert_eq!(other.get().await, Fate::Served, "{kind:?}");
        let family: FamilyId = world.auth.family_of(refresh_token.expose_secret()).unwrap();
        let carried = world.auth.ledger().api_requests();
        assert!(carried.iter().all(|request| request.family == Some(family)), "{kind:?}: {carried:#?}");
        assert!(world.auth.accepts(&refresh_token), "{kind:?}");
        let known = world.known().await;
        assert_eq!((known.generation, known.error), (generation, None), "{kind:?}");
    })
    .await;
}
