//! The program as it runs, with a provider of one's own; the browser's test is in `tests/it/browser.rs`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

const PROVIDER: &str = r#"{
    "issuer": "https://auth.example", "authorization_endpoint": "https://auth.example/authorize",
    "token_endpoint": "https://auth.example/token", "revocation_endpoint": "https://auth.example/revoke",
    "client_id": "me", "client_secret": "mine", "scope": "openid", "api": "https://api.example/me"
}"#;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_serves_the_sign_in_page_and_sends_the_browser_to_the_provider() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), PROVIDER).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_axum-bff"));
    command.arg(file.path()).env("LISTEN", "127.0.0.1:0").env_remove("PUBLIC_ORIGIN");
    let mut program = Killed(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (address, _) = line.strip_prefix("Open http://").unwrap().split_once(',').unwrap();

    let get = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let page = get("/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("default-src 'none'"), "{page}");
    assert!(page.contains("href=\"/login\""), "{page}");
    let away = get("/login");
    assert!(away.starts_with("HTTP/1.1 303") && away.contains("https://auth.example/authorize?"), "{away}");
    for there in ["code_challenge_method=S256", "nonce=", "state=", "HttpOnly; Secure; SameSite=Lax"] {
        assert!(away.contains(there), "{there}: {away}");
    }
    assert!(get("/live").starts_with("HTTP/1.1 401"));
}
