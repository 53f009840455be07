//! A client that sends whatever it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result};
use sccm_tests::agent::LONG;
use sccm_tests::netns::Namespace;

/// What the server said, or nothing at all if it closed.
#[derive(Debug, Default)]
pub struct Answer {
    /// The status; 0 if there was no answer.
    pub status: u16,
    /// The header, in lower case.
    pub head: String,
    /// What follows it.
    pub body: String,
}

impl Answer {
    /// Reads an answer as it was on the wire. What is no HTTP, such as an alert of TLS, is none.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if !bytes.starts_with(b"HTTP/1.") {
            return Ok(Self::default());
        }
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").context("half an answer")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok(Self {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        })
    }

    /// The value of a header, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

/// A connection to the server.
pub fn connect(inside: &Namespace, to: SocketAddr) -> Result<TcpStream> {
    let stream = inside.enter(|| TcpStream::connect_timeout(&to, LONG))?;
    stream.set_read_timeout(Some(LONG))?;
    stream.set_write_timeout(Some(LONG))?;
    Ok(stream)
}

/// Sends these bytes and reads until the server closes. It may close before it has read all.
pub fn ask(inside: &Namespace, to: SocketAddr, request: &[u8]) -> Result<Answer> {
    let mut stream = connect(inside, to)?;
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    // A reset behind the answer takes nothing away from it.
    let _ = stream.read_to_end(&mut answer);
    Answer::parse(&answer)
}

/// Tells another thread to end when it is dropped: also when the test fails.
pub struct EndAtLast<'e>(pub &'e AtomicBool);

impl Drop for EndAtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A request for a path with these header lines, each with its line end, and nothing else.
pub fn request(method: &str, path: &str, lines: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{lines}\r\n").into_bytes()
}
