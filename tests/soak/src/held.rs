//! What a process holds.

use std::fs;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Memory that is not a mapped file, in KiB.
    pub(crate) anonymous: u64,
    /// All of its memory, in KiB.
    pub(crate) resident: u64,
    pub(crate) files: usize,
    pub(crate) tasks: usize,
}

impl Held {
    /// Of this process, and the tasks of the current runtime.
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux says what a process holds");
        let line = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
        };
        Self {
            anonymous: line("RssAnon:"),
            resident: line("VmRSS:"),
            // Without the one that lists them.
            files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() - 1),
            tasks: Handle::current().metrics().num_alive_tasks(),
        }
    }
}
