//! Those who are silent, slow, huge or many disturb neither enforcement nor an honest client.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Hosts, METRICS, POINT};

use super::client::{Answer, EndAtLast, ask, connect, request};

/// How many connections the agent keeps.
const PLACES: usize = 128;

/// Connections of a client that says nothing, at once.
const IDLE: usize = 2000;

/// What the agent may need more under attack, in KiB: its connections' buffers and stacks.
const MORE_MEMORY: u64 = 24 * 1024;

const BEGUN: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";

/// The agent's resident memory in KiB.
fn memory(agent: &Agent) -> Result<u64> {
    let status = fs::read_to_string(agent.proc()?.join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .context("no VmRSS")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?)
}

/// How many files the agent has open.
fn files(agent: &Agent) -> Result<usize> {
    Ok(fs::read_dir(agent.proc()?.join("fd"))?.count())
}

/// Lets this process have as many files as its administrator allows.
fn raise_file_limit() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// Sends a byte of a header to each again and again, and begins anew where the agent has closed.
fn dribble(hosts: &Hosts, end: &AtomicBool) -> Result<usize> {
    let begin = || -> Result<TcpStream> {
        let mut stream = connect(&hosts.point, METRICS)?;
        stream.write_all(BEGUN)?;
        Ok(stream)
    };
    let mut again = 0;
    let mut slow: Vec<TcpStream> = (0..200).map(|_| begin()).collect::<Result<_>>()?;
    while !end.load(Relaxed) {
        for stream in &mut slow {
            if stream.write_all(b"x").is_err() {
                *stream = begin()?;
                again += 1;
                // A flood of new connections would be another test, and depend on the machine.
                thread::sleep(Duration::from_millis(5));
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(again)
}

#[test]
fn idle_and_slow_clients_are_in_nobodys_way() -> Result<()> {
    raise_file_limit()?;
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    agent.metrics()?;
    let (memory_before, files_before) = (memory(&agent)?, files(&agent)?);

    let end = AtomicBool::new(false);
    let (again, idle) = thread::scope(|scope| -> Result<(usize, Vec<TcpStream>)> {
        let slow = scope.spawn(|| dribble(&hosts, &end));
        let end = EndAtLast(&end);
        let attack = || -> Result<Vec<TcpStream>> {
            let idle = (0..IDLE).map(|_| connect(&hosts.point, METRICS));
            let idle = idle.collect::<Result<_>>()?;
            for _ in 0..20 {
                assert!(agent.metrics()?.sum("sccm_enforcing", &[]) == 1.0);
            }
            hosts.assert_enforced();
            assert!(files(&agent)? <= files_before + PLACES + 1);
            Ok(idle)
        };
        let idle = attack();
        drop(end);
        Ok((slow.join().expect("the slow client panicked")?, idle?))
    })?;
    assert!(again > 0, "slow clients have had to begin anew");
    let grown = memory(&agent)?.saturating_sub(memory_before);
    println!("memory: {memory_before} KiB, and {grown} KiB more");
    assert!(
        grown < MORE_MEMORY,
        "{memory_before} KiB grew by {grown} KiB"
    );

    drop(idle);
    assert!(agent.metrics()?.dropped(&[]) > 0);
    let log = agent.end(Signal::SIGTERM)?.stderr;
    assert!(
        !log.contains("accepting"),
        "the agent ran out of files: {log}"
    );
    Ok(())
}

#[test]
fn who_asks_without_reading_fills_no_memory() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    agent.metrics()?;
    let before = memory(&agent)?;
    let many = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let deaf: Vec<TcpStream> = (0..PLACES)
        .map(|_| {
            let stream = connect(&hosts.point, METRICS)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        })
        .collect::<Result<_>>()?;
    // Each way there is filled again and again, while the agent works on it.
    for _ in 0..20 {
        for mut stream in &deaf {
            while stream.write(&many).is_ok() {}
        }
    }
    for _ in 0..20 {
        agent.metrics()?;
    }
    hosts.assert_enforced();
    let grown = memory(&agent)?.saturating_sub(before);
    println!("memory: {before} KiB, and {grown} KiB more");
    assert!(grown < MORE_MEMORY, "{before} KiB grew by {grown} KiB");
    Ok(())
}

#[test]
fn endless_headers_and_bodies_end() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    agent.metrics()?;
    let before = memory(&agent)?;
    let endless = [BEGUN, &vec![b'x'; 50 << 20]].concat();
    assert_eq!(ask(&hosts.point, METRICS, &endless)?.status, 431);
    let chunks = "Host: localhost\r\nTransfer-Encoding: chunked\r\n";
    let mut body = request("POST", "/metrics", chunks);
    body.extend(b"100000\r\n");
    body.extend(vec![b'x'; 50 << 20]);
    assert_eq!(ask(&hosts.point, METRICS, &body)?.status, 405);
    let grown = memory(&agent)?.saturating_sub(before);
    assert!(grown < MORE_MEMORY, "{before} KiB grew by {grown} KiB");
    Ok(())
}

#[test]
fn nobody_keeps_a_connection_without_asking() -> Result<()> {
    let hosts = Hosts::new()?;
    let _agent = hosts.enforce(POINT)?;
    // Longer than any limit of the agent.
    let patience = Some(Duration::from_secs(60));
    let silent = connect(&hosts.point, METRICS)?;
    let mut asked = connect(&hosts.point, METRICS)?;
    asked.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut slow = connect(&hosts.point, METRICS)?;
    slow.write_all(BEGUN)?;
    let mut dribbling = slow.try_clone()?;
    let dribbler = thread::spawn(move || {
        while dribbling.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let mut said = Vec::new();
    for mut stream in [silent, asked, slow] {
        stream.set_read_timeout(patience)?;
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the agent keeps a connection")
            }
            _ => said.push(Answer::parse(&bytes)?.status),
        }
    }
    dribbler.join().expect("the slow client panicked");
    assert_eq!(said[..2], [0, 200]);
    assert_ne!(said[2], 200);
    Ok(())
}
