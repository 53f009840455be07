//! `export --format nftables`: nft loads what is written, loads it again in its place, and lets the very
//! ports pass that the policy lets pass.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sccm_agent::config;
use sccm_agent::policy::{Compiled, Request, ServiceNames, Surroundings, compile};
use sccm_common::Place;
use sccm_tests::agent::{program, run};
use sccm_tests::gateway::{CLIENT, FAMILIES, SEGMENT, SERVER, STRANGER, Stage, Topology, UPLINK};
use sccm_tests::netns::Namespace;
use sccm_tests::packet::Packet;
use sccm_tests::traffic::FrameSocket;
use serde_json::Value;
use tempfile::TempDir;

const POLICY: &str = r#"
[site]
edition = "2007"

[peers]
client = ["10.64.0.0/10", "2001:db8:64::/48"]

[[protect]]
name = "content"
roles = ["distribution-point"]
addresses = ["10.2.0.20", "2001:db8:2::20"]

[[allow]]
name = "tunnel"
protocol = "gre"
from = "any"
reason = "a test"
"#;

#[test]
fn nft_loads_the_ruleset_of_hosts_and_gateways() -> Result<()> {
    let host = Namespace::new("filtered")?;
    let folder = TempDir::new()?;
    let file = folder.path().join("policy.toml");
    for outbound in ["track", "enforce"] {
        let edition = "edition = \"2007\"";
        let policy = POLICY.replace(edition, &format!("{edition}\noutbound = \"{outbound}\""));
        fs::write(&file, policy)?;
        for place in ["", "--uplink eth0 --segment eth1"] {
            let mut export: Command = program()?;
            export.arg("export").arg(&file);
            export.args(["--format", "nftables"]);
            export.args(place.split_whitespace());
            let exported = run(export)?;
            assert_eq!(exported.code, Some(0), "{}", exported.stderr);
            let rules = folder.path().join("rules.nft");
            fs::write(&rules, exported.stdout)?;
            for _ in 0..2 {
                let loaded = host.command("nft").arg("-f").arg(&rules).output()?;
                let said = String::from_utf8_lossy(&loaded.stderr);
                ensure!(loaded.status.success(), "{said}");
            }
            let listed = host.command("nft").args(["list", "ruleset"]).output()?;
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            let is_smb = |line: &&str| line.contains("tcp dport 445 accept");
            assert_eq!(listed.lines().filter(is_smb).count(), 2, "{listed}");
        }
    }
    Ok(())
}

/// What remains of packets that the exported ruleset has let pass: it is asked last, and drops them.
const WITNESS: &str = "
table inet witness {
  set seen { type inet_service; size 65536; flags dynamic; }
  chain last {
    type filter hook HOOK priority 100; policy accept;
    meta l4proto { tcp, udp } add @seen { th dport }
    meta l4proto { tcp, udp } drop
  }
}";

const SWEPT: &str = r#"
[site]
edition = "2007"
outbound = "enforce"

[peers]
client = ["192.0.2.10", "2001:db8:1::10"]

[[protect]]
name = "point"
roles = ["distribution-point", "management-point"]
addresses = ["198.51.100.20", "2001:db8:2::20"]

[[allow]]
name = "first-and-last"
protocol = "udp"
ports = [1, "65000-65535"]
from = "any"
reason = "a test"

[[allow]]
name = "first-stream"
protocol = "tcp"
ports = ["1-3", 65535]
from = "any"
reason = "a test"
"#;

/// A ruleset in force, and the policy that it was made of.
struct Sweep<'s> {
    stage: &'s Stage,
    compiled: Compiled,
}

impl<'s> Sweep<'s> {
    /// Loads the export of a policy, and the witness behind it.
    fn begin(stage: &'s Stage) -> Result<Self> {
        let folder = TempDir::new()?;
        let file = folder.path().join("policy.toml");
        fs::write(&file, SWEPT)?;
        let (inside, hook, flags, own) = match stage.topology() {
            Topology::Host => (&stage.server, "input", String::new(), Vec::new()),
            _ => {
                let own = [UPLINK, SEGMENT].concat();
                let flags = own.iter().map(|own| format!(" --own {own}"));
                let flags = flags.collect::<String>() + " --uplink up0 --segment seg0";
                (stage.gateway(), "forward", flags, own)
            }
        };
        let mut export: Command = program()?;
        export
            .arg("export")
            .arg(&file)
            .args(["--format", "nftables"]);
        export.args(flags.split_whitespace());
        let exported = run(export)?;
        ensure!(exported.code == Some(0), "{exported:?}");
        let rules = folder.path().join("rules.nft");
        fs::write(
            &rules,
            exported.stdout + WITNESS.replace("HOOK", hook).as_str(),
        )?;
        nft(inside, &["-f", &rules.display().to_string()])?;
        let policy = config::load(&file)?;
        let machine = match own.as_slice() {
            [] => Surroundings::default(),
            own => Surroundings::gateway(own),
        };
        let request = Request {
            policy: &policy,
            machine: &machine,
            observe: false,
        };
        let compiled = compile(&request, ServiceNames::default())?;
        Ok(Self { stage, compiled })
    }

    fn inside(&self) -> &Namespace {
        match self.stage.topology() {
            Topology::Host => &self.stage.server,
            _ => self.stage.gateway(),
        }
    }

    /// Sends to every port, and compares those that the ruleset lets pass with those that the policy
    /// does. Says how many these are.
    fn sweep(&self, inbound: bool, ends: (IpAddr, IpAddr), is_tcp: bool) -> Result<usize> {
        let (sender, card) = match (self.stage.topology(), inbound) {
            (Topology::Host, _) => (&self.stage.client, "eth0"),
            (_, true) => (&self.stage.client, "up0"),
            (_, false) => (&self.stage.server, "seg0"),
        };
        let place = match (self.stage.topology(), inbound) {
            (Topology::Host, _) => Place::Host,
            (_, true) => Place::Uplink,
            (_, false) => Place::Segment,
        };
        let from = sender.interface("eth0");
        let (source, destination) = (from.mac()?, self.inside().interface(card).mac()?);
        let packet = Packet::ip(&ends.0.to_string(), &ends.1.to_string());
        let packet = packet.source_mac(source).destination_mac(destination);
        let frame = |port: u16| match is_tcp {
            true => packet.clone().tcp(40000, port).syn().build(),
            false => packet.clone().udp(40000, port).build(),
        };
        let tables = self.compiled.in_memory();
        let passes = |port: &u16| tables.ingress(&frame(*port), place).reason.passes();
        let expected: BTreeSet<u16> = (0..=u16::MAX).filter(passes).collect();
        let socket = FrameSocket::open(from)?;
        nft(self.inside(), &["flush", "set", "inet", "witness", "seen"])?;
        for port in 0..=u16::MAX {
            socket.send_until_taken(&frame(port))?;
        }
        let mut seen = self.seen()?;
        // A set that grows under load misses some: these are sent again.
        for _ in 0..10 {
            let missing: Vec<u16> = expected.difference(&seen).copied().collect();
            if missing.is_empty() {
                break;
            }
            for port in missing {
                socket.send_until_taken(&frame(port))?;
            }
            seen = self.seen()?;
        }
        let differing: Vec<&u16> = expected.symmetric_difference(&seen).take(20).collect();
        ensure!(
            differing.is_empty(),
            "{place:?} {ends:?} tcp: {is_tcp}: the policy lets {} pass, nft {}; they differ in {differing:?}",
            expected.len(),
            seen.len()
        );
        Ok(expected.len())
    }

    fn seen(&self) -> Result<BTreeSet<u16>> {
        let listed = nft(
            self.inside(),
            &["-j", "list", "set", "inet", "witness", "seen"],
        )?;
        let listed: Value = serde_json::from_str(&listed)?;
        let sets = listed["nftables"].as_array().context("nftables")?;
        let set = sets.iter().find_map(|one| one.get("set")).context("set")?;
        let elements = set["elem"].as_array().into_iter().flatten();
        let ports = elements.map(|element| {
            let port = element.as_u64().or_else(|| element["elem"]["val"].as_u64());
            u16::try_from(port.with_context(|| element.to_string())?).context("a port")
        });
        ports.collect()
    }
}

fn nft(inside: &Namespace, arguments: &[&str]) -> Result<String> {
    let output = inside.command("nft").args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft {arguments:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Of TCP and UDP, in both families.
fn each(mut sweep: impl FnMut(usize, bool) -> Result<()>) -> Result<()> {
    for family in FAMILIES {
        for is_tcp in [true, false] {
            sweep(family, is_tcp)?;
        }
    }
    Ok(())
}

#[test]
fn a_host_s_ruleset_lets_the_ports_pass_that_the_policy_does() -> Result<()> {
    let stage = Stage::new(Topology::Host)?;
    let sweep = Sweep::begin(&stage)?;
    each(|family, is_tcp| {
        let of = |peers: [IpAddr; 2]| sweep.sweep(true, (peers[family], SERVER[family]), is_tcp);
        let (of_clients, of_strangers) = (of(CLIENT)?, of(STRANGER)?);
        ensure!(of_clients > of_strangers && of_strangers > 0 && of_clients < 20_000);
        Ok(())
    })
}

#[test]
fn a_gateway_s_ruleset_lets_the_ports_pass_that_the_policy_does() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let sweep = Sweep::begin(&stage)?;
    each(|family, is_tcp| {
        let (client, server) = (CLIENT[family], SERVER[family]);
        let inward = sweep.sweep(true, (client, server), is_tcp)?;
        let outward = sweep.sweep(false, (server, client), is_tcp)?;
        ensure!(inward > 0 && inward != outward);
        Ok(())
    })
}
