//! What a person reads while it happens.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tower_oauth_refresh::{Event, EventKind, Events};

use crate::burst::Answers;
use crate::client::Start;

/// Lines with the time since the start.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: Instant,
    events: Events,
}

impl Timeline {
    pub(crate) fn new(events: Events) -> Self {
        Self { start: Instant::now(), events }
    }

    /// One line: what, and how it went.
    pub(crate) fn line(&self, what: &str, text: impl Display) {
        println!("{:6.2} s  {what:<14} {text}", self.start.elapsed().as_secs_f64());
    }

    pub(crate) fn begun(&mut self, start: &Start, dir: &Path) {
        let file = dir.join("credentials");
        let text = match start {
            Start::PickedUp(generation) => {
                format!("picked up generation {generation} from {}", file.display())
            }
            Start::LoggedIn => format!("logged in; the tokens are sealed in {}", file.display()),
        };
        self.line("start", text);
        self.news();
    }

    pub(crate) fn answers(&mut self, answers: &Answers) {
        self.news();
        let Answers { answered, replayed, slowest, failed } = answers;
        let again =
            if *replayed > 0 { format!(", {replayed} of them sent once more") } else { String::new() };
        self.line("", format!("{answered} answered{again}, the slowest after {} ms", slowest.as_millis()));
        let mut times = BTreeMap::<_, usize>::new();
        for error in failed {
            *times.entry(error.to_string()).or_default() += 1;
        }
        for (error, times) in times {
            let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
            self.line("FAILED", format!("{error}{times}"));
        }
    }

    /// What the coordinator has told since the last line.
    pub(crate) fn news(&mut self) {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            if let Some(text) = describe(&event) {
                self.line("", text);
            }
        }
    }
}

fn describe(event: &Event) -> Option<String> {
    Some(match &event.kind {
        EventKind::Installed(generation) => format!("generation {generation} stored"),
        EventKind::Refreshed(generation) => format!("refreshed by this process: generation {generation}"),
        EventKind::Adopted(generation) => format!("generation {generation}, taken over from the file"),
        EventKind::Failed(error) => format!("the refresh failed: {error}"),
        EventKind::TookOver { pid } => {
            format!("process {pid} died while it was refreshing; its turn is over")
        }
        EventKind::RefreshStarted => return None,
        other => format!("{other:?}"),
    })
}
