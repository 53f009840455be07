//! Every role, every port: the real program against a second reading of the vendor's table.
//!
//! One frame is built for each protocol and family; only the two bytes of its destination port
//! change. Each decision is compared, and so are the counters at the end: they must name every
//! packet, by reason and service, and nothing else.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use sccm_agent::catalog::Catalog;
use sccm_agent::config;
use sccm_agent::policy::Surroundings;
use sccm_agent::site::Site;
use sccm_common::Reason;
use sccm_common::counter::{Counter, Direction};
use sccm_tests::datapath::{Action, Counts, Datapath, INTERFACE, Place, Settings};
use sccm_tests::packet::Packet;
use sccm_tests::reading::{Carrier, Document, Interpreter, Names, Span, Way};

/// Ports of one protocol: from 0 to 65535.
const PORTS: usize = 1 << 16;

/// Bytes before the destination port: Ethernet, IP, source port.
const PORT_V4: usize = 14 + 20 + 2;
const PORT_V6: usize = 14 + 40 + 2;

/// A frame whose destination port is patched.
struct Probe {
    carrier: Carrier,
    frame: Vec<u8>,
    port: usize,
}

impl Probe {
    fn all() -> [Self; 4] {
        let v4 = || Packet::ipv4("198.51.100.7", "192.0.2.2");
        let v6 = || Packet::ipv6("2001:db8:a::7", "2001:db8::2");
        // A source port that no essential answer comes from.
        [
            (Carrier::Tcp, v4().tcp(40000, 0).syn(), PORT_V4),
            (Carrier::Udp, v4().udp(40000, 0), PORT_V4),
            (Carrier::Tcp, v6().tcp(40000, 0).syn(), PORT_V6),
            (Carrier::Udp, v6().udp(40000, 0), PORT_V6),
        ]
        .map(|(carrier, packet, port)| Self {
            carrier,
            frame: packet.build(),
            port,
        })
    }

    fn v4() -> [Self; 2] {
        let [tcp, udp, ..] = Self::all();
        [tcp, udp]
    }

    fn v6() -> [Self; 2] {
        let [.., tcp, udp] = Self::all();
        [tcp, udp]
    }

    /// Sends the frame to each of `ports` and compares decisions and counters.
    fn sweep(
        &mut self,
        datapath: &mut Datapath,
        reading: &Reading,
        roles: &[&str],
        ports: &[u16],
    ) -> Result<()> {
        let open = reading.open_ports(roles, self.carrier)?;
        let mut expected = Counts::default();
        let mut wrong = Vec::new();
        for &port in ports {
            self.frame[self.port..self.port + 2].copy_from_slice(&port.to_be_bytes());
            let passes = datapath.run_inbound(&self.frame)? == Action::Pass;
            let is_open = open[usize::from(port)];
            if passes != is_open {
                wrong.push(port);
            }
            let reason = match is_open {
                true => Reason::Service,
                false => Reason::NotAllowed,
            };
            let name = reading.names.of(self.carrier, port);
            expected.add(place(reason, name.to_string()), one(&self.frame));
        }
        ensure!(
            wrong.is_empty(),
            "{roles:?} {}: {} ports decided otherwise than the table says, such as {:?}",
            self.carrier.name(),
            wrong.len(),
            &wrong[..wrong.len().min(20)]
        );
        let counted = datapath.newly_counted()?;
        assert_eq!(counted, expected, "{roles:?} {}", self.carrier.name());
        Ok(())
    }
}

fn place(reason: Reason, service: String) -> Place {
    Place {
        interface: INTERFACE.to_owned(),
        direction: Direction::Inbound,
        observing: false,
        reason,
        service: Some(service),
        peer: None,
    }
}

fn one(frame: &[u8]) -> Counter {
    Counter {
        packets: 1,
        bytes: frame.len() as u64,
    }
}

/// The table at one site, read by the slow reading.
struct Reading {
    catalog: &'static Catalog,
    /// What stands below `[site]`, and what the agent makes of it.
    written: &'static str,
    site: Site,
    names: Names,
}

impl Reading {
    fn new(written: &'static str) -> Result<Self> {
        let text = policy(written, &["client"]);
        let document = Document::parse(&text)?;
        let catalog = document.catalog();
        let file = tempfile::Builder::new().suffix(".toml").tempfile()?;
        std::fs::write(file.path(), &text)?;
        Ok(Self {
            catalog,
            written,
            site: config::load(file.path())?.site,
            names: Names::new(catalog, &document),
        })
    }

    fn roles(&self) -> Vec<&str> {
        let roles = self.catalog.all_roles();
        roles.map(|role| role.id.as_str()).collect()
    }

    fn settings(&self, roles: &[&str]) -> Settings {
        Settings {
            site: self.site.clone(),
            ..Settings::roles(roles)
        }
    }

    /// What anybody may open to a system of these roles.
    fn open(&self, roles: &[&str]) -> Result<Vec<Span>> {
        let interpreter = Interpreter {
            catalog: self.catalog,
            document: &Document::parse(&policy(self.written, roles))?,
            own: &[],
            machine: &Surroundings::default(),
        };
        Ok(interpreter.open(Way::In, None, "198.51.100.7".parse()?))
    }

    /// The same, for each port.
    fn open_ports(&self, roles: &[&str], carrier: Carrier) -> Result<Vec<bool>> {
        let mut open = vec![false; PORTS];
        let spans = self.open(roles)?.into_iter();
        for span in spans.filter(|span| span.carrier == carrier) {
            open[usize::from(span.first)..=usize::from(span.last)].fill(true);
        }
        Ok(open)
    }

    /// The ports at which anything that the table says changes, one to either side, and some
    /// between.
    fn telling_ports(&self, roles: &[&str], carrier: Carrier) -> Result<Vec<u16>> {
        let open = self.open_ports(roles, carrier)?;
        let mut ports: BTreeSet<u16> = (0..=u16::MAX).step_by(997).collect();
        ports.extend([0, u16::MAX]);
        let says = |port: u16| (open[usize::from(port)], self.names.of(carrier, port));
        for port in 1..=u16::MAX {
            if says(port) != says(port - 1) {
                ports.extend([port - 1, port]);
            }
        }
        Ok(ports.into_iter().collect())
    }
}

/// The policy file of a site, with one system of these roles.
fn policy(site: &str, roles: &[&str]) -> String {
    format!("[site]\n{site}\n[[protect]]\nname = \"system\"\nroles = {roles:?}\n")
}

fn all_ports() -> Vec<u16> {
    (0..=u16::MAX).collect()
}

/// The editions, as a site writes them, and how many roles each has.
const EDITIONS: [(&str, usize); 2] = [("", 30), (CURRENT, 48)];

const CURRENT: &str = "edition = \"current-branch\"";

fn every_role_every_port(mut probe: Probe) -> Result<()> {
    for (edition, count) in EDITIONS {
        let reading = Reading::new(edition)?;
        let mut datapath = Datapath::load()?;
        let roles = reading.roles();
        assert_eq!(roles.len(), count);
        for role in roles {
            datapath.publish(&reading.settings(&[role]))?;
            probe.sweep(&mut datapath, &reading, &[role], &all_ports())?;
        }
    }
    Ok(())
}

#[test]
fn every_tcp_port_of_every_role() -> Result<()> {
    let [tcp, _] = Probe::v4();
    every_role_every_port(tcp)
}

#[test]
fn every_udp_port_of_every_role() -> Result<()> {
    let [_, udp] = Probe::v4();
    every_role_every_port(udp)
}

#[test]
fn ipv6_is_no_different() -> Result<()> {
    for (edition, _) in EDITIONS {
        let reading = Reading::new(edition)?;
        let mut datapath = Datapath::load()?;
        for role in reading.roles() {
            datapath.publish(&reading.settings(&[role]))?;
            for mut probe in Probe::v6() {
                let ports = if role == "distribution-point" {
                    all_ports()
                } else {
                    reading.telling_ports(&[role], probe.carrier)?
                };
                probe.sweep(&mut datapath, &reading, &[role], &ports)?;
            }
        }
    }
    Ok(())
}

#[test]
fn several_roles_open_what_each_of_them_does() -> Result<()> {
    let mut datapath = Datapath::load()?;
    for (edition, roles) in [
        ("", ["distribution-point", "pxe-service-point"].as_slice()),
        ("", &["primary-site-server", "sql-server"]),
        ("", &["management-point", "fallback-status-point", "client"]),
        ("", &["windows-server", "domain-controller"]),
        (
            CURRENT,
            &["site-server", "provider", "pxe-distribution-point"],
        ),
        (
            CURRENT,
            &["management-point", "cmg-connection-point", "client"],
        ),
    ] {
        let reading = Reading::new(edition)?;
        datapath.publish(&reading.settings(roles))?;
        for mut probe in Probe::all() {
            let ports = reading.telling_ports(roles, probe.carrier)?;
            probe.sweep(&mut datapath, &reading, roles, &ports)?;
        }
    }
    Ok(())
}

/// Sites that move ports.
const SITES: [&str; 8] = [
    // HTTP inside the dynamic range: the overlap keeps both names and both rights.
    "http-port = 49200\nhttps-port = 49201",
    "wsus-http-port = 8530\nsql-port = 14330",
    "multicast-range = \"40000-40010\"\nwake-on-lan-port = 40005\n\
     amt-provisioning-port = 65535\nrpc-range = \"1025-5000\"",
    "site-server-initiated-only = true",
    "rpc-dynamic-with-mapper = true\nenable = [\"netbios-remote-control\", \"named-pipes\"]",
    "edition = \"current-branch\"\nhttp-port = 8080\nhttps-port = 8443\nsql-port = 14330\n\
     sql-service-broker-port = 4023\nclient-notification-port = 49200\ncmg-instances = 2",
    "edition = \"current-branch\"\nwsus-http-port = 80\nwsus-sql-port = 1500\n\
     data-warehouse-sql-port = 1600\nreporting-http-port = 81\nreporting-https-port = 444\n\
     enrollment-port = 445\ncertificate-registration-port = 446\nwake-up-proxy-port = 25537\n\
     peer-cache-broadcast-port = 8006\npeer-cache-download-port = 8007\nexpress-updates-port = 8008",
    "edition = \"current-branch\"\nsite-server-initiated-only = true\n\
     enable = [\"administration-service\", \"client-push\", \"sql-browser\"]",
];

/// The roles whose ports a setting changes, and one that none does.
const MOVED: [&str; 15] = [
    "site-server",
    "software-update-point",
    "management-point",
    "distribution-point",
    "sql-server",
    "client",
    "out-of-band-service-point",
    "state-migration-point",
    "reporting-services-point",
    "system-center-online",
    "wsus-sql-server",
    "provider",
    "enrollment-point",
    "certificate-registration-point",
    "cmg-classic-cloud-service",
];

#[test]
fn a_site_moves_its_ports() -> Result<()> {
    // One program through all of them: names keep their numbers while ports move.
    let mut datapath = Datapath::load()?;
    for site in SITES {
        let reading = Reading::new(site)?;
        let roles = reading.roles();
        for role in MOVED.into_iter().filter(|role| roles.contains(role)) {
            datapath.publish(&reading.settings(&[role]))?;
            for mut probe in Probe::v4() {
                let ports = reading.telling_ports(&[role], probe.carrier)?;
                probe.sweep(&mut datapath, &reading, &[role], &ports)?;
            }
        }
    }
    Ok(())
}

#[test]
fn every_icmp_type_of_every_role() -> Result<()> {
    for (edition, _) in EDITIONS {
        icmp_types(&Reading::new(edition)?)?;
    }
    Ok(())
}

fn icmp_types(reading: &Reading) -> Result<()> {
    let mut datapath = Datapath::load()?;
    for role in reading.roles() {
        datapath.publish(&reading.settings(&[role]))?;
        let open = reading.open(&[role])?;
        let answers = |carrier, kind| open.iter().any(|span| span.has(carrier, kind));
        for kind in 0..=u8::MAX {
            let v4 = Packet::ipv4("198.51.100.7", "192.0.2.2").icmp(kind, 0);
            // Errors quote what this machine sent; these quote nothing.
            let passes = kind == 8 && answers(Carrier::Icmp, 8);
            check(&mut datapath, &v4, passes, || format!("{role} icmp {kind}"))?;

            // Off the link: neighbour discovery and group membership count as forged.
            let v6 = Packet::ipv6("2001:db8:a::7", "2001:db8::2").icmpv6(kind, 0);
            let passes = kind == 128 && answers(Carrier::Icmpv6, 128);
            check(&mut datapath, &v6, passes, || {
                format!("{role} icmpv6 {kind}")
            })?;
        }
    }
    Ok(())
}

fn check(
    datapath: &mut Datapath,
    packet: &Packet,
    passes: bool,
    about: impl Fn() -> String,
) -> Result<()> {
    let expected = if passes { Action::Pass } else { Action::Drop };
    let action = datapath.run_inbound(&packet.build())?;
    assert_eq!(action, expected, "{}", about());
    Ok(())
}
