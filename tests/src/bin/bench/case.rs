//! What is measured with one and the same packet, again and again.
//!
//! To add a case, add a line; its reason is checked against the kernel's counters in every round,
//! so that no line measures anything but what it says.

use std::os::fd::AsFd as _;

use anyhow::{Result, ensure};
use sccm_common::Reason;
use sccm_tests::packet::{ExtensionHeader, Packet};

use crate::floor;
use crate::series::Title;
use crate::sys::{self, Hook};
use crate::world::World;

/// Packets of a run.
const REPEAT: u32 = 1_000_000;

/// What a packet costs at a hook.
pub struct Case {
    /// What is measured.
    pub title: Title,
    hook: Hook,
    /// Packets before it, which make the state that it meets.
    before: Vec<(Hook, Packet)>,
    packet: Packet,
    reason: Reason,
}

impl Case {
    fn new(name: &'static str, hook: Hook, packet: Packet, reason: Reason) -> Self {
        Self {
            title: Title {
                group: "",
                name,
                at_most: None,
            },
            hook,
            before: Vec::new(),
            packet,
            reason,
        }
    }

    fn after(mut self, hook: Hook, packet: Packet) -> Self {
        self.before.push((hook, packet));
        self
    }

    fn at_most(mut self, nanoseconds: u32) -> Self {
        self.title.at_most = Some(nanoseconds);
        self
    }

    /// Runs the floor and the case, and returns what each took for a packet, in nanoseconds.
    ///
    /// # Errors
    /// When the kernel refuses, and when the packets meet another fate than expected.
    pub fn measure(&self, world: &mut World) -> Result<(u32, u32)> {
        let name = self.title.name;
        for (hook, packet) in &self.before {
            world.run(*hook, packet, 1)?;
        }
        let empty = floor::empty(self.hook)?;
        let empty = sys::test_run(empty.as_fd(), &self.packet.build(), REPEAT)?;
        let counted = world.counted(self.reason)?;
        let run = world.run(self.hook, &self.packet, REPEAT)?;
        let counted = world.counted(self.reason)? - counted;
        ensure!(
            counted == u64::from(REPEAT),
            "{name}: {counted} of {REPEAT} packets ended as {:?}",
            self.reason
        );
        ensure!(
            run.returned == self.hook.returns(self.reason.passes()),
            "{name}: the program returned {}",
            run.returned
        );
        Ok((empty.nanoseconds, run.nanoseconds))
    }
}

/// The protected system and a peer, IPv4.
const V4: (&str, &str) = ("192.0.2.10", "198.51.100.7");
/// The same, IPv6.
const V6: (&str, &str) = ("2001:db8::10", "2001:db8:ffff::7");

fn inbound(v6: bool) -> Packet {
    match v6 {
        false => Packet::ipv4(V4.1, V4.0),
        true => Packet::ipv6(V6.1, V6.0),
    }
}

fn outbound(v6: bool) -> Packet {
    match v6 {
        false => Packet::ipv4(V4.0, V4.1),
        true => Packet::ipv6(V6.0, V6.1),
    }
}

/// Where no address counts: every packet is judged by its port alone.
pub fn of_a_role() -> Vec<Case> {
    let arriving = |name, packet, reason| Case::new(name, Hook::Arriving, packet, reason);
    let (service, refused) = (Reason::Service, Reason::NotAllowed);
    let mut cases = vec![
        arriving(
            "pass, IPv4 TCP",
            inbound(false).tcp(50000, 80).syn(),
            service,
        ),
        arriving(
            "pass, IPv4 UDP",
            inbound(false).udp(50000, 4011).payload(64),
            service,
        ),
        arriving(
            "pass, IPv6 TCP",
            inbound(true).tcp(50000, 80).syn(),
            service,
        ),
        arriving(
            "pass, IPv6 UDP",
            inbound(true).udp(50000, 4011).payload(64),
            service,
        ),
        arriving(
            "pass, IPv4 TCP, VLAN tag",
            inbound(false).vlan(20).tcp(50000, 80).syn(),
            service,
        ),
        arriving(
            "drop, IPv4 TCP SYN",
            inbound(false).tcp(50000, 3389).syn(),
            refused,
        ),
        arriving(
            "drop, IPv6 TCP SYN",
            inbound(true).tcp(50000, 3389).syn(),
            refused,
        ),
        arriving(
            "drop, IPv4 TCP SYN, VLAN tag",
            inbound(false).vlan(20).tcp(50000, 3389).syn(),
            refused,
        ),
    ];
    group(&mut cases, 0, "role only, inbound");
    let first = cases.len();
    cases.extend([
        arriving(
            "drop, flow miss, IPv4 TCP",
            inbound(false).tcp(50000, 3389).ack(),
            refused,
        )
        .at_most(40),
        arriving(
            "drop, flow miss, IPv6 TCP",
            inbound(true).tcp(50000, 3389).ack(),
            refused,
        )
        .at_most(40),
        arriving(
            "drop, flow miss, IPv4 UDP",
            inbound(false).udp(50000, 53).payload(64),
            refused,
        )
        .at_most(40),
        arriving(
            "drop, flow miss, IPv6 UDP",
            inbound(true).udp(50000, 53).payload(64),
            refused,
        )
        .at_most(40),
        arriving(
            "drop, flow miss, UDP like TFTP data",
            inbound(false).udp(50000, 53).data(tftp_data()),
            refused,
        ),
    ]);
    for (v6, tcp, udp) in [
        (false, "reply, IPv4 TCP", "reply, IPv4 UDP"),
        (true, "reply, IPv6 TCP", "reply, IPv6 UDP"),
    ] {
        let answer = inbound(v6).tcp(1433, 40000).ack().payload(64);
        cases.push(
            arriving(tcp, answer, Reason::Reply)
                .after(Hook::Leaving, outbound(v6).tcp(40000, 1433).syn())
                .after(Hook::Leaving, outbound(v6).tcp(40000, 1433).ack())
                .at_most(40),
        );
        let answer = inbound(v6).udp(161, 40000).payload(64);
        cases.push(
            arriving(udp, answer, Reason::Reply)
                .after(Hook::Leaving, outbound(v6).udp(40000, 161))
                .at_most(40),
        );
    }
    cases.extend([
        arriving(
            "later fragment, IPv4",
            fragment(24, false).ip_protocol(17).payload(64),
            Reason::FragmentFollows,
        )
        .after(
            Hook::Arriving,
            fragment(0, true)
                .udp(50000, 4011)
                .udp_length(96)
                .payload(16),
        ),
        arriving(
            "later fragment, IPv6",
            fragment_v6(24, false).ip_protocol(17).payload(64),
            Reason::FragmentFollows,
        )
        .after(
            Hook::Arriving,
            fragment_v6(0, true)
                .udp(50000, 4011)
                .udp_length(96)
                .payload(16),
        ),
    ]);
    group(&mut cases, first, "state, inbound");
    let first = cases.len();
    for (v6, answer, open) in [
        (
            false,
            "answer of an allowed service, IPv4",
            "packet of an open flow, IPv4",
        ),
        (
            true,
            "answer of an allowed service, IPv6",
            "packet of an open flow, IPv6",
        ),
    ] {
        let leaving = |name, packet| Case::new(name, Hook::Leaving, packet, Reason::Outbound);
        cases.push(leaving(
            answer,
            outbound(v6).tcp(80, 50000).ack().payload(64),
        ));
        cases.push(
            leaving(open, outbound(v6).tcp(40000, 1433).ack().payload(64))
                .after(Hook::Leaving, outbound(v6).tcp(40000, 1433).syn()),
        );
    }
    group(&mut cases, first, "outbound (TC)");
    cases
}

/// Where the peers' prefixes count, as [`prefixes`] names them.
pub fn of_peers() -> Vec<Case> {
    let arriving = |name, packet, reason| Case::new(name, Hook::Arriving, packet, reason);
    let named_v4 = Packet::ipv4("10.7.1.7", V4.0);
    let named_v6 = Packet::ipv6("2001:db8:7::7", V6.0);
    let ssh = |packet: Packet| packet.tcp(50000, 22).syn();
    let mut cases = vec![
        arriving("pass, named peer, IPv4", ssh(named_v4), Reason::Service),
        arriving("pass, named peer, IPv6", ssh(named_v6), Reason::Service),
        arriving(
            "drop, other peer, IPv4",
            ssh(inbound(false)),
            Reason::NotAllowed,
        ),
        arriving(
            "drop, other peer, IPv6",
            ssh(inbound(true)),
            Reason::NotAllowed,
        ),
    ];
    group(&mut cases, 0, "16 prefixes of each family, inbound");
    cases
}

/// `--allow` of SSH from 16 prefixes of each family.
pub fn prefixes() -> Vec<&'static str> {
    let v4 = (0..16).map(|number| format!("tcp/22@10.{number}.1.0/24"));
    let v6 = (0..16).map(|number| format!("tcp/22@2001:db8:{number:x}::/48"));
    // The settings of a test are literals; these few live as long as the program.
    v4.chain(v6).map(|text| &*text.leak()).collect()
}

fn group(cases: &mut [Case], from: usize, group: &'static str) {
    for case in &mut cases[from..] {
        case.title.group = group;
    }
}

/// Opcode 3 and a block number, which make the program look for the transfer.
fn tftp_data() -> Vec<u8> {
    let mut data = vec![0, 3, 0, 1];
    data.resize(64, 0);
    data
}

fn fragment(offset_bytes: u16, more: bool) -> Packet {
    inbound(false).fragment(1, offset_bytes, more)
}

fn fragment_v6(offset_bytes: u16, more: bool) -> Packet {
    let id = 1;
    inbound(true).extension(ExtensionHeader::Fragment {
        id,
        offset_bytes,
        more,
    })
}
