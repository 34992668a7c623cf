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
    Fault {
        breaks: "F41: the digest of a key is the beginning of the key",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/key.rs",
        find: "zip(Sha256::digest(self.0.as_bytes()))",
        replace: "zip(self.0.bytes())",
        caught_by: &["store/key.rs::the_digest_is_the_beginning_of_the_sha_256_of_the_name"],
    },
    Fault {
        breaks: "F41: Redis tells keys to whoever may subscribe",
        rows: &[],
        file: "crates/tower-oauth-refresh-redis/src/store.rs",
        find: ".arg(payload(key.digest()))",
        replace: ".arg(key.as_str())",
        caught_by: &["tests/it/stores_redis.rs::who_listens_without_knowing_the_keys_learns_none"],
    },
    Fault {
        breaks: "F42: a process that waited once listens to PostgreSQL for ever",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/postgres/changes.rs",
        find: "let is_waited_for = self.heard.receiver_count() > 0;",
        replace: "let is_waited_for = true;",
        caught_by: &[
            "tests/it/stores/postgres.rs::when_nobody_waits_any_more_the_next_change_ends_the_listening",
        ],
    },
    Fault {
        breaks: "F42: a process that waited once is subscribed at Redis for ever",
        rows: &[],
        file: "crates/tower-oauth-refresh-redis/src/connection.rs",
        find: r#"            connector.give_up(&connection);
        }
        Ok(())"#,
        replace: r#"            drop(connection);
        }
        Ok(())"#,
        caught_by: &[
            "tests/it/stores_redis.rs::when_nobody_waits_any_more_the_next_change_ends_the_subscription",
        ],
    },
    Fault {
        breaks: "F68: the error under an old pooler does not name it",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/error.rs",
        find: "if is_pooler(&code, &message) {",
        replace: r#"if is_pooler("", &message) {"#,
        caught_by: &["tests/it/stores/postgres/faults.rs::a_pooler_that_loses_prepared_statements_is_named"],
    },
    Fault {
        breaks: "F99: the place of a store call that has ended is not given to the next",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/limiter.rs",
        find: r#"        self.limiter.state().ended(self.granted);
        self.limiter.grant();"#,
        replace: r#"        drop(self.limiter.state());
        self.limiter.grant();"#,
        caught_by: &[
            "tests/it/stores/restart.rs::after_a_restart_with_postgresql_everybody_at_once_is_served",
            "tests/it/stores/restart.rs::after_a_restart_with_sqlite_everybody_at_once_is_served",
        ],
    },
    Fault {
        breaks: "SQLite is used though it cannot undo a half-done write",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/sqlite.rs",
        find: "if NO_JOURNAL.contains(&journal.as_str()) {",
        replace: "if journal.is_empty() {",
        caught_by: &[
            "crates/tower-oauth-refresh-sql/src/sqlite/tests.rs::connections_that_cannot_undo_a_half_done_write_are_refused",
        ],
    },
    Fault {
        breaks: "on a full disk, half of a file takes the place of the whole one",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/disk.rs",
        find: "fill(&replacement.file, path, write)?;",
        replace: "let _ = fill(&replacement.file, path, write);",
        caught_by: &[
            "tests/it/files/hands/limits.rs::on_a_full_disk_what_was_acknowledged_stays_and_others_go_on",
        ],
    },
    Fault {
        breaks: "F97: the conformance suite permits an age that starts again without a write",
        rows: &[],
        file: "crates/tower-oauth-refresh-testkit/src/conformance/age.rs",
        find: "if after.saturating_add(TOLERANCE) >= before {",
        replace: "if after.saturating_add(before) >= before {",
        caught_by: &[
            "crates/tower-oauth-refresh-testkit/src/conformance/tests.rs::a_write_in_two_statements_is_refused",
        ],
    },
    Fault {
        breaks: "F97: the conformance suite permits an age that counts from when the store was opened",
        rows: &[],
        file: "crates/tower-oauth-refresh-testkit/src/conformance/lasting.rs",
        find: r#"    sleep(A_MOMENT).await;
    age("#,
        replace: "    age(",
        caught_by: &[
            "crates/tower-oauth-refresh-testkit/src/conformance/tests.rs::ages_that_count_from_the_opening_are_refused",
        ],
    },
    Fault {
        breaks: "the conformance suite does not notice that records expire",
        rows: &[],
        file: "crates/tower-oauth-refresh-testkit/src/conformance/lasting.rs",
        find: "for hours in [1, 24, 31 * 24, 400 * 24] {",
        replace: "for hours in [1, 24] {",
        caught_by: &[
            "crates/tower-oauth-refresh-testkit/src/conformance/tests.rs::each_store_that_only_seems_right_is_refused_in_each_run",
        ],
    },
];
