//! What the stores promise of real databases and disks, each rule broken alone.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "F94: a standby answers loads",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/postgres.rs",
        find: "(true, ..) => return Err(standby(connection)),",
        replace: r#"(true, Some(version), Some(body), Some(age)) => {
                Some((version, body, Duration::try_from_secs_f64(age).unwrap_or_default()))
            }
            (true, ..) => None,"#,
        caught_by: &["tests/it/stores/postgres/faults.rs::a_standby_answers_no_load_and_is_not_asked_again"],
    },
    Fault {
        breaks: "F95: a swap that PostgreSQL has carried out before is a conflict",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/record.rs",
        find: "(Some(found), Some(new)) if found.body.version() == new.version() => Swap::Swapped,",
        replace: "(Some(_), Some(_)) if false => Swap::Swapped,",
        caught_by: &["tests/it/stores/postgres.rs::a_swap_that_is_repeated_has_succeeded"],
    },
    Fault {
        breaks: "F96: a primary with replicas need not refuse to be without them",
        rows: &[],
        file: "crates/tower-oauth-refresh-redis/src/replication.rs",
        find: "Fence::WithReplicas => self.has_replicas,",
        replace: "Fence::WithReplicas => false,",
        caught_by: &["tests/it/stores_redis.rs::a_primary_with_replicas_must_refuse_to_be_without_them"],
    },
    Fault {
        breaks: "F99: a load fails where a connection broke while it was idle",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/postgres.rs",
        find: "Err(error) if idle > 0 && is_lost(&error) => idle -= 1,",
        replace: "Err(error) if idle > 1_000_000 && is_lost(&error) => idle -= 1,",
        caught_by: &[
            "tests/it/stores/postgres/faults.rs::connections_that_broke_while_they_were_idle_fail_no_load",
        ],
    },
    Fault {
        breaks: "a file is not flushed before it takes its place",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/disk.rs",
        find: r#"    pieces.flush()?;
    file.sync_all()"#,
        replace: "    pieces.flush()",
        caught_by: &[
            "tests/it/files/syscalls.rs::the_file_store_flushes_the_file_and_its_name_before_it_acknowledges",
        ],
    },
    Fault {
        breaks: "a new directory is not flushed",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/disk.rs",
        find: r#"            let _ = sync_dir(above);
"#,
        replace: "",
        caught_by: &[
            "tests/it/files/syscalls.rs::the_key_file_and_a_new_directory_are_durable_before_anything_is_sealed",
        ],
    },
    Fault {
        breaks: "SQLite flushes only at checkpoints",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/sqlite/file.rs",
        find: "SqliteSynchronous::Full",
        replace: "SqliteSynchronous::Normal",
        caught_by: &[
            "tests/it/files/syscalls.rs::sqlite_flushes_its_log_and_the_name_of_it_before_it_acknowledges",
        ],
    },
];
