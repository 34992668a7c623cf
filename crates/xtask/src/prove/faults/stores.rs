//! Rows of "Rotation and the store" that stores keep.

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "A14: the file is written in place",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/disk.rs",
        find: "            fs::rename(temp, self.path)?;",
        replace: r#"            fs::write(self.path, "")?;
            fs::copy(temp, self.path)?;"#,
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_reader_beside_a_writer_always_finds_a_whole_record",
        ],
    },
    Fault {
        breaks: "A14: what a killed process left beside the file is in the way for ever",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/disk.rs",
        find: "                fs::remove_file(&temp)?;\n",
        replace: "",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_torn_temporary_file_of_a_killed_process_is_ignored_and_replaced",
        ],
    },
    Fault {
        breaks: "A14: a symlink is replaced by a file",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/disk.rs",
        find: "        let Ok(target) = fs::read_link(&path) else {",
        replace: "        let Some(target) = fs::read_link(&path).ok().filter(|_| false) else {",
        caught_by: &[
            "crates/tower-oauth-refresh-file/src/store/tests.rs::a_symlink_stays_one_and_its_target_is_replaced",
        ],
    },
    Fault {
        breaks: "RB-24: a write is acknowledged and then carried out",
        rows: &[],
        file: "crates/tower-oauth-refresh-file/src/file.rs",
        find: "            self.publish(path, draft)?;",
        replace: r#"            let (file, path) = (self.clone(), path.to_owned());
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                file.publish(&path, draft).map_err(drop)
            });"#,
        caught_by: &[
            "crates/tower-oauth-refresh-file/tests/processes.rs::a_writer_killed_at_any_moment_leaves_everything_it_was_told_is_durable",
        ],
    },
    Fault {
        breaks: "RB-27: a swap succeeds from any version",
        rows: &["I4"],
        file: "crates/tower-oauth-refresh-file/src/contents.rs",
        find: "        if self.records.get(key.as_str()).map(|raw| version_of(raw)) != expected {",
        replace: "        if self.records.contains_key(key.as_str()) != expected.is_some() {",
        caught_by: &[
            "crates/tower-oauth-refresh-file/tests/conformance.rs::a_swap_succeeds_only_from_the_expected_version",
            "crates/tower-oauth-refresh-file/tests/conformance.rs::of_many_swaps_from_one_version_exactly_one_succeeds",
        ],
    },
];
