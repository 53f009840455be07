//! Probes of a gateway that has just begun: which packets may be one, and what they bring about.

use crate::Place;
use crate::Reason::{
    self, NotAllowed, Outbound, OutboundNotAllowed, Probe, Reply, Service, UnlistedHost,
};
use crate::policy::flag::{LISTED_ONLY, OUTBOUND_OFF, PROBES, WARM_UP};
use crate::testing::{FAMILIES, GATEWAY, Link, PEER, PROTECTED, World, class};
use sccm_packets::Packet;
use sccm_packets::tcp_flag::{ACK, FIN, PSH, RST, SYN};

/// An uplink of a gateway that lets probes pass for so many seconds from now on.
fn uplink(seconds: u32) -> World {
    let mut world = World::gateway(Place::Uplink).with(PROBES);
    world.policy.until = world.state.now.get() + seconds;
    world
}

/// Data of the peer in a stream that a protected system has opened at its port 1433.
fn segment(link: &Link, flags: u8) -> Packet {
    let segment = link.back().packet().tcp(1433, 40000);
    segment.flags(flags).payload(100)
}

fn data(link: &Link) -> Packet {
    segment(link, ACK | PSH)
}

fn links() -> impl Iterator<Item = Link> {
    FAMILIES
        .into_iter()
        .map(|family| Link::new(family, PROTECTED, PEER))
}

#[test]
fn data_from_the_middle_of_a_stream_passes_and_writes_nothing() {
    let world = uplink(30);
    for link in links() {
        let frame = data(&link).build();
        assert_eq!(world.fast_ingress(&frame), None);
        assert_eq!(world.arrives(&frame), Probe);
    }
    assert_eq!(world.remembered(), (0, 0, 0));
    world.state.wait(29);
    links().for_each(|link| assert_eq!(world.arrives(&data(&link).build()), Probe));
    world.state.wait(1);
    for link in links() {
        let frame = data(&link).build();
        assert_eq!(world.arrives(&frame), NotAllowed);
        assert!(world.fast_ingress(&frame).is_some(), "the fast path again");
    }
}

#[test]
fn what_opens_or_ends_or_says_nothing_is_no_probe() {
    let world = uplink(30);
    for link in links() {
        let arrives = |packet: Packet| world.arrives(&packet.build());
        for flags in [
            0,
            PSH,
            SYN,
            SYN | PSH,
            SYN | ACK,
            ACK | RST,
            RST,
            ACK | FIN,
            ACK | PSH | FIN,
        ] {
            assert_eq!(arrives(segment(&link, flags)), NotAllowed, "{flags:#x}");
        }
        assert_eq!(arrives(data(&link).payload(0)), NotAllowed);
        let back = || link.back().packet();
        assert_eq!(arrives(back().udp(1433, 40000).payload(100)), NotAllowed);
        assert_eq!(arrives(back().icmp_echo_reply(7)), NotAllowed);
    }
    assert_eq!(world.remembered(), (0, 0, 0));
}

#[test]
fn what_may_pass_anyhow_is_no_probe() {
    let world = uplink(30).inbound(&[class::HTTP]);
    for link in links() {
        let segment = link.back().packet().tcp(40000, 80).flags(ACK).payload(100);
        assert_eq!(world.arrives(&segment.build()), Service);
    }
}

#[test]
fn probes_go_to_protected_systems_only() {
    for link in FAMILIES.map(|family| Link::new(family, GATEWAY, PEER)) {
        assert_eq!(uplink(30).arrives(&data(&link).build()), NotAllowed);
    }
    for link in links() {
        let frame = data(&link).build();
        let unlisted = uplink(30).with(LISTED_ONLY);
        assert_eq!(unlisted.arrives(&frame), UnlistedHost);
        // No answer would be remembered.
        assert_eq!(uplink(30).with(OUTBOUND_OFF).arrives(&frame), NotAllowed);
        let mut host = World::host();
        host.policy.until = u32::MAX;
        assert_eq!(host.arrives(&frame), NotAllowed);
        let warming_up = uplink(30).with(WARM_UP);
        assert_eq!(warming_up.arrives(&frame), NotAllowed, "and observed");
    }
}

#[test]
fn under_enforce_only_what_the_protected_system_may_have_opened_is_probed() {
    for link in links() {
        let world = uplink(30).enforcing(&[class::SMB]);
        let of = |port| {
            let segment = link.back().packet().tcp(port, 40000);
            world.arrives(&segment.flags(ACK).payload(100).build())
        };
        assert_eq!((of(445), of(1433)), (Probe, NotAllowed));
    }
}

/// Those who come in at the segment are judged there.
fn answers(world: &World, link: &Link, flags: u8) -> Reason {
    let answer = link.packet().tcp(40000, 1433).flags(flags).build();
    world.tables().slow_ingress(&answer, Place::Segment).reason
}

#[test]
fn an_acknowledgement_writes_the_flow_and_a_reset_does_not() {
    for link in links() {
        let world = uplink(30);
        let frame = data(&link).build();
        assert_eq!(world.arrives(&frame), Probe);
        assert_eq!(answers(&world, &link, RST | ACK), Outbound);
        assert_eq!(
            (world.remembered(), world.arrives(&frame)),
            ((0, 0, 0), Probe)
        );
        assert_eq!(answers(&world, &link, ACK), Outbound);
        assert_eq!(world.arrives(&frame), Reply);
        world.state.wait(60);
        assert_eq!(world.arrives(&frame), Reply);

        let world = uplink(30).enforcing(&[class::SMB]);
        assert_eq!(answers(&world, &link, ACK), OutboundNotAllowed);
    }
}
