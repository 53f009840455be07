//! Every role, every port: the real program against a second reading of the vendor's table.
//!
//! One frame is built for each protocol and family; only the two bytes of its destination port
//! change. Each decision is compared, and so are the counters at the end: they must name every
//! packet, by reason and service, and nothing else.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use sccm_agent::catalog::{Catalog, Edition};
use sccm_agent::site::{HttpPorts, Site, WsusPorts};
use sccm_common::Reason;
use sccm_common::counter::{Counter, Direction};
use sccm_tests::datapath::{Action, Counts, Datapath, INTERFACE, Place, Settings};
use sccm_tests::oracle::{Numbers, Oracle, PORTS};
use sccm_tests::packet::Packet;

/// Bytes before the destination port: Ethernet, IP, source port.
const PORT_V4: usize = 14 + 20 + 2;
const PORT_V6: usize = 14 + 40 + 2;

/// A frame whose destination port is patched.
struct Probe {
    protocol: &'static str,
    frame: Vec<u8>,
    port: usize,
}

impl Probe {
    fn all() -> [Self; 4] {
        let v4 = || Packet::ipv4("198.51.100.7", "192.0.2.2");
        let v6 = || Packet::ipv6("2001:db8:a::7", "2001:db8::2");
        // A source port that no essential answer comes from.
        [
            ("tcp", v4().tcp(40000, 0).syn(), PORT_V4),
            ("udp", v4().udp(40000, 0), PORT_V4),
            ("tcp", v6().tcp(40000, 0).syn(), PORT_V6),
            ("udp", v6().udp(40000, 0), PORT_V6),
        ]
        .map(|(protocol, packet, port)| Self {
            protocol,
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
        oracle: &Oracle,
        roles: &[&str],
        ports: &[usize],
    ) -> Result<()> {
        let open = oracle.open(roles, self.protocol);
        let names = oracle.names(self.protocol);
        let mut expected = Counts::default();
        let mut wrong = Vec::new();
        for &port in ports {
            let bytes = u16::try_from(port)?.to_be_bytes();
            self.frame[self.port..self.port + 2].copy_from_slice(&bytes);
            let passes = datapath.run_inbound(&self.frame)? == Action::Pass;
            if passes != open[port] {
                wrong.push(port);
            }
            let reason = if open[port] {
                Reason::Service
            } else {
                Reason::NotAllowed
            };
            let name = format!("{} {}", self.protocol, names[port]);
            expected.add(place(reason, name), one(&self.frame));
        }
        ensure!(
            wrong.is_empty(),
            "{roles:?} {}: {} ports decided otherwise than the table says, such as {:?}",
            self.protocol,
            wrong.len(),
            &wrong[..wrong.len().min(20)]
        );
        let counted = datapath.newly_counted()?;
        assert_eq!(counted, expected, "{roles:?} {}", self.protocol);
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

fn oracle(numbers: Numbers) -> Result<Oracle> {
    let printed = serde_json::to_string(Catalog::of(Edition::V2007))?;
    Ok(Oracle::new(&printed, numbers))
}

fn all_ports() -> Vec<usize> {
    (0..PORTS).collect()
}

/// The ports at which anything that the table says changes, one to either side, and some between.
fn telling_ports(oracle: &Oracle, roles: &[&str], protocol: &str) -> Vec<usize> {
    let (open, names) = (oracle.open(roles, protocol), oracle.names(protocol));
    let mut ports: BTreeSet<usize> = (0..PORTS).step_by(997).collect();
    ports.extend([0, PORTS - 1]);
    for port in 1..PORTS {
        if open[port] != open[port - 1] || names[port] != names[port - 1] {
            ports.extend([port - 1, port]);
        }
    }
    ports.into_iter().collect()
}

fn every_role_every_port(mut probe: Probe) -> Result<()> {
    let oracle = oracle(Numbers::default())?;
    let mut datapath = Datapath::load()?;
    let roles = oracle.roles();
    assert_eq!(roles.len(), 30);
    for role in roles {
        datapath.publish(&Settings::roles(&[role]))?;
        probe.sweep(&mut datapath, &oracle, &[role], &all_ports())?;
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
    let oracle = oracle(Numbers::default())?;
    let mut datapath = Datapath::load()?;
    for role in oracle.roles() {
        datapath.publish(&Settings::roles(&[role]))?;
        for mut probe in Probe::v6() {
            let ports = if role == "distribution-point" {
                all_ports()
            } else {
                telling_ports(&oracle, &[role], probe.protocol)
            };
            probe.sweep(&mut datapath, &oracle, &[role], &ports)?;
        }
    }
    Ok(())
}

#[test]
fn several_roles_open_what_each_of_them_does() -> Result<()> {
    let oracle = oracle(Numbers::default())?;
    let mut datapath = Datapath::load()?;
    for roles in [
        ["distribution-point", "pxe-service-point"].as_slice(),
        &["primary-site-server", "sql-server"],
        &["management-point", "fallback-status-point", "client"],
        &["windows-server", "domain-controller"],
    ] {
        datapath.publish(&Settings::roles(roles))?;
        for mut probe in Probe::all() {
            let ports = telling_ports(&oracle, roles, probe.protocol);
            probe.sweep(&mut datapath, &oracle, roles, &ports)?;
        }
    }
    Ok(())
}

/// A site, as the agent has it and as the second reading has it.
fn sites() -> Vec<(Site, Numbers)> {
    let port = |text: &str| text.parse().expect("a port");
    let range = |text: &str| text.parse().expect("a range");
    let pair = HttpPorts::new(port("49200"), port("49201")).expect("two ports");
    let wsus = WsusPorts::with_http(port("8530")).expect("a pair");
    let (site, numbers) = (Site::default(), Numbers::default());
    vec![
        (
            // HTTP inside the dynamic range: the overlap keeps both names and both rights.
            Site {
                http: pair,
                ..site.clone()
            },
            Numbers {
                http: Some((49200, 49201)),
                ..numbers.clone()
            },
        ),
        (
            Site {
                wsus: Some(wsus),
                sql: port("14330"),
                ..site.clone()
            },
            Numbers {
                wsus: Some((8530, 8531)),
                sql: 14330,
                ..numbers.clone()
            },
        ),
        (
            Site {
                multicast_range: range("40000-40010"),
                wake_on_lan: port("40005"),
                amt_provisioning: port("65535"),
                rpc_range: range("1025-5000"),
                ..site.clone()
            },
            Numbers {
                multicast: 40000..=40010,
                wake_on_lan: 40005,
                amt_provisioning: 65535,
                dynamic: 1025..=5000,
                ..numbers.clone()
            },
        ),
        (
            Site {
                site_server_initiated_only: true,
                ..site.clone()
            },
            Numbers {
                only_site_server_opens: true,
                ..numbers.clone()
            },
        ),
        (
            Site {
                rpc_dynamic_with_mapper: true,
                features: ["netbios-remote-control", "named-pipes"]
                    .map(String::from)
                    .into(),
                ..site
            },
            Numbers {
                mapper_brings_dynamic: true,
                features: vec!["netbios-remote-control", "named-pipes"],
                ..numbers
            },
        ),
    ]
}

/// The roles whose ports a setting changes, and one that none does.
const MOVED: [&str; 10] = [
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
];

#[test]
fn a_site_moves_its_ports() -> Result<()> {
    // One program through all of them: names keep their numbers while ports move.
    let mut datapath = Datapath::load()?;
    for (site, numbers) in sites() {
        let oracle = oracle(numbers)?;
        for role in MOVED {
            datapath.publish(&Settings {
                site: site.clone(),
                ..Settings::roles(&[role])
            })?;
            for mut probe in Probe::v4() {
                let ports = telling_ports(&oracle, &[role], probe.protocol);
                probe.sweep(&mut datapath, &oracle, &[role], &ports)?;
            }
        }
    }
    Ok(())
}

#[test]
fn every_icmp_type_of_every_role() -> Result<()> {
    let oracle = oracle(Numbers::default())?;
    let mut datapath = Datapath::load()?;
    for role in oracle.roles() {
        datapath.publish(&Settings::roles(&[role]))?;
        for kind in 0..=u8::MAX {
            let v4 = Packet::ipv4("198.51.100.7", "192.0.2.2").icmp(kind, 0);
            let passes = match kind {
                3 | 11 | 12 => true, // the errors of RFC 792
                8 => oracle.answers_echo(&[role], "icmp"),
                _ => false,
            };
            check(&mut datapath, &v4, passes, || format!("{role} icmp {kind}"))?;

            // Off the link: neighbour discovery and group membership count as forged.
            let v6 = Packet::ipv6("2001:db8:a::7", "2001:db8::2").icmpv6(kind, 0);
            let passes = match kind {
                1..=4 => true, // the errors of RFC 4443
                128 => oracle.answers_echo(&[role], "icmpv6"),
                _ => false,
            };
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
