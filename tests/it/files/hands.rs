//! Many hands on one file: handles, processes, and a tool of somebody else.

mod fork;
mod limits;
mod users;

use std::path::Path;
use std::process::Command;

use super::process::{KINDS, Kind, Process};
use super::rounds;

/// In any order: handles that open, write and read; processes that come, look and end, or are killed; and, on a
/// database, the `sqlite3` tool. Whatever was acknowledged is seen by everybody from then on.
#[test]
fn what_was_acknowledged_stays_whoever_opens_and_closes_the_file() {
    for round in 0..rounds() {
        for kind in KINDS {
            let mut dice = Dice(round * 2 + 1);
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("credentials.db");
            let mut processes = vec![(Process::opened(kind, &path), 1)];
            let (mut number, mut story) = (0, Vec::new());
            for _ in 0..60 {
                let at = dice.below(processes.len());
                let handle = dice.below(processes[at].1);
                let act = dice.below(9);
                story.push((at, handle, act));
                let count = processes.len();
                let (process, handles) = &mut processes[at];
                match act {
                    0..3 => {
                        number += 1;
                        assert_eq!(process.write(handle), number, "{kind:?} {round}: {story:?}");
                    }
                    3 => {
                        process.open();
                        *handles += 1;
                    }
                    4 if count < 4 => processes.push((Process::opened(kind, &path), 1)),
                    5 if count > 1 => processes.swap_remove(at).0.end(),
                    6 => look(kind, &path),
                    _ => assert_eq!(process.read(handle), number, "{kind:?} {round}: {story:?}"),
                }
            }
            drop(processes);
            assert_eq!(Process::opened(kind, &path).read(0), number, "{kind:?} {round}: {story:?}");
        }
    }
}

/// Somebody who debugs a login at night.
fn look(kind: Kind, path: &Path) {
    let mut tool = match kind {
        Kind::File => Command::new("cat"),
        Kind::Sqlite => Command::new("sqlite3"),
    };
    tool.arg(path);
    if kind == Kind::Sqlite {
        tool.arg("SELECT count(*) FROM tower_oauth_refresh_records");
    }
    let _ = tool.output().expect("run `cargo xtask test`, which installs it");
}

/// splitmix64: a seed gives the same story again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}
