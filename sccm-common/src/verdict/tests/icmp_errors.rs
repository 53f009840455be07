//! ICMP errors pass if what they quote can have gone this way.

use crate::Reason::{
    EssentialRemoved, IcmpError, IcmpErrorRelated, IcmpErrorUnrelated, NotAllowed, Outbound, Reply,
    UnlistedHost,
};
use crate::ServiceClass;
use crate::address::Family;
use crate::policy::flag;
use crate::testing::{
    FAMILIES, GATEWAY, Link, PEER, PROTECTED, STRANGER, World, class, quote, v4, v6,
};
use crate::{Place, Reason};
use sccm_packets::ExtensionHeader;
use sccm_packets::protocol::{ESP, GRE};
use sccm_packets::tcp_flag::{ACK, SYN};
use std::string::ToString;
use std::vec;
use std::vec::Vec;

/// The protected system's packets that open flows.
fn openings(out: Link) -> [Vec<u8>; 3] {
    [
        out.tcp(40000, 80, SYN),
        out.udp(40000, 53, b"who"),
        out.echo(7),
    ]
}

/// An error from a router on the way.
fn error(family: Family, quoted: &[u8]) -> Vec<u8> {
    Link::new(family, STRANGER, PROTECTED).unreachable(quoted)
}

#[test]
fn an_error_about_a_flow_is_related() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        for opening in openings(out) {
            let world = World::host();
            let error = error(family, quote(&opening));
            assert_eq!(world.arrives(&error), IcmpErrorUnrelated);
            world.leaves(&opening);
            assert_eq!(world.arrives(&error), IcmpErrorRelated);
            assert_eq!(world.flows(), 1);
        }
    }
}

#[test]
fn every_kind_of_error_counts_and_nothing_else_does() {
    for (family, errors, others) in [
        (Family::V4, vec![3, 11, 12], vec![0, 4, 5, 8, 13]),
        (Family::V6, vec![1, 2, 3, 4], vec![0, 5, 127, 128, 137]),
    ] {
        let world = World::host();
        let out = Link::new(family, PROTECTED, PEER);
        let opening = out.udp(40000, 53, b"who");
        world.leaves(&opening);
        let from = Link::new(family, STRANGER, PROTECTED);
        let reason = |kind| world.arrives(&from.control(kind, quote(&opening)));
        for kind in errors {
            assert_eq!(reason(kind), IcmpErrorRelated, "{kind}");
        }
        for kind in others {
            assert!(!reason(kind).passes(), "{kind}");
        }
    }
}

#[test]
fn the_essential_can_be_removed_and_related_errors_still_pass() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        let mut world = World::host();
        world.policy.essentials.remove(IcmpError);
        let opening = out.udp(40000, 53, b"who");
        let error = error(family, quote(&opening));
        assert_eq!(world.arrives(&error), EssentialRemoved);
        world.leaves(&opening);
        assert_eq!(world.arrives(&error), IcmpErrorRelated);
        world.wait(world.policy.timeouts.other + 1);
        assert_eq!(
            world.arrives(&error),
            EssentialRemoved,
            "the flow has ended"
        );
    }
}

#[test]
fn an_error_refreshes_and_closes_nothing() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        let world = World::host();
        let opening = out.udp(40000, 53, b"who");
        world.leaves(&opening);
        world.wait(world.policy.timeouts.other);
        let error = error(family, quote(&opening));
        assert_eq!(world.arrives(&error), IcmpErrorRelated);
        world.wait(1);
        assert_eq!(world.arrives(&error), IcmpErrorUnrelated);
    }
}

#[test]
fn another_packet_is_another_flow() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        let world = World::host();
        for opening in openings(out) {
            world.leaves(&opening);
        }
        for quoted in [
            out.tcp(40001, 80, SYN),
            out.tcp(40000, 81, SYN),
            out.udp(40000, 54, b""),
            out.udp(80, 40000, b""),
            out.echo(8),
            out.back().udp(53, 40000, b"me"),
            Link::new(family, PROTECTED, STRANGER).udp(40000, 53, b"who"),
            Link::new(family, STRANGER, PEER).udp(40000, 53, b"who"),
        ] {
            let reason = world.arrives(&error(family, quote(&quoted)));
            assert_eq!(reason, IcmpErrorUnrelated);
        }
    }
}

#[test]
fn an_error_goes_to_the_sender_of_what_it_quotes() {
    for family in FAMILIES {
        let world = World::host();
        let opening = Link::new(family, PROTECTED, PEER).udp(40000, 53, b"who");
        world.leaves(&opening);
        let elsewhere = Link::new(family, PEER, STRANGER);
        let error = elsewhere.unreachable(quote(&opening));
        assert_eq!(world.arrives(&error), IcmpErrorUnrelated);
    }
}

#[test]
fn quoted_ipv4_options_are_stepped_over() {
    let out = v4(PROTECTED, PEER);
    for words in 1..=10 {
        let quoted = out.packet().options(&vec![1; words * 4]).udp(40000, 53);
        let quoted = quoted.build();
        let world = World::host();
        let error = error(out.family, quote(&quoted));
        assert_eq!(world.arrives(&error), IcmpErrorUnrelated);
        world.leaves(&quoted);
        assert_eq!(world.arrives(&error), IcmpErrorRelated, "{words} words");
        assert_eq!(world.flows(), 1);
    }
}

#[test]
fn quoted_ipv6_extension_headers_are_stepped_over() {
    let out = v6(PROTECTED, PEER);
    let options = |size| ExtensionHeader::DestinationOptions {
        options: vec![1; size],
    };
    let first = ExtensionHeader::Fragment {
        id: 1,
        offset_bytes: 0,
        more: true,
    };
    let later = ExtensionHeader::Fragment {
        id: 1,
        offset_bytes: 64,
        more: true,
    };
    let opening = out.tcp(40000, 80, SYN);
    for (headers, expected) in [
        (vec![options(0)], IcmpErrorRelated),
        (
            vec![ExtensionHeader::router_alert(), options(100)],
            IcmpErrorRelated,
        ),
        (vec![options(0), first], IcmpErrorRelated),
        (vec![options(0); 6], IcmpErrorRelated),
        (vec![options(0); 7], IcmpErrorUnrelated),
        // A later fragment has no ports.
        (vec![later], IcmpErrorUnrelated),
    ] {
        let quoted = headers
            .iter()
            .cloned()
            .fold(out.packet(), |packet, header| packet.extension(header));
        let quoted = quoted.tcp(40000, 80).syn().build();
        let world = World::host();
        let error = error(out.family, quote(&quoted));
        assert_eq!(world.arrives(&error), IcmpErrorUnrelated);
        world.leaves(&opening);
        assert_eq!(world.arrives(&error), expected, "{headers:?}");
    }
}

#[test]
fn an_error_about_an_answer_of_an_allowed_service_passes() {
    for family in FAMILIES {
        let answer = Link::new(family, PROTECTED, PEER);
        let services = [class::HTTP, class::DNS, class::ECHO, ServiceClass::GRE];
        for enforcing in [false, true] {
            let mut world = World::host().inbound(&services);
            if enforcing {
                world = world.enforcing(&[]);
            }
            for quoted in [
                answer.tcp(80, 50000, SYN | ACK),
                answer.udp(53, 50000, b"me"),
                answer.echo_reply(7),
                answer.ip(GRE, &[0; 8]),
            ] {
                assert_eq!(world.arrives(&error(family, quote(&quoted))), IcmpError);
            }
            for quoted in [
                answer.tcp(81, 50000, SYN | ACK),
                answer.tcp(50000, 80, ACK),
                answer.udp(54, 50000, b"me"),
                answer.ip(ESP, &[0; 8]),
            ] {
                let reason = world.arrives(&error(family, quote(&quoted)));
                assert_eq!(reason, IcmpErrorUnrelated);
            }
            world.policy.essentials.remove(IcmpError);
            let quoted = answer.tcp(80, 50000, ACK);
            let reason = world.arrives(&error(family, quote(&quoted)));
            assert_eq!(reason, EssentialRemoved);
        }
    }
}

#[test]
fn an_error_about_a_stream_to_a_group_passes_if_the_stream_does() {
    for (family, group) in [(Family::V4, "239.2.0.1"), (Family::V6, "ff15::1")] {
        let out = Link::new(family, PROTECTED, PEER);
        let stream = out.packet_to(group).udp(40000, 53).data(b"part").build();
        let error = error(family, quote(&stream));
        assert_eq!(World::host().arrives(&error), IcmpError);
        let refusing = World::host().enforcing(&[]);
        assert_eq!(refusing.arrives(&error), IcmpErrorUnrelated);
        let allowing = World::host()
            .enforcing(&[])
            .outbound_to_groups(&[class::DNS]);
        assert_eq!(allowing.arrives(&error), IcmpError);
    }
}

#[test]
fn an_error_about_a_tftp_transfer_is_related() {
    for family in FAMILIES {
        let (request, data) = (
            Link::new(family, PEER, PROTECTED),
            Link::new(family, PROTECTED, PEER),
        );
        let world = World::host().inbound(&[class::TFTP]);
        let block = data.udp(3000, 2000, b"\x00\x03\x00\x01data");
        let error = error(family, quote(&block));
        world.arrives(&request.udp(2000, 69, b"\x00\x01file"));
        assert_eq!(world.arrives(&error), IcmpErrorUnrelated);
        world.leaves(&block);
        assert_eq!(world.arrives(&error), IcmpErrorRelated);
    }
}

#[test]
fn with_the_setting_or_without_tracking_unrelated_errors_pass() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        let quoted = out.tcp(40000, 80, SYN);
        for setting in [flag::PASS_UNRELATED_ICMP_ERRORS, flag::OUTBOUND_OFF] {
            let world = World::host().with(setting);
            assert_eq!(world.arrives(&error(family, quote(&quoted))), IcmpError);
        }
        // What nobody here can have sent is unrelated also where nothing is tracked.
        let world = World::host().with(flag::OUTBOUND_OFF);
        let foreign = Link::new(family, STRANGER, PEER).tcp(40000, 80, SYN);
        let reason = world.arrives(&error(family, quote(&foreign)));
        assert_eq!(reason, IcmpErrorUnrelated);
    }
}

#[test]
fn under_enforce_an_error_goes_out_only_about_what_came_in() {
    for family in FAMILIES {
        let (out, asked) = (
            Link::new(family, PROTECTED, PEER),
            Link::new(family, PEER, PROTECTED),
        );
        let world = World::host()
            .inbound(&[class::DNS, class::ECHO])
            .enforcing(&[class::HTTP]);
        let about = |quoted: &[u8]| out.unreachable(quote(quoted));
        for quoted in [asked.udp(50000, 53, b"who"), asked.echo(7)] {
            assert_eq!(world.leaves(&about(&quoted)), IcmpError);
        }
        let answer = asked.tcp(80, 40000, ACK);
        assert_eq!(world.leaves(&about(&answer)), IcmpErrorUnrelated);
        world.leaves(&out.tcp(40000, 80, SYN));
        assert_eq!(world.leaves(&about(&answer)), IcmpError);
        for quoted in [
            asked.udp(50000, 54, b"who"),
            asked.udp(53, 50000, b"who"),
            asked.tcp(50000, 80, SYN),
            Link::new(family, STRANGER, PROTECTED).tcp(80, 40000, ACK),
        ] {
            assert_eq!(world.leaves(&about(&quoted)), IcmpErrorUnrelated);
        }
        let world = world.with(flag::PASS_UNRELATED_ICMP_ERRORS);
        let reason = world.leaves(&about(&asked.udp(50000, 54, b"who")));
        assert_eq!(reason, IcmpError);
        let world = world.with(flag::LISTED_ONLY);
        assert_eq!(world.leaves(&about(&asked.echo(7))), UnlistedHost);
    }
}

#[test]
fn icmp_without_an_identifier_belongs_to_no_flow() {
    for (family, echoes, others) in [
        (Family::V4, [8, 0], vec![4, 5, 9, 10, 13, 14, 17, 40, 255]),
        (
            Family::V6,
            [128, 129],
            vec![0, 100, 127, 137, 138, 139, 160, 255],
        ),
    ] {
        let (out, back) = (
            Link::new(family, PROTECTED, PEER),
            Link::new(family, PEER, PROTECTED),
        );
        // An echo with identifier 0 has the key that all other types would have.
        let world = World::host();
        world.leaves(&out.echo(0));
        assert_eq!(world.arrives(&back.echo_reply(0)), Reply);
        for kind in others.into_iter().chain([echoes[0]]) {
            assert_eq!(
                world.arrives(&back.control(kind, &[0; 8])),
                NotAllowed,
                "{kind}"
            );
        }
        // Nor does what leaves keep that flow alive, or come in its name.
        world.wait(world.policy.timeouts.other);
        assert_eq!(world.leaves(&out.control(13, &[0; 8])), Outbound);
        world.wait(1);
        assert_eq!(world.arrives(&back.echo_reply(0)), NotAllowed);
    }
}

#[test]
fn a_quote_needs_eight_bytes_of_transport() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        let world = World::host();
        let opening = out.tcp(40000, 80, SYN);
        world.leaves(&opening);
        let quoted = quote(&opening);
        let needed = quoted.len() - 12;
        for length in 0..=quoted.len() {
            let expected = match length >= needed {
                true => IcmpErrorRelated,
                false => IcmpErrorUnrelated,
            };
            let reason = world.arrives(&error(family, &quoted[..length]));
            assert_eq!(reason, expected, "{length} bytes");
        }
    }
}

#[test]
fn nonsense_in_a_quote_is_no_flow() {
    for family in FAMILIES {
        let world = World::host();
        world.leaves(&Link::new(family, PROTECTED, PEER).udp(40000, 53, b"who"));
        for byte in 0..=u8::MAX {
            let reason = world.arrives(&error(family, &[byte; 64]));
            assert_eq!(reason, IcmpErrorUnrelated, "{byte:#x}");
        }
    }
}

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
