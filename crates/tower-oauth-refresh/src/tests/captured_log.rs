//! What this thread logs, for tests.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// The lines since it was made: level, message, and fields.
#[derive(Clone, Default)]
pub(crate) struct CapturedLog(Arc<Mutex<Vec<String>>>);

impl CapturedLog {
    /// Of this thread, until the guard is dropped.
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    pub(crate) fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap()
    }

    /// The one line in which `text` stands.
    pub(crate) fn line(&self, text: &str) -> String {
        let lines = self.lines();
        let mut found = lines.iter().filter(|line| line.contains(text));
        match (found.next(), found.next()) {
            (Some(line), None) => line.clone(),
            (None, _) => panic!("{text:?} is not in {lines:#?}"),
            (Some(_), Some(_)) => panic!("{text:?} is there more than once: {lines:#?}"),
        }
    }
}

impl Subscriber for CapturedLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                let _ = write!(self.0, " {field}={value:?}");
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.lines().push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
