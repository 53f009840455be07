//! `rpc = "tracked"` between a real domain controller, whose mapper hands out ports of the dynamic
//! range, and real clients: each call works at the first try, and a scan finds nothing else.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sccm_tests::agent::{Agent, PolicyFile, run};
use sccm_tests::gateway::{CLIENT, FAMILIES, SEGMENT, SERVER, Stage, Topology, UPLINK};
use sccm_tests::netns::Namespace;
use sccm_tests::traffic::{Outcome, tcp_connect_many};
use serde_json::Value;

use super::controller::{Controller, Member};
use super::support::LONG;

/// What clients ask over TCP, each by way of the mapper. `HOST` is the controller.
const CALLS: [&str; 4] = [
    "timeout 9 rpcclient -s smb.conf 'ncacn_ip_tcp:HOST[sign]' -U Administrator%$PASSWORD \
     -c enumdomusers | grep -q krbtgt",
    "timeout 9 rpcclient -s smb.conf 'ncacn_ip_tcp:HOST[seal]' -U Administrator%$PASSWORD \
     -c 'dscracknames CORP\\\\Administrator 0 0 1' | grep -q CN=Administrator",
    "timeout 9 samba-tool dns zonelist -s smb.conf HOST -U Administrator%$PASSWORD \
     | grep -q _msdcs.corp.example",
    "timeout 9 samba-tool drs bind -s smb.conf HOST -U Administrator%$PASSWORD | grep -q 'Repl epoch'",
];

/// The same by a client that shares no code with the server. Debian's own Python has it.
const IMPACKET: &str = "timeout 9 /usr/bin/python3 -c \"
from impacket.dcerpc.v5 import epm, nrpc, transport
where = epm.hept_map('HOST', nrpc.MSRPC_UUID_NRPC, protocol='ncacn_ip_tcp')
there = transport.DCERPCTransportFactory(where).get_dce_rpc()
there.connect()
there.bind(nrpc.MSRPC_UUID_NRPC)\"";

/// Another address of each family for the client's host, from which nobody asks the mapper.
const OTHERS: [[&str; 2]; 2] = [
    ["198.51.100.21", "2001:db8:2::21"],
    ["192.0.2.12", "2001:db8:1::12"],
];

/// How long a port of the scan may take. Nobody repeats a SYN before a second has passed.
const GLANCE: Duration = Duration::from_millis(100);

/// Protects a domain controller behind the gateway.
fn serving() -> String {
    let [own, own6] = SERVER;
    let mut text = format!(
        "[site]\nedition = \"current-branch\"\nrpc = \"tracked\"\n\
         [peers]\nsite-server = [\"192.0.2.0/24\", \"2001:db8:1::/64\"]\n\
         [[protect]]\nname = \"dc\"\nroles = [\"distribution-point\"]\naddresses = [\"{own}\", \"{own6}\"]\n"
    );
    for protocol in ["tcp", "udp"] {
        text += &format!(
            "[[allow]]\nname = \"{protocol}\"\nprotocol = \"{protocol}\"\n\
             ports = [\"53\", \"88\", \"389\"]\nfrom = [\"site-server\"]\nreason = \"a test\"\n"
        );
    }
    text
}

/// Protects the clients of a domain controller.
fn asking() -> String {
    let ([dc, dc6], [own, own6]) = (CLIENT, SERVER);
    let [other, other6] = OTHERS[0];
    format!(
        "[site]\nedition = \"current-branch\"\nrpc = \"tracked\"\noutbound = \"enforce\"\n\
         sets = [\"domain-member\"]\n[peers]\ndomain-controller = [\"{dc}\", \"{dc6}\"]\n\
         [[protect]]\nname = \"mp\"\nroles = [\"distribution-point\"]\n\
         addresses = [\"{own}\", \"{own6}\", \"{other}\", \"{other6}\"]\n"
    )
}

/// The ports that are open to somebody at this address.
fn handed_out(stage: &Stage, client: IpAddr) -> Result<BTreeSet<u16>> {
    let told = run(stage.command("openings -o json")?)?.stdout;
    let told: Value = serde_json::from_str(&told)?;
    let all = told["openings"].as_array().context("no list")?;
    let of_client = all.iter().filter(|one| one["client"] == client.to_string());
    let ports = of_client.filter_map(|one| one["port"].as_u64());
    ports.map(|port| Ok(u16::try_from(port)?)).collect()
}

/// Tries every port of the range, and says which are reached.
fn scan(agent: &Agent, from: &Namespace, host: IpAddr, open: &BTreeSet<u16>) -> Result<()> {
    let address = |port| SocketAddr::from((host, port));
    let reached: Vec<SocketAddr> = open.iter().copied().map(address).collect();
    let found = tcp_connect_many(from, &reached, LONG);
    ensure!(
        found.iter().all(|one| *one == Outcome::Connected),
        "{host}: {found:?}"
    );
    let rest = (49_152..=u16::MAX).filter(|port| !open.contains(port));
    let rest: Vec<SocketAddr> = rest.map(address).collect();
    let before = not_named(agent)?;
    let found = tcp_connect_many(from, &rest, GLANCE);
    let silent = found.iter().filter(|one| **one == Outcome::TimedOut);
    ensure!(silent.count() == rest.len(), "{host}: something answers");
    let dropped = not_named(agent)? - before;
    ensure!(dropped >= rest.len() as u64, "{host}: {dropped}");
    Ok(())
}

fn not_named(agent: &Agent) -> Result<u64> {
    Ok(agent.metrics()?.dropped(&[("reason", "rpc-not-named")]))
}

/// `side`: 0 with the controller outside, 1 with it behind the gateway.
fn every_call_works(stage: &Stage, side: usize, policy: &str) -> Result<()> {
    let (of_client, clients, of_server, servers) = match side {
        0 => (&stage.server, SERVER, &stage.client, CLIENT),
        _ => (&stage.client, CLIENT, &stage.server, SERVER),
    };
    let _controller = Controller::start(of_server, servers[0])?;
    let member = Member::new(of_client, servers[0])?;
    let file = PolicyFile::allowing(&[])?;
    file.write(policy)?;
    let arguments = format!(
        "enforce --config {} --uplink up0 --segment seg0",
        file.path().display()
    );
    let agent = stage.start(&arguments)?;
    let hosts = [servers[0].to_string(), servers[1].to_string()];
    let first = hosts
        .iter()
        .flat_map(|host| CALLS[..2].iter().map(move |call| (call, host.as_str())));
    let more = CALLS[2..].iter().map(|call| (call, "dc1.corp.example"));
    let other = [(&IMPACKET, hosts[0].as_str())];
    for (call, host) in first.chain(more).chain(other) {
        let line = call.replace("HOST", host);
        let done = member.does(&line)?;
        let blocked = run(stage.command("blocked")?)?.stdout;
        assert_eq!(done.code, Some(0), "{line}: {done:?}\n{blocked}");
    }
    let metrics = agent.metrics()?;
    assert_eq!(
        metrics.dropped(&[("reason", "rpc-not-named")]),
        0,
        "a SYN was lost"
    );
    let answers = metrics.sum("sccm_rpc_answers_total", &[("outcome", "ept_map")]);
    assert!(answers >= 7.0, "{metrics:#?}");
    assert_eq!(
        metrics.sum("sccm_rpc_answers_total", &[]),
        answers,
        "{metrics:#?}"
    );

    let speaks_as = |family: usize, from: &str| {
        let router = [SEGMENT, UPLINK][side][family];
        of_client.ip(&format!(
            "route replace default via {router} dev eth0 src {from}"
        ))
    };
    for family in FAMILIES {
        let open = handed_out(stage, clients[family])?;
        assert!(open.len() >= 2, "{open:?}");
        speaks_as(family, &clients[family].to_string())?;
        scan(&agent, of_client, servers[family], &open)?;
        let other = OTHERS[side][family];
        let length = [24, 64][family];
        of_client.ip(&format!("address add {other}/{length} dev eth0 nodad"))?;
        speaks_as(family, other)?;
        scan(&agent, of_client, servers[family], &BTreeSet::new())?;
    }
    Ok(())
}

#[test]
fn clients_of_a_controller_behind_the_gateway_reach_what_it_names() -> Result<()> {
    every_call_works(&Stage::new(Topology::Routed)?, 1, &serving())
}

#[test]
fn clients_behind_the_gateway_reach_what_a_controller_names() -> Result<()> {
    every_call_works(&Stage::new(Topology::Routed)?, 0, &asking())
}
