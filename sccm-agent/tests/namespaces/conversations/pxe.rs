//! A whole boot from the network through the gateway: a lease, an offer of a boot program beside
//! it, BINL, TFTP, and then HTTP. A boot server and distribution point in the segment, and a DHCP
//! server at a second uplink, since that is none of Configuration Manager's roles.
//!
//! DHCP server, boot server and relay are dnsmasq, the others tftpd-hpa and nginx.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};
use sccm_tests::agent::Agent;
use sccm_tests::gateway::{CLIENT, SERVER, Stage, Topology, UPLINK};
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::{Outcome, tcp_connect};

use super::dnsmasq::{boot_server, dhcp_relay, dhcp_server};
use super::firmware::{Firmware, fetch};
use super::programs::{Daemon, nginx, tftpd};
use super::support::{PATIENCE, Told, assert_same, curl, end, hear, udp, write_file};

/// Bytes of the boot program, and of what comes over HTTP.
const PROGRAM: u32 = 300_000;
const IMAGE: u32 = 4 << 20;

/// The DHCP server behind a router, and a router's address on its cable.
const LEASES: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// A router at the far end of the uplink, on the cable of the machine.
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 129);

/// Who takes part, besides a stage.
struct Site {
    stage: Stage,
    /// The DHCP server, at the card `up1` of the gateway.
    leases: Namespace,
    /// The machine that boots, if it is not the client of the stage.
    machine: Option<Namespace>,
    servers: Vec<Daemon>,
    /// More flags.
    rules: &'static str,
}

impl Site {
    /// A stage with servers for TFTP and HTTP, and a host at the second uplink.
    fn new(topology: Topology) -> Result<Self> {
        let stage = Stage::new(topology)?;
        let leases = Namespace::new("leases")?;
        veth_pair(&leases, "eth0", stage.gateway(), "up1")?;
        let servers = vec![tftpd(&stage.server)?, nginx(&stage.server)?];
        write_file(&servers[0].directory().join("boot.efi"), PROGRAM)?;
        write_file(&servers[1].directory().join("boot.wim"), IMAGE)?;
        Ok(Self {
            stage,
            leases,
            machine: None,
            servers,
            rules: "",
        })
    }

    /// Machine, DHCP server and boot server take each other to be on one cable.
    fn bridged() -> Result<Self> {
        let mut site = Self::new(Topology::Bridged)?;
        let stage = &site.stage;
        stage.gateway().ip("link set dev up1 master br0")?;
        site.leases.interface("eth0").address("192.0.2.2/24")?;
        let range = "192.0.2.100,192.0.2.150,255.255.255.0";
        let dhcp = dhcp_server(&site.leases, range)?;
        let boot = boot_server(&stage.server, &["192.0.2.0", "198.51.100.0"], "boot.efi")?;
        site.servers.extend([dhcp, boot]);
        // Nobody behind this machine asks: the lease goes from one uplink to the other.
        site.rules = "--allow udp/68@192.0.2.2";
        Ok(site)
    }

    /// The gateway routes, with the DHCP server behind `up1`, which leases `range`.
    fn routed(range: &str, boots: &str) -> Result<Self> {
        let mut site = Self::new(Topology::Routed)?;
        let stage = &site.stage;
        stage.gateway().interface("up1").address("203.0.113.1/25")?;
        site.leases
            .interface("eth0")
            .address(&format!("{LEASES}/25"))?;
        site.leases.route("default via 203.0.113.1")?;
        let dhcp = dhcp_server(&site.leases, range)?;
        let boot = boot_server(&stage.server, &[boots], "boot.efi")?;
        site.servers.extend([dhcp, boot]);
        Ok(site)
    }

    /// The gateway is also the relay of the machine's cable.
    fn relayed_by_the_gateway() -> Result<Self> {
        let mut site = Self::routed("192.0.2.100,192.0.2.150,255.255.255.0", "192.0.2.0")?;
        let relay = dhcp_relay(site.stage.gateway(), UPLINK[0], &[LEASES.into(), SERVER[0]])?;
        site.servers.push(relay);
        // A program of the gateway hears broadcasts at the uplink only by a rule.
        site.rules = "--manage udp/67@0.0.0.0";
        Ok(site)
    }

    /// A router farther out is the relay: the gateway forwards what it sends.
    fn relayed_from_afar() -> Result<Self> {
        let range = "203.0.113.130,203.0.113.150,255.255.255.128";
        let mut site = Self::routed(range, "203.0.113.0")?;
        let router = &site.stage.client;
        let machine = Namespace::new("machine")?;
        veth_pair(&machine, "eth0", router, "eth1")?;
        router.interface("eth1").address(&format!("{FAR}/25"))?;
        router.sysctl("net.ipv4.ip_forward", "1")?;
        let behind = format!("203.0.113.128/25 via {}", CLIENT[0]);
        site.stage.gateway().route(&behind)?;
        let relay = dhcp_relay(router, FAR.into(), &[LEASES.into(), SERVER[0]])?;
        site.servers.push(relay);
        site.machine = Some(machine);
        Ok(site)
    }

    fn enforce(&self, (edition, role): (&str, &str), outbound: &str) -> Result<Agent<'_>> {
        self.stage.enforce(
            "distribution-point",
            &format!(
                "--edition {edition} --role {role} --uplink up1 --outbound {outbound} {}",
                self.rules
            ),
        )
    }

    /// Boots, and returns the metrics of it.
    fn boot(&self, edition: (&str, &str), outbound: &str) -> Result<Metrics> {
        let agent = self.enforce(edition, outbound)?;
        self.go_through_it().with_context(|| {
            let (log, metrics) = (agent.log(), agent.metrics());
            format!("{edition:?}, {outbound}: {log:?} {metrics:#?}")
        })?;
        let metrics = agent.metrics()?;
        // A rule gives the port a name of its own besides.
        let dhcp = match self.rules.contains("udp/67") {
            true => "dhcp+udp/67",
            false => "dhcp",
        };
        for service in [dhcp, "binl", "tftp", "http"] {
            let labels = [("interface", "up0"), ("service", service)];
            metrics.tells_passed(&[&labels[..], &[("reason", "service")]].concat())?;
        }
        for service in ["binl", "http"] {
            let labels = [("interface", "seg0"), ("service", service)];
            metrics.tells_passed(&[&labels[..], &[("reason", "outbound")]].concat())?;
        }
        // The acknowledgements of TFTP go to a port that no link opens.
        let reply = [("interface", "up0"), ("reason", "reply")];
        metrics.tells_passed(&[&reply[..], &[("protocol", "udp")]].concat())?;
        metrics.tells_dropped(&[("protocol", "tcp"), ("interface", "up0")])?;
        let udp = [("protocol", "udp"), ("reason", "not-allowed")];
        assert_eq!(metrics.dropped(&udp), 2, "{metrics:#?}");
        metrics.tells_no_drop(&[("interface", "seg0")])?;
        metrics.tells_no_drop(&[("interface", "up1")])?;
        end(agent)?;
        Ok(metrics)
    }

    fn go_through_it(&self) -> Result<()> {
        let machine = self.machine.as_ref().unwrap_or(&self.stage.client);
        let firmware = Firmware::new(machine)?;
        let (lease, boot) = firmware.discover()?;
        let own = firmware.request(&lease)?;
        machine.ip(&format!("address replace {own}/32 dev eth0"))?;
        if self.machine.is_some() {
            machine.ip(&format!("route replace {FAR} dev eth0"))?;
            machine.ip(&format!("route replace default via {FAR}"))?;
        }
        let server = boot.server()?;
        assert_eq!(IpAddr::from(server), SERVER[0]);

        // By the specification from 68; real firmware asks from 4011, too.
        for port in [68, 4011] {
            let answer = firmware.ask_boot_server(own, port, server)?;
            assert_eq!(answer.file(), "boot.efi", "{answer:?}");
        }
        let program = fetch(machine, own, server, "boot.efi")?;
        let served = fs::read(self.servers[0].directory().join("boot.efi"))?;
        assert!(program == served, "another boot program arrives");

        let copy = tempfile::NamedTempFile::new()?;
        let url = format!("http://{server}/boot.wim");
        let done = curl(machine, &format!("--interface {own}"), &url, copy.path())?;
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_same(copy.path(), &self.servers[1].directory().join("boot.wim"));

        // Beside it: a port next to BINL's, a port for transfers that nobody opened, and HTTP
        // where the role has none.
        for (from, to) in [(4011, 4012), (2071, 50000)] {
            let inside = udp(&self.stage.server, (server, to))?;
            let outside = udp(machine, (own, from))?;
            outside.send_to(b"\0\x04\0\x01", (server, to))?;
            let heard = hear(&inside)?;
            ensure!(heard.is_none(), "from {from} to {to}: {heard:?}");
        }
        let refused = tcp_connect(machine, (server, 8080).into(), PATIENCE);
        assert_eq!(refused, Outcome::TimedOut);
        Ok(())
    }
}

/// Boots in both outbound modes that track, and in both editions, and asserts how DHCP passed: a reason
/// and a service for each card.
fn boots(site: &Site, dhcp: &[(&str, &str, &str)]) -> Result<()> {
    let (old, new) = (
        ("2007", "pxe-service-point"),
        ("current-branch", "pxe-distribution-point"),
    );
    for (edition, outbound) in [(old, "track"), (old, "enforce"), (new, "enforce")] {
        let metrics = site.boot(edition, outbound)?;
        for (card, reason, service) in dhcp {
            metrics.tells_passed(&[
                ("interface", *card),
                ("reason", *reason),
                ("service", *service),
            ])?;
        }
    }
    Ok(())
}

#[test]
fn a_machine_boots_through_a_bridge() -> Result<()> {
    let dhcp = [
        ("seg0", "outbound", "dhcp+udp/68"),
        ("up1", "service", "dhcp+udp/68"),
    ];
    boots(&Site::bridged()?, &dhcp)
}

#[test]
fn a_machine_boots_through_a_router_that_is_its_relay() -> Result<()> {
    // Both servers answer what the gateway itself has asked.
    let dhcp = [
        ("seg0", "reply", "dhcp+udp/67"),
        ("up1", "reply", "dhcp+udp/67"),
    ];
    boots(&Site::relayed_by_the_gateway()?, &dhcp)
}

#[test]
fn a_machine_boots_through_a_router_behind_its_relay() -> Result<()> {
    let dhcp = [("seg0", "outbound", "dhcp"), ("up1", "service", "dhcp")];
    boots(&Site::relayed_from_afar()?, &dhcp)
}
