//! Those who flood the socket: nobody else waits for them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use sccm_tests::agent::{Hosts, PolicyFile};

use super::{MEMBERS, NOBODY, ask, connect_as, socket, start_with_groups};

/// Users of the group.
const USERS: [u32; 3] = [NOBODY, 61001, 61002];

/// No command of root's takes longer, on a busy machine either.
const PROMPT: Duration = Duration::from_secs(2);

/// Gives a command as a member of the group, and returns what is answered.
fn command_as(user: u32, socket: &Path, command: &str) -> Result<String> {
    let mut stream = connect_as(user, MEMBERS, socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let _ = writeln!(stream, "{{\"command\":\"{command}\"}}");
    let mut answer = String::new();
    let _ = BufReader::new(&stream).read_line(&mut answer);
    Ok(answer)
}

/// Connects again and again, and says nothing.
fn keep_silent(user: u32, socket: &Path, end: &AtomicBool) {
    let mut silent = Vec::<UnixStream>::new();
    while !end.load(Relaxed) {
        silent.extend(connect_as(user, MEMBERS, socket).ok());
        if silent.len() > 20 {
            silent.remove(0);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn floods_of_the_group_delay_neither_root_nor_another_member() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    let groups = format!("sccm-agent:x:{MEMBERS}:\n");
    let _agent = start_with_groups(&hosts, &groups, &policy.arguments())?;
    let path = socket(&hosts);
    let end = AtomicBool::new(false);
    let is_over = || end.store(true, Relaxed);
    thread::scope(|scope| -> Result<()> {
        scope.spawn(|| keep_silent(USERS[0], &path, &end));
        for command in ["reload", "rollback", "shadow"] {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !end.load(Relaxed) {
                        let _ = command_as(USERS[1], &path, command);
                    }
                });
            }
        }
        thread::sleep(Duration::from_millis(500));
        let prompt = || -> Result<()> {
            for _ in 0..10 {
                let begun = Instant::now();
                let answer = ask(&path, b"{\"command\":\"confirm\"}\n")?;
                assert!(answer.to_string().contains("nothing waits"), "{answer}");
                let answer = command_as(USERS[2], &path, "confirm")?;
                assert!(answer.contains("nothing waits"), "{answer}");
                let took = begun.elapsed();
                assert!(took < PROMPT, "two commands took {took:?}");
            }
            Ok(())
        };
        let prompt = thread::scope(|inner| inner.spawn(prompt).join());
        is_over();
        prompt.expect("an assertion failed")
    })
}
