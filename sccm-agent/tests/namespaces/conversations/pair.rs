//! Two gateways side by side, with the same policy and keepalived: one of them is the master, and
//! connections survive when the other one takes over (`docs/pair.md`).

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use sccm_tests::agent::{Agent, command};
use sccm_tests::bpffs::BpfMount;
use sccm_tests::gateway::{CLIENT, FAMILIES, SEGMENT, SERVER, UPLINK};
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::scrape::Metrics;

use super::programs::{Daemon, keepalived};
use super::support::{LONG, Told};

/// What is sent through the pair.
const BYTES: usize = 1 << 30;

/// How long a change of master may take.
const CHANGE: Duration = Duration::from_secs(5);

/// A client, a server, and two routers between them; all cables end in a switch.
pub struct Stage {
    client: Namespace,
    server: Namespace,
    pub gateways: [Namespace; 2],
    _switch: Namespace,
    bpf: [BpfMount; 2],
}

impl Stage {
    pub fn new() -> Result<Self> {
        let switch = Namespace::new("switch")?;
        for bridge in ["out", "in"] {
            switch.ip(&format!("link add {bridge} type bridge"))?;
            switch.ip(&format!("link set dev {bridge} up"))?;
        }
        let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
        let gateways = [Namespace::new("first")?, Namespace::new("second")?];
        let cable = |host: &Namespace,
                     card: &str,
                     to: &str,
                     port: &str,
                     addresses: [IpAddr; 2]|
         -> Result<()> {
            let (end, _) = veth_pair(host, card, &switch, port)?;
            let [four, six] = addresses;
            end.address(&format!("{four}/24"))?
                .address(&format!("{six}/64"))?;
            switch
                .ip(&format!("link set dev {port} master {to}"))
                .map(drop)
        };
        cable(&client, "eth0", "out", "client", CLIENT)?;
        cable(&server, "eth0", "in", "server", SERVER)?;
        for (number, gateway) in gateways.iter().enumerate() {
            gateway.sysctl("net.ipv4.ip_forward", "1")?;
            gateway.sysctl("net.ipv6.conf.all.forwarding", "1")?;
            let (up, seg) = (format!("up{number}"), format!("seg{number}"));
            cable(gateway, "up0", "out", &up, beside(UPLINK, number))?;
            cable(gateway, "seg0", "in", &seg, beside(SEGMENT, number))?;
        }
        for (host, router) in [(&client, UPLINK), (&server, SEGMENT)] {
            for router in router {
                host.route(&format!("default via {router}"))?;
            }
        }
        Ok(Self {
            client,
            server,
            gateways,
            _switch: switch,
            bpf: [BpfMount::new()?, BpfMount::new()?],
        })
    }

    /// An agent on each gateway, both with the policy of `docs/pair.md`.
    pub fn enforce(&self, policy: &str) -> Result<Vec<Agent<'_>>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("policy.toml");
        fs::write(&path, policy)?;
        let agents = self.gateways.iter().zip(&self.bpf).map(|(gateway, bpf)| {
            let line = format!(
                "enforce --config {} --uplink up0 --segment seg0",
                path.display()
            );
            Agent::start(gateway, command(gateway, &line, &bpf.path().join("agent"))?)
        });
        agents.collect()
    }

    /// Gives a gateway the addresses that the pair shares, and has the others ask who has them.
    fn make_master(&self, place: usize) -> Result<()> {
        for (card, addresses) in [("up0", UPLINK), ("seg0", SEGMENT)] {
            for (address, length) in addresses.iter().zip([24, 64]) {
                self.gateways[place]
                    .ip(&format!("address add {address}/{length} dev {card} nodad"))?;
            }
        }
        for host in [&self.client, &self.server] {
            host.ip("neighbour flush dev eth0")?;
        }
        Ok(())
    }

    /// Copies the flows of one gateway to the other one.
    fn copy(&self, from: usize, to: usize) -> Result<()> {
        let command = |place: usize, line: &str| {
            let pins = self.bpf[place].path().join("agent");
            command(&self.gateways[place], line, &pins)
        };
        let mut list = command(from, "flows -o json")?
            .stdout(Stdio::piped())
            .spawn()?;
        let piped = list.stdout.take().context("no pipe")?;
        let loaded = command(to, "flows --load -")?.stdin(piped).output()?;
        ensure!(
            list.wait()?.success() && loaded.status.success(),
            "{loaded:?}"
        );
        let said = String::from_utf8(loaded.stdout)?;
        let listed = String::from_utf8(command(to, "flows")?.output()?.stdout)?;
        ensure!(said.starts_with("Flows: 1 added"), "{said}\n{listed}");
        Ok(())
    }

    /// The place of the gateway that has the pair's address of the uplink.
    fn master(&self) -> Result<usize> {
        let [shared, _] = UPLINK;
        for (place, gateway) in self.gateways.iter().enumerate() {
            let listed = gateway.ip("-o address show dev up0")?;
            if listed.contains(&format!(" {shared}/")) {
                return Ok(place);
            }
        }
        bail!("nobody is the master")
    }

    /// How many gateways have the pair's addresses, of uplink and segment, of either family.
    fn masters(&self) -> Result<[usize; 4]> {
        let shared = [UPLINK[0], UPLINK[1], SEGMENT[0], SEGMENT[1]];
        let mut masters = [0; 4];
        for gateway in &self.gateways {
            let listed = gateway.ip("-o address show")?;
            for (count, address) in masters.iter_mut().zip(shared) {
                *count += usize::from(listed.contains(&format!(" {address}/")));
            }
        }
        Ok(masters)
    }

    /// Waits until each address is on so many gateways, and stays there for a while. A busy machine
    /// delays what they tell each other, so another one may be master for a moment.
    fn settles(&self, masters: usize) -> Result<()> {
        let end = Instant::now() + LONG * 2;
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_secs(3) {
            let found = self.masters()?;
            if found != [masters; 4] {
                since = Instant::now();
            }
            ensure!(Instant::now() < end, "masters: {found:?}");
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// A gateway's own addresses beside those that the pair shares.
fn beside(shared: [IpAddr; 2], number: usize) -> [IpAddr; 2] {
    shared.map(|address| match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() + 1 + number as u32).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() + 1 + number as u128).into()),
    })
}

fn policy(vrrp: bool) -> String {
    let [four, six] = SERVER;
    let mut text = format!(
        "[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n\
         addresses = [\"{four}\", \"{six}\"]\n"
    );
    if vrrp {
        text += "[[management.allow]]\nname = \"vrrp\"\nprotocol = \"ip\"\nports = [112]\n\
                 from = [\"192.0.2.2/31\", \"198.51.100.2/31\", \"fe80::/10\"]\n\
                 reason = \"the other gateway\"\n";
    }
    text
}

/// An instance of VRRP for each side and family, which change together.
fn configuration(version: u8, priority: u8) -> String {
    let interval = if version == 2 { "1" } else { "0.2" };
    let mut text = format!("global_defs {{\n vrrp_version {version}\n}}\n");
    let sides = [("up0", UPLINK, 51), ("seg0", SEGMENT, 52)];
    let mut names = Vec::new();
    for (card, [four, six], id) in sides {
        for (family, address) in [(4, format!("{four}/24")), (6, format!("{six}/64"))] {
            // Version 2 is of IPv4 alone.
            let version = if family == 6 { 3 } else { version };
            let interval = if family == 6 { "0.2" } else { interval };
            let first = if family == 6 { "fe80::1:1\n" } else { "" };
            text += &format!(
                "vrrp_instance {card}{family} {{\n state BACKUP\n version {version}\n \
                 interface {card}\n virtual_router_id {id}\n priority {priority}\n \
                 advert_int {interval}\n nopreempt\n \
                 virtual_ipaddress {{\n {first}{address}\n }}\n}}\n"
            );
            names.push(format!("{card}{family}"));
        }
    }
    let names = names.join("\n ");
    text += &format!("vrrp_sync_group pair {{\n group {{\n {names}\n }}\n}}\n");
    text
}

/// The hash of the policy that an agent enforces.
fn hash(agent: &Agent<'_>) -> Result<String> {
    let metrics = agent.metrics()?;
    let mut samples = metrics.samples.iter();
    let info = samples.find(|sample| sample.name == "sccm_policy_info");
    let mut labels = info.context("no policy")?.labels.iter();
    let hash = labels.find(|(label, _)| *label == "hash");
    Ok(hash.context("no hash")?.1.clone())
}

/// keepalived on both gateways; the first one wants to be the master.
fn start(stage: &Stage, version: u8) -> Result<Vec<Daemon>> {
    let gateways = stage.gateways.iter().zip([200, 100]);
    gateways
        .map(|(gateway, priority)| keepalived(gateway, &configuration(version, priority)))
        .collect()
}

#[test]
fn there_is_one_master() -> Result<()> {
    for version in [2, 3] {
        let stage = Stage::new()?;
        let agents = stage.enforce(&policy(true))?;
        assert_eq!(hash(&agents[0])?, hash(&agents[1])?, "one file");
        let _pair = start(&stage, version)?;
        stage
            .settles(1)
            .with_context(|| format!("version {version}"))?;
        for card in ["up0", "seg0"] {
            let heard = [
                ("service", "ip/112"),
                ("interface", card),
                ("reason", "service"),
            ];
            let metrics = agents[1].metrics()?;
            metrics.tells_passed(&heard)?;
            metrics.tells_no_drop(&[("service", "ip/112")])?;
        }
    }
    Ok(())
}

/// The counterpart: without a rule, nobody hears the other one.
#[test]
fn without_a_rule_there_are_two() -> Result<()> {
    let stage = Stage::new()?;
    let agents = stage.enforce(&policy(false))?;
    let _pair = start(&stage, 3)?;
    stage.settles(2)?;
    for card in ["up0", "seg0"] {
        let refused = [("service", "none"), ("interface", card)];
        agents[1].metrics()?.tells_dropped(&refused)?;
    }
    Ok(())
}

/// Sends, and says whether all of it went.
fn send(mut stream: TcpStream) -> Result<()> {
    // With much under way, a busy machine would take the queue for a long cable, and TCP would wait
    // for seconds before it sends again.
    setsockopt(&stream, sockopt::SndBuf, &(256 << 10))?;
    let block = vec![7; 1 << 20];
    for _ in 0..BYTES / block.len() {
        stream.write_all(&block)?;
    }
    Ok(())
}

/// Receives all of it; calls `midway` once, and returns the longest silence after that.
fn receive(mut stream: TcpStream, midway: impl FnOnce() -> Result<()>) -> Result<Duration> {
    stream.set_read_timeout(Some(CHANGE * 4))?;
    let (mut block, mut received) = (vec![0; 1 << 20], 0);
    let mut midway = Some(midway);
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while received < BYTES {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(bytes) => received += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context(format!("after {received} bytes")),
        }
        longest = longest.max(last.elapsed());
        if received > BYTES / 8
            && let Some(midway) = midway.take()
        {
            midway()?;
            longest = Duration::ZERO;
        }
        last = Instant::now();
    }
    ensure!(received == BYTES, "{received} bytes");
    Ok(longest)
}

/// Who opens a transfer, and who sends.
#[derive(Clone, Copy)]
struct Transfer {
    server_opens: bool,
    server_sends: bool,
}

/// How long nothing comes when the master fails in the middle of a transfer.
fn silence(
    stage: &Stage,
    family: usize,
    Transfer {
        server_opens,
        server_sends,
    }: Transfer,
    pair: &mut Vec<Daemon>,
) -> Result<Duration> {
    let (listens, opens) = match server_opens {
        true => (&stage.client, &stage.server),
        false => (&stage.server, &stage.client),
    };
    let to = match server_opens {
        true => SocketAddr::from((CLIENT[family], 9000)),
        false => SocketAddr::from((SERVER[family], 80)),
    };
    let listener = listens.enter(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, to.port())))?;
    let opened = opens.enter(|| TcpStream::connect_timeout(&to, LONG))?;
    let (accepted, _) = listener.accept()?;
    let (sender, receiver) = match server_opens == server_sends {
        true => (opened, accepted),
        false => (accepted, opened),
    };
    let master = stage.master()?;
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(sender));
        let longest = receive(receiver, || {
            // Its power fails.
            for card in ["up0", "seg0"] {
                stage.gateways[master].ip(&format!("link set dev {card} down"))?;
            }
            drop(pair.remove(master));
            Ok(())
        });
        let sent = sending.join().expect("the sender returns what went wrong");
        longest.and_then(|longest| sent.map(|()| longest))
    })
}

fn survives(transfer: Transfer) -> Result<()> {
    for family in FAMILIES {
        let stage = Stage::new()?;
        let agents = stage.enforce(&policy(true))?;
        let mut pair = start(&stage, 3)?;
        stage.settles(1)?;
        let longest = silence(&stage, family, transfer, &mut pair)?;
        ensure!(longest < CHANGE, "nothing came for {longest:?}");
        assert_eq!(agents.len(), 2);
    }
    Ok(())
}

/// What the protected system sends tells the new master of a stream that is already under way.
#[test]
fn what_a_protected_system_uploads_survives_a_change_of_master() -> Result<()> {
    survives(Transfer {
        server_opens: true,
        server_sends: true,
    })
}

/// It is silent until it hears something: a probe finds out.
#[test]
fn what_a_protected_system_downloads_survives_a_change_of_master() -> Result<()> {
    survives(Transfer {
        server_opens: true,
        server_sends: false,
    })
}

/// Without probes, the other gateway has to be told of a stream in which only the peer speaks. There is
/// no keepalived here: while it changes its mind, the other gateway would see the stream.
#[test]
fn without_probes_a_download_survives_as_a_copy() -> Result<()> {
    for (family, copied) in [(0, true), (1, true), (0, false), (1, false)] {
        let stage = Stage::new()?;
        let text = format!("[site]\nno-probes = true\n{}", policy(false));
        let agents = stage.enforce(&text)?;
        stage.make_master(0)?;
        let to = SocketAddr::from((CLIENT[family], 9000));
        let listener = stage.client.enter(|| TcpListener::bind(to))?;
        let mut own = stage
            .server
            .enter(|| TcpStream::connect_timeout(&to, LONG))?;
        let (mut peer, _) = listener.accept()?;
        if copied {
            stage.copy(0, 1)?;
        }
        for card in ["up0", "seg0"] {
            stage.gateways[0].ip(&format!("link set dev {card} down"))?;
        }
        stage.make_master(1)?;
        peer.write_all(b"!")?;
        let refuses = |metrics: &Metrics| metrics.dropped(&[("interface", "up0")]) > 0;
        if copied {
            own.set_read_timeout(Some(LONG))?;
            ensure!(own.read(&mut [0])? == 1, "the stream has ended");
            ensure!(!refuses(&agents[1].metrics()?), "something is dropped");
        } else {
            agents[1].metrics_when(refuses)?;
            own.set_nonblocking(true)?;
            let heard = own.read(&mut [0]);
            ensure!(heard.is_err(), "{heard:?}");
        }
    }
    Ok(())
}

/// What peers send to a service, and its answers, need no flow.
#[test]
fn transfers_with_a_service_survive_a_change_of_master() -> Result<()> {
    for server_sends in [true, false] {
        survives(Transfer {
            server_opens: false,
            server_sends,
        })?;
    }
    Ok(())
}
