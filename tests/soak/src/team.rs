//! The workers, as the process with the books sees them.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::protocol::{Assignment, Order, Said};

/// Longer than a worker needs for anything it is told: one that says nothing for so long is hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// Killed when dropped.
pub(crate) struct Worker {
    pub(crate) name: String,
    _process: Child,
    orders: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    pub(crate) async fn start(name: String, assignment: &Assignment) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (orders, said) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut worker = Self { name, _process: process, orders, said: BufReader::new(said).lines() };
        worker.write(serde_json::to_string(assignment).unwrap()).await;
        let Said::Ready = worker.said().await else { panic!("{} is not ready", worker.name) };
        worker
    }

    /// What it says when it has followed the order.
    pub(crate) async fn ask(&mut self, order: Order) -> Said {
        self.write(serde_json::to_string(&order).unwrap()).await;
        self.said().await
    }

    async fn write(&mut self, line: String) {
        self.orders.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn said(&mut self) -> Said {
        let line = timeout(PATIENCE, self.said.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{} says nothing", self.name)).unwrap();
        let line = line.unwrap_or_else(|| panic!("{} has died", self.name));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}: {line}", self.name))
    }
}
