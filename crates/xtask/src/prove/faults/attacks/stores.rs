//! What attacks on stores have found, brought back.

use crate::prove::faults::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "F17: what cannot be read is never replaced",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/login/rewrite.rs",
        find: "error.version().filter(|_| error.is_unreadable())",
        replace: "error.version().filter(|_| false)",
        caught_by: &["coordinator/tests/logouts.rs::an_unreadable_record_can_be_logged_out_and_forgotten"],
    },
    Fault {
        breaks: "F07: the database file is opened beside SQLite to set its rights",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/sqlite/file.rs",
        find: "                tighten_all(&file).map_err(failed)?;",
        replace: r#"                drop(fs::File::open(&file).map_err(failed)?);
                tighten_all(&file).map_err(failed)?;"#,
        caught_by: &[
            "crates/tower-oauth-refresh-sql/tests/processes.rs::opening_the_store_again_lets_no_other_process_discard_its_writes",
            "crates/tower-oauth-refresh-sql/tests/processes.rs::opening_a_store_beside_an_applications_pool_leaves_the_pool_its_locks",
        ],
    },
    Fault {
        breaks: "F17: a row with a damaged version names none",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/record.rs",
        find: "return Err(unreadable.at(of_damaged(version, &body)));",
        replace: "return Err(unreadable);",
        caught_by: &[
            "crates/tower-oauth-refresh-sql/src/sqlite/tests.rs::a_row_with_a_damaged_version_can_be_replaced",
        ],
    },
    Fault {
        breaks: "F17: a row with a damaged version is not replaced by whoever names it",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/sqlite.rs",
        find: "(Err(error), Some(named)) if error.version() == Some(named) => {",
        replace: "(Err(error), Some(named)) if false && error.version() == Some(named) => {",
        caught_by: &[
            "crates/tower-oauth-refresh-sql/src/sqlite/tests.rs::a_row_with_a_damaged_version_can_be_replaced",
        ],
    },
    Fault {
        breaks: "F17: a damaged entry of a file names no version",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/contents.rs",
        find: "StoreError::unreadable(Unreadable::Entry(key.clone())).at(version_of(raw));",
        replace: "StoreError::unreadable(Unreadable::Entry(key.clone()));",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_damaged_entry_is_replaced_by_whoever_names_it",
        ],
    },
    Fault {
        breaks: "F17: a damaged file is replaced by nobody",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/file.rs",
        find: "expected.is_some() && damage.version() == expected;",
        replace: "expected.is_some() && damage.version() == expected && false;",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_damaged_file_is_put_aside_by_whoever_names_it",
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_new_login_goes_on_where_the_file_was_damaged",
        ],
    },
    Fault {
        breaks: "F17: a damaged file is replaced and not put aside",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/file.rs",
        find: "if let Some(damaged) = draft.replaces {",
        replace: "if let Some(damaged) = draft.replaces.filter(|_| false) {",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_damaged_file_is_put_aside_by_whoever_names_it",
        ],
    },
    Fault {
        breaks: "F17: a damaged file is put aside before its successor is written",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/file.rs",
        find: "        let new = Replacement::write(path, |to| draft.contents.write_to(to));",
        replace: r#"        if let Some(damaged) = draft.replaces {
            let _ = std::fs::rename(path, aside(path, damaged));
        }
        let new = Replacement::write(path, |to| draft.contents.write_to(to));"#,
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_damaged_file_whose_successor_cannot_be_written_stays_where_it_is",
        ],
    },
    Fault {
        breaks: "F17: a sealed record that cannot be opened names no version",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/store/sealed.rs",
        find: ".map_err(|error| StoreError::unreadable(error).at(version))?;",
        replace: ".map_err(StoreError::unreadable)?;",
        caught_by: &[
            "crates/tower-oauth-refresh-testkit/src/conformance/tests.rs::a_damaged_sealed_record_can_be_replaced",
        ],
    },
    Fault {
        breaks: "F17: the test kit accepts damage without a version",
        rows: &[],
        file: "crates/tower-oauth-refresh-testkit/src/conformance/damage.rs",
        find: r#"Err(error) => error.version().ok_or_else(|| format!("{what} names no version")),"#,
        replace: "Err(error) => Ok(error.version().unwrap_or(Version::from_bits(0))),",
        caught_by: &[
            "crates/tower-oauth-refresh-testkit/src/conformance/tests.rs::a_store_that_does_not_name_its_damage_is_found_out",
        ],
    },
    Fault {
        breaks: "F18: a lock is let go by closing it",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/lock.rs",
        find: r#"        let _ = self.0.unlock();
"#,
        replace: "",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_lock_is_free_when_it_is_dropped_though_a_forked_process_has_it_open",
        ],
    },
    Fault {
        breaks: "F19: what was read is not kept",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/kept.rs",
        find: "self.is(there.as_ref()).then(|| self.contents.clone())",
        replace: "self.is(there.as_ref()).then(|| self.contents.clone()).filter(|_| false)",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::loads_at_once_read_the_file_once_on_one_blocking_thread",
        ],
    },
    Fault {
        breaks: "F19: each swap writes the file",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/calls.rs",
        find: "let writes: Vec<_> = once(self).chain(turn.waiting()).collect();",
        replace: "let writes: Vec<_> = once(self).collect();",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::writers_that_wait_for_the_lock_take_one_blocking_thread_not_all",
            "crates/tower-oauth-refresh-file/src/store/tests.rs::swaps_that_are_written_at_once_see_those_before_them",
        ],
    },
    Fault {
        breaks: "F19: what was read is kept though the file is another one",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/kept.rs",
        find: "        self.is(there.as_ref()).then(|| self.contents.clone())",
        replace: r#"        let _ = there;
        Some(self.contents.clone())"#,
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_file_that_is_written_into_or_removed_is_read_again",
            "crates/tower-oauth-refresh-file/src/kept.rs::a_young_file_is_read_once_more_after_a_moment_and_an_old_one_is_not",
        ],
    },
    Fault {
        breaks: "F19: a file that was young when it was read is not read once more",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/kept.rs",
        find: "if !self.is_settled && now.saturating_sub(self.since) >= ONE_MOMENT {",
        replace: "if false && now.saturating_sub(self.since) >= ONE_MOMENT {",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/kept.rs::a_young_file_is_read_once_more_after_a_moment_and_an_old_one_is_not",
        ],
    },
    Fault {
        breaks: "F19: a write that fails for one fails for all that are written with it",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/file.rs",
        find: "Err(Refused::Unwritten(_)) if writes.len() > 1 => {",
        replace: "Err(Refused::Unwritten(_)) if writes.len() > 1_000 => {",
        caught_by: &[
            "crates/tower-oauth-refresh-file/tests/processes.rs::on_a_full_disk_the_old_records_stay_whole",
        ],
    },
    Fault {
        breaks: "F17: a damaged row of PostgreSQL is not replaced by whoever names it",
        rows: &[],
        file: "crates/tower-oauth-refresh-sql/src/postgres.rs",
        find: "(Err(error), Some(named)) if error.version() == Some(named) => {",
        replace: "(Err(error), Some(named)) if false && error.version() == Some(named) => {",
        caught_by: &["tests/it/stores/postgres.rs::a_damaged_row_can_be_replaced_by_whoever_names_it"],
    },
    Fault {
        breaks: "F17: what is no record in Redis names no version",
        rows: &[],
        file: "crates/tower-oauth-refresh-redis/src/answer.rs",
        find: ".ok_or_else(|| foreign(key).at(version))",
        replace: ".ok_or_else(|| foreign(key))",
        caught_by: &["tests/it/stores_redis.rs::what_is_no_record_can_be_replaced_by_whoever_names_it"],
    },
    Fault {
        breaks: "F18: what root creates is root's",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/owner.rs",
        find: "if new.metadata().is_ok_and(|new| new.uid() != user) {",
        replace: "if new.metadata().is_ok_and(|new| new.uid() != user && false) {",
        caught_by: &[
            "tests/it/files/hands/users.rs::a_user_is_not_locked_out_by_what_root_writes",
            "tests/it/files/hands/users.rs::a_user_is_not_locked_out_where_root_came_first",
        ],
    },
    Fault {
        breaks: "F18: what root creates where everybody may put files belongs to whoever has the directory",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/owner.rs",
        find: ".filter(|dir| dir.mode() & 0o002 == 0);",
        replace: ".filter(|_| true);",
        caught_by: &["tests/it/files/hands/users.rs::what_root_writes_where_everybody_may_is_roots"],
    },
];
