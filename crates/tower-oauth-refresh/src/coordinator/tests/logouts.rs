//! Logins that are begun only if needed, and logouts that end everything: the far side's account of them.

mod everywhere;

use futures_util::FutureExt as _;

use super::*;
use crate::store::record::CredentialRecord;

impl World {
    fn revoked_both(&self) -> (Vec<String>, Vec<String>) {
        (self.server.revoked.lock().unwrap().clone(), self.server.revoked_access.lock().unwrap().clone())
    }

    async fn spoil(&self) {
        let stored = self.coordinator.stored_key("k");
        let found = self.store.records.load(&stored).await.unwrap().map(|record| record.body.version());
        let spoilt = RecordBody::new(Version::from_bits(1), b"spoilt".to_vec());
        self.store.records.compare_and_swap(&stored, found, Some(&spoilt)).await.unwrap();
    }

    async fn overwrite_with(&self, record: &CredentialRecord) {
        let stored = self.coordinator.stored_key("k");
        let found = self.store.records.load(&stored).await.unwrap().map(|record| record.body.version());
        let body = record.encode(Version::from_bits(77));
        self.store.records.compare_and_swap(&stored, found, Some(&body)).await.unwrap();
    }

    async fn remove(&self) {
        let stored = self.coordinator.stored_key("k");
        let found = self.store.records.load(&stored).await.unwrap().map(|record| record.body.version());
        self.store.records.compare_and_swap(&stored, found, None).await.unwrap();
    }

    /// As a program does that finds its refresh token in its environment, each time it starts.
    async fn start(&self) -> (Arc<RefreshCoordinator>, Result<Login, RefreshError>) {
        let process = self.neighbour();
        let login =
            process.login_if_needed("k", async |_| Ok(TokenSet::from_refresh_token("refresh-1"))).await;
        (process, login)
    }
}

// ===== login if needed =====

#[tokio::test(start_paused = true)]
async fn a_second_start_keeps_the_refresh_token_that_the_first_got() {
    let world = World::new();
    world.server.login(HOUR);
    let (first, login) = world.start().await;
    assert!(matches!(login, Ok(Login::Begun(_))));
    first.token("k").await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(HOUR).await;
        let (next, login) = world.start().await;
        assert!(matches!(login, Ok(Login::Kept(_))));
        next.token("k").await.unwrap();
    }
    let submitted = world.server.submitted.lock().unwrap().clone();
    assert_eq!(submitted, ["refresh-1", "refresh-2", "refresh-3", "refresh-4"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_refresh_token_is_submitted_once_however_often_a_program_starts() {
    let world = World::new();
    for _ in 0..5 {
        let (process, login) = world.start().await;
        let error = match login {
            Ok(_) => process.token("k").await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::InvalidGrant);
    }
    assert_eq!(world.server.submissions(), 1);
    let other = TokenSet::new("access-1").with_refresh_token("other").with_expires_in(HOUR);
    let login = world.coordinator.login_if_needed("k", async |why| {
        assert_eq!(why.kind(), ErrorKind::InvalidGrant);
        Ok(other)
    });
    assert!(matches!(login.await, Ok(Login::Begun(_))));
    assert_eq!(world.token().await.unwrap(), "access-1");
}

#[tokio::test(start_paused = true)]
async fn of_many_logins_at_once_one_begins_and_the_others_get_theirs_back() {
    let world = World::new();
    let asked = Arc::new(tokio::sync::Barrier::new(8));
    let logins = (0..8).map(|n| {
        let (process, asked) = (world.neighbour(), asked.clone());
        async move {
            let login = process.login_if_needed("k", async |_| {
                asked.wait().await;
                Ok(TokenSet::new(format!("access-{n}")).with_refresh_token(format!("refresh-{n}")))
            });
            match login.await.unwrap() {
                Login::Begun(_) => true,
                Login::LostRace(tokens) => {
                    assert_eq!(tokens.access_token.expose_secret(), format!("access-{n}"));
                    false
                }
                Login::Kept(_) => panic!("all have found nothing"),
            }
        }
    });
    let begun = futures_util::future::join_all(logins).await;
    assert_eq!(begun.iter().filter(|begun| **begun).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_fails_panics_or_is_dropped_leaves_nothing() {
    let world = World::new();
    let error = world.coordinator.login_if_needed("k", async |_| Err("no browser".into())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginFailed);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no browser");
    let panics = world.coordinator.login_if_needed("k", async |_| panic!("the browser"));
    std::panic::AssertUnwindSafe(panics).catch_unwind().await.unwrap_err();
    let hangs = world.coordinator.login_if_needed("k", async |_| std::future::pending().await);
    tokio::time::timeout(SECOND, hangs).await.unwrap_err();
    assert!(world.stored().await.is_none());
    assert!(matches!(world.start().await.1, Ok(Login::Begun(_))));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_may_live_in_an_unreadable_record_is_not_replaced_by_itself() {
    let world = World::new();
    world.install(HOUR).await;
    world.spoil().await;
    let (_, login) = world.start().await;
    assert_eq!(login.unwrap_err().kind(), ErrorKind::Unreadable);
    // Who means it installs.
    world.install(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn an_access_token_alone_is_kept_for_as_long_as_it_lives() {
    let world = World::new();
    world.coordinator.install("k", TokenSet::new("alone").with_expires_in(HOUR)).await.unwrap();
    assert!(matches!(world.start().await.1, Ok(Login::Kept(_))));
    tokio::time::sleep(HOUR).await;
    assert!(matches!(world.start().await.1, Ok(Login::Begun(_))));
}

#[tokio::test(start_paused = true)]
async fn lifetimes_of_an_installed_set_count_from_when_it_came() {
    let world = World::new();
    let came = world.clock.now().wall;
    tokio::time::sleep(SECOND * 3).await;
    let short = || TokenSet::new("old").with_refresh_token("refresh-1").with_expires_in(SECOND * 2);
    world.server.login(HOUR);
    world.coordinator.install("k", short().received_at(came)).await.unwrap();
    assert_eq!(world.token().await.unwrap(), "access-2", "the old one has expired");
    for set in [
        TokenSet::new("until").with_expires_at(came + SECOND * 3600),
        TokenSet::new("until").with_expires_in(HOUR).received_at(came),
        TokenSet::new("until").with_expires_at(came + SECOND * 3600).received_at(came),
    ] {
        world.coordinator.install("k", set).await.unwrap();
        let status = world.coordinator.status("k").await.unwrap().unwrap();
        assert_eq!(status.expires_at, Some(came + HOUR));
    }
}

// ===== logout =====

#[tokio::test(start_paused = true)]
async fn a_logout_revokes_both_tokens_and_a_lone_access_token() {
    let world = World::new();
    world.install(HOUR).await;
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
    assert_eq!(world.revoked_both(), (vec!["refresh-1".to_owned()], vec!["access-1".to_owned()]));
    world.coordinator.install("k", TokenSet::new("alone").with_expires_in(HOUR)).await.unwrap();
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
    assert_eq!(world.revoked_both().1, ["access-1", "alone"]);
    assert!(world.stored().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_was_not_revoked_is_revoked_by_the_next_logout() {
    let world = World::new();
    world.install(HOUR).await;
    world.server.keeps.store(true, Ordering::SeqCst);
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::NotRevoked);
    assert!(world.token().await.unwrap_err().needs_login());
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::NotRevoked);
    world.server.keeps.store(false, Ordering::SeqCst);
    // By another process, after a restart.
    assert_eq!(world.neighbour().logout("k").await.unwrap(), Logout::Revoked);
    assert_eq!(world.revoked_both(), (vec!["refresh-1".to_owned()], vec!["access-1".to_owned()]));
    assert!(world.stored().await.is_none());
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::NothingStored);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_revoked_is_kept_for_a_week_and_gone_when_forgotten() {
    for forgotten in [false, true] {
        let world = World::new();
        world.install(HOUR * 2000).await;
        world.server.keeps.store(true, Ordering::SeqCst);
        assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::NotRevoked);
        if forgotten {
            world.coordinator.forget("k").await.unwrap();
            assert!(world.stored().await.is_none());
        }
        tokio::time::sleep(HOUR * 24 * 7).await;
        world.server.keeps.store(false, Ordering::SeqCst);
        let left = world.coordinator.logout("k").await.unwrap();
        assert_ne!(left, Logout::Revoked);
        assert!(world.stored().await.is_none());
        assert_eq!(world.revoked_both(), (vec![], vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn the_tokens_in_memory_are_revoked_where_the_record_is_lost_or_set_back() {
    for lost in [false, true] {
        let world = World::new();
        world.install(Duration::ZERO).await;
        let old = world.stored().await.unwrap();
        world.token().await.unwrap();
        if lost {
            world.remove().await;
        } else {
            world.overwrite_with(&old).await;
        }
        assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
        assert!(world.revoked_both().0.contains(&"refresh-2".to_owned()));
        assert_eq!(world.revoked_both().1, ["access-2"]);
        assert!(world.stored().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_can_be_logged_out_and_forgotten() {
    for held in [false, true] {
        let world = World::new();
        world.install(HOUR).await;
        world.spoil().await;
        let process = if held { world.coordinator.clone() } else { world.neighbour() };
        assert_eq!(process.logout("k").await.unwrap(), Logout::NotRevoked);
        assert_eq!(world.revoked_both().0.len(), usize::from(held));
        assert!(world.stored().await.is_none());
        world.install(HOUR).await;
        world.spoil().await;
        world.coordinator.forget("k").await.unwrap();
        assert!(world.stored().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_the_store_did_not_take_is_not_undone() {
    let world = World::new();
    world.install(HOUR).await;
    world.store.faults.down.store(true, Ordering::SeqCst);
    assert_eq!(world.coordinator.logout("k").await.unwrap_err().kind(), ErrorKind::Store);
    for up in [false, true] {
        world.store.faults.down.store(!up, Ordering::SeqCst);
        for _ in 0..10 {
            tokio::time::sleep(SECOND * 2).await;
            assert!(world.token().await.is_err(), "the login is over here");
        }
    }
    // Somebody asked, so that the end was written; what it left can be revoked.
    assert_eq!(world.stored().await.unwrap().life, Life::LoggedOut);
    assert_eq!(world.coordinator.logout("k").await.unwrap(), Logout::Revoked);
    assert_eq!(world.revoked_both().0, ["refresh-1"]);
    // Another login is another one.
    world.neighbour().install("k", world.server.login(HOUR)).await.unwrap();
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_forgotten_during_a_refresh_is_not_revoked() {
    for elsewhere in [false, true] {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::held()]);
        let refreshes = if elsewhere { world.neighbour() } else { world.coordinator.clone() };
        let caller = tokio::spawn(async move { refreshes.token("k").await });
        world.server.arrived.notified().await;
        let coordinator = world.coordinator.clone();
        let forget = tokio::spawn(async move { coordinator.forget("k").await });
        tokio::time::sleep(SECOND).await;
        world.server.released.0.add_permits(1);
        forget.await.unwrap().unwrap();
        let left = world.stored().await;
        assert!(left.is_none_or(|left| left.tokens.is_none() && left.unrevoked.is_empty()));
        assert!(caller.await.unwrap().unwrap_err().needs_login());
        assert_eq!(world.revoked_both(), (vec![], vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_revoked_a_logout_leaves_nothing_in_the_store() {
    let world = World::new();
    let endpoint = http::Uri::from_static("https://as.example/token");
    let builder = RefreshCoordinator::builder(endpoint, ClientAuth::none("c"));
    let builder = builder.store(world.store.clone()).clock(world.clock.clone());
    let coordinator = builder.build(world.server.service()).unwrap();
    coordinator.install("k", world.server.login(HOUR)).await.unwrap();
    let key = coordinator.stored_key("k");
    let stored = || world.store.records.load(&key);
    assert!(stored().await.unwrap().is_some());
    assert_eq!(coordinator.logout("k").await.unwrap(), Logout::NotRevoked);
    assert!(stored().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_under_a_foreign_mark_goes_with_a_logout_a_week_later() {
    for forgets in [false, true] {
        let world = World::new();
        world.install(Duration::ZERO).await;
        world.server.script([Reply::held()]);
        let elsewhere = world.neighbour();
        let caller = tokio::spawn(async move { elsewhere.token("k").await });
        world.server.arrived.notified().await;
        caller.abort();
        let end = async || {
            if forgets {
                world.coordinator.forget("k").await.unwrap();
            } else {
                world.coordinator.logout("k").await.unwrap();
            }
        };
        // It may come back with a token set, and has to find out what has become of the login.
        end().await;
        assert_eq!(world.stored().await.unwrap().life, Life::LoggedOut);
        tokio::time::sleep(HOUR * 24 * 6).await;
        end().await;
        assert!(world.stored().await.is_some());
        tokio::time::sleep(HOUR * 24 * 7).await;
        end().await;
        assert!(world.stored().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_install_does_not_wait_for_the_flight_of_the_login_before() {
    let world = World::new();
    world.install(Duration::ZERO).await;
    world.server.script([Reply::held()]);
    let _caller = world.ask();
    world.server.arrived.notified().await;
    let coordinator = world.coordinator.clone();
    let logout = tokio::spawn(async move { coordinator.logout("k").await });
    tokio::time::sleep(SECOND).await;
    let install = world.coordinator.install("k", TokenSet::new("next").with_expires_in(HOUR));
    tokio::time::timeout(SECOND, install).await.unwrap().unwrap();
    world.server.released.0.add_permits(1);
    logout.await.unwrap().unwrap();
    assert_eq!(world.token().await.unwrap(), "next");
}

#[test]
fn a_login_that_is_asked_for_outside_of_tokio_is_an_error_and_no_panic() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let world = runtime.block_on(async { World::new() });
    let login = world.coordinator.login_if_needed("k", |_| async { Ok(TokenSet::new("t")) });
    let error = login.now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_the_store_did_not_take_is_not_undone_by_other_credentials() {
    let world = World::with(|b| b.room(64));
    world.install(HOUR).await;
    world.store.faults.down.store(true, Ordering::SeqCst);
    let _ = world.coordinator.logout("k").await.unwrap_err();
    for n in 0..1000 {
        drop(world.coordinator.slot(&format!("k{n}").into()));
    }
    world.store.faults.down.store(false, Ordering::SeqCst);
    tokio::time::sleep(SECOND * 2).await;
    assert!(world.token().await.unwrap_err().needs_login());
}

#[tokio::test(start_paused = true)]
async fn a_lone_access_token_that_no_header_holds_is_no_login_that_lives() {
    let world = World::new();
    let login = crate::store::record::LoginId(1);
    let set = TokenSet::new("from a file\n").with_expires_in(HOUR);
    world.overwrite_with(&CredentialRecord::installed(login, Generation::new(1), &set)).await;
    assert!(matches!(world.start().await.1, Ok(Login::Begun(_))));
}
