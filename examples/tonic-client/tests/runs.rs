//! The program as a person runs it.

use std::process::Command;

#[test]
fn a_refused_call_is_healed_with_one_refresh_and_a_stream_begins() {
    let output = Command::new(env!("CARGO_BIN_EXE_tonic-client")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "a good token: accepted",
            "a revoked token: sent once more with generation 2",
            "a stream: begins with Serving",
            "refreshes at the authorization server: 1",
        ]
    );
}
