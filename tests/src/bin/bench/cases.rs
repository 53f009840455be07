//! The packets that are measured. To add a case, add a line.

use sccm_common::Hook;
use sccm_common::Reason::{
    self, FragmentFollows, NotAllowed, Outbound, OutboundNotAllowed, Reply, Service,
};
use sccm_tests::packet::{ExtensionHeader, Packet};

use crate::case::Case;

/// The roles of the protected system.
pub const ROLES: [&str; 2] = ["distribution-point", "pxe-service-point"];

/// What noting the flow of a packet that is refused may cost.
pub const NOTE: u32 = 30;

/// TCP and UDP ports that they open, and one of each that they do not.
const HTTP: u16 = 80;
const BINL: u16 = 4011;
const RDP: u16 = 3389;
const DNS: u16 = 53;

/// The protected system and a peer, of both families.
const V4: (&str, &str) = ("192.0.2.10", "198.51.100.7");
const V6: (&str, &str) = ("2001:db8::10", "2001:db8:ffff::7");

/// From the peer.
fn v4() -> Packet {
    Packet::ipv4(V4.1, V4.0)
}

/// From the peer.
fn v6() -> Packet {
    Packet::ipv6(V6.1, V6.0)
}

/// To the peer.
fn v4_out() -> Packet {
    Packet::ipv4(V4.0, V4.1)
}

/// To the peer.
fn v6_out() -> Packet {
    Packet::ipv6(V6.0, V6.1)
}

/// Where no address counts: every packet is judged by its port alone.
pub fn of_a_role() -> Vec<Case> {
    let refused = refused("role only, with reporting", NOTE);
    [by_port(), refused, by_state(), outbound()].concat()
}

fn by_port() -> Vec<Case> {
    let group = "role only, inbound";
    let case = |name, packet, reason| arriving(group, name, packet, reason).at_most(10);
    let simplest = |name, packet, reason| case(name, packet, reason).at_most(6);
    let opening = |packet: Packet, port| packet.tcp(50000, port).syn();
    let datagram = |packet: Packet| packet.udp(50000, BINL).payload(64);
    vec![
        simplest("pass, IPv4 TCP", opening(v4(), HTTP), Service),
        case("pass, IPv6 TCP", opening(v6(), HTTP), Service),
        simplest("pass, IPv4 UDP", datagram(v4()), Service),
        case("pass, IPv6 UDP", datagram(v6()), Service),
        case("pass, VLAN tag", opening(v4().vlan(20), HTTP), Service),
    ]
}

/// The same at TC ingress, which the kernel calls with a packet buffer that it has made.
pub fn at_tc() -> Vec<Case> {
    let refused = refused("role only, at TC", NOTE);
    let passes = |name, packet: Packet| {
        let packet = packet.tcp(50000, HTTP).syn();
        arriving("role only, at TC", name, packet, Service).at_most(10)
    };
    let passes = vec![
        passes("pass, IPv4 TCP", v4()),
        passes("pass, IPv6 TCP", v6()),
        passes("pass, VLAN tag", v4().vlan(20)),
    ];
    [passes, refused].concat()
}

/// What comes in at a gateway's segment: from the protected systems.
pub fn at_a_segment() -> Vec<Case> {
    let case = |name, packet, at_most| {
        arriving("segment, what comes in", name, packet, Outbound).at_most(at_most)
    };
    let answer = |packet: Packet| packet.tcp(HTTP, 50000).ack().payload(64);
    let known = |packet: Packet| packet.tcp(40000, 1433).ack().payload(64);
    let open = |packet: Packet, case: Case| case.after(Hook::Ingress, open_tcp(packet));
    vec![
        case("answer of an allowed service, IPv4", answer(v4_out()), 30),
        case("answer of an allowed service, IPv6", answer(v6_out()), 30),
        open(
            v4_out(),
            case("packet of an open flow, IPv4", known(v4_out()), 35),
        ),
        open(
            v6_out(),
            case("packet of an open flow, IPv6", known(v6_out()), 35),
        ),
        case("opening, IPv4", open_tcp(v4_out()), 90),
        case("opening, IPv6", open_tcp(v6_out()), 90),
    ]
}

/// The same with `outbound = "enforce"`.
pub fn refused_at_a_segment() -> Vec<Case> {
    let case = |name, packet: Packet| {
        let group = "segment, what comes in, outbound enforced";
        let packet = packet.tcp(40000, 6667).syn();
        arriving(group, name, packet, OutboundNotAllowed).at_most(35 + NOTE)
    };
    vec![
        case("refused, IPv4", v4_out()),
        case("refused, IPv6", v6_out()),
    ]
}

/// What is refused, noted or only counted, and what that may cost.
fn refused(group: &'static str, noted: u32) -> Vec<Case> {
    let case = |name, packet: Packet, at_most| {
        arriving(group, name, packet.tcp(50000, RDP).syn(), NotAllowed).at_most(at_most + noted)
    };
    vec![
        case("drop, IPv4 TCP SYN", v4(), 6),
        case("drop, IPv6 TCP SYN", v6(), 10),
        case("drop, VLAN tag", v4().vlan(20), 10),
    ]
}

/// The same role with `--count-only`.
pub fn counted_only() -> Vec<Case> {
    refused("role only, counting alone", 0)
}

fn by_state() -> Vec<Case> {
    let case = |name, packet, reason| arriving("state, inbound", name, packet, reason);
    let limited = |name, packet, reason: Reason| {
        let at_most = if reason.passes() { 20 } else { 40 };
        case(name, packet, reason).at_most(at_most)
    };
    let segment = |packet: Packet| packet.tcp(50000, RDP).ack();
    let datagram = |packet: Packet| packet.udp(50000, DNS).payload(64);
    let tcp_answer = |packet: Packet| packet.tcp(1433, 40000).ack().payload(64);
    let udp_answer = |packet: Packet| packet.udp(161, 40000).payload(64);
    let reply = |name, opening, answer| limited(name, answer, Reply).after(Hook::Egress, opening);
    let follows = |name, first: Packet, later: Packet| {
        let first = first.udp(50000, BINL).udp_length(96).payload(16);
        let later = later.ip_protocol(17).payload(64);
        case(name, later, FragmentFollows).after(Hook::Ingress, first)
    };
    let (tcp, udp) = (open_tcp, |packet: Packet| packet.udp(40000, 161));
    vec![
        limited("drop, flow miss, IPv4 TCP", segment(v4()), NotAllowed),
        limited("drop, flow miss, IPv6 TCP", segment(v6()), NotAllowed),
        limited("drop, flow miss, IPv4 UDP", datagram(v4()), NotAllowed),
        limited("drop, flow miss, IPv6 UDP", datagram(v6()), NotAllowed),
        case(
            "drop, flow miss, like TFTP data",
            v4().udp(50000, DNS).data(tftp_data()),
            NotAllowed,
        ),
        reply("reply, IPv4 TCP", tcp(v4_out()), tcp_answer(v4())),
        reply("reply, IPv6 TCP", tcp(v6_out()), tcp_answer(v6())),
        reply("reply, IPv4 UDP", udp(v4_out()), udp_answer(v4())),
        reply("reply, IPv6 UDP", udp(v6_out()), udp_answer(v6())),
        follows(
            "later fragment, IPv4",
            v4().fragment(1, 0, true),
            v4().fragment(1, 24, false),
        ),
        follows(
            "later fragment, IPv6",
            v6().extension(fragment(0, true)),
            v6().extension(fragment(24, false)),
        ),
    ]
}

fn outbound() -> Vec<Case> {
    let case = |name, packet| Case::new("outbound (TC)", name, Hook::Egress, packet, Outbound);
    let answer = |packet: Packet| packet.tcp(HTTP, 50000).ack().payload(64);
    let known = |packet: Packet| packet.tcp(40000, 1433).ack().payload(64);
    vec![
        case("answer of an allowed service, IPv4", answer(v4_out())),
        case("answer of an allowed service, IPv6", answer(v6_out())),
        case("packet of an open flow, IPv4", known(v4_out()))
            .after(Hook::Egress, open_tcp(v4_out())),
        case("packet of an open flow, IPv6", known(v6_out()))
            .after(Hook::Egress, open_tcp(v6_out())),
    ]
}

/// Where the peers' prefixes count, as [`prefixes`] names them.
pub fn of_peers() -> Vec<Case> {
    let group = "16 prefixes of each family, inbound";
    let case = |name, packet: Packet, reason: Reason| {
        let note = if reason.passes() { 0 } else { NOTE };
        arriving(group, name, packet.tcp(50000, 22).syn(), reason).at_most(16 + note)
    };
    let named = (
        Packet::ipv4("10.7.1.7", V4.0),
        Packet::ipv6("2001:db8:7::7", V6.0),
    );
    vec![
        case("pass, named peer, IPv4", named.0, Service),
        case("pass, named peer, IPv6", named.1, Service),
        case("drop, other peer, IPv4", v4(), NotAllowed),
        case("drop, other peer, IPv6", v6(), NotAllowed),
    ]
}

/// `--allow` of SSH from 16 prefixes of each family.
pub fn prefixes() -> Vec<&'static str> {
    let v4 = (0..16).map(|number| format!("tcp/22@10.{number}.1.0/24"));
    let v6 = (0..16).map(|number| format!("tcp/22@2001:db8:{number:x}::/48"));
    // The settings of a test are literals; these few live as long as the program.
    v4.chain(v6).map(|text| &*text.leak()).collect()
}

fn arriving(group: &'static str, name: &'static str, packet: Packet, reason: Reason) -> Case {
    Case::new(group, name, Hook::Ingress, packet, reason)
}

/// Opens the flow of the replies.
fn open_tcp(packet: Packet) -> Packet {
    packet.tcp(40000, 1433).syn()
}

/// Opcode 3 and a block number, which make the program look for the transfer.
fn tftp_data() -> Vec<u8> {
    let mut data = vec![0, 3, 0, 1];
    data.resize(64, 0);
    data
}

fn fragment(offset_bytes: u16, more: bool) -> ExtensionHeader {
    let id = 1;
    ExtensionHeader::Fragment {
        id,
        offset_bytes,
        more,
    }
}
