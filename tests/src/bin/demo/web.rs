//! A small web server that has one file, and a client that fetches one.
//!
//! Enough of HTTP/1.1 for a GET on a connection of its own: the server is what a distribution
//! point's clients download packages from, the client also reads the agent's `/metrics`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use sccm_tests::netns::Namespace;

/// Where the package lies on the distribution point's web server.
pub const PACKAGE_PATH: &str = "/SMS_DP_SMSPKG/package.cab";

/// Bytes of the package.
const PACKAGE_BYTES: u32 = 1 << 20;

/// What the package holds: every four bytes differ, so that a lost or doubled part shows.
pub fn package() -> Vec<u8> {
    (0..PACKAGE_BYTES / 4).flat_map(u32::to_be_bytes).collect()
}

/// An answer to a GET.
pub struct Answer {
    /// The status code, 200 for success.
    pub status: u16,
    /// What came after the header.
    pub body: Vec<u8>,
}

/// Serves the package inside the namespace until this program ends.
pub fn serve(inside: &Namespace, address: SocketAddr) -> Result<()> {
    let listener = inside
        .enter(|| TcpListener::bind(address))
        .with_context(|| format!("cannot listen on tcp {address} in {}", inside.name()))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that breaks off loses its own answer only.
            thread::spawn(move || answer(&stream));
        }
    });
    Ok(())
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the header, to the empty line: nothing in it changes the answer.
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}

    let mut words = request.split(' ');
    let (status, body) = match (words.next(), words.next()) {
        (Some("GET"), Some(PACKAGE_PATH)) => ("200 OK", package()),
        (Some("GET"), Some(_)) => ("404 Not Found", b"no such file\n".to_vec()),
        _ => ("405 Method Not Allowed", b"only GET\n".to_vec()),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

/// Fetches a path from a server; call it inside a namespace.
///
/// # Errors
/// Of the connection, or of kind `InvalidData` for an answer that is not HTTP.
pub fn get(server: SocketAddr, path: &str, patience: Duration) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    const END: &[u8] = b"\r\n\r\n";
    let end = bytes.windows(END.len()).position(|bytes| bytes == END)?;
    let header = str::from_utf8(&bytes[..end]).ok()?;
    let status = header.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    Some(Answer {
        status: status.parse().ok()?,
        body: bytes[end + END.len()..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_at_the_first_empty_line() {
        let answer = parse(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nx\r\n\r\ny").unwrap();
        assert_eq!((answer.status, answer.body), (404, b"x\r\n\r\ny".to_vec()));
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
