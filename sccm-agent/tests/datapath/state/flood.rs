//! The state rule: no packet from the untrusted side creates lasting state.
//!
//! Ten million forged packets, each with another source, run through the loaded program one by
//! one on every CPU: to open and closed ports, as openings, answers, ends, echoes, fragments and
//! requests for files. Then every flow that was there before must still be, and no other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;

use anyhow::{Result, anyhow};
use sccm_agent::policy::Outbound;
use sccm_common::Reason;
use sccm_common::counter::Direction;
use sccm_common::policy::Timeouts;
use sccm_tests::datapath::{Action, Datapath, Settings, run};
use sccm_tests::packet::{ExtensionHeader, Packet};

use super::{FAMILIES, Pair, datapath, pxe};

const PACKETS: u64 = 10_000_000;
const THREADS: u64 = 2;

/// Ports that the policy opens: every fourth packet goes to one of them.
const OPEN: [u16; 5] = [53, 67, 69, 80, 4011];

/// Peers of each family with which the protected system has flows, and flows with each.
const PEERS: u16 = 50;
const FLOWS_OF_PEER: u16 = 200;

/// A reproducible sequence of numbers (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A frame in which addresses and ports are patched.
struct Template {
    frame: Vec<u8>,
    /// Where the source address is, and how long.
    source: (usize, usize),
    /// Where the ports are, if there are any.
    ports: Option<usize>,
}

impl Template {
    fn all() -> Vec<Self> {
        let request = *b"\x00\x01boot.wim\x00octet\x00";
        let mut templates = Vec::new();
        for pair in FAMILIES {
            let back = || pair.back();
            let (part, size) = match pair.is_v6() {
                true => {
                    let first = |offset_bytes, more| {
                        back().extension(ExtensionHeader::Fragment {
                            id: 7,
                            offset_bytes,
                            more,
                        })
                    };
                    ([first(0, true), first(24, false)], 48)
                }
                false => {
                    let part = |offset, more| back().fragment(7, offset, more);
                    ([part(0, true), part(24, false)], 20)
                }
            };
            let [first, later] = part;
            let header = if pair.is_v6() { 40 } else { 20 };
            let tcp = || back().tcp(0, 0);
            for (packet, ports) in [
                (tcp().syn(), Some(header)),
                (tcp().syn().ack(), Some(header)),
                (tcp().ack().payload(9), Some(header)),
                (tcp().rst(), Some(header)),
                (tcp().fin().ack(), Some(header)),
                (back().udp(0, 0).payload(9), Some(header)),
                (back().udp(0, 0).data(request), Some(header)),
                (first.udp(0, 0).payload(16), Some(size)),
                (later.ip_protocol(17).payload(8), None),
                (back().icmp_echo_request(7), None),
                (pair.echo_reply(back(), 7), None),
                (back().gre().payload(8), None),
            ] {
                templates.push(Self::new(pair, &packet, ports));
            }
        }
        templates
    }

    fn new(pair: Pair, packet: &Packet, ports: Option<usize>) -> Self {
        let source = if pair.is_v6() {
            (14 + 8, 16)
        } else {
            (14 + 12, 4)
        };
        Self {
            frame: packet.build(),
            source,
            ports: ports.map(|offset| 14 + offset),
        }
    }

    /// Another source, other ports.
    fn forge(&mut self, random: &mut Random) -> &[u8] {
        let (at, length) = self.source;
        let address = [random.next().to_be_bytes(), random.next().to_be_bytes()].concat();
        self.frame[at..at + length].copy_from_slice(&address[..length]);
        if let Some(at) = self.ports {
            let number = random.next();
            let port = match number >> 48 & 3 {
                0 => OPEN[(number >> 32) as usize % OPEN.len()],
                _ => (number >> 16) as u16,
            };
            let ports = [number as u16, port].map(u16::to_be_bytes).concat();
            self.frame[at..at + 4].copy_from_slice(&ports);
        }
        &self.frame
    }
}

/// How many of `count` forged packets passed.
fn flood(program: &aya::programs::Xdp, seed: u64, count: u64) -> Result<u64> {
    let mut templates = Template::all();
    let mut random = Random(seed);
    let mut passed = 0;
    for number in 0..count {
        let which = number as usize % templates.len();
        let action = run(program, templates[which].forge(&mut random))?;
        passed += u64::from(action == Action::Pass);
    }
    Ok(passed)
}

/// The protected system's packets that open flows, and the answers to them.
fn flows() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut flows = Vec::new();
    for pair in FAMILIES {
        let first: IpAddr = pair.peer.parse().expect("an address");
        for number in 0..PEERS {
            let peer = match first {
                IpAddr::V4(first) => {
                    IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() + u32::from(number)))
                }
                IpAddr::V6(first) => {
                    IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() + u128::from(number)))
                }
            };
            let peer = peer.to_string();
            let out = || Packet::ip(pair.protected, &peer);
            let back = || Packet::ip(&peer, pair.protected);
            for port in (30_000..).take(usize::from(FLOWS_OF_PEER)) {
                flows.push(match port % 3 {
                    0 => (
                        out().tcp(port, 1433).ack(),
                        back().tcp(1433, port).ack().payload(9),
                    ),
                    1 => (out().udp(port, 161), back().udp(161, port)),
                    _ => (out().icmp_echo_request(port), pair.echo_reply(back(), port)),
                });
            }
        }
    }
    let build = |(mine, theirs): (Packet, Packet)| (mine.build(), theirs.build());
    flows.into_iter().map(build).collect()
}

/// How many packets ended so since this was last asked.
fn counted(kernel: &mut Datapath) -> Result<Vec<(Reason, u64)>> {
    let counts = kernel.newly_counted()?;
    let mut sums = std::collections::BTreeMap::new();
    for (place, count) in counts.0 {
        assert_eq!(place.direction, Direction::Inbound);
        *sums.entry(place.reason).or_insert(0) += count.packets;
    }
    Ok(sums.into_iter().collect())
}

#[test]
fn ten_million_forged_packets_leave_every_flow_and_no_other() -> Result<()> {
    let mut kernel = datapath(&Settings {
        // The flows are to outlive the flood on the slowest machine.
        timeouts: Timeouts {
            other: 24 * 3600,
            ..Timeouts::DEFAULT
        },
        ..pxe(Outbound::Track)
    })?;
    let flows = flows();
    for (mine, _) in &flows {
        kernel.run_outbound(mine)?;
    }
    assert_eq!(kernel.flows()?, flows.len());
    kernel.newly_counted()?;

    let program = kernel.ingress()?;
    let passed = thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|seed| scope.spawn(move || flood(program, seed, PACKETS / THREADS)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
            .sum::<Result<u64>>()
    })?;

    let counted_flood = counted(&mut kernel)?;
    let sum = |passing| {
        let counts = counted_flood.iter();
        let matching = counts.filter(|(reason, _)| reason.passes() == passing);
        matching.map(|(_, packets)| packets).sum::<u64>()
    };
    assert_eq!((sum(true), sum(false)), (passed, PACKETS - passed));
    // Nothing was an answer, and both open and closed ports were met, many times.
    for (reason, at_least) in [
        (Reason::Service, PACKETS / 20),
        (Reason::NotAllowed, PACKETS / 2),
        (Reason::LaterFragmentRefused, PACKETS / 20),
    ] {
        let count = counted_flood.iter().find(|(known, _)| *known == reason);
        assert!(
            count.is_some_and(|(_, count)| *count > at_least),
            "{counted_flood:?}"
        );
    }
    assert!(
        counted_flood
            .iter()
            .all(|(reason, _)| *reason != Reason::Reply)
    );
    assert!(kernel.fragments()? > 0 && kernel.transfers()? > 0);

    assert_eq!(kernel.flows()?, flows.len());
    for (_, theirs) in &flows {
        kernel.run_inbound(theirs)?;
    }
    let expected = vec![(Reason::Reply, flows.len() as u64)];
    assert_eq!(counted(&mut kernel)?, expected);
    assert_eq!(kernel.flows()?, flows.len());
    Ok(())
}
