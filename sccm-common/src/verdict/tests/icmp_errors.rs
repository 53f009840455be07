//! ICMP errors pass if what they quote can have gone this way.

use crate::Reason::{
    EssentialRemoved, IcmpError, IcmpErrorRelated, IcmpErrorUnrelated, NotAllowed, Outbound, Reply,
    UnlistedHost,
};
use crate::ServiceClass;
use crate::address::Family;
use crate::policy::flag;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, STRANGER, World, class, quote, v4, v6};
use sccm_packets::ExtensionHeader;
use sccm_packets::protocol::{ESP, GRE};
use sccm_packets::tcp_flag::{ACK, SYN};
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
pub(super) fn error(family: Family, quoted: &[u8]) -> Vec<u8> {
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
