//! A headless Chromium, led through WebDriver: the few commands of it that the tests use.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use xtask::Chromium;

/// Longer than anything takes on a busy machine: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Ends the driver and its browser, which are one process group, when its standard input closes: that also comes
/// when this process is killed.
const WATCH: &str = r#"
setsid "$@" </dev/null & driver=$!
read -r end
kill -s TERM -- "-$driver"; wait "$driver""#;

/// One window of a browser with a profile of its own.
pub(super) struct Browser {
    http: Client<HttpConnector, Full<Bytes>>,
    address: String,
    session: String,
    profile: TempDir,
    _driver: Child,
}

impl Browser {
    pub(super) async fn start() -> Self {
        let programs = Chromium::installed().expect("Chromium is not installed: run `cargo xtask test`");
        let mut driver = Command::new("sh")
            .args(["-c", WATCH, "watch"])
            .arg(&programs.driver)
            .arg("--port=0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let mut output = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = async {
            while let Some(line) = output.next_line().await.unwrap() {
                let port =
                    line.split_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.'));
                if let Some(port) = port {
                    return port.to_owned();
                }
            }
            panic!("chromedriver ended without a word of its port");
        };
        let port = timeout(PATIENCE, port).await.expect("chromedriver starts");
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            http: Client::builder(TokioExecutor::new()).build_http(),
            address: format!("127.0.0.1:{port}"),
            session: String::new(),
            profile,
            _driver: driver,
        };
        let begun = browser.command(Method::POST, "", browser.capabilities(&programs.browser)).await;
        browser.session = begun["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    fn capabilities(&self, program: &Path) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1000,1000",
            &profile,
        ];
        let options = json!({ "binary": program, "args": arguments });
        json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } })
    }

    pub(super) async fn open(&self, url: &str) {
        self.command(Method::POST, "/url", json!({ "url": url })).await;
    }

    /// Waits until the element is there, can be seen and is not disabled, then clicks it.
    pub(super) async fn click(&self, selector: &str) {
        let ready = format!(
            "const found = document.querySelector({selector:?}); \
             return !!found && !found.disabled && found.getClientRects().length > 0"
        );
        self.until(&ready).await;
        let found = json!({ "using": "css selector", "value": selector });
        let element = self.command(Method::POST, "/element", found).await;
        let id = element.as_object().and_then(|element| element.values().next()).unwrap().as_str().unwrap();
        self.command(Method::POST, &format!("/element/{id}/click"), json!({})).await;
    }

    /// What the script returns.
    pub(super) async fn script(&self, script: &str) -> Value {
        self.command(Method::POST, "/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until the script returns true, however often the page changes meanwhile.
    pub(super) async fn until(&self, script: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.script(script).await != Value::Bool(true) {
            assert!(Instant::now() < deadline, "in vain: {script}\n{}", self.text("body").await);
            sleep(LOOK_EVERY).await;
        }
    }

    /// The visible text of an element; nothing, if it is not there.
    pub(super) async fn text(&self, selector: &str) -> String {
        let text =
            self.script(&format!("return document.querySelector({selector:?})?.innerText ?? ''")).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// All cookies, of which scripts see only some.
    pub(super) async fn cookies(&self) -> Vec<Value> {
        self.command(Method::GET, "/cookie", Value::Null).await.as_array().cloned().unwrap()
    }

    pub(super) async fn plant(&self, cookie: Value) {
        self.command(Method::POST, "/cookie", json!({ "cookie": cookie })).await;
    }

    /// Everything that scripts of this page could have kept, and the page itself.
    pub(super) async fn storage(&self) -> String {
        let script = "const everything = { local: { ...localStorage }, session: { ...sessionStorage }, \
                      cookie: document.cookie, url: location.href, name: window.name, state: history.state, \
                      page: document.documentElement.outerHTML, \
                      asked: performance.getEntriesByType('resource').map((entry) => entry.name) }; \
                      return Promise.all([indexedDB.databases(), caches.keys()]).then((kept) => \
                      JSON.stringify([everything, ...kept]))";
        self.script(script).await.as_str().expect("a text").to_owned()
    }

    /// For somebody to look at, where `SCREENSHOTS` names a folder.
    pub(super) async fn screenshot(&self, name: &str) {
        use base64::Engine as _;
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
        let image = self.command(Method::GET, "/screenshot", Value::Null).await;
        let image = base64::engine::general_purpose::STANDARD.decode(image.as_str().unwrap()).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), image).unwrap();
    }

    /// Ends the browser; what it has written to the disk is left to read.
    pub(super) fn end(self) -> Vec<u8> {
        self.close();
        let mut kept = Vec::new();
        read_all(self.profile.path(), &mut kept);
        kept
    }

    async fn command(&self, method: Method, path: &str, body: Value) -> Value {
        let session = if self.session.is_empty() { String::new() } else { format!("/{}", self.session) };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}/session{session}{path}", self.address))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(if body.is_null() { String::new() } else { body.to_string() }))
            .unwrap();
        let exchange = async {
            let response = self.http.request(request).await.unwrap();
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let mut answer: Value = serde_json::from_slice(&body).unwrap();
            assert!(status.is_success(), "{path}: {answer}");
            answer["value"].take()
        };
        timeout(PATIENCE, exchange).await.expect("chromedriver answers")
    }

    /// Blocks, since a destructor cannot wait otherwise; the driver would leave its browser behind.
    fn close(&self) {
        let end = format!("DELETE /session/{} HTTP/1.1\r\nhost: {}\r\n\r\n", self.session, self.address);
        if let Ok(mut stream) = TcpStream::connect(&self.address) {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = stream.write_all(end.as_bytes());
            let _ = stream.read(&mut [0; 1024]);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.close();
    }
}

fn read_all(folder: &Path, kept: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, kept);
        } else if let Ok(bytes) = std::fs::read(&path) {
            kept.extend(bytes);
        }
    }
}
