//! Everything that could give a token away: the log, the errors, and what is alive.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::open::Credential;
use crate::protocol::Refusal;

/// What was said and went wrong so far.
pub(crate) struct Seen {
    log: Log,
    errors: Mutex<BTreeSet<String>>,
}

/// The log of this process, in a file that nobody else can open.
#[derive(Clone)]
struct Log(Arc<Mutex<BufWriter<File>>>);

impl Seen {
    /// Starts to listen, to everything.
    pub(crate) fn begin() -> io::Result<Self> {
        let log = Log(Arc::new(Mutex::new(BufWriter::new(tempfile::tempfile()?))));
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
        Ok(Self { log, errors: Mutex::default() })
    }

    /// Notes an error in all its forms.
    pub(crate) fn error(&self, error: &(dyn Error + 'static)) {
        let mut forms = format!("{error}\n{error:?}\n{error:#?}\n");
        let mut source = error.source();
        while let Some(error) = source {
            let _ = writeln!(forms, "  because of {error}\n  {error:?}\n  {error:#?}");
            source = error.source();
        }
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).insert(forms);
    }

    /// Notes it, and answers with it.
    pub(crate) fn refusal(&self, error: &(dyn Error + 'static)) -> Refusal {
        self.error(error);
        Refusal::Error(error.to_string())
    }

    /// All of it, with the debug forms of the `alive`.
    pub(crate) async fn dump(&self, alive: &[Arc<Credential>]) -> String {
        let mut text = String::from("=== alive\n");
        for it in alive {
            let (api, shown, coordinator) = (&it.api, &it.shown, &it.coordinator);
            let status = coordinator.status(it.key.as_str()).await;
            let _ = writeln!(text, "{api:#?}\n{shown:#?}\n{coordinator:#?}\n{:?} {status:#?}", it.key);
        }
        text.push_str("=== errors\n");
        for error in self.errors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text.push_str(error);
        }
        text.push_str("=== log\n");
        text.push_str(&self.log.read().unwrap_or_else(|error| error.to_string()));
        text
    }
}

impl Log {
    fn read(&self) -> io::Result<String> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.flush()?;
        let mut bytes = Vec::new();
        let file = log.get_mut();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
