//! A candidate sees what the active policy has noted, and leaves it as it is.

use crate::Reason::{NotAllowed, Outbound, OutboundNotAllowed, Reply, Service};
use crate::address::AddressClass;
use crate::memory::MemoryTables;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, World, class};
use crate::verdict::{self, About, Turn};
use crate::wire::fast;
use crate::{Place, Reason};
use sccm_packets::tcp_flag::{ACK, RST, SYN};

fn arrives(turn: &Turn<MemoryTables<'_>>, frame: &[u8]) -> Reason {
    let packet = fast::parse(frame).unwrap();
    verdict::ingress(turn, &packet, None, frame, Place::Host, About::Nothing).reason
}

fn leaves(turn: &Turn<MemoryTables<'_>>, frame: &[u8]) -> Reason {
    let packet = fast::parse(frame).unwrap();
    let local = AddressClass::ANY.local;
    verdict::outgoing(turn, &packet, frame, local, About::Nothing).reason
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
