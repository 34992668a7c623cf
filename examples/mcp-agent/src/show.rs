//! What happens, and what the authorization server has to say about it.

use std::collections::HashSet;
use std::process::Stdio;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::BoxError;
use tower_oauth_refresh_testkit::{Answer, AuthServer, ClientAuthentication, Fault, ResourceServer};

use crate::agent::{self, KEY, Line, Setup};
use crate::server::Server;

const AGENTS: usize = 5;
const REFRESHES: usize = 10;
const LIFETIME: Duration = Duration::from_secs(1);

/// What the agents said.
struct Story {
    start: Instant,
    told: UnboundedReceiver<(usize, Line)>,
    connected: usize,
    withdrawn: bool,
    calls: usize,
    failed: usize,
    ended: usize,
}

/// Was it as promised?
pub(crate) async fn run() -> Result<bool, BoxError> {
    let auth = AuthServer::builder().client_authentication(ClientAuthentication::None).start().await?;
    let server = Server::start(ResourceServer::start(&auth).await?).await?;
    let dir = tempfile::tempdir()?;
    let setup = Setup {
        server: format!("{}/mcp", server.origin),
        origin: server.origin.clone(),
        token_endpoint: auth.token_endpoint().to_string(),
        client_id: auth.client_id(),
        store: dir.path().to_owned(),
    };
    // Somebody logs in, once. The first access token is revoked long before its end: the agents begin with a refusal.
    agent::coordinator(&setup)?.install(KEY, auth.login()).await?;
    auth.revoke_all_access_tokens();
    auth.set_access_lifetime(LIFETIME);

    println!("One login for {}, and {AGENTS} agents that share it.", setup.server);
    let (telling, told) = unbounded_channel();
    let mut story = Story::new(told);
    let mut agents = JoinSet::new();
    for number in 1..=AGENTS {
        agents.spawn(live(number, serde_json::to_string(&setup)?, telling.clone()));
    }
    drop(telling);
    let all_ended = async {
        while let Some(lived) = agents.join_next().await {
            lived??;
        }
        Ok::<_, BoxError>(())
    };
    tokio::try_join!(all_ended, story.listen(&auth))?;
    Ok(story.told_well() & judge(&auth, &setup.server))
}

/// The life of an agent: from its start to its end.
async fn live(number: usize, setup: String, telling: UnboundedSender<(usize, Line)>) -> Result<(), BoxError> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg(setup)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = process.stdout.take().ok_or("it has no output")?;
    read(number, output, &telling).await?;
    if process.wait().await?.success() { Ok(()) } else { Err(format!("agent {number} failed").into()) }
}

async fn read(
    number: usize,
    output: ChildStdout,
    telling: &UnboundedSender<(usize, Line)>,
) -> Result<(), BoxError> {
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        let _ = telling.send((number, serde_json::from_str(&line)?));
    }
    Ok(())
}

impl Story {
    fn new(told: UnboundedReceiver<(usize, Line)>) -> Self {
        let start = Instant::now();
        Self { start, told, connected: 0, withdrawn: false, calls: 0, failed: 0, ended: 0 }
    }

    /// Until the last agent has ended. The grant is withdrawn after enough refreshes.
    async fn listen(&mut self, auth: &AuthServer) -> Result<(), BoxError> {
        while let Some((number, line)) = self.told.recv().await {
            self.connected += usize::from(matches!(line, Line::Connected));
            self.failed += usize::from(matches!(line, Line::Failed(_)));
            let text = match line {
                Line::Connected => "connected".to_owned(),
                Line::Refreshed(generation) => format!("refreshed: generation {generation}"),
                Line::Failed(error) => format!("FAILED: {error}"),
                Line::Ended { calls, why } => {
                    self.calls += calls;
                    self.ended += 1;
                    format!("ends after {calls} calls: {why}")
                }
            };
            println!("{:6.2} s  agent {number} {text}", self.start.elapsed().as_secs_f64());
            let refreshes = auth.ledger().verdict().refreshes_committed;
            if !self.withdrawn && self.connected == AGENTS && refreshes >= REFRESHES {
                self.withdrawn = true;
                withdraw_the_grant(auth);
            }
        }
        Ok(())
    }

    fn told_well(&self) -> bool {
        println!("{} calls answered, {} failed", self.calls, self.failed);
        self.calls > 0 && self.failed == 0 && self.ended == AGENTS
    }
}

/// The person thinks better of it. Access tokens live on to their end, as they do where servers know them by their
/// signature.
fn withdraw_the_grant(auth: &AuthServer) {
    println!("          the grant is withdrawn");
    auth.always(Fault::answer(Answer::oauth_error(StatusCode::BAD_REQUEST, "invalid_grant")));
}

/// The far side's account.
fn judge(auth: &AuthServer, resource: &str) -> bool {
    let (seen, refreshes) = (auth.ledger().verdict(), auth.ledger().refreshes());
    let tokens: HashSet<_> = refreshes.iter().map(|refresh| refresh.refresh_token).collect();
    let wanted = ("resource".to_owned(), resource.to_owned());
    let named = refreshes.iter().filter(|refresh| refresh.parameters.contains(&wanted)).count();
    println!(
        "the servers saw {} requests, {} of them refused; {} refreshes, {named} of them for {resource}, {} at once at \
         most, {} in vain; {} refresh tokens came again",
        seen.api_requests,
        seen.api_unauthorized,
        seen.refreshes,
        seen.max_in_flight_per_family,
        seen.refreshes - seen.refreshes_committed,
        seen.refreshes - tokens.len(),
    );
    seen.is_clean()
        && seen.refreshes_committed >= REFRESHES
        && seen.refreshes == seen.refreshes_committed + 1
        && seen.api_unauthorized > 0
        && named == seen.refreshes
        && tokens.len() == seen.refreshes
}
