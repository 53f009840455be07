//! Which quotes of an ICMP error count, in both directions.

use super::icmp_errors::error;
use crate::Reason::{IcmpError, IcmpErrorRelated, IcmpErrorUnrelated};
use crate::address::Family;
use crate::policy::flag;
use crate::testing::{FAMILIES, GATEWAY, Link, PEER, PROTECTED, STRANGER, World, class, quote, v4};
use crate::{Place, Reason};
use sccm_packets::protocol::{ESP, GRE};
use sccm_packets::tcp_flag::{ACK, SYN};
use std::string::ToString;

/// Errors that say nothing, inbound and outbound.
const UNRELATED: [Reason; 2] = [IcmpErrorUnrelated; 2];

/// What becomes of an error about a packet of the protected system, and of one about a packet to it.
fn both_ways(world: &World, family: Family, quoted: [&[u8]; 2]) -> [Reason; 2] {
    let [sent, received] = quoted;
    let out = Link::new(family, PROTECTED, PEER);
    [
        world.arrives(&error(family, sent)),
        world.leaves(&out.unreachable(received)),
    ]
}

#[test]
fn a_quoted_echo_belongs_to_a_flow_by_its_type_and_identifier() {
    for family in FAMILIES {
        let (out, back) = (
            Link::new(family, PROTECTED, PEER),
            Link::new(family, PEER, PROTECTED),
        );
        let world = World::host().enforcing(&[class::ECHO]);
        // An echo with identifier 0 has the key that all other types would have.
        world.leaves(&out.echo(0));
        let related = [&out.echo(0), &back.echo_reply(0)].map(|frame| quote(frame).to_vec());
        let reasons = both_ways(&world, family, [&related[0], &related[1]]);
        assert_eq!(reasons, [IcmpErrorRelated, IcmpError]);
        let others: &[u8] = match family {
            Family::V4 => &[0, 3, 4, 5, 9, 11, 12, 13, 255],
            Family::V6 => &[0, 1, 2, 4, 127, 129, 137, 255],
        };
        for kind in others {
            let sent = out.control(*kind, &[0; 8]);
            let reasons = world.arrives(&error(family, quote(&sent)));
            assert_eq!(reasons, IcmpErrorUnrelated, "{kind}");
        }
        // Who received an echo request has not asked for it.
        let reason = world.leaves(&out.unreachable(quote(&back.echo(0))));
        assert_eq!(reason, IcmpErrorUnrelated);
    }
}

#[test]
fn an_error_about_an_error_is_about_nothing() {
    for (family, kinds) in [(Family::V4, [3, 11, 12]), (Family::V6, [1, 2, 4])] {
        let (out, back) = (
            Link::new(family, PROTECTED, PEER),
            Link::new(family, PEER, PROTECTED),
        );
        for kind in kinds {
            // Also where a rule allows the type itself, or nothing is tracked.
            let mut world = World::host().inbound(&[class::ECHO]).enforcing(&[]);
            match family {
                Family::V4 => world.policy.icmp[usize::from(kind)] = class::ECHO,
                Family::V6 => world.policy.icmpv6[usize::from(kind)] = class::ECHO,
            }
            let quoted = [out, back].map(|link| link.control(kind, &[0; 40]));
            let quoted = [quote(&quoted[0]), quote(&quoted[1])];
            assert_eq!(both_ways(&world, family, quoted), UNRELATED, "{kind}");
            let off = World::host().with(flag::OUTBOUND_OFF);
            let reason = off.arrives(&error(family, quoted[0]));
            assert_eq!(reason, IcmpErrorUnrelated);
            let passing = world.with(flag::PASS_UNRELATED_ICMP_ERRORS);
            assert_eq!(both_ways(&passing, family, quoted), [IcmpError; 2]);
        }
    }
}

#[test]
fn only_an_echo_reply_is_the_answer_to_an_echo() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        let world = World::host().inbound(&[class::ECHO]);
        let about = |quoted: &[u8]| world.arrives(&error(family, quote(quoted)));
        assert_eq!(about(&out.echo_reply(7)), IcmpError);
        assert_eq!(about(&out.echo(7)), IcmpErrorUnrelated);
        assert_eq!(about(&out.control(13, &[0; 8])), IcmpErrorUnrelated);
    }
}

#[test]
fn nobody_sends_from_a_group() {
    for (family, groups) in [
        (Family::V4, ["224.0.0.1", "255.255.255.255"]),
        (Family::V6, ["ff02::1", "ff15::1"]),
    ] {
        for group in groups {
            let peer = PEER.address(family).to_string();
            let quoted = sccm_packets::Packet::ip(group, &peer).udp(53, 40000);
            let quoted = quoted.build();
            let message = Link::new(family, STRANGER, PROTECTED).packet_to(group);
            let message = match family {
                Family::V4 => message.icmp(3, 3),
                Family::V6 => message.icmpv6(1, 4),
            };
            let error = message.data(quote(&quoted)).build();
            let world = || {
                World::host()
                    .inbound(&[class::DNS])
                    .inbound_to_groups(&[class::DNS])
            };
            assert_eq!(world().arrives(&error), IcmpErrorUnrelated, "{group}");
            let off = world().with(flag::OUTBOUND_OFF);
            assert_eq!(off.arrives(&error), IcmpErrorUnrelated, "{group}");
        }
    }
}

#[test]
fn what_pads_a_frame_is_no_part_of_a_quote() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        let world = World::host();
        let opening = out.udp(40000, 53, b"");
        world.leaves(&opening);
        let quoted = quote(&opening);
        let mut error = error(family, &quoted[..quoted.len() - 1]);
        assert_eq!(world.arrives(&error), IcmpErrorUnrelated);
        error.extend([0; 8]);
        assert_eq!(world.arrives(&error), IcmpErrorUnrelated);
    }
}

#[test]
fn a_quoted_part_of_a_datagram_has_ports_only_if_it_is_the_first() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        let world = World::host();
        let opening = out.udp(40000, 53, &[7; 100]);
        world.leaves(&opening);
        for (offset, expected) in [(0, IcmpErrorRelated), (64, IcmpErrorUnrelated)] {
            let part = out.fragment(9, offset, true).udp(40000, 53).build();
            let reason = world.arrives(&error(family, quote(&part)));
            assert_eq!(reason, expected, "{family:?} {offset}");
        }
    }
}

#[test]
fn tunnels_are_quoted_like_services_and_flows() {
    for family in FAMILIES {
        let (out, back) = (
            Link::new(family, PROTECTED, PEER),
            Link::new(family, PEER, PROTECTED),
        );
        for protocol in [4, 41, GRE, ESP, 51, 89] {
            let quoted = [out, back].map(|link| link.ip(protocol, &[0x45; 40]));
            let parts = [quote(&quoted[0]), quote(&quoted[1])];
            let served = || {
                let mut world = World::host().inbound(&[class::SSH]).enforcing(&[]);
                world.policy.protocol[usize::from(protocol)] = class::SSH;
                world
            };
            assert_eq!(both_ways(&served(), family, parts), [IcmpError; 2]);
            let mut opened = World::host().enforcing(&[class::SSH]);
            assert_eq!(both_ways(&opened, family, parts), UNRELATED);
            opened.policy.protocol[usize::from(protocol)] = class::SSH;
            opened.leaves(&quoted[0]);
            let reasons = both_ways(&opened, family, parts);
            assert_eq!(reasons, [IcmpErrorRelated, IcmpError], "{protocol}");
        }
    }
}

#[test]
fn a_tftp_request_alone_relates_nothing() {
    for family in FAMILIES {
        let (request, data) = (
            Link::new(family, PEER, PROTECTED),
            Link::new(family, PROTECTED, PEER),
        );
        let world = World::host().inbound(&[class::TFTP]);
        world.arrives(&request.udp(2000, 69, b"\x00\x01file"));
        // The port that is not known yet is noted as 0.
        for port in [0, 3000] {
            let block = data.udp(port, 2000, b"\x00\x03\x00\x01data");
            let reason = world.arrives(&error(family, quote(&block)));
            assert_eq!(reason, IcmpErrorUnrelated, "{port}");
        }
    }
}

#[test]
fn a_quote_is_of_the_family_that_carries_it() {
    for (family, other) in [(Family::V4, Family::V6), (Family::V6, Family::V4)] {
        let world = World::host().with(flag::OUTBOUND_OFF);
        let quoted = Link::new(other, PROTECTED, PEER).tcp(40000, 80, SYN);
        let reason = world.arrives(&error(family, quote(&quoted)));
        assert_eq!(reason, IcmpErrorUnrelated);
        let mut quoted = Link::new(family, PROTECTED, PEER).tcp(40000, 80, SYN);
        quoted[14] ^= 0x20;
        let reason = world.arrives(&error(family, quote(&quoted)));
        assert_eq!(reason, IcmpErrorUnrelated, "another version");
    }
    // A header of 16 bytes is none.
    let mut quoted = v4(PROTECTED, PEER).tcp(40000, 80, SYN);
    quoted[14] = 0x44;
    let world = World::host().with(flag::OUTBOUND_OFF);
    let reason = world.arrives(&error(Family::V4, quote(&quoted)));
    assert_eq!(reason, IcmpErrorUnrelated);
}

#[test]
fn a_gateway_judges_what_its_segment_says_and_tells_both_sides_itself() {
    for family in FAMILIES {
        let (out, asked) = (
            Link::new(family, PROTECTED, PEER),
            Link::new(family, PEER, PROTECTED),
        );
        let gateway = || {
            World::gateway(Place::Segment)
                .inbound(&[class::DNS])
                .manage(&[class::SSH])
                .enforcing(&[class::HTTP])
        };
        let segment = gateway();
        let question = asked.udp(50000, 53, b"who");
        assert_eq!(
            segment.arrives(&out.unreachable(quote(&question))),
            IcmpError
        );
        let other = asked.udp(50000, 54, b"who");
        let reason = segment.arrives(&out.unreachable(quote(&other)));
        assert_eq!(reason, IcmpErrorUnrelated);
        // Nobody there tells of what the gateway would have received.
        let managed = Link::new(family, PEER, GATEWAY).tcp(50000, 22, SYN);
        let reason = segment.arrives(&out.unreachable(quote(&managed)));
        assert_eq!(reason, IcmpErrorUnrelated);
        // What goes to the gateway itself is about what the gateway sent.
        let to_gateway = Link::new(family, PROTECTED, GATEWAY);
        let served = to_gateway.back().tcp(22, 50000, ACK);
        let reason = segment.arrives(&to_gateway.unreachable(quote(&served)));
        assert_eq!(reason, IcmpError);
        let reason = segment.arrives(&to_gateway.unreachable(quote(&to_gateway.tcp(22, 5, ACK))));
        assert_eq!(reason, IcmpErrorUnrelated);
        // The gateway may find any packet too big, in either direction.
        for place in [Place::Segment, Place::Uplink] {
            let world = gateway().at(place);
            for (to, quoted) in [(PROTECTED, out), (PEER, asked)] {
                let quoted = quoted.udp(1, 2, b"big");
                let error = Link::new(family, GATEWAY, to).unreachable(quote(&quoted));
                assert_eq!(world.leaves(&error), IcmpError);
            }
        }
        // Errors from afar are about what the segment sent.
        segment.arrives(&out.tcp(40000, 80, SYN));
        let uplink = segment.at(Place::Uplink);
        let sent = out.tcp(40000, 80, ACK);
        assert_eq!(
            uplink.arrives(&error(family, quote(&sent))),
            IcmpErrorRelated
        );
        let reason = uplink.arrives(&error(family, quote(&out.tcp(40001, 80, ACK))));
        assert_eq!(reason, IcmpErrorUnrelated);
    }
}
