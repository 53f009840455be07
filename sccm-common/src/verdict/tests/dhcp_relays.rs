//! DHCP through relays: who asks for others is answered where he says.

use crate::Place;
use crate::Reason::{DhcpReply, EssentialRemoved, NotAllowed, Outbound, OutboundNotAllowed};
use crate::policy::flag;
use crate::testing::{GATEWAY, Host, PEER, PROTECTED, STRANGER, World, v4, v6};
use crate::{Reason, ServiceClass};
use sccm_packets::Packet;
use std::vec::Vec;

/// Another address of a relay, such as that on the clients' link.
const OTHER: Host = Host(30);

const DHCP: ServiceClass = ServiceClass(40);

const REQUEST: u8 = 1;
const REPLY: u8 = 2;

const FORWARD: u8 = 12;
const BACK: u8 = 13;

/// A message of DHCP that is answered at `relay`.
fn message(kind: u8, transaction: u32, relay: Host) -> Vec<u8> {
    let mut message = [kind, 1, 6, 1].to_vec();
    message.extend(transaction.to_be_bytes());
    message.resize(300, 0);
    message[24..28].copy_from_slice(&[10, relay.0, 0, 1]);
    message
}

/// A message of DHCPv6 about a client with this number, from a relay that is at `link`, too.
fn message_v6(kind: u8, client: u8, link: Host) -> Vec<u8> {
    let mut message = [kind, 0].to_vec();
    message.extend([0x20, link.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    message.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, client]);
    message.resize(80, 0);
    message
}

fn asks(from: Host, server: Host, port: u16, transaction: u32) -> Vec<u8> {
    v4(from, server).udp(port, 67, &message(REQUEST, transaction, OTHER))
}

fn answers(server: Host, to: Host, port: u16, transaction: u32) -> Vec<u8> {
    v4(server, to).udp(67, port, &message(REPLY, transaction, OTHER))
}

const MODES: [u32; 3] = [0, flag::OUTBOUND_ENFORCE, flag::OUTBOUND_OFF];

/// A gateway that has the address OTHER, too, and asks with it as its own.
fn gateway(place: Place) -> World {
    World::gateway(place).gateway_at(OTHER)
}

#[test]
fn a_gateway_that_relays_is_answered_at_its_other_address() {
    for place in [Place::Uplink, Place::Segment] {
        for mode in MODES {
            let world = gateway(place).with(mode);
            assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 7)), NotAllowed);
            assert_eq!(world.leaves(&asks(GATEWAY, PEER, 67, 7)), Outbound);
            // From whichever of its addresses the server answers.
            for server in [PEER, STRANGER] {
                assert_eq!(world.arrives(&answers(server, OTHER, 67, 7)), DhcpReply);
            }
            // Another transaction, another address, another port, no answer, not a server's.
            assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 8)), NotAllowed);
            assert_eq!(world.arrives(&answers(PEER, OTHER, 4011, 7)), NotAllowed);
            assert_eq!(world.arrives(&asks(PEER, OTHER, 67, 7)), NotAllowed);
            let other_port = v4(PEER, OTHER).udp(68, 67, &message(REPLY, 7, OTHER));
            assert_eq!(world.arrives(&other_port), NotAllowed);
            world.wait(60);
            assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 7)), DhcpReply);
            world.wait(1);
            assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 7)), NotAllowed);
        }
    }
}

#[test]
fn a_relay_is_answered_at_the_port_that_it_asked_from() {
    for mode in MODES {
        let world = gateway(Place::Segment).with(mode);
        assert_eq!(world.leaves(&asks(GATEWAY, PEER, 40067, 7)), Outbound);
        for port in [67, 40067] {
            assert_eq!(world.arrives(&answers(PEER, OTHER, port, 7)), DhcpReply);
        }
        assert_eq!(world.arrives(&answers(PEER, OTHER, 40068, 7)), NotAllowed);
    }
}

#[test]
fn only_what_goes_to_a_servers_port_is_of_a_relay() {
    for mode in MODES {
        let world = gateway(Place::Segment).with(mode);
        let other_port = v4(GATEWAY, PEER).udp(67, 4011, &message(REQUEST, 7, OTHER));
        assert_eq!(world.leaves(&other_port), Outbound);
        assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 7)), NotAllowed);
    }
}

#[test]
fn a_protected_relay_opens_nothing_of_the_gateway() {
    let world = World::gateway(Place::Segment).gateway_at(OTHER);
    assert_eq!(world.arrives(&asks(PROTECTED, PEER, 67, 7)), Outbound);
    let world = world.at(Place::Uplink);
    assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 7)), NotAllowed);
    // One that asks at its own other address is answered.
    let world = World::gateway(Place::Segment);
    assert_eq!(world.arrives(&asks(PROTECTED, PEER, 67, 7)), Outbound);
    let world = world.at(Place::Uplink);
    assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 7)), DhcpReply);
    // And a host likewise.
    let world = World::host();
    assert_eq!(world.leaves(&asks(PROTECTED, PEER, 67, 7)), Outbound);
    assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 7)), DhcpReply);
}

#[test]
fn what_a_peer_says_opens_nothing_inwards() {
    for mode in MODES {
        let world = World::host().with(mode);
        assert_eq!(world.arrives(&asks(PEER, PROTECTED, 67, 7)), NotAllowed);
        assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 7)), NotAllowed);
        let mut world = World::host().with(mode);
        world.policy.udp[67] = DHCP;
        let world = world.inbound(&[DHCP]);
        assert_eq!(
            world.arrives(&asks(PEER, PROTECTED, 67, 7)),
            Reason::Service
        );
        let reply = v4(PEER, OTHER).udp(67, 40067, &message(REPLY, 7, OTHER));
        assert_eq!(world.arrives(&reply), NotAllowed);
        // Neither does a protected client that is no relay: nobody forwards for it.
        let world = World::gateway(Place::Segment).enforcing(&[]);
        let lies = Packet::ip("0.0.0.0", "255.255.255.255").udp(68, 67);
        let lies = lies.data(message(REQUEST, 7, OTHER)).build();
        assert_eq!(world.arrives(&lies), Reason::DhcpRequest);
        let world = world.at(Place::Uplink);
        assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 7)), NotAllowed);
    }
}

#[test]
fn a_gateway_that_relays_dhcpv6_is_answered_at_the_servers_port() {
    for mode in MODES {
        let world = gateway(Place::Uplink).with(mode);
        let back = |to: Host, from: u16, port: u16, client: u8| {
            v6(PEER, to).udp(from, port, &message_v6(BACK, client, OTHER))
        };
        assert_eq!(world.arrives(&back(GATEWAY, 547, 547, 1)), NotAllowed);
        let asks = v6(GATEWAY, PEER).packet_to("ff05::1:3").udp(40547, 547);
        let asks = asks.data(message_v6(FORWARD, 1, OTHER)).build();
        assert_eq!(world.leaves(&asks), Outbound);
        // To the address that it sent from or to that of the link, from any port of a server.
        for to in [GATEWAY, OTHER] {
            assert_eq!(world.arrives(&back(to, 547, 547, 1)), DhcpReply);
            assert_eq!(world.arrives(&back(to, 49321, 547, 1)), DhcpReply);
            assert_eq!(world.arrives(&back(to, 547, 40547, 1)), DhcpReply);
            assert_eq!(world.arrives(&back(to, 547, 547, 2)), NotAllowed);
            assert_eq!(world.arrives(&back(to, 49321, 40547, 1)), NotAllowed);
        }
        let other = v6(PEER, GATEWAY).udp(547, 547, &message_v6(FORWARD, 1, OTHER));
        assert_eq!(world.arrives(&other), NotAllowed);
        assert_eq!(world.arrives(&back(PROTECTED, 547, 547, 1)), NotAllowed);
        world.wait(61);
        assert_eq!(world.arrives(&back(GATEWAY, 547, 547, 1)), NotAllowed);
    }
}

#[test]
fn the_essential_can_be_removed_for_relays() {
    let mut world = gateway(Place::Segment);
    world.policy.essentials.remove(DhcpReply);
    assert_eq!(world.leaves(&asks(GATEWAY, PEER, 67, 7)), Outbound);
    assert_eq!(
        world.arrives(&answers(PEER, OTHER, 67, 7)),
        EssentialRemoved
    );
}

/// A relay far away asks from one address, and is answered at another, which has no right itself.
#[test]
fn a_protected_server_answers_a_relay_where_it_says() {
    let mut world = World::gateway(Place::Uplink).enforcing(&[]);
    world.policy.udp[67] = DHCP;
    world.policy.udp[547] = DHCP;
    let world = world.naming(PEER, &[DHCP], &[PEER, OTHER]);
    let answer = |server: &World, to: Host, port, transaction| {
        server.arrives(&answers(PROTECTED, to, port, transaction))
    };
    // Nobody asked.
    let world = world.at(Place::Segment);
    assert_eq!(answer(&world, OTHER, 67, 7), OutboundNotAllowed);
    let world = world.at(Place::Uplink);
    // A stranger has no right, and what he says counts for nothing.
    assert_eq!(world.arrives(&asks(STRANGER, PROTECTED, 67, 7)), NotAllowed);
    assert_eq!(
        world.arrives(&asks(PEER, PROTECTED, 40067, 8)),
        Reason::Service
    );
    let world = world.at(Place::Segment);
    assert_eq!(answer(&world, OTHER, 67, 7), OutboundNotAllowed);
    for port in [67, 40067] {
        assert_eq!(answer(&world, OTHER, port, 8), Outbound);
        assert_eq!(answer(&world, OTHER, port, 9), OutboundNotAllowed);
        assert_eq!(answer(&world, STRANGER, port, 8), OutboundNotAllowed);
    }
    assert_eq!(answer(&world, OTHER, 40068, 8), OutboundNotAllowed);
    // Answers write nothing.
    assert_eq!(world.flows(), 0);
    // What is outside the site is not answered, whatever the relay says.
    let world = world.at(Place::Uplink);
    let far = v4(PEER, PROTECTED).udp(67, 67, &message(REQUEST, 9, STRANGER));
    assert_eq!(world.arrives(&far), Reason::Service);
    let world = world.at(Place::Segment);
    let answer = v4(PROTECTED, STRANGER).udp(67, 67, &message(REPLY, 9, STRANGER));
    assert_eq!(world.arrives(&answer), OutboundNotAllowed);

    // DHCPv6 answers the address that asked, at the server's port.
    let world = world.at(Place::Uplink);
    let forward = v6(PEER, PROTECTED).udp(40547, 547, &message_v6(FORWARD, 1, OTHER));
    assert_eq!(world.arrives(&forward), Reason::Service);
    let world = world.at(Place::Segment);
    let back = |from, to, client| {
        let packet = v6(PROTECTED, PEER).udp(from, to, &message_v6(BACK, client, OTHER));
        world.arrives(&packet)
    };
    assert_eq!(back(547, 547, 1), Outbound);
    assert_eq!(back(547, 40547, 1), Outbound);
    assert_eq!(back(49321, 547, 1), Outbound);
    assert_eq!(back(49321, 547, 2), OutboundNotAllowed);
    assert_eq!(world.flows(), 0);
}

#[test]
fn a_message_that_is_cut_off_is_of_no_relay() {
    for length in 0..28 {
        let world = gateway(Place::Segment);
        let part = &message(REQUEST, 0, OTHER)[..length];
        // The padding of the frame is no part of it.
        let mut frame = v4(GATEWAY, PEER).udp(67, 67, part);
        frame.extend(&message(REQUEST, 0, OTHER)[length..]);
        assert_eq!(world.leaves(&frame), Outbound);
        assert_eq!(world.arrives(&answers(PEER, OTHER, 67, 0)), NotAllowed);
    }
    let nobody = Packet::ip("10.2.0.1", "10.30.0.1").udp(67, 67);
    let world = gateway(Place::Segment);
    assert_eq!(world.arrives(&nobody.build()), NotAllowed);
}
