//! What ends at the link layer: what switches and hosts of virtual machines tell each other, and
//! ethertypes that the policy names.

use crate::Place;
use crate::Reason::{
    self, Cdp, Cfm, Dtp, Eapol, Erps, EssentialRemoved, EthertypeRefused, Mka, Mmrp, Mvrp,
    NamedEthertype, OtherEthertype, Pagp, Pvst, Rarp, Stp, Udld, Vtp,
};
use crate::ethertype::PassedEthertype;
use crate::policy::flag;
use crate::testing::World;
use sccm_packets::{MacAddress, Packet};
use std::vec::Vec;

const MOVED: MacAddress = [0x00, 0x50, 0x56, 0xaa, 0xbb, 0xcc];

/// Network load balancing tells its members that it lives.
const HEARTBEAT: u16 = 0x886f;

/// A frame that switches, or hosts of virtual machines, need to get through.
fn control() -> Vec<(Reason, Packet)> {
    let registration = |last| Packet::llc(0x42, 0x42).destination_mac([1, 0x80, 0xc2, 0, 0, last]);
    std::vec![
        (Pvst, Packet::pvst_bpdu(2)),
        (Udld, Packet::cisco(0x0111)),
        (Cdp, Packet::cisco(0x2000)),
        (Vtp, Packet::cisco(0x2003)),
        (Dtp, Packet::cisco(0x2004)),
        (Pagp, Packet::cisco(0x0104)),
        (Stp, Packet::stp_bpdu()),
        (Stp, registration(0x08)),
        (Mvrp, Packet::mvrp()),
        (Mvrp, registration(0x21)),
        (Mvrp, registration(0x0d)),
        (Mmrp, Packet::mmrp()),
        (Mmrp, registration(0x20)),
        (Cfm, Packet::cfm(1)),
        (Erps, Packet::raps()),
        (Mka, Packet::mka()),
        (Eapol, Packet::eapol()),
        (Rarp, Packet::rarp(3, MOVED)),
    ]
}

/// All places, and what leaves into a segment from a card that nobody named.
fn everywhere(world: &World, frame: &[u8]) -> Vec<Reason> {
    let places = [Place::Host, Place::Uplink, Place::Segment];
    let mut all: Vec<_> = places
        .map(|place| world.tables().ingress(frame, place).reason)
        .into();
    let leaves = world.tables().egress(frame, Place::Segment, true);
    all.push(leaves.map(|(_, verdict)| verdict.reason).unwrap());
    all
}

#[test]
fn control_of_switches_passes_on_every_side_under_its_own_name() {
    let world = World::gateway(Place::Uplink);
    for (reason, packet) in control() {
        for packet in [packet.clone(), packet.clone().vlan(7), packet.qinq(7, 8)] {
            let found = everywhere(&world, &packet.build());
            assert_eq!(found, [reason; 4], "{packet:?}");
        }
    }
}

#[test]
fn each_can_be_taken_away_alone() {
    for (removed, _) in control() {
        let mut world = World::gateway(Place::Uplink);
        world.policy.essentials.remove(removed);
        for (reason, packet) in control() {
            let expected = if reason == removed {
                EssentialRemoved
            } else {
                reason
            };
            assert_eq!(everywhere(&world, &packet.build()), [expected; 4]);
        }
    }
}

#[test]
fn what_is_like_them_is_refused() {
    let world = World::gateway(Place::Uplink);
    let group = |last| [0x01, 0, 0x0c, 0xcc, 0xcc, last];
    let rarp = |change: usize, to: u8| {
        let mut frame = Packet::rarp(3, MOVED).build();
        frame[14 + change] = to;
        frame
    };
    let mut frames = std::vec![
        // To somebody else, or to the other group.
        Packet::cisco(0x2000)
            .destination_mac([2, 0, 0, 0, 0, 2])
            .build(),
        Packet::cisco(0x010b).build(),
        Packet::pvst_bpdu(2).destination_mac(group(0xcc)).build(),
        Packet::cisco(0x2000).destination_mac(group(0xcd)).build(),
        Packet::stp_bpdu().destination_mac(group(0xcd)).build(),
        // Another protocol, or another organization's.
        Packet::cisco(0x2001).build(),
        Packet::cisco(0x0800).build(),
        Packet::snap([0, 0, 0], 0x2000)
            .destination_mac(group(0xcc))
            .build(),
        Packet::snap([0, 0, 0], 0x0800).build(),
        // No SNAP id.
        Packet::llc(0xaa, 0xaa).destination_mac(group(0xcc)).build(),
        Packet::llc(0xaa, 0x42).destination_mac(group(0xcd)).build(),
        // Answers, and requests about other addresses.
        Packet::rarp(4, MOVED).build(),
        Packet::rarp(1, MOVED).build(),
        rarp(1, 6),
        rarp(2, 0x86),
        rarp(4, 8),
        rarp(5, 16),
    ];
    frames.push(Packet::rarp(3, MOVED).truncate(14 + 27).build());
    frames.push(Packet::cisco(0x2000).truncate(14 + 7).build());
    for frame in frames {
        assert_eq!(
            everywhere(&world, &frame),
            [EthertypeRefused; 4],
            "{frame:02x?}"
        );
    }
}

#[test]
fn an_ethertype_passes_by_its_number_on_the_sides_that_are_named() {
    let [host, uplink, segment] =
        [Place::Host, Place::Uplink, Place::Segment].map(PassedEthertype::at);
    let heartbeat = Packet::ethertype(HEARTBEAT).payload(46);
    for (places, expected) in [
        (
            segment,
            [
                EthertypeRefused,
                EthertypeRefused,
                NamedEthertype,
                EthertypeRefused,
            ],
        ),
        (
            uplink,
            [
                EthertypeRefused,
                NamedEthertype,
                EthertypeRefused,
                NamedEthertype,
            ],
        ),
        (host | uplink | segment, [NamedEthertype; 4]),
    ] {
        let mut world = World::gateway(Place::Uplink);
        world.policy.ethertypes[0] = PassedEthertype {
            number: 0x8035,
            places: host | uplink | segment,
        };
        world.policy.ethertypes[15] = PassedEthertype {
            number: HEARTBEAT,
            places,
        };
        for packet in [heartbeat.clone(), heartbeat.clone().qinq(7, 8)] {
            assert_eq!(everywhere(&world, &packet.build()), expected);
        }
        // Nothing else does, least of all what has no ethertype.
        for packet in [
            Packet::ethertype(HEARTBEAT + 1).payload(46),
            Packet::llc(0xf0, 0xf0),
        ] {
            assert_eq!(everywhere(&world, &packet.build()), [EthertypeRefused; 4]);
        }
        let answer = Packet::rarp(4, MOVED).build();
        assert_eq!(everywhere(&world, &answer), [NamedEthertype; 4]);
        let announcement = Packet::rarp(3, MOVED).build();
        assert_eq!(everywhere(&world, &announcement), [Rarp; 4]);
        // What is named keeps its name beside the setting that passes everything.
        let world = world.with(flag::PASS_OTHER_ETHERTYPES);
        let rest = expected.map(|reason| match reason {
            EthertypeRefused => OtherEthertype,
            other => other,
        });
        assert_eq!(everywhere(&world, &heartbeat.build()), rest);
    }
}
