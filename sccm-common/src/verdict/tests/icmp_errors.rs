//! ICMP errors belong to the flow whose packet they quote.

use crate::Reason::{EssentialRemoved, IcmpError, IcmpErrorRelated, NotAllowed, Outbound, Reply};
use crate::address::Family;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, STRANGER, World, quote, v4, v6};
use sccm_packets::ExtensionHeader;
use sccm_packets::tcp_flag::SYN;
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
fn error(family: crate::address::Family, quoted: &[u8]) -> Vec<u8> {
    Link::new(family, STRANGER, PROTECTED).unreachable(quoted)
}

#[test]
fn an_error_about_a_flow_is_related() {
    for family in FAMILIES {
        let out = Link::new(family, PROTECTED, PEER);
        for opening in openings(out) {
            let world = World::host();
            let error = error(family, quote(&opening));
            assert_eq!(world.arrives(&error), IcmpError);
            world.leaves(&opening);
            assert_eq!(world.arrives(&error), IcmpErrorRelated);
            assert_eq!(world.flows(), 1);
        }
    }
}

#[test]
fn every_kind_of_error_counts_and_nothing_else_does() {
    for (family, errors, others) in [
        (
            crate::address::Family::V4,
            vec![3, 11, 12],
            vec![0, 4, 5, 8, 13],
        ),
        (
            crate::address::Family::V6,
            vec![1, 2, 3, 4],
            vec![0, 5, 127, 128, 137],
        ),
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
        assert_eq!(world.arrives(&error), IcmpError);
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
            assert_eq!(world.arrives(&error(family, quote(&quoted))), IcmpError);
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
        assert_eq!(world.arrives(&error), IcmpError);
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
        assert_eq!(world.arrives(&error), IcmpError);
        world.leaves(&quoted);
        assert_eq!(world.arrives(&error), IcmpErrorRelated, "{words} words");
        assert_eq!(world.flows(), 1);
    }
}

#[test]
fn quoted_ipv6_extension_headers_are_left_to_the_essential() {
    let out = v6(PROTECTED, PEER);
    let options = ExtensionHeader::DestinationOptions { options: vec![] };
    let quoted = out.packet().extension(options).tcp(40000, 80).syn().build();
    let world = World::host();
    world.leaves(&quoted);
    assert_eq!(world.flows(), 1);
    assert_eq!(world.arrives(&error(out.family, quote(&quoted))), IcmpError);
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
                false => IcmpError,
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
            assert_eq!(reason, IcmpError, "{byte:#x}");
        }
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
