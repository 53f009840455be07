//! What is under way, on a gateway that takes it over from a list.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use sccm_tests::agent::{Finished, run};
use sccm_tests::gateway::{CLIENT, FAMILIES, Stage, Topology};
use sccm_tests::traffic::PATIENCE;
use serde_json::{Value, json};

use super::rpc::{Mapper, OPEN, PROTECTS, ends};
use super::support::{LONG, end};

/// A service that a primary site server may open, and one that it may not.
const SQL: u16 = 1433;
const OTHER: u16 = 9999;

/// A connection that the protected system has opened.
struct Connection {
    port: u16,
    own: TcpStream,
    peer: TcpStream,
}

impl Connection {
    fn open(stage: &Stage, family: usize, port: u16) -> Result<Self> {
        let to = SocketAddr::new(CLIENT[family], port);
        let listener = stage.client.enter(|| TcpListener::bind(to))?;
        let own = stage
            .server
            .enter(|| TcpStream::connect_timeout(&to, LONG))?;
        let (peer, _) = listener.accept()?;
        Ok(Self { port, own, peer })
    }

    /// Whether what the peer has sent arrives in this time.
    fn hears(&mut self, within: Duration) -> Result<bool> {
        self.own.set_read_timeout(Some(within))?;
        match self.own.read_exact(&mut [0]) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn flows(stage: &Stage) -> Result<Value> {
    let listed = run(stage.command("flows -o json")?)?;
    ensure!(listed.code == Some(0), "{listed:?}");
    Ok(serde_json::from_str(&listed.stdout)?)
}

fn load(stage: &Stage, list: &Value) -> Result<Finished> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("flows.json");
    fs::write(&path, list.to_string())?;
    run(stage.command(&format!("flows -o json --load {}", path.display()))?)
}

/// How many flows of a list were added, updated, known, expired, without room, and refused.
fn counts(stage: &Stage, list: &Value) -> Result<[u64; 6]> {
    Ok(numbers(&counted(stage, list)?))
}

fn counted(stage: &Stage, list: &Value) -> Result<Value> {
    let loaded = load(stage, list)?;
    ensure!(loaded.code == Some(0), "{loaded:?}");
    Ok(serde_json::from_str(&loaded.stdout)?)
}

fn numbers(counts: &Value) -> [u64; 6] {
    let names = ["added", "updated", "known", "expired", "no_room", "refused"];
    names.map(|name| counts[name].as_u64().expect("a number"))
}

/// The same list, with something else in each flow, as if it had been made now.
fn changed(list: &Value, key: &str, to: impl Into<Value>) -> Result<Value> {
    let mut list = list.clone();
    let to = to.into();
    for flow in list["flows"].as_array_mut().context("no flows")? {
        flow[key] = to.clone();
    }
    list["made"] = json!(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
    Ok(list)
}

#[test]
fn answers_come_in_as_far_as_the_policy_lets_them_be_asked_for() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let agent = stage.enforce("primary-site-server", "")?;
    let mut open = Vec::new();
    for family in FAMILIES {
        for port in [SQL, OTHER] {
            open.push(Connection::open(&stage, family, port)?);
        }
    }
    let list = flows(&stage)?;
    ensure!(
        list["flows"].as_array().map(Vec::len) == Some(4),
        "{list:#}"
    );
    end(agent)?;

    // The next one begins with an empty table, as the other gateway of a pair does.
    let agent = stage.enforce("primary-site-server", "--outbound enforce --no-probes")?;
    for one in &mut open {
        one.peer.write_all(b"!")?;
        ensure!(!one.hears(PATIENCE)?, "nothing was taken over yet");
    }
    ensure!(agent.metrics()?.dropped(&[("interface", "up0")]) >= 4);

    for (wrong, said) in [
        (changed(&list, "idle_seconds", "long")?, "no list of flows"),
        (changed(&list, "phase", "waning")?, "no phase is called"),
        (changed(&list, "peer", "2001:db8::9")?, "of two families"),
        (
            {
                let mut old = list.clone();
                old["made"] = json!(1_700_000_000);
                old
            },
            "NTP",
        ),
    ] {
        let refused = load(&stage, &wrong)?;
        ensure!(refused.code == Some(2), "{refused:?}");
        ensure!(refused.stdout.contains(said), "{said}: {refused:?}");
    }
    ensure!(flows(&stage)?["flows"] == json!([]), "nothing half applied");
    let long_ago = changed(&list, "idle_seconds", u32::MAX)?;
    ensure!(counts(&stage, &long_ago)? == [0, 0, 0, 2, 0, 2]);
    let ping = changed(&list, "protocol", "icmp")?;
    ensure!(counts(&stage, &ping)? == [0, 0, 0, 0, 0, 4]);

    ensure!(counts(&stage, &list)? == [2, 0, 0, 0, 0, 2]);
    for one in &mut open {
        match one.port {
            SQL => ensure!(one.hears(LONG)?, "an answer to a question"),
            _ => ensure!(!one.hears(PATIENCE)?, "nobody may ask that here"),
        }
    }
    let here = flows(&stage)?;
    let here = here["flows"].as_array().context("no flows")?;
    ensure!(here.len() == 2, "{here:#?}");
    for flow in here {
        ensure!(
            flow["peer_port"] == SQL && flow["phase"] == "open",
            "{flow}"
        );
    }

    // What is known here is as young as it was; what was heard of there since is news.
    ensure!(counts(&stage, &list)? == [0, 0, 2, 0, 0, 2]);
    sleep(Duration::from_secs(4));
    let closed = changed(&changed(&list, "phase", "closed")?, "idle_seconds", 0)?;
    ensure!(counts(&stage, &closed)? == [0, 2, 0, 0, 0, 2]);
    let here = flows(&stage)?;
    let here = here["flows"].as_array().context("no flows")?;
    ensure!(
        here.iter().all(|flow| flow["phase"] == "closed"),
        "{here:#?}"
    );
    end(agent)
}

/// A client that uses the port meanwhile is not cut off, and nobody else gets in.
#[test]
fn ports_that_a_mapper_has_handed_out_stay_open() -> Result<()> {
    for (serves, role, arguments) in PROTECTS {
        let stage = Stage::new(Topology::Routed)?;
        let agent = stage.enforce(role, arguments)?;
        let (of_client, of_server, hosts) = ends(&stage, serves);
        let mut under_way = Vec::new();
        for family in FAMILIES {
            let mapper = Mapper::start(of_client, of_server, hosts[family])?;
            mapper.hand_out(&OPEN[..1])?;
            let to = SocketAddr::new(hosts[family], OPEN[0]);
            let stream = of_client.enter(|| TcpStream::connect_timeout(&to, LONG))?;
            stream.set_read_timeout(Some(LONG))?;
            under_way.push((mapper, stream));
        }
        let list = flows(&stage)?;
        let ports = list["handed_out"].as_array().context("no ports")?;
        ensure!(ports.len() == 2, "{list:#}");
        end(agent)?;

        // The next one has heard no mapper. By this policy it need not.
        let agent = stage.enforce(role, &arguments.replace("tracked", "static"))?;
        ensure!(numbers(&counted(&stage, &list)?["handed_out"]) == [0, 0, 0, 0, 0, 2]);
        end(agent)?;
        let agent = stage.enforce(role, arguments)?;
        for (mapper, _) in &under_way {
            mapper.assert_open(&[]);
        }
        let wrong = {
            let mut list = list.clone();
            list["handed_out"][1]["interface"] = json!("a name");
            list
        };
        let refused = load(&stage, &wrong)?;
        ensure!(refused.code == Some(2), "{refused:?}");
        ensure!(flows(&stage)?["handed_out"] == json!([]), "half applied");

        ensure!(numbers(&counted(&stage, &list)?["handed_out"]) == [2, 0, 0, 0, 0, 0]);
        for (mapper, stream) in &mut under_way {
            stream.write_all(b"more")?;
            stream.read_exact(&mut [0; 4]).context("it is cut off")?;
            mapper.assert_open(&OPEN[..1]);
        }
        ensure!(numbers(&counted(&stage, &list)?["handed_out"]) == [0, 0, 2, 0, 0, 0]);
        end(agent)?;
    }
    Ok(())
}
