//! The program as a person runs it, where no database has to be there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also where its harness does")]

use std::process::{Command, Output};

fn many_processes(options: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_many-processes")).args(options).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

#[test]
fn killed_processes_are_succeeded_and_the_server_saw_one_refresh_a_generation() {
    let runs = ["sqlite", "file"].map(|store| {
        let run = move || many_processes(&["--store", store, "--generations", "4", "--kills", "2"]);
        std::thread::spawn(run)
    });
    for run in runs {
        let (output, text) = run.join().unwrap();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        for happens in
            ["killed, right after its refresh", "killed, in the middle", "goes on with the refresh of"]
        {
            assert!(text.contains(happens), "{text}");
        }
        assert!(text.contains("0 spent tokens sent again; 0 reuses detected"), "{text}");
        assert!(text.contains("5 refreshes, 4 of them worked on"), "{text}");
    }
}

#[test]
fn what_it_does_not_know_it_says() {
    let (output, _) = many_processes(&["--store", "paper"]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("paper is no store"));
}
