//! A candidate sees what the active policy has noted, and leaves it as it is.

use super::tftp::{CLIENT, SERVER, acknowledgement, data, read_request};
use crate::Reason::{
    FragmentFollows, LaterFragmentRefused, NotAllowed, Outbound, OutboundNotAllowed, Probe, Reply,
    Service,
};
use crate::address::AddressClass;
use crate::cursor::SliceCursor;
use crate::memory::MemoryTables;
use crate::packet::Packet;
use crate::policy::flag::PROBES;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, World, class};
use crate::verdict::{self, About, Tables, Turn};
use crate::{Place, Reason, wire};
use sccm_packets::tcp_flag::{ACK, RST, SYN};
use std::vec::Vec;

fn parsed(frame: &[u8]) -> Packet {
    let mut packet = Packet::NONE;
    let end = wire::parse_into(&mut SliceCursor::new(frame), &mut packet);
    assert!(end.is_continue());
    packet
}

fn arrives(turn: &impl Tables, frame: &[u8]) -> Reason {
    arrives_at(turn, frame, Place::Host)
}

fn arrives_at(turn: &impl Tables, frame: &[u8], place: Place) -> Reason {
    let packet = parsed(frame);
    verdict::ingress(turn, &packet, None, frame, place, About::NOTHING).reason
}

fn leaves(turn: &impl Tables, frame: &[u8]) -> Reason {
    let packet = parsed(frame);
    let local = AddressClass::ANY.local;
    verdict::outgoing(turn, &packet, frame, local, About::NOTHING).reason
}

/// What would each write something: a flow, a first fragment, a transfer, an end.
fn all_that_writes(turn: &Turn<MemoryTables<'_>>, out: Link) {
    let back = out.back();
    assert_eq!(leaves(turn, &out.udp(40001, 53, b"who")), Outbound);
    assert_eq!(leaves(turn, &out.tcp(40000, 80, SYN)), OutboundNotAllowed);
    let request = b"\0\x01f\0octet\0";
    assert_eq!(arrives(turn, &back.udp(40002, 69, request)), Service);
    assert_eq!(arrives(turn, &back.tcp(80, 40000, RST | ACK)), Reply);
    assert_eq!(arrives(turn, &back.tcp(1, 445, SYN)), Service);
    assert_eq!(arrives(turn, &back.tcp(1, 21, SYN)), NotAllowed);
}

#[test]
fn a_candidate_changes_no_state() {
    for out in FAMILIES.map(|family| Link::new(family, PROTECTED, PEER)) {
        for is_candidate in [true, false] {
            let world = World::host();
            assert_eq!(world.leaves(&out.tcp(40000, 80, SYN)), Outbound);
            assert_eq!(world.arrives(&out.back().tcp(80, 40000, SYN | ACK)), Reply);
            let before = (world.remembered(), world.flow_states());
            // The same world under a policy that lets in SMB, TFTP and PPTP, and only DNS out.
            let world = world
                .inbound(&[class::SMB, class::TFTP, class::PPTP])
                .enforcing(&[class::DNS]);
            let turn = Turn {
                tables: world.tables(),
                is_candidate,
            };
            all_that_writes(&turn, out);
            let after = (world.remembered(), world.flow_states());
            assert_eq!(after == before, is_candidate, "{after:?}");
        }
    }
}

/// A step of what a host hears and says.
enum Step {
    In(Vec<u8>, Reason),
    Out(Vec<u8>, Reason),
    Wait(u32),
}

/// All that is noted, and what it is noted for.
fn steps(out: Link) -> Vec<Step> {
    use Step::{In, Out, Wait};
    let back = out.back();
    let part = |offset, more| back.packet().fragment(7, offset, more);
    let first = part(0, true).udp(5000, 53).udp_length(2000).payload(16);
    let later = || part(24, false).ip_protocol(17).payload(8).build();
    let block = || out.udp(SERVER, CLIENT, &data(1, 512));
    let answer = || out.udp(53, 50000, b"me");
    std::vec![
        In(first.build(), Service),
        In(later(), FragmentFollows),
        Out(block(), OutboundNotAllowed),
        In(back.udp(CLIENT, 69, &read_request()), Service),
        Out(block(), Outbound),
        In(back.udp(CLIENT, SERVER, &acknowledgement(1)), Reply),
        Out(answer(), OutboundNotAllowed),
        In(back.udp(50000, 53, b"who"), Service),
        Out(answer(), Outbound),
        Out(out.udp(40001, 53, b"who"), Outbound),
        In(back.udp(53, 40001, b"me"), Reply),
        Wait(200),
        In(later(), LaterFragmentRefused),
        Out(block(), OutboundNotAllowed),
        Out(answer(), OutboundNotAllowed),
        In(back.udp(53, 40001, b"me"), NotAllowed),
    ]
}

/// In turns, as the kernel has it: the candidate first. Both have the same policy here.
#[test]
fn a_candidate_sees_all_that_was_noted_and_the_active_policy_notes_it() {
    for out in FAMILIES.map(|family| Link::new(family, PROTECTED, PEER)) {
        let world = World::host().inbound(&[class::DNS, class::TFTP]);
        let world = world.enforcing(&[class::DNS]);
        let turns = [true, false].map(|is_candidate| Turn {
            tables: world.tables(),
            is_candidate,
        });
        for step in steps(out) {
            for turn in &turns {
                match &step {
                    Step::In(frame, reason) => assert_eq!(arrives(turn, frame), *reason),
                    Step::Out(frame, reason) => assert_eq!(leaves(turn, frame), *reason),
                    Step::Wait(_) => {}
                }
            }
            if let Step::Wait(seconds) = step {
                world.wait(seconds);
            }
        }
    }
}

#[test]
fn both_let_the_same_probes_pass() {
    for out in FAMILIES.map(|family| Link::new(family, PROTECTED, PEER)) {
        let mut world = World::gateway(Place::Uplink).with(PROBES);
        world.policy.until = world.state.now.get() + 30;
        for is_candidate in [true, false] {
            let turn = Turn {
                tables: world.tables(),
                is_candidate,
            };
            let frame = out.back().tcp_data(1433, 40000);
            assert_eq!(arrives_at(&turn, &frame, Place::Uplink), Probe);
        }
    }
}
