//! Collects everything that is said, and searches it for secrets.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::fmt::{self, Debug, Display, Formatter};
use std::io;
use std::panic::{set_hook, take_hook};
use std::sync::{Arc, Mutex, MutexGuard, Once};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::format::FmtSpan;

/// That many bytes of a secret in a row are a leak.
const WINDOW: usize = 8;
/// And that many characters, where three bytes are written as four characters, or one as two.
const WINDOW_BASE64: usize = 11;
const WINDOW_HEX: usize = 16;

#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Inner>);

#[derive(Default)]
struct Inner {
    said: Mutex<Vec<u8>>,
    secrets: Mutex<Vec<Secret>>,
}

struct Secret {
    name: String,
    written: Vec<u8>,
    window: usize,
}

thread_local! {
    /// Who listens to this thread's panics.
    static LISTENER: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// While it lives, everything this thread logs, and every message of a panic, is collected.
#[must_use]
pub(crate) struct Listening {
    _log: DefaultGuard,
}

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENER.set(None);
    }
}

impl Watch {
    pub(crate) fn listen(&self) -> Listening {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = take_hook();
            set_hook(Box::new(move |panic| {
                LISTENER.with_borrow(|listener| listener.iter().for_each(|watch| watch.note("panic", panic)));
                before(panic);
            }));
        });
        LISTENER.set(Some(self.clone()));
        let writer = self.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Listening { _log: tracing::subscriber::set_default(log) }
    }

    /// `text` must not be said, neither as it is nor as it is written elsewhere.
    pub(crate) fn keep(&self, name: &str, text: &str) {
        self.keep_bytes(name, text.as_bytes());
        let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        self.keep_as(name, "form", form, WINDOW);
    }

    pub(crate) fn keep_bytes(&self, name: &str, bytes: &[u8]) {
        self.keep_as(name, "raw", bytes, WINDOW);
        self.keep_as(name, "base64", BASE64_STANDARD.encode(bytes), WINDOW_BASE64);
        self.keep_as(name, "base64url", BASE64_URL_SAFE_NO_PAD.encode(bytes), WINDOW_BASE64);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.keep_as(name, "HEX", hex.to_uppercase(), WINDOW_HEX);
        self.keep_as(name, "hex", hex, WINDOW_HEX);
    }

    fn keep_as(&self, name: &str, form: &str, written: impl AsRef<[u8]>, window: usize) {
        let (name, written) = (format!("{name} ({form})"), written.as_ref().to_vec());
        self.secrets().push(Secret { name, written, window });
    }

    pub(crate) fn knows(&self, text: &str) -> bool {
        self.secrets().iter().any(|secret| secret.written == text.as_bytes())
    }

    fn secrets(&self) -> MutexGuard<'_, Vec<Secret>> {
        self.0.secrets.lock().unwrap()
    }

    pub(crate) fn note(&self, what: &str, text: impl Display) {
        self.0.said.lock().unwrap().extend_from_slice(format!("\n[{what}] {text}\n").as_bytes());
    }

    pub(crate) fn debug(&self, value: &(impl Debug + ?Sized)) {
        self.note("debug", format_args!("{value:?} {value:#?}"));
    }

    /// An error, with every source there is.
    pub(crate) fn error(&self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            next = error.source();
            self.note("error", format_args!("{error} {error:#} {error:?} {error:#?}"));
        }
    }

    pub(crate) fn forget(&self) {
        self.0.said.lock().unwrap().clear();
    }

    pub(crate) fn has_said(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.said.lock().unwrap()).contains(text)
    }

    /// Which secrets were said, and in which line.
    pub(crate) fn leaks(&self) -> BTreeSet<String> {
        let secrets = self.secrets();
        let searches = [WINDOW, WINDOW_BASE64, WINDOW_HEX].map(|window| Search::of(&secrets, window));
        let said = self.0.said.lock().unwrap();
        let mut found = BTreeSet::new();
        for line in said.split(|byte| *byte == b'\n') {
            let hits = searches.iter().filter_map(|search| search.hit(line));
            found.extend(hits.map(|name| format!("{name} in: {}", String::from_utf8_lossy(line))));
        }
        // Bytes that were printed as a list of numbers.
        let text = String::from_utf8_lossy(&said);
        for list in text.split(|c: char| !(c.is_ascii_digit() || c == ',' || c.is_whitespace())) {
            let bytes: Vec<u8> = list.split(',').filter_map(|number| number.trim().parse().ok()).collect();
            let hits = searches.iter().filter_map(|search| search.hit(&bytes));
            found.extend(hits.map(|name| format!("{name} in a list of bytes")));
        }
        found
    }
}

/// For all secrets at once: megabytes are said.
struct Search<'a> {
    window: usize,
    names: HashMap<&'a [u8], &'a str>,
    /// Does any of them start with these two bytes?
    starts: Vec<bool>,
}

impl<'a> Search<'a> {
    fn of(secrets: &'a [Secret], window: usize) -> Self {
        let (mut names, mut starts) = (HashMap::new(), vec![false; 1 << 16]);
        for secret in secrets.iter().filter(|secret| secret.window == window) {
            for written in secret.written.windows(window) {
                names.insert(written, secret.name.as_str());
                starts[start(written)] = true;
            }
        }
        Self { window, names, starts }
    }

    fn hit(&self, text: &[u8]) -> Option<&'a str> {
        let mut windows = text.windows(self.window).filter(|window| self.starts[start(window)]);
        windows.find_map(|window| self.names.get(window)).copied()
    }
}

fn start(window: &[u8]) -> usize {
    usize::from(window[0]) << 8 | usize::from(window[1])
}

/// For the types that hold one.
impl Debug for Watch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl io::Write for Watch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.said.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
