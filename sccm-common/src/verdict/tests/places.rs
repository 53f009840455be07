//! What a gateway asks of a frame depends on where it sees it, and for whom it is.

use crate::Reason::{Arp, NotAllowed, Outbound, OutboundNotAllowed, Reply, Service, SpoofedSource};
use crate::address::Family;
use crate::policy::flag;
use crate::testing::{FAMILIES, GATEWAY, Link, PEER, PROTECTED, World, class};
use crate::{Place, Reason};
use sccm_packets::Packet;
use sccm_packets::tcp_flag::{ACK, SYN};

fn between(family: Family) -> impl Fn(crate::testing::Host, crate::testing::Host) -> Link {
    move |from, to| Link::new(family, from, to)
}

#[test]
fn the_uplink_judges_by_whom_it_is_for() {
    for family in FAMILIES {
        let link = between(family);
        let world = World::gateway(Place::Uplink)
            .inbound(&[class::HTTP])
            .manage(&[class::SSH]);
        let (segment, own) = (link(PEER, PROTECTED), link(PEER, GATEWAY));
        assert_eq!(world.arrives(&segment.tcp(50000, 80, SYN)), Service);
        assert_eq!(world.arrives(&segment.tcp(50000, 22, SYN)), NotAllowed);
        assert_eq!(world.arrives(&own.tcp(50000, 22, SYN)), Service);
        assert_eq!(world.arrives(&own.tcp(50000, 80, SYN)), NotAllowed);
        assert_eq!(world.flows(), 0);
    }
}

#[test]
fn the_segment_is_judged_outbound_unless_it_speaks_to_the_gateway() {
    for family in FAMILIES {
        let link = between(family);
        let world = World::gateway(Place::Segment)
            .manage(&[class::SSH])
            .enforcing(&[class::DNS]);
        let (out, own) = (link(PROTECTED, PEER), link(PROTECTED, GATEWAY));
        assert_eq!(world.arrives(&out.udp(40000, 53, b"who")), Outbound);
        let refused = world.arrives(&out.tcp(40000, 80, SYN));
        assert_eq!(refused, OutboundNotAllowed);
        assert_eq!(world.flows(), 1);
        // The gateway's own services are its own, whoever asks.
        assert_eq!(world.arrives(&own.tcp(40000, 22, SYN)), Service);
        assert_eq!(world.arrives(&own.udp(40000, 53, b"who")), NotAllowed);
        assert_eq!(world.flows(), 1);
    }
}

#[test]
fn a_flow_through_the_gateway_opens_at_the_segment_and_is_answered_at_the_uplink() {
    for family in FAMILIES {
        let link = between(family);
        let out = link(PROTECTED, PEER);
        let world = World::gateway(Place::Segment);
        assert_eq!(world.arrives(&out.tcp(40000, 80, SYN)), Outbound);
        let world = world.at(Place::Uplink);
        // On its way out it was counted already.
        assert_eq!(world.egress(&out.tcp(40000, 80, SYN)), None);
        let answer = out.back().tcp(80, 40000, SYN | ACK);
        assert_eq!(world.arrives(&answer), Reply);
        assert_eq!(world.flows(), 1);
    }
}

#[test]
fn what_the_gateway_opens_itself_is_answered() {
    for family in FAMILIES {
        let link = between(family);
        for (place, other) in [(Place::Uplink, PEER), (Place::Segment, PROTECTED)] {
            // Its own rights do not depend on what the protected systems may.
            let world = World::gateway(place).enforcing(&[]);
            let out = link(GATEWAY, other);
            let answer = out.back().tcp(443, 40000, SYN | ACK);
            assert_eq!(world.arrives(&answer), NotAllowed);
            assert_eq!(world.leaves(&out.tcp(40000, 443, SYN)), Outbound);
            assert_eq!(world.arrives(&answer), Reply);
            assert_eq!(world.flows(), 1);
        }
    }
}

#[test]
fn nobody_on_the_segment_borrows_the_gateways_rights() {
    for family in FAMILIES {
        let link = between(family);
        let world = World::gateway(Place::Segment).enforcing(&[class::DNS]);
        let forged = link(GATEWAY, PEER);
        let reason = world.arrives(&forged.tcp(40000, 80, SYN));
        assert_eq!(reason, SpoofedSource);
        assert_eq!(world.flows(), 0);
    }
}

#[test]
fn answers_of_the_gateways_services_open_nothing() {
    for family in FAMILIES {
        let link = between(family);
        let world = World::gateway(Place::Uplink).manage(&[class::SSH]);
        let out = link(GATEWAY, PEER);
        assert_eq!(world.leaves(&out.tcp(22, 50000, SYN | ACK)), Outbound);
        assert_eq!(world.leaves(&out.tcp_data(22, 50000)), Outbound);
        assert_eq!(world.flows(), 0);
    }
}

#[test]
fn a_host_judges_whatever_reaches_its_card() {
    for family in FAMILIES {
        let link = between(family);
        let world = World::host().inbound(&[class::HTTP]);
        assert_eq!(
            world.arrives(&link(PEER, PROTECTED).tcp(1, 80, SYN)),
            Service
        );
        assert_eq!(world.arrives(&link(PEER, GATEWAY).tcp(1, 80, SYN)), Service);
    }
}

/// On both paths: a ping takes the slow one.
#[test]
fn a_host_tells_its_addresses_apart_only_if_the_policy_does() {
    for family in FAMILIES {
        let link = between(family);
        let [listed, other] = [PROTECTED, GATEWAY].map(|to| {
            let link = link(PEER, to);
            [
                link.tcp(1, 80, SYN),
                link.packet().icmp_echo_request(7).build(),
            ]
        });
        let services = [class::HTTP, class::ECHO];
        let world = World::host().inbound_at(PROTECTED, &services);
        for frame in listed.iter().chain(&other) {
            assert_eq!(world.arrives(frame), NotAllowed);
        }
        let world = world.telling_apart();
        for frame in &listed {
            assert_eq!(world.arrives(frame), Service);
        }
        for frame in &other {
            assert_eq!(world.arrives(frame), NotAllowed);
        }
    }
}

#[test]
fn off_on_a_gateway_still_guards_the_gateway() {
    for family in FAMILIES {
        let link = between(family);
        let world = World::gateway(Place::Segment)
            .manage(&[class::SSH])
            .with(flag::OUTBOUND_OFF);
        let own = link(PROTECTED, GATEWAY);
        assert_eq!(world.arrives(&own.tcp(1, 22, SYN)), Service);
        assert_eq!(world.arrives(&own.tcp(1, 80, SYN)), NotAllowed);
        let out = link(PROTECTED, PEER);
        assert_eq!(world.arrives(&out.tcp(40000, 80, SYN)), Outbound);
        assert_eq!(world.remembered(), (0, 0, 0));
    }
}

#[test]
fn frames_without_ip_are_counted_once() {
    let arp = Packet::arp_request("10.2.0.1", "10.1.0.1").build();
    for place in [Place::Host, Place::Uplink, Place::Segment] {
        let world = World::gateway(place);
        assert_eq!(world.arrives(&arp), Arp);
        let leaving = world.egress(&arp).map(|judged| judged.reason);
        let expected: Option<Reason> = (place == Place::Host).then_some(Outbound);
        assert_eq!(leaving, expected);
    }
}

/// As programs and maps have it.
#[test]
fn every_place_has_its_number() {
    for place in [Place::Host, Place::Uplink, Place::Segment, Place::Loopback] {
        assert_eq!(Place::from_number(place as u32), place);
    }
    assert_eq!(Place::from_number(u32::MAX), Place::Host);
}
