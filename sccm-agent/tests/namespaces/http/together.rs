//! Many ask at once, some hang up before the answer, and the machine changes meanwhile: everybody
//! who waits gets an answer, and the agent goes on.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Hosts, METRICS, POINT};

use super::client::{EndAtLast, ask, connect, request};

const ROUNDS: usize = 100;

/// How often a client may lose its place before its answer.
const PLACES_LOST: usize = 5;

#[test]
fn questions_do_not_get_into_each_others_way() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    hosts
        .point
        .ip("link add other0 type veth peer name other1")?;
    let end = AtomicBool::new(false);
    let question = |path: &str, accept: &str| {
        let lines = format!("Host: localhost\r\nAccept: {accept}\r\n");
        request("GET", path, &lines)
    };
    let asking = |asked: Vec<u8>| -> Result<()> {
        for _ in 0..ROUNDS {
            let mut answer = ask(&hosts.point, METRICS, &asked)?;
            // On a busy machine others may take this one's place: it is closed, and asks again.
            for _ in 0..PLACES_LOST {
                if answer.status != 0 {
                    break;
                }
                answer = ask(&hosts.point, METRICS, &asked)?;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        Ok(())
    };
    thread::scope(|scope| -> Result<()> {
        let _end = EndAtLast(&end);
        scope.spawn(|| {
            while !end.load(Relaxed) {
                for state in ["up", "down"] {
                    let _ = hosts.point.ip(&format!("link set other0 {state}"));
                }
            }
        });
        scope.spawn(|| {
            while !end.load(Relaxed) {
                let stream = connect(&hosts.point, METRICS);
                let _ = stream.map(|mut stream| stream.write_all(&question("/metrics", "*/*")));
            }
        });
        let asked = [
            question("/metrics", "*/*"),
            question("/metrics", "application/openmetrics-text"),
            question("/-/ready", "*/*"),
            question("/-/ready", "*/*"),
        ];
        let asking = asked.map(|asked| scope.spawn(|| asking(asked)));
        for one in asking {
            one.join().expect("a client panicked").context("asking")?;
        }
        Ok(())
    })?;
    assert_eq!(agent.get("/-/ready")?.0, 200);
    let finished = agent.end(Signal::SIGTERM)?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    Ok(())
}
