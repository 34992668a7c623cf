//! The same promises, kept by each client that people have: one suite, run over all of them.
//!
//! What a client is here, [`client`] says; [`promises`] know none of them. The run gives the table of
//! `docs/clients.md` in the core crate, and fails where the file says something else.

mod backend;
mod client;
mod grpc;
mod hyper;
mod promises;
mod reqwest;
mod tls;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use self::client::Kind;
use self::promises::{Cell, PROMISES};
use crate::harness::{start, within};

const FILE: &str = "../crates/tower-oauth-refresh/docs/clients.md";

const HEAD: &str = "\
# Clients and promises

Every client below is set up as its users set it up, and asked to keep the same promises, against servers that do
as they are told. What those servers saw decides. Over TLS, API and token endpoint are both behind it, with a certificate
of the run's own. This file is what the run gives; a test fails where it differs.
To write it anew:

    WRITE_DOCS=1 cargo test -p workspace-tests --test it clients::

";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_of_clients_and_promises_is_what_a_run_gives() {
    let mut table = format!("{HEAD}| |");
    for kind in Kind::ALL {
        write!(table, " {} |", kind.name()).unwrap();
    }
    table += &format!("\n|{}\n", " --- |".repeat(1 + Kind::ALL.len()));
    let mut notes: Vec<&str> = Vec::new();
    for (promise, run) in PROMISES {
        write!(table, "| {promise} |").unwrap();
        for kind in Kind::ALL {
            let cell = within(start(run(kind))).await;
            match cell.unwrap_or_else(|panic| panic!("{}: {promise}: {panic}", kind.name())) {
                Cell::Kept => table += " yes |",
                Cell::Except(why) => {
                    let number = notes.iter().position(|note| *note == why).unwrap_or_else(|| {
                        notes.push(why);
                        notes.len() - 1
                    });
                    write!(table, " ({}) |", number + 1).unwrap();
                }
            }
        }
        table += "\n";
    }
    table += "\n";
    for (number, note) in notes.iter().enumerate() {
        writeln!(table, "({}) {note}", number + 1).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&file, &table).unwrap();
    }
    assert_eq!(
        fs::read_to_string(file).unwrap_or_default(),
        table,
        "docs/clients.md is not what the run gives"
    );
}
