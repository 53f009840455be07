//! Connections to dynamic ports that are older than the tracking of their ports.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sccm_tests::agent::run;
use sccm_tests::gateway::{FAMILIES, Stage, Topology};
use sccm_tests::netns::Namespace;
use serde_json::Value;

use super::older::track;
use super::rpc::{Mapper, OPEN, ends};
use super::support::LONG;

fn write(policy: &Path, rpc: &str, serves: bool) -> Result<()> {
    let (role, more) = match serves {
        true => ("distribution-point", ""),
        false => ("site-server", "outbound = \"enforce\"\n"),
    };
    let text = format!(
        "[site]\n{more}rpc = \"{rpc}\"\n[[protect]]\nname = \"points\"\nroles = [\"{role}\"]\n"
    );
    Ok(std::fs::write(policy, text)?)
}

/// The client speaks first, and is answered.
fn goes_on(stream: &mut TcpStream, word: &[u8; 4]) -> Result<()> {
    stream.write_all(word)?;
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).context("no answer")?;
    ensure!(echo == *word, "something else arrives");
    Ok(())
}

fn connect(from: &Namespace, to: SocketAddr) -> Result<TcpStream> {
    let stream = from.enter(|| TcpStream::connect_timeout(&to, LONG))?;
    stream.set_read_timeout(Some(LONG))?;
    Ok(stream)
}

#[test]
fn nobody_is_cut_off_when_tracking_begins() -> Result<()> {
    for topology in [Topology::Host, Topology::Routed] {
        for serves in [true, false] {
            for is_first in [true, false] {
                let stage = Stage::new(topology)?;
                if topology == Topology::Routed {
                    track(&stage)?;
                }
                let policy = tempfile::NamedTempFile::with_suffix(".toml")?;
                let (of_client, of_server, hosts) = ends(&stage, serves);
                let mappers = FAMILIES
                    .map(|family| Mapper::start(of_client, of_server, hosts[family]))
                    .into_iter()
                    .collect::<Result<Vec<_>>>()?;
                let open = || {
                    let ends = hosts.map(|host| connect(of_client, (host, OPEN[0]).into()));
                    ends.into_iter().collect::<Result<Vec<_>>>()
                };
                let cards = match topology {
                    Topology::Host => "--interface eth0",
                    _ => "--uplink up0 --segment seg0",
                };
                let start = format!("enforce {cards} --config {}", policy.path().display());
                let (agent, mut streams) = match is_first {
                    true => {
                        let streams = open()?;
                        write(policy.path(), "tracked", serves)?;
                        (stage.start(&start)?, streams)
                    }
                    false => {
                        write(policy.path(), "static", serves)?;
                        let agent = stage.start(&start)?;
                        let streams = open()?;
                        write(policy.path(), "tracked", serves)?;
                        let reload = run(stage.command("reload")?)?;
                        ensure!(reload.code == Some(0), "{reload:?}");
                        (agent, streams)
                    }
                };
                let what = format!("{topology:?}, serves: {serves}, first: {is_first}");
                for stream in &mut streams {
                    goes_on(stream, b"more").with_context(|| what.clone())?;
                }
                // The port stays open to that client, and no other port is.
                for mapper in &mappers {
                    mapper.assert_open(&OPEN[..1]);
                }
                let listed = run(stage.command("openings -o json")?)?.stdout;
                let told: Value = serde_json::from_str(&listed)?;
                let openings = told["openings"].as_array().context("no list")?;
                let how = |one: &Value| one["how"] == "connected" && one["port"] == OPEN[0];
                assert!(
                    openings.len() == 2 && openings.iter().all(how),
                    "{what}: {told:#}"
                );
                drop(agent);
            }
        }
    }
    Ok(())
}
