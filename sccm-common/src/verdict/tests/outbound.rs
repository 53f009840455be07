//! The three ways to treat what the protected systems open.

use crate::Reason::{
    DhcpRequest, EssentialRemoved, IcmpError, NotAllowed, Outbound, OutboundNotAllowed, Reply,
    Service,
};
use crate::policy::flag;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, World, class, quote, v4, v6};
use crate::{Reason, ServiceClass};
use sccm_packets::protocol::{GRE, UDP};
use sccm_packets::tcp_flag::{ACK, FIN, RST, SYN};

const TCP: ServiceClass = ServiceClass::TCP;
const UDP_NONE: ServiceClass = ServiceClass::UDP;

fn ways() -> [Link; 2] {
    FAMILIES.map(|family| Link::new(family, PROTECTED, PEER))
}

#[track_caller]
fn leaves(world: &World, frame: &[u8], reason: Reason, service: ServiceClass) {
    let judged = world.egress(frame).unwrap();
    assert_eq!((judged.reason, judged.service), (reason, service));
}

#[test]
fn enforce_lets_out_an_allowed_link_and_its_answers_in() {
    for out in ways() {
        let world = World::host().enforcing(&[class::HTTP, class::DNS, class::ECHO]);
        let back = out.back();
        leaves(&world, &out.tcp(40000, 80, SYN), Outbound, class::HTTP);
        assert_eq!(world.arrives(&back.tcp(80, 40000, SYN | ACK)), Reply);
        leaves(
            &world,
            &out.tcp(40000, 80, FIN | ACK),
            Outbound,
            class::HTTP,
        );
        leaves(&world, &out.udp(40000, 53, b"who"), Outbound, class::DNS);
        assert_eq!(world.arrives(&back.udp(53, 40000, b"me")), Reply);
        leaves(&world, &out.echo(7), Outbound, class::ECHO);
        assert_eq!(world.arrives(&back.echo_reply(7)), Reply);
        assert_eq!(world.flows(), 3);
    }
}

#[test]
fn enforce_drops_and_names_the_rest() {
    for out in ways() {
        let world = World::host().enforcing(&[class::DNS]);
        let refused = OutboundNotAllowed;
        leaves(&world, &out.tcp(40000, 80, SYN), refused, class::HTTP);
        leaves(&world, &out.tcp(40000, 80, ACK), refused, class::HTTP);
        leaves(&world, &out.tcp(40000, 8080, SYN), refused, TCP);
        // TCP on the port of a UDP service.
        leaves(&world, &out.tcp(40000, 53, SYN), refused, TCP);
        leaves(&world, &out.udp(40000, 54, b""), refused, UDP_NONE);
        leaves(
            &world,
            &out.udp(40000, 69, b"\x00\x01f"),
            refused,
            class::TFTP,
        );
        leaves(&world, &out.echo(7), refused, class::ECHO);
        leaves(&world, &out.ip(GRE, &[0; 8]), refused, ServiceClass::GRE);
        assert_eq!(world.remembered(), (0, 0, 0));
        // The answers stay out.
        let back = out.back();
        assert_eq!(world.arrives(&back.tcp(80, 40000, SYN | ACK)), NotAllowed);
        assert_eq!(world.arrives(&back.udp(54, 40000, b"")), NotAllowed);
    }
}

#[test]
fn enforce_lets_out_answers_to_allowed_services() {
    for out in ways() {
        let services = [class::HTTP, class::DNS, class::ECHO, class::TFTP];
        let world = World::host().inbound(&services).enforcing(&[]);
        for flags in [SYN | ACK, ACK, FIN | ACK, RST | ACK] {
            let frame = out.tcp(80, 50000, flags);
            leaves(&world, &frame, Outbound, class::HTTP);
        }
        // A service's port opens nothing, and other services answer nobody.
        leaves(&world, &out.tcp(80, 50000, SYN), OutboundNotAllowed, TCP);
        let other = out.tcp(445, 50000, SYN | ACK);
        leaves(&world, &other, OutboundNotAllowed, class::SMB);
        assert_eq!(world.remembered(), (0, 0, 0));
    }
}

#[test]
fn enforce_lets_out_the_essentials() {
    for out in ways() {
        let world = World::host().enforcing(&[]);
        let echo = out.back().echo(7);
        let about_echo = out.unreachable(quote(&echo));
        let world = world.inbound(&[class::ECHO]);
        assert_eq!(world.leaves(&about_echo), IcmpError);
        let mut world = World::host().enforcing(&[]);
        world.policy.essentials.remove(IcmpError);
        assert_eq!(world.leaves(&about_echo), EssentialRemoved);
    }
    let world = World::host().enforcing(&[]);
    let (v4, v6) = (v4(PROTECTED, PEER), v6(PROTECTED, PEER));
    let requests = [
        v4.packet_to("255.255.255.255").udp(68, 67),
        v6.packet_to("ff02::1:2").udp(546, 547),
        v6.packet_to("ff05::1:3").udp(546, 547),
    ];
    for request in requests {
        assert_eq!(
            world.leaves(&request.data(b"discover").build()),
            DhcpRequest
        );
    }
    // Only from a client's port to a server's.
    let relayed = v4.packet_to("255.255.255.255").udp(67, 67).build();
    assert_eq!(world.leaves(&relayed), OutboundNotAllowed);
    let mixed = v6.packet_to("ff02::1:2").udp(68, 67).build();
    assert_eq!(world.leaves(&mixed), OutboundNotAllowed);
    // One server is asked only where the policy allows it, and no other group.
    for (request, service) in [
        (v4.packet().udp(68, 67), UDP_NONE),
        (v4.packet_to("239.1.1.1").udp(68, 67), UDP_NONE),
        (v6.packet().udp(546, 547), UDP_NONE),
        (v6.packet_to("ff0e::1:3").udp(546, 547), UDP_NONE),
    ] {
        leaves(&world, &request.build(), OutboundNotAllowed, service);
    }
    assert_eq!(world.flows(), 0);
}

#[test]
fn enforce_judges_later_fragments_by_their_first() {
    for out in ways() {
        let world = World::host().enforcing(&[class::DNS]);
        let first = |port| {
            let part = out.fragment(1, 0, true);
            part.udp(40000, port).payload(16).build()
        };
        let later = out.fragment(1, 24, false).ip_protocol(UDP).payload(8);
        let later = later.build();
        assert_eq!(world.leaves(&later), Reason::LaterFragmentRefused);
        assert_eq!(world.leaves(&first(54)), OutboundNotAllowed);
        assert_eq!(world.leaves(&later), Reason::LaterFragmentRefused);
        assert_eq!(world.leaves(&first(53)), Outbound);
        assert_eq!(world.leaves(&later), Reason::FragmentFollows);
    }
}

#[test]
fn a_flow_of_an_earlier_policy_is_neither_a_right_nor_a_hindrance() {
    for out in ways() {
        let mut world = World::host();
        world.leaves(&out.tcp(40000, 445, SYN));
        // A connection from outside that was under way before the agent came.
        world.leaves(&out.tcp(80, 50000, ACK));
        assert_eq!(world.flows(), 2);
        world = world.inbound(&[class::HTTP]).enforcing(&[]);
        let mine = out.tcp(40000, 445, ACK);
        leaves(&world, &mine, OutboundNotAllowed, class::SMB);
        let answer = out.tcp_data(80, 50000);
        leaves(&world, &answer, Outbound, class::HTTP);
    }
}

#[test]
fn enforce_lets_a_tunnel_out_behind_its_control_connection_only() {
    for out in ways() {
        let tunnel = out.ip(GRE, &[0; 8]);
        // A control connection without a right brings nothing.
        let world = World::host().enforcing(&[]);
        let refused = world.leaves(&out.tcp_data(40000, 1723));
        assert_eq!(refused, OutboundNotAllowed);
        assert_eq!(world.leaves(&out.tcp_data(1723, 40000)), refused);
        assert_eq!(world.leaves(&tunnel), OutboundNotAllowed);
        assert_eq!(world.flows(), 0);

        let world = World::host().enforcing(&[class::PPTP]);
        assert_eq!(world.leaves(&tunnel), OutboundNotAllowed);
        assert_eq!(world.leaves(&out.tcp_data(40000, 1723)), Outbound);
        assert_eq!(world.leaves(&tunnel), Outbound);
        // It ends with its silence, although the table still knows it.
        world.wait(world.policy.timeouts.other + 1);
        assert_eq!(world.leaves(&tunnel), OutboundNotAllowed);
        assert_eq!(world.arrives(&out.back().ip(GRE, &[0; 8])), NotAllowed);
    }
}

#[test]
fn track_lets_everything_out() {
    for out in ways() {
        let world = World::host();
        leaves(&world, &out.tcp(40000, 80, SYN), Outbound, class::HTTP);
        leaves(&world, &out.udp(40000, 4000, b""), Outbound, UDP_NONE);
        let orphan = out.fragment(1, 24, false).ip_protocol(UDP).payload(8);
        leaves(&world, &orphan.build(), Outbound, ServiceClass::NONE);
        assert_eq!(world.flows(), 2);
    }
}

#[test]
fn off_writes_nothing() {
    for out in ways() {
        let services = [class::HTTP, class::TFTP];
        let world = World::host().inbound(&services).with(flag::OUTBOUND_OFF);
        for flags in [SYN, ACK, SYN | ACK, RST] {
            let frame = out.tcp(40000, 80, flags);
            leaves(&world, &frame, Outbound, class::HTTP);
        }
        leaves(&world, &out.udp(40000, 53, b"who"), Outbound, class::DNS);
        leaves(
            &world,
            &out.udp(40000, 69, b"\x00\x01f"),
            Outbound,
            class::TFTP,
        );
        leaves(&world, &out.tcp_data(40000, 1723), Outbound, class::PPTP);
        leaves(&world, &out.echo(7), Outbound, class::ECHO);
        let first = out.fragment(1, 0, true).udp(40000, 53).payload(16);
        leaves(&world, &first.build(), Outbound, class::DNS);
        assert_eq!(world.remembered(), (0, 0, 0));

        // What answers comes in only where a link lets it in.
        let back = out.back();
        assert_eq!(world.arrives(&back.tcp(80, 40000, SYN | ACK)), NotAllowed);
        assert_eq!(world.arrives(&back.udp(53, 40000, b"me")), NotAllowed);
        assert_eq!(world.arrives(&back.tcp(50000, 80, SYN)), Service);
    }
}

#[test]
fn off_keeps_no_flow_alive() {
    for out in ways() {
        let mut world = World::host();
        world.leaves(&out.udp(40000, 53, b"who"));
        world = world.with(flag::OUTBOUND_OFF);
        world.wait(world.policy.timeouts.other + 1);
        world.leaves(&out.udp(40000, 53, b"who"));
        assert_eq!(world.arrives(&out.back().udp(53, 40000, b"me")), NotAllowed);
    }
}
