//! The status page and its events, as anybody who speaks HTTP sees them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sccm_tests::agent::{FORBIDDEN, Hosts, LONG, METRICS, POINT};
use sccm_tests::packet::Packet;
use sccm_tests::traffic::{FrameSocket, Outcome};
use serde_json::Value;

use super::client::{ask, connect, request};

const LOCAL: &str = "Host: localhost:19470\r\n";

/// Pages that are served at once.
const SEATS: usize = 16;

/// A stream of events.
struct Events {
    stream: TcpStream,
    /// What has come and was not taken.
    text: String,
}

impl Events {
    /// Asks for events and reads the answer's head, whatever it is.
    fn open(hosts: &Hosts) -> Result<(String, Self)> {
        let mut stream = connect(&hosts.point, METRICS)?;
        write!(stream, "GET /events HTTP/1.1\r\n{LOCAL}\r\n")?;
        let mut events = Self {
            stream,
            text: String::new(),
        };
        let head = events.up_to("\r\n\r\n")?.to_ascii_lowercase();
        Ok((head, events))
    }

    /// The text before a mark, which is taken, too.
    fn up_to(&mut self, mark: &str) -> Result<String> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some((before, behind)) = self.text.split_once(mark) {
                let (before, behind) = (before.to_owned(), behind.to_owned());
                self.text = behind;
                return Ok(before);
            }
            match self.stream.read(&mut buffer)? {
                0 => bail!("closed after {:?}", self.text),
                length => self.text += &String::from_utf8_lossy(&buffer[..length]),
            }
        }
    }

    /// The data of the next event of this name. Chunks are no matter: none begins in a line.
    fn next(&mut self, name: &str) -> Result<Value> {
        self.up_to(&format!("event: {name}\ndata: "))?;
        let data = self.up_to("\n\n")?;
        serde_json::from_str(&data).with_context(|| data)
    }
}

#[test]
fn the_page_carries_all_that_it_needs() -> Result<()> {
    let hosts = Hosts::new()?;
    let _agent = hosts.enforce(POINT)?;
    let page = ask(&hosts.point, METRICS, &request("GET", "/", LOCAL))?;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap_or_default();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for reference in ["src=\"", "@import", "url(http"] {
        assert!(!page.body.contains(reference), "{reference}");
    }
    assert!(page.body.contains("href=\"/metrics\""));
    // Others get no right to run anything.
    let metrics = ask(&hosts.point, METRICS, &request("GET", "/metrics", LOCAL))?;
    let policy = metrics
        .header("content-security-policy")
        .unwrap_or_default();
    assert!(!policy.contains("script-src"), "{policy}");
    Ok(())
}

#[test]
fn events_say_what_is_true() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    let (head, mut events) = Events::open(&hosts)?;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    for line in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "frame-ancestors 'none'",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let rights = events.next("rights")?;
    assert_eq!(rights["edition"], "2007");
    assert_eq!(
        rights["matrix"]["protect"][0]["roles"][0],
        "distribution-point"
    );
    let first = events.next("snapshot")?;
    assert_eq!(first["overall"], "enforcing");
    assert_eq!(first["policy"]["hash"], rights["hash"]);
    assert_eq!(first["policy"], hosts.status()?.json["policy"]);
    assert_eq!(first["interfaces"], hosts.status()?.json["interfaces"]);

    hosts.assert_tcp(&[FORBIDDEN], Outcome::TimedOut);
    let dropped = agent.metrics()?.dropped(&[("reason", "not-allowed")]);
    loop {
        let snapshot = events.next("snapshot")?;
        assert!(snapshot["taken"].as_u64() > first["taken"].as_u64());
        let counts = snapshot["counts"].as_array().context("no counts")?;
        let is_it = |count: &&Value| count["reason"] == "not-allowed";
        // Counters are text: a script's numbers would lose digits.
        let packets = counts.iter().find(is_it);
        let packets = packets.and_then(|count| count["packets"].as_str());
        if packets.and_then(|packets| packets.parse().ok()) == Some(dropped) {
            let flow = &snapshot["blocked"]["flows"][0];
            assert_eq!(flow["port"], FORBIDDEN);
            assert!(flow["packets"].is_string(), "{flow}");
            return Ok(());
        }
    }
}

#[test]
fn events_are_guarded_as_all_else() -> Result<()> {
    let hosts = Hosts::new()?;
    let _agent = hosts.enforce(POINT)?;
    let with = |line: &str| format!("{LOCAL}{line}\r\n");
    for path in ["/", "/events"] {
        for (method, lines, status) in [
            ("POST", LOCAL, 405),
            ("PUT", LOCAL, 405),
            ("GET", "", 400),
            ("GET", "Host: rebind.example\r\n", 421),
            ("GET", &with("Origin: https://page.example"), 403),
            ("HEAD", LOCAL, 200),
        ] {
            let answer = ask(&hosts.point, METRICS, &request(method, path, lines))?;
            assert_eq!(answer.status, status, "{method} {path} {lines}: {answer:?}");
        }
    }
    Ok(())
}

#[test]
fn pages_take_nobodys_place() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    let mut open = Vec::new();
    for _ in 0..SEATS {
        let (head, events) = Events::open(&hosts)?;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        open.push(events);
    }
    let (head, _) = Events::open(&hosts)?;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    // A crowd needs all places; pages that are served keep theirs.
    let idle = (0..500).map(|_| connect(&hosts.point, METRICS));
    let idle: Vec<TcpStream> = idle.collect::<Result<_>>()?;
    assert_eq!(agent.metrics()?.sum("sccm_enforcing", &[]), 1.0);
    for events in &mut open {
        events.next("snapshot")?;
        events.next("snapshot")?;
    }
    drop(idle);
    drop(open.pop());
    let end = Instant::now() + LONG;
    while !Events::open(&hosts)?.0.starts_with("http/1.1 200") {
        assert!(Instant::now() < end, "a seat was not given back");
    }
    Ok(())
}

/// Whoever opens pages and reads nothing loses them, although there is always more to send.
#[test]
fn deaf_pages_are_left() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    // Flows make snapshots long, so that the way there is soon full.
    let [packet, _] = hosts.packets()?;
    let socket = FrameSocket::open(hosts.client.interface("eth0"))?;
    let flow = |port: u16| Packet::tcp(packet.clone(), 40000, port).syn().build();
    for port in 20_000..20_100 {
        socket.send_until_taken(&flow(port))?;
    }
    let deaf: Vec<_> = (0..SEATS)
        .map(|_| Events::open(&hosts))
        .collect::<Result<_>>()?;
    let end = Instant::now() + 12 * LONG;
    while !Events::open(&hosts)?.0.starts_with("http/1.1 200") {
        assert!(Instant::now() < end, "they keep their seats");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(agent.metrics()?.sum("sccm_enforcing", &[]), 1.0);
    drop(deaf);
    Ok(())
}
