//! A caller that knows sockets and no library.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::program::Program;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Caller {
    address: String,
}

pub(crate) struct Exchange {
    stream: TcpStream,
    heard: String,
}

impl Caller {
    pub(crate) fn of(program: &Program) -> Self {
        Self { address: program.address.clone() }
    }

    /// The whole answer to a request.
    pub(crate) async fn send(&self, line: &str, headers: &[&str], body: &str) -> String {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head =
            format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n{headers}", body.len());
        let mut exchange = self.begin(&head).await;
        exchange.stream.write_all(body.as_bytes()).await.unwrap();
        exchange.rest().await
    }

    /// As a page would whose name was made to point here.
    pub(crate) async fn send_to(&self, host: &str, line: &str) -> String {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let mut exchange = Exchange { stream, heard: String::new() };
        let head = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        exchange.stream.write_all(head.as_bytes()).await.unwrap();
        exchange.rest().await
    }

    pub(crate) async fn begin(&self, head: &str) -> Exchange {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(format!("{head}host: {}\r\n\r\n", self.address).as_bytes()).await.unwrap();
        Exchange { stream, heard: String::new() }
    }
}

impl Exchange {
    /// Sends a piece of a chunked body; an empty one ends it.
    pub(crate) async fn chunk(&mut self, text: &str) {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.stream.write_all(chunk.as_bytes()).await.unwrap();
    }

    /// Everything heard so far, once this is part of it.
    pub(crate) async fn until(&mut self, part: &str) -> String {
        let mut bytes = [0; 4096];
        while !self.heard.contains(part) {
            let read = timeout(PATIENCE, self.stream.read(&mut bytes));
            let count = read.await.unwrap_or_else(|_| panic!("no {part:?} in {:?}", self.heard)).unwrap();
            assert!(count > 0, "it ended before {part:?}: {:?}", self.heard);
            self.heard.push_str(std::str::from_utf8(bytes.get(..count).unwrap()).unwrap());
        }
        self.heard.clone()
    }

    async fn rest(mut self) -> String {
        let read = self.stream.read_to_string(&mut self.heard);
        timeout(PATIENCE, read).await.unwrap().unwrap();
        self.heard
    }
}
