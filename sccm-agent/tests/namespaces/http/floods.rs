//! Whoever asks again and again keeps nobody out: not by what is refused, nor by what is answered,
//! nor by what they never read.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sccm_tests::agent::{Agent, Hosts, METRICS, POINT};
use sccm_tests::netns::Namespace;

use super::client::{EndAtLast, connect};
use super::pki::Pki;

/// How many connections the agent keeps, and how many of one other machine.
const PLACES: usize = 128;
const OF_PEER: usize = 32;

/// Longer than this most scrapes do not wait, on a busy machine either.
const PROMPT: Duration = Duration::from_secs(1);

/// Longer than this none does: half of what Prometheus waits by default.
const LONGEST: Duration = Duration::from_secs(5);

/// What a client asks that the agent does not know.
const REFUSED: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: rebind.example\r\n\r\n";
const HEALTHY: &[u8] = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Connections that each ask this every 60 ms, read what they get, and come back when they are
/// closed, until the end.
fn ask_on(inside: &Namespace, to: SocketAddr, request: &[u8], end: &AtomicBool) -> Result<()> {
    let open = || -> Result<TcpStream> {
        let stream = connect(inside, to)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    let mut streams: Vec<TcpStream> = (0..PLACES).map(|_| open()).collect::<Result<_>>()?;
    let mut answer = vec![0; 1 << 20];
    while !end.load(Relaxed) {
        let begun = Instant::now();
        for stream in &mut streams {
            let is_open = match stream.read(&mut answer) {
                Ok(read) => read > 0,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            if !is_open {
                *stream = open()?;
                // A flood of new connections would be another test, and depend on the machine.
                thread::sleep(Duration::from_millis(5));
            }
            // A full buffer is the next turn's.
            let _ = stream.write(request);
        }
        thread::sleep(Duration::from_millis(60).saturating_sub(begun.elapsed()));
    }
    Ok(())
}

/// Asserts that whoever scrapes is answered at once, again and again.
#[track_caller]
fn assert_prompt(agent: &Agent) -> Result<()> {
    let mut slow = 0;
    for _ in 0..20 {
        let begun = Instant::now();
        ensure!(agent.metrics()?.sum("sccm_enforcing", &[]) == 1.0);
        let took = begun.elapsed();
        assert!(took < LONGEST, "a scrape took {took:?}");
        slow += u32::from(took >= PROMPT);
    }
    assert!(slow <= 2, "{slow} of 20 scrapes took {PROMPT:?} or longer");
    Ok(())
}

#[test]
fn many_who_ask_without_end_delay_no_scrape() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    for (name, request) in [
        ("refused", REFUSED.to_vec()),
        ("answered", HEALTHY.to_vec()),
        ("answered all the time", HEALTHY.repeat(1000)),
    ] {
        let end = AtomicBool::new(false);
        thread::scope(|scope| -> Result<()> {
            let flood = scope.spawn(|| ask_on(&hosts.point, METRICS, &request, &end));
            let end = EndAtLast(&end);
            // Until all of them are there.
            thread::sleep(Duration::from_millis(500));
            println!("{name}");
            assert_prompt(&agent)?;
            drop(end);
            flood.join().expect("the flood panicked")
        })?;
    }
    Ok(())
}

#[test]
fn who_asks_ahead_and_reads_nothing_delays_no_scrape() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    for path in ["/metrics", "/-/ready"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(1000);
        let open = || -> Result<TcpStream> {
            let stream = connect(&hosts.point, METRICS)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let mut deaf: Vec<TcpStream> = (0..PLACES).map(|_| open()).collect::<Result<_>>()?;
        let end = AtomicBool::new(false);
        thread::scope(|scope| -> Result<()> {
            let flood = scope.spawn(|| -> Result<()> {
                while !end.load(Relaxed) {
                    for stream in &mut deaf {
                        match stream.write(request.as_bytes()) {
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                            Ok(_) => {}
                            Err(_) => {
                                *stream = open()?;
                                thread::sleep(Duration::from_millis(5));
                            }
                        }
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            });
            let end = EndAtLast(&end);
            thread::sleep(Duration::from_millis(500));
            println!("{path}");
            assert_prompt(&agent)?;
            drop(end);
            flood.join().expect("the flood panicked")
        })?;
    }
    Ok(())
}

/// How many of these the agent has not closed.
fn open(streams: &[TcpStream]) -> usize {
    let is_open = |stream: &&TcpStream| {
        let peeked = stream.peek(&mut [0]);
        matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    };
    streams.iter().filter(is_open).count()
}

#[test]
fn another_machine_has_so_many_connections_and_no_more() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(&format!(
        "{POINT} --metrics-listen [::]:19470 --insecure-listen --allow tcp/19470"
    ))?;
    for address in ["192.0.2.2:19470", "[2001:db8::2]:19470"] {
        let streams: Vec<TcpStream> = (0..PLACES)
            .map(|_| {
                let stream = connect(&hosts.client, address.parse()?)?;
                stream.set_nonblocking(true)?;
                Ok(stream)
            })
            .collect::<Result<_>>()?;
        assert_prompt(&agent)?;
        let open = open(&streams);
        assert!((1..=OF_PEER).contains(&open), "{address}: {open}");
    }
    Ok(())
}

#[test]
fn who_has_shown_its_token_keeps_its_connection() -> Result<()> {
    let (hosts, pki) = (Hosts::new()?, Pki::new()?);
    pki.write("token", "0123456789abcdef\n")?;
    let config = pki.write("web.toml", "bearer_token_file = \"token\"\n")?;
    let mut command = hosts.command(&format!("enforce {POINT}"))?;
    command.arg("--web-config").arg(config);
    let _agent = Agent::start_guarded(&hosts.point, command)?;
    let ask = |stream: &mut TcpStream| -> Result<bool> {
        let token = "Authorization: Bearer 0123456789abcdef\r\n";
        let asked = format!("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n{token}\r\n");
        let _ = stream.write_all(asked.as_bytes());
        let mut answer = [0; 2048];
        let read = stream.read(&mut answer).unwrap_or(0);
        Ok(answer[..read].starts_with(b"HTTP/1.1 200"))
    };
    let mut known = connect(&hosts.point, METRICS)?;
    assert!(ask(&mut known)?);
    let end = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let flood = scope.spawn(|| ask_on(&hosts.point, METRICS, HEALTHY, &end));
        let end = EndAtLast(&end);
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(200));
            assert!(ask(&mut known)?, "its connection was closed");
        }
        drop(end);
        flood.join().expect("the flood panicked")
    })
}
