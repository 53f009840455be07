//! DHCP passes to who asked.

use crate::Place;
use crate::Reason::{
    DhcpReply, DhcpRequest, EssentialRemoved, NotAllowed, Outbound, OutboundNotAllowed,
};
use crate::policy::flag;
use crate::testing::{GATEWAY, Host, PEER, PROTECTED, STRANGER, World, class, v4, v6};
use crate::{Reason, ServiceClass};
use sccm_packets::Packet;
use std::vec::Vec;

const EVERYBODY: &str = "255.255.255.255";

/// A BOOTP message of a transaction (RFC 951).
fn message(transaction: u32) -> Vec<u8> {
    let mut message = [1, 1, 6, 0].to_vec();
    message.extend(transaction.to_be_bytes());
    message.resize(300, 0);
    message
}

/// From a client without an address.
fn discover(transaction: u32) -> Vec<u8> {
    let packet = Packet::ip("0.0.0.0", EVERYBODY);
    packet.udp(68, 67).data(message(transaction)).build()
}

fn reply(server: Host, to: &str, transaction: u32) -> Vec<u8> {
    let packet = v4(server, PROTECTED).packet_to(to);
    packet.udp(67, 68).data(message(transaction)).build()
}

#[test]
fn a_reply_passes_for_a_minute_to_the_transaction_that_was_asked() {
    for mode in [0, flag::OUTBOUND_ENFORCE, flag::OUTBOUND_OFF] {
        let world = World::host().with(mode);
        assert_eq!(world.arrives(&reply(PEER, EVERYBODY, 7)), NotAllowed);
        let expected = match mode {
            flag::OUTBOUND_ENFORCE => DhcpRequest,
            _ => Outbound,
        };
        assert_eq!(world.leaves(&discover(7)), expected);
        // From any server or relay, to everybody or to the address that it gives.
        for server in [PEER, STRANGER] {
            for to in [EVERYBODY, "10.1.0.1", "10.7.7.7"] {
                assert_eq!(world.arrives(&reply(server, to, 7)), DhcpReply);
                assert_eq!(world.arrives(&reply(server, to, 8)), NotAllowed);
            }
        }
        world.wait(60);
        assert_eq!(world.arrives(&reply(PEER, EVERYBODY, 7)), DhcpReply);
        world.wait(1);
        assert_eq!(world.arrives(&reply(PEER, EVERYBODY, 7)), NotAllowed);
        // A reply is no question, and does not prolong one.
        assert_eq!(world.remembered().1, 0);
    }
}

#[test]
fn a_client_with_an_address_is_known_by_it() {
    for mode in [0, flag::OUTBOUND_OFF] {
        let world = World::host().with(mode);
        let renewal = v4(PROTECTED, PEER).udp(68, 67, &message(7));
        assert_eq!(world.leaves(&renewal), Outbound);
        world.wait(60);
        assert_eq!(world.arrives(&reply(STRANGER, "10.1.0.1", 9)), DhcpReply);
        assert_eq!(world.arrives(&reply(STRANGER, "10.7.7.7", 9)), NotAllowed);
    }
}

#[test]
fn a_reply_of_dhcpv6_comes_from_any_port() {
    for mode in [0, flag::OUTBOUND_ENFORCE, flag::OUTBOUND_OFF] {
        let world = World::host().with(mode);
        let solicit = v6(PROTECTED, PEER).packet_to("ff02::1:2").udp(546, 547);
        let back = v6(PEER, PROTECTED);
        let ports = [547, 49321, 1024];
        for port in ports {
            assert_eq!(world.arrives(&back.udp(port, 546, b"reply")), NotAllowed);
        }
        world.leaves(&solicit.data(b"solicit").build());
        for server in [PEER, STRANGER] {
            for port in ports {
                let back = v6(server, PROTECTED);
                assert_eq!(world.arrives(&back.udp(port, 546, b"reply")), DhcpReply);
                let other = v6(server, Host(7));
                assert_eq!(world.arrives(&other.udp(port, 546, b"reply")), NotAllowed);
            }
        }
        world.wait(61);
        // Also where the exchange was a flow, that is another port's.
        assert_eq!(world.arrives(&back.udp(49321, 546, b"reply")), NotAllowed);
    }
}

#[test]
fn a_request_that_is_refused_is_answered_by_nobody() {
    let world = World::host().enforcing(&[]);
    let request = v4(PROTECTED, PEER).udp(68, 67, &message(7));
    assert_eq!(world.leaves(&request), Reason::OutboundNotAllowed);
    assert_eq!(world.arrives(&reply(PEER, "10.1.0.1", 7)), NotAllowed);
    let mut allowed = World::host().enforcing(&[]);
    let dhcp = ServiceClass(40);
    allowed.policy.udp[67] = dhcp;
    let allowed = allowed.enforcing(&[dhcp]);
    assert_eq!(allowed.leaves(&request), Outbound);
    assert_eq!(allowed.arrives(&reply(STRANGER, "10.1.0.1", 7)), DhcpReply);
}

#[test]
fn the_essential_can_be_removed() {
    let mut world = World::host();
    world.policy.essentials.remove(DhcpReply);
    assert_eq!(world.leaves(&discover(7)), Outbound);
    assert_eq!(world.arrives(&reply(PEER, EVERYBODY, 7)), EssentialRemoved);
    let world = world.enforcing(&[]);
    assert_eq!(world.leaves(&discover(8)), EssentialRemoved);
    assert_eq!(world.arrives(&reply(PEER, EVERYBODY, 8)), NotAllowed);
}

#[test]
fn a_gateway_asks_for_its_own_address() {
    let world = World::gateway(Place::Uplink).enforcing(&[]);
    assert_eq!(world.arrives(&reply(PEER, EVERYBODY, 7)), NotAllowed);
    assert_eq!(world.leaves(&discover(7)), DhcpRequest);
    assert_eq!(world.arrives(&reply(PEER, EVERYBODY, 7)), DhcpReply);
    let renewal = v4(GATEWAY, PEER).udp(68, 67, &message(8));
    assert_eq!(world.leaves(&renewal), Outbound);
    assert_eq!(world.arrives(&reply(PEER, "10.9.0.1", 8)), DhcpReply);
}

#[test]
fn a_protected_server_answers_clients_and_relays() {
    let dhcp = ServiceClass(40);
    let mut world = World::host().enforcing(&[]);
    world.policy.udp[67] = dhcp;
    let world = world.inbound(&[dhcp]).inbound_to_groups(&[dhcp]);
    let answer = |to: &str, port, transaction| {
        let packet = v4(PROTECTED, PEER).packet_to(to).udp(67, port);
        packet.data(message(transaction)).build()
    };
    let refused = Reason::OutboundNotAllowed;
    assert_eq!(world.leaves(&answer("10.8.8.8", 68, 7)), refused);
    assert_eq!(world.arrives(&discover(7)), Reason::Service);
    // To the address that it gives, and to a relay on its other address.
    for (to, port) in [("10.8.8.8", 68), ("10.8.8.1", 67)] {
        assert_eq!(world.leaves(&answer(to, port, 7)), Outbound);
        assert_eq!(world.leaves(&answer(to, port, 8)), refused);
        assert_eq!(world.leaves(&answer(to, 31337, 7)), refused);
    }
}

/// What asks something else with the same bytes begins no transaction.
#[test]
fn only_what_goes_to_a_servers_port_is_a_question_of_dhcp() {
    let mut world = World::host();
    world.policy.udp[67] = ServiceClass(40);
    let world = world
        .inbound(&[ServiceClass(40), class::DNS])
        .enforcing(&[]);
    let answer = v4(PROTECTED, STRANGER).udp(67, 68, &message(7));
    for (port, answered) in [(53, OutboundNotAllowed), (67, Outbound)] {
        let question = v4(PEER, PROTECTED).udp(68, port, &message(7));
        assert_eq!(world.arrives(&question), Reason::Service);
        assert_eq!(world.leaves(&answer), answered, "{port}");
    }
}
