//! A gateway that translates addresses: what it sends on has others than what came in.

use crate::Place::{Segment, Uplink};
use crate::Reason::{
    IcmpErrorRelated, NotAllowed, Outbound, OutboundNotAllowed, Reply, Service, UnlistedHost,
};
use crate::policy::flag;
use crate::testing::{
    FAMILIES, GATEWAY, Host, Link, PEER, PROTECTED, STRANGER, World, class, quote,
};
use sccm_packets::protocol::GRE;
use sccm_packets::tcp_flag::{ACK, FIN, RST, SYN};

/// An address that translation uses, and nobody has.
const POOL: Host = Host(4);

fn gateway() -> World {
    World::gateway(Segment).behind(PROTECTED)
}

fn by_uplink(world: &World, frame: &[u8]) {
    world.tables().translated(frame, Uplink);
}

fn into_segment(world: &World, frame: &[u8]) {
    world.tables().translated(frame, Segment);
}

#[test]
fn what_a_protected_system_opens_is_answered_at_the_new_address() {
    for family in FAMILIES {
        for translated in [GATEWAY, POOL] {
            let inside = Link::new(family, PROTECTED, PEER);
            let outside = Link::new(family, translated, PEER);
            let world = gateway();
            assert_eq!(world.arrives(&inside.tcp(40000, 80, SYN)), Outbound);
            assert_eq!(world.arrives(&inside.udp(40000, 123, b"")), Outbound);
            assert_eq!(world.arrives(&inside.echo(7)), Outbound);
            let world = world.at(Uplink);
            let answers = [
                outside.back().tcp(80, 1024, SYN | ACK),
                outside.back().udp(123, 1025, b""),
                outside.back().echo_reply(9),
            ];
            for answer in &answers {
                assert_eq!(world.arrives(answer), NotAllowed);
            }
            by_uplink(&world, &outside.tcp(1024, 80, SYN));
            by_uplink(&world, &outside.udp(1025, 123, b""));
            by_uplink(&world, &outside.echo(9));
            for answer in &answers {
                assert_eq!(world.arrives(answer), Reply);
            }
            let error = outside
                .back()
                .unreachable(quote(&outside.udp(1025, 123, b"")));
            assert_eq!(world.arrives(&error), IcmpErrorRelated);
            // Nobody else, and nothing else.
            let other = Link::new(family, STRANGER, translated);
            assert_eq!(world.arrives(&other.tcp(80, 1024, ACK)), NotAllowed);
            assert_eq!(
                world.arrives(&outside.back().tcp(81, 1024, ACK)),
                NotAllowed
            );
            assert_eq!(
                world.arrives(&outside.back().tcp(80, 1024, SYN)),
                NotAllowed
            );
        }
    }
}

/// A pool of addresses that the policy does not list.
#[test]
fn answers_pass_to_addresses_that_are_not_listed() {
    for family in FAMILIES {
        let outside = Link::new(family, POOL, PEER);
        let world = gateway().with(flag::LISTED_ONLY).at(Uplink);
        let answer = outside.back().tcp(80, 1024, SYN | ACK);
        assert_eq!(world.arrives(&answer), UnlistedHost);
        by_uplink(&world, &outside.tcp(1024, 80, SYN));
        assert_eq!(world.arrives(&answer), Reply);
    }
}

/// Whoever reached the uplink has had the right already.
#[test]
fn enforce_judges_before_translation() {
    for family in FAMILIES {
        let inside = Link::new(family, PROTECTED, PEER);
        let outside = Link::new(family, GATEWAY, PEER);
        let world = gateway().enforcing(&[class::HTTP]);
        assert_eq!(world.arrives(&inside.tcp(40000, 80, SYN)), Outbound);
        assert_eq!(
            world.arrives(&inside.tcp(40000, 445, SYN)),
            OutboundNotAllowed
        );
        let world = world.at(Uplink);
        by_uplink(&world, &outside.tcp(1024, 80, SYN));
        assert_eq!(world.arrives(&outside.back().tcp(80, 1024, ACK)), Reply);
        assert_eq!(
            world.arrives(&outside.back().tcp(445, 1024, ACK)),
            NotAllowed
        );
    }
}

#[test]
fn without_tracking_nothing_is_remembered() {
    for family in FAMILIES {
        let world = gateway().with(flag::OUTBOUND_OFF).at(Uplink);
        by_uplink(&world, &Link::new(family, GATEWAY, PEER).tcp(1024, 80, SYN));
        assert_eq!(world.remembered(), (0, 0, 0));
    }
}

#[test]
fn a_flow_lives_as_long_as_the_connection() {
    for family in FAMILIES {
        let outside = Link::new(family, GATEWAY, PEER);
        let world = gateway().at(Uplink);
        by_uplink(&world, &outside.tcp(1024, 80, SYN));
        let answer = outside.back().tcp(80, 1024, ACK);
        assert_eq!(world.arrives(&answer), Reply);
        // An idle session overnight, then the protected side speaks.
        world.wait(20 * 3600);
        by_uplink(&world, &outside.tcp_data(1024, 80));
        world.wait(20 * 3600);
        assert_eq!(world.arrives(&answer), Reply);
        // A stream already under way, when translation is noticed late.
        by_uplink(&world, &outside.tcp_data(1026, 80));
        assert_eq!(world.arrives(&outside.back().tcp(80, 1026, ACK)), Reply);
        // Neither a reset nor the answer of a service opens anything.
        let flows = world.flows();
        by_uplink(&world, &outside.tcp(1027, 80, RST));
        by_uplink(&world, &outside.tcp(1028, 80, SYN | ACK));
        by_uplink(&world, &outside.echo_reply(3));
        assert_eq!(world.flows(), flows);
        by_uplink(&world, &outside.tcp(1024, 80, FIN | ACK));
        assert_eq!(world.flows(), flows);
    }
}

#[test]
fn published_ports_are_answered_without_a_flow() {
    for family in FAMILIES {
        let outside = Link::new(family, GATEWAY, PEER);
        let world = gateway().manage(&[class::HTTP, class::DNS]).at(Uplink);
        assert_eq!(world.arrives(&outside.back().tcp(50000, 80, SYN)), Service);
        by_uplink(&world, &outside.tcp(80, 50000, SYN | ACK));
        by_uplink(&world, &outside.tcp(80, 50000, ACK));
        by_uplink(&world, &outside.udp(53, 50000, b"me"));
        assert_eq!(world.remembered(), (0, 0, 0));
    }
}

/// Under `enforce`, what was asked of the gateway is answered by the system behind it.
#[test]
fn questions_to_published_ports_are_asked_of_who_is_behind() {
    for family in FAMILIES {
        let asked = Link::new(family, PEER, PROTECTED);
        let world = gateway().inbound(&[class::DNS]).enforcing(&[]);
        let answer = asked.back().udp(53, 50000, b"me");
        assert_eq!(world.arrives(&answer), OutboundNotAllowed);
        into_segment(&world, &asked.udp(50000, 53, b"who"));
        assert_eq!(world.arrives(&answer), Outbound);
        // A service that nobody may use stays unanswered.
        into_segment(&world, &asked.udp(50000, 135, b"who"));
        let answer = asked.back().udp(135, 50000, b"me");
        assert_eq!(world.arrives(&answer), OutboundNotAllowed);
    }
}

#[test]
fn a_peer_opens_nothing_in_the_segment() {
    for family in FAMILIES {
        let asked = Link::new(family, PEER, PROTECTED);
        let world = gateway().inbound(&[class::HTTP]);
        into_segment(&world, &asked.tcp(50000, 80, SYN));
        into_segment(&world, &asked.tcp(50000, 445, SYN));
        into_segment(&world, &asked.udp(50000, 445, b""));
        into_segment(&world, &asked.echo(1));
        into_segment(&world, &asked.ip(GRE, &[0; 8]));
        assert_eq!(world.remembered(), (0, 0, 0));
    }
}

/// Destination translation of what protected systems open: a transparent proxy.
#[test]
fn answers_come_from_whom_the_packet_was_sent_to_in_the_end() {
    for family in FAMILIES {
        let meant = Link::new(family, PROTECTED, STRANGER);
        let reached = Link::new(family, PROTECTED, PEER);
        let world = gateway();
        assert_eq!(world.arrives(&meant.udp(40000, 53, b"who")), Outbound);
        let world = world.at(Uplink);
        let answer = reached.back().udp(53, 40000, b"me");
        assert_eq!(world.arrives(&answer), NotAllowed);
        by_uplink(&world, &reached.udp(40000, 53, b"who"));
        assert_eq!(world.arrives(&answer), Reply);
    }
}

#[test]
fn groups_and_later_fragments_open_nothing() {
    let outside = Link::new(crate::address::Family::V4, GATEWAY, PEER);
    let world = gateway().at(Uplink);
    by_uplink(&world, &outside.packet_to("224.0.0.1").udp(1, 2).build());
    by_uplink(
        &world,
        &outside
            .fragment(7, 64, false)
            .udp(1, 2)
            .data([0; 8])
            .build(),
    );
    assert_eq!(world.flows(), 0);
}
