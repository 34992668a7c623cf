//! A process that opens stores and counts up, as it is told.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use tower_oauth_refresh::{RecordBody, Sealed, StoreError, StoredKey, Swap, TokenStore, Version};
use tower_oauth_refresh_file::{FileStore, KeyFile};
use tower_oauth_refresh_sql::SqliteStore;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sealed, under a key in a file beside it.
    File,
    Sqlite,
}

pub(super) const KINDS: [Kind; 2] = [Kind::File, Kind::Sqlite];

impl Kind {
    pub(super) async fn open(self, path: &Path) -> Result<Arc<dyn TokenStore>, StoreError> {
        Ok(match self {
            Self::File => {
                let key = KeyFile::open_or_create(path.with_extension("key"))?;
                Arc::new(FileStore::sealed(path, key)?)
            }
            Self::Sqlite => Arc::new(Sealed::new(SqliteStore::open(path).await?, key())),
        })
    }
}

fn key() -> tower_oauth_refresh::SealingKey {
    tower_oauth_refresh::SealingKey::new([7; 32])
}

const KIND: &str = "FILES_TEST_KIND";
const PATH: &str = "FILES_TEST_PATH";
/// What a child says to its parent, told apart from what the test harness prints.
pub(super) const MARK: &str = "says ";

#[tokio::test]
#[ignore = "the process that the other tests start"]
async fn process() {
    let (Ok(kind), Ok(path)) = (std::env::var(KIND), std::env::var(PATH)) else { return };
    let kind = if kind == "File" { Kind::File } else { Kind::Sqlite };
    let mut stores = Vec::new();
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let said = match order.split_once(' ') {
            None => match kind.open(path.as_ref()).await {
                Ok(store) => {
                    stores.push(store);
                    "opened".to_owned()
                }
                Err(error) => told(&error),
            },
            Some(("write", handle)) => said(count_up(&*stores[handle.parse::<usize>().unwrap()], 10).await),
            Some(("write-much", handle)) => {
                said(count_up(&*stores[handle.parse::<usize>().unwrap()], 100_000).await)
            }
            Some(("write-too-much", handle)) => {
                said(count_up(&*stores[handle.parse::<usize>().unwrap()], 400_000).await)
            }
            Some((_, handle)) => {
                said(read(&*stores[handle.parse::<usize>().unwrap()]).await.map(|found| found.1))
            }
        };
        // In one piece, straight to the kernel.
        std::io::stdout().lock().write_all(format!("\n{MARK}{said}\n").as_bytes()).unwrap();
    }
}

fn said(result: Result<u64, StoreError>) -> String {
    result.map_or_else(|error| told(&error), |number| number.to_string())
}

fn told(error: &StoreError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}").replace('\n', " ")
}

async fn read(store: &dyn TokenStore) -> Result<(Option<Version>, u64), StoreError> {
    let found = store.load(&StoredKey::from("acme")).await?;
    let number = |record: &tower_oauth_refresh::Record| {
        u64::from_be_bytes(record.body.bytes().first_chunk().copied().unwrap())
    };
    Ok((found.as_ref().map(|record| record.body.version()), found.as_ref().map_or(0, number)))
}

/// One more, in a record of about so many bytes, and what it then is.
async fn count_up(store: &dyn TokenStore, len: usize) -> Result<u64, StoreError> {
    loop {
        let (old, number) = read(store).await?;
        let mut bytes = (number + 1).to_be_bytes().to_vec();
        bytes.resize(8 + len, b'x');
        let unique = u128::from(getrandom::u64().unwrap());
        let new = RecordBody::new(Version::from_bits(unique << 64 | u128::from(number)), bytes);
        if let Swap::Swapped = store.compare_and_swap(&"acme".into(), old, Some(&new)).await? {
            return Ok(number + 1);
        }
    }
}

/// A started [`process`]. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(super) fn start(kind: Kind, path: &Path) -> Self {
        Self::spawn(&mut Command::new(std::env::current_exe().unwrap()), kind, path)
    }

    /// With one store open.
    pub(super) fn opened(kind: Kind, path: &Path) -> Self {
        let mut process = Self::start(kind, path);
        process.open();
        process
    }

    /// `command` runs this binary, in whatever way.
    pub(super) fn spawn(command: &mut Command, kind: Kind, path: &Path) -> Self {
        command.args(["--exact", "files::process::process", "--ignored", "--nocapture"]);
        command.env(KIND, format!("{kind:?}")).env(PATH, path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { orders: child.stdin.take(), child, lines }
    }

    pub(super) fn ask(&mut self, order: &str) -> String {
        let orders = self.orders.as_mut().unwrap();
        orders.write_all(format!("{order}\n").as_bytes()).unwrap();
        loop {
            let line = self.lines.next().expect("it lives").unwrap();
            if let Some(said) = line.strip_prefix(MARK) {
                return said.to_owned();
            }
        }
    }

    /// Another handle.
    pub(super) fn open(&mut self) {
        assert_eq!(self.ask("open"), "opened");
    }

    pub(super) fn write(&mut self, handle: usize) -> u64 {
        number(&self.ask(&format!("write {handle}")))
    }

    pub(super) fn read(&mut self, handle: usize) -> u64 {
        number(&self.ask(&format!("read {handle}")))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn end(mut self) {
        self.orders = None;
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

fn number(said: &str) -> u64 {
    said.parse().unwrap_or_else(|_| panic!("instead of a number: {said}"))
}
