//! The processes, as their parent sees them.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tower::BoxError;

use crate::options::WORKER;
use crate::protocol::{Line, Setup};

pub(crate) struct Crew {
    setup: Setup,
    members: Vec<Member>,
    telling: UnboundedSender<(u32, Line)>,
    told: UnboundedReceiver<(u32, Line)>,
    readers: JoinSet<()>,
}

struct Member {
    pid: u32,
    process: Child,
    /// Dropped, it tells the process to end.
    input: Option<ChildStdin>,
}

impl Crew {
    pub(crate) fn new(setup: Setup) -> Self {
        let (telling, told) = unbounded_channel();
        Self { setup, members: Vec::new(), telling, told, readers: JoinSet::new() }
    }

    /// Starts one more process, and returns its id.
    pub(crate) async fn start(&mut self) -> Result<u32, BoxError> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(WORKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = process.id().ok_or("it ended at once")?;
        let (mut input, output) = (process.stdin.take(), process.stdout.take());
        if let Some(input) = &mut input {
            input.write_all(format!("{}\n", serde_json::to_string(&self.setup)?).as_bytes()).await?;
        }
        if let Some(output) = output {
            self.readers.spawn(read(pid, output, self.telling.clone()));
        }
        self.members.push(Member { pid, process, input });
        Ok(pid)
    }

    /// What one of them says next.
    pub(crate) async fn hear(&mut self) -> Option<(u32, Line)> {
        self.told.recv().await
    }

    /// With SIGKILL: it has no say in it. Is it still there to be killed?
    pub(crate) async fn kill(&mut self, pid: u32) -> Result<bool, BoxError> {
        let Some(place) = self.members.iter().position(|member| member.pid == pid) else {
            return Ok(false);
        };
        self.members.swap_remove(place).process.kill().await?;
        Ok(true)
    }

    /// Lets all of them end, and tells how many there are.
    pub(crate) fn dismiss(&mut self) -> usize {
        for member in &mut self.members {
            member.input = None;
        }
        self.members.len()
    }
}

async fn read(pid: u32, output: ChildStdout, telling: UnboundedSender<(u32, Line)>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(line) = serde_json::from_str(&line) {
            let _ = telling.send((pid, line));
        }
    }
}
