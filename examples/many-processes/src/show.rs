//! What happens: who is started, and who is killed when.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::BoxError;
use tower_oauth_refresh::{ClientAuth, RefreshCoordinator};
use tower_oauth_refresh_testkit::{AuthServer, Fault, Gate, ResourceServer};

use crate::crew::Crew;
use crate::options::Plan;
use crate::protocol::{Line, Setup};
use crate::store::AnyStore;
use crate::timeline::Timeline;

const LIFETIME: Duration = Duration::from_secs(2);

struct Show {
    auth: AuthServer,
    crew: Crew,
    timeline: Timeline,
    kills: usize,
    /// Whoever refreshes next is killed while the server has its request, which is then lost.
    ambush: Option<Gate>,
}

/// Was it as promised?
pub(crate) async fn run(plan: Plan) -> Result<bool, BoxError> {
    let auth = AuthServer::builder().access_lifetime(LIFETIME).start().await?;
    let api = ResourceServer::start(&auth).await?;
    let dir = tempfile::tempdir()?;
    let setup = Setup {
        place: plan.place(dir.path())?,
        // A database may still know it from another run.
        key: format!("shared by the children of {}", std::process::id()),
        token_endpoint: auth.token_endpoint().to_string(),
        client_id: auth.client_id(),
        client_secret: auth.client_secret().expose_secret().to_owned(),
        api: api.url(""),
    };
    let client = ClientAuth::basic(auth.client_id(), auth.client_secret());
    let own = RefreshCoordinator::builder(auth.token_endpoint(), client)
        .store(AnyStore::open(&setup.place).await?)
        .build(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>())?;
    own.install(setup.key.as_str(), auth.login()).await?;

    println!("One login, kept in {}. Its tokens live for {} s.", plan.store, LIFETIME.as_secs());
    let crew = Crew::new(setup.clone());
    let mut show = Show { auth, crew, timeline: Timeline::new(), kills: plan.kills, ambush: None };
    for _ in 0..plan.processes {
        show.start().await?;
    }
    show.watch(plan.generations).await?;
    let (served, failed) = show.end().await;
    let status = own.status(setup.key.as_str()).await?.ok_or("the credential is gone")?;
    let clean = show.timeline.ledger(&show.auth, status.generation.get());
    println!("  of the processes that lived to the end: {served} requests served, {failed} failed");
    Ok(clean && failed == 0 && status.error.is_none())
}

impl Show {
    async fn start(&mut self) -> Result<(), BoxError> {
        let pid = self.crew.start().await?;
        self.timeline.started(pid);
        Ok(())
    }

    async fn watch(&mut self, generations: u64) -> Result<(), BoxError> {
        let mut refreshes = 0;
        while refreshes < generations {
            let Some((pid, line)) = self.crew.hear().await else { break };
            refreshes += u64::from(matches!(line, Line::Refreshed(_)));
            match line {
                Line::Refreshing => self.spring(pid).await?,
                Line::Refreshed(generation) => {
                    self.timeline.refreshed(pid, generation);
                    match refreshes % 3 {
                        1 if self.kills > 0 => self.kill(pid, "killed, right after its refresh").await?,
                        2 if self.kills > 0 => self.lie_in_wait(),
                        _ => {}
                    }
                }
                other => self.tell(pid, other),
            }
        }
        Ok(())
    }

    fn tell(&mut self, pid: u32, line: Line) {
        match line {
            Line::Adopted(generation) => self.timeline.adopted(pid, generation),
            Line::TookOver(dead) => self.timeline.line(pid, format!("goes on with the refresh of {dead}")),
            Line::Failed(error) => self.timeline.line(pid, format!("FAILED: {error}")),
            Line::Refreshing | Line::Refreshed(_) | Line::Ended { .. } => {}
        }
    }

    fn lie_in_wait(&mut self) {
        let gate = Gate::new();
        self.auth.fault(Fault::drop_connection().held_before_commit(&gate));
        self.ambush = Some(gate);
    }

    async fn spring(&mut self, pid: u32) -> Result<(), BoxError> {
        if let Some(gate) = self.ambush.take() {
            gate.arrived().await;
            self.kill(pid, "killed, in the middle of a refresh").await?;
            gate.release();
        }
        Ok(())
    }

    /// Kills it, and starts another in its place.
    async fn kill(&mut self, pid: u32, how: &str) -> Result<(), BoxError> {
        if self.crew.kill(pid).await? {
            self.kills = self.kills.saturating_sub(1);
            self.timeline.line(pid, how);
            self.start().await?;
        }
        Ok(())
    }

    /// How many requests were served and failed, of those who can still tell.
    async fn end(&mut self) -> (usize, usize) {
        let mut left = self.crew.dismiss();
        let (mut all_served, mut all_failed) = (0, 0);
        while left > 0
            && let Some((pid, line)) = self.crew.hear().await
        {
            match line {
                Line::Ended { served, failed } => {
                    left -= 1;
                    all_served += served;
                    all_failed += failed;
                }
                Line::Refreshed(generation) => self.timeline.refreshed(pid, generation),
                other => self.tell(pid, other),
            }
        }
        self.timeline.adoptions();
        (all_served, all_failed)
    }
}
