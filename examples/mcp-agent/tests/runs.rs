//! The program as a person runs it. It takes as long as its tokens live.

use std::process::Command;

// MCP-02
#[test]
fn no_agent_loses_the_login_and_no_refresh_token_is_sent_twice() {
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-agent")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(" 0 failed\n"), "{text}");
    assert!(text.contains("1 in vain; 0 refresh tokens came again"), "{text}");
    assert_eq!(text.matches("log in again").count(), 5, "{text}");
}
