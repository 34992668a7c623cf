//! One JSON object a line on stdin says what to do, one a line on stdout what became of it.
//!
//! Operations run side by side and answer when they are done; the README lists them.

mod dump;
mod fire;
mod open;
mod protocol;

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, Shared, join_all, ready};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::dump::Seen;
use crate::open::Credential;
use crate::protocol::{Operation, Refusal};

/// A credential that is open or about to be: whoever names it waits for that.
type Opening = Shared<BoxFuture<'static, Result<Arc<Credential>, Refusal>>>;

/// After the end of input, operations under way have this long to end …
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// … and refreshes under way this long to be stored.
const LAST_TOKENS: Duration = Duration::from_secs(5);

struct Driver {
    runtime: Runtime,
    seen: Arc<Seen>,
    /// By name, the last one counts. Replaced ones stay: they may have a refresh under way.
    openings: Vec<(String, Opening)>,
    answers: Sender<Value>,
    running: JoinSet<()>,
}

fn main() -> io::Result<()> {
    let (answers, written) = channel();
    let writer = std::thread::spawn(move || write(&written));
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let seen = Arc::new(Seen::begin()?);
    let mut driver = Driver { runtime, seen, openings: Vec::new(), answers, running: JoinSet::new() };
    let (mut input, mut line) = (io::stdin().lock(), Vec::new());
    while input.read_until(b'\n', &mut line)? > 0 {
        if !line.trim_ascii().is_empty() {
            driver.take(&line);
        }
        line.clear();
    }
    driver.end();
    let _ = writer.join();
    Ok(())
}

/// In a thread of its own: a slow reader delays no operation. Where nobody reads any more, it ends.
fn write(answers: &Receiver<Value>) {
    let mut output = io::stdout().lock();
    let mut line = |answer| output.write_all(format!("{answer}\n").as_bytes()).and_then(|()| output.flush());
    while answers.recv().is_ok_and(|answer| line(answer).is_ok()) {}
}

impl Driver {
    fn take(&mut self, line: &[u8]) {
        let (id, operation) = protocol::read(line);
        let answering = match operation {
            Ok(operation) => self.begin(operation),
            Err(refusal) => ready(Err(refusal)).boxed(),
        };
        let answers = self.answers.clone();
        let task = async move {
            let mut answer = match answering.await {
                Ok(answer) => answer,
                Err(Refusal::Unsupported) => json!({ "unsupported": true }),
                Err(Refusal::Error(error)) => json!({ "ok": false, "error": error }),
            };
            answer.as_object_mut().map(|members| members.insert("id".to_owned(), id));
            let _ = answers.send(answer);
        };
        while self.running.try_join_next().is_some() {}
        self.running.spawn_on(task, self.runtime.handle());
    }

    fn begin(&mut self, operation: Operation) -> BoxFuture<'static, Result<Value, Refusal>> {
        let seen = self.seen.clone();
        match operation {
            Operation::Open(open) => {
                let cred = open.cred.clone();
                let opening = async move { open::open(&open, &seen).await.map(Arc::new) };
                let opening = opening.boxed().shared();
                self.openings.push((cred, opening.clone()));
                opening.map(|opened| opened.map(|_| json!({ "ok": true }))).boxed()
            }
            Operation::Fire(fire) => {
                let credential = self.credential(&fire.cred);
                async move { fire::fire(&fire, &*credential.await?, &seen).await }.boxed()
            }
            Operation::Logout(cred) => {
                let credential = self.credential(&cred);
                let logout = async move {
                    let ended = credential.await?.coordinator.logout(cred).await;
                    let ended = ended.map_err(|error| seen.refusal(&error))?;
                    Ok(json!({ "ok": true, "logout": format!("{ended:?}") }))
                };
                logout.boxed()
            }
            Operation::Dump => {
                let alive = self.opened();
                async move { Ok(json!({ "text": seen.dump(&alive).await })) }.boxed()
            }
        }
    }

    fn credential(&self, cred: &str) -> Opening {
        let unknown = || ready(Err(Refusal::Error("no such credential is open".to_owned()))).boxed().shared();
        let found = self.openings.iter().rfind(|(name, _)| name == cred);
        found.map_or_else(unknown, |(_, opening)| opening.clone())
    }

    fn opened(&self) -> Vec<Arc<Credential>> {
        self.openings.iter().filter_map(|(_, opening)| opening.peek()?.as_ref().ok().cloned()).collect()
    }

    /// Answers what can be answered soon, and leaves no received token set unstored.
    fn end(mut self) {
        let opened = self.opened();
        self.runtime.block_on(async {
            let _ = timeout(LAST_ANSWERS, async { while self.running.join_next().await.is_some() {} }).await;
            self.running.shutdown().await;
            join_all(opened.iter().map(|credential| credential.coordinator.shutdown(LAST_TOKENS))).await;
        });
        self.runtime.shutdown_background();
    }
}
