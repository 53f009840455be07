//! The first fragment decides, and the others follow it.

use crate::Reason::{
    FragmentFollows, FragmentOverlap, FragmentOversize, FragmentTiny, LaterFragment,
    LaterFragmentRefused, NotAllowed, Reply, Service,
};
use crate::policy::flag;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, STRANGER, World, class, v4, v6};
use sccm_packets::ExtensionHeader;
use sccm_packets::protocol::{DESTINATION_OPTIONS, TCP, UDP};
use sccm_packets::tcp_flag::SYN;
use std::vec;
use std::vec::Vec;

/// From the peer to the protected system, in both families.
fn ways() -> [Link; 2] {
    FAMILIES.map(|family| Link::new(family, PEER, PROTECTED))
}

fn world() -> World {
    World::host().inbound(&[class::DNS, class::HTTP])
}

fn first(link: Link, id: u16, port: u16) -> Vec<u8> {
    let part = link.fragment(id, 0, true);
    part.udp(5000, port).payload(16).build()
}

fn later(link: Link, id: u16) -> Vec<u8> {
    at(link, id, 24, UDP)
}

fn at(link: Link, id: u16, offset: u16, protocol: u8) -> Vec<u8> {
    let part = link.fragment(id, offset, true);
    part.ip_protocol(protocol).payload(8).build()
}

#[test]
fn later_ones_follow_a_first_that_passed() {
    for way in ways() {
        let world = world();
        assert_eq!(world.arrives(&later(way, 1)), LaterFragmentRefused);
        assert_eq!(world.arrives(&first(way, 1, 53)), Service);
        for offset in [24, 32, 8000] {
            assert_eq!(world.arrives(&at(way, 1, offset, UDP)), FragmentFollows);
        }
        assert_eq!(world.remembered(), (0, 1, 0));

        assert_eq!(world.arrives(&later(way, 2)), LaterFragmentRefused);
        let elsewhere = [
            Link::new(way.family, STRANGER, PROTECTED),
            Link::new(way.family, PEER, STRANGER),
            way.back(),
        ];
        for other in elsewhere {
            assert_eq!(world.arrives(&later(other, 1)), LaterFragmentRefused);
        }
    }
}

#[test]
fn the_protocol_counts_where_it_identifies() {
    let world = world();
    let [v4, v6] = ways();
    assert_eq!(world.arrives(&first(v4, 1, 53)), Service);
    assert_eq!(world.arrives(&at(v4, 1, 24, TCP)), LaterFragmentRefused);
    // On IPv6 only the first one's protocol means anything (RFC 8200, 4.5).
    assert_eq!(world.arrives(&first(v6, 1, 53)), Service);
    assert_eq!(world.arrives(&at(v6, 1, 24, TCP)), FragmentFollows);
}

#[test]
fn they_follow_for_thirty_seconds() {
    for way in ways() {
        for (wait, expected) in [(30, FragmentFollows), (31, LaterFragmentRefused)] {
            let world = world();
            assert_eq!(world.arrives(&first(way, 1, 53)), Service);
            world.wait(wait);
            assert_eq!(world.arrives(&later(way, 1)), expected);
        }
        // Later ones do not prolong it.
        let world = world();
        assert_eq!(world.arrives(&first(way, 1, 53)), Service);
        world.wait(20);
        assert_eq!(world.arrives(&later(way, 1)), FragmentFollows);
        world.wait(11);
        assert_eq!(world.arrives(&later(way, 1)), LaterFragmentRefused);
        // A clock that lags behind the writer's is no timeout.
        assert_eq!(world.arrives(&first(way, 1, 53)), Service);
        world.state.now.set(world.state.now.get() - 1);
        assert_eq!(world.arrives(&later(way, 1)), FragmentFollows);
    }
}

#[test]
fn the_rest_of_a_dropped_first_are_orphans() {
    for way in ways() {
        let world = world();
        assert_eq!(world.arrives(&first(way, 1, 54)), NotAllowed);
        assert_eq!(world.arrives(&later(way, 1)), LaterFragmentRefused);
        assert_eq!(world.remembered(), (0, 0, 0));
    }
}

#[test]
fn the_fate_of_orphans_is_a_setting() {
    for way in ways() {
        let world = world().with(flag::PASS_ORPHAN_FRAGMENTS);
        assert_eq!(world.arrives(&later(way, 1)), LaterFragment);
        assert_eq!(world.arrives(&first(way, 1, 53)), Service);
        assert_eq!(world.arrives(&later(way, 1)), FragmentFollows);
    }
}

#[test]
fn an_answer_in_fragments_comes_back() {
    for way in ways() {
        let world = World::host();
        world.leaves(&way.back().udp(40000, 53, b"who"));
        let answer = way.fragment(1, 0, true).udp(53, 40000).payload(16);
        assert_eq!(world.arrives(&answer.build()), Reply);
        assert_eq!(world.arrives(&later(way, 1)), FragmentFollows);
    }
}

#[test]
fn tiny_first_fragments_have_a_name() {
    for way in ways() {
        let world = world().with(flag::PASS_ORPHAN_FRAGMENTS);
        let first = || way.fragment(1, 0, true);
        // Less than the fixed header, and less than the header says of itself.
        let whole = first().tcp(5000, 80).ack().payload(4);
        let frame = whole.build();
        let header = &frame[frame.len() - 24..][..16];
        let short = first().ip_protocol(TCP).data(header);
        let cut_options = whole.clone().data_offset(8);
        for tiny in [short, cut_options] {
            assert_eq!(world.arrives(&tiny.build()), FragmentTiny);
        }
        assert_eq!(world.arrives(&whole.build()), Service);
    }
}

#[test]
fn overlapping_fragments_have_a_name() {
    for way in ways() {
        let world = world().with(flag::PASS_ORPHAN_FRAGMENTS);
        for offset in [8, 16] {
            let frame = at(way, 1, offset, TCP);
            assert_eq!(world.arrives(&frame), FragmentOverlap, "{offset}");
        }
        assert_eq!(world.arrives(&at(way, 1, 24, TCP)), LaterFragment);
    }
}

#[test]
fn a_false_protocol_in_a_later_fragment_hides_no_overlap() {
    let way = v6(PEER, PROTECTED);
    let world = world();
    let first = way.fragment(1, 0, true).tcp(5000, 80).ack().payload(4);
    assert_eq!(world.arrives(&first.build()), Service);
    for protocol in [UDP, 0xfd] {
        let frame = at(way, 1, 8, protocol);
        assert_eq!(world.arrives(&frame), FragmentOverlap, "{protocol}");
    }
}

#[test]
fn oversize_fragments_have_a_name() {
    for way in ways() {
        let world = world().with(flag::PASS_ORPHAN_FRAGMENTS);
        assert_eq!(world.arrives(&at(way, 1, 65_528, UDP)), FragmentOversize);
        assert_eq!(world.arrives(&at(way, 1, 65_000, UDP)), LaterFragment);
    }
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let way = v6(PEER, PROTECTED);
    let world = world();
    for (port, expected) in [(53, Service), (54, NotAllowed)] {
        let whole = way.fragment(1, 0, false).udp(5000, port);
        assert_eq!(world.arrives(&whole.build()), expected);
    }
    assert_eq!(world.remembered(), (0, 0, 0));
}

#[test]
fn extension_headers_behind_the_fragment_header_are_walked() {
    let way = v6(PEER, PROTECTED);
    let world = world();
    let first = || way.fragment(1, 0, true);
    let options = || ExtensionHeader::DestinationOptions { options: vec![] };
    for (port, expected) in [(54, NotAllowed), (53, Service)] {
        let frame = first().extension(options()).udp(5000, port).payload(8);
        assert_eq!(world.arrives(&frame.build()), expected);
    }
    // A later one names the first extension header, as the first one did.
    let frame = at(way, 1, 24, DESTINATION_OPTIONS);
    assert_eq!(world.arrives(&frame), FragmentFollows);
    // A header that the fragment cuts off is not judged by guessing.
    let cut = ExtensionHeader::Raw {
        protocol: DESTINATION_OPTIONS,
        bytes: vec![UDP, 1, 1, 4, 0, 0, 0, 0],
    };
    let cut = first().extension(cut).ip_protocol(UDP);
    let reason = world.arrives(&cut.build());
    assert!(!reason.passes(), "{reason:?}");
}

#[test]
fn filling_the_table_from_outside_touches_no_flow() {
    let world = world();
    let out = v4(PROTECTED, PEER);
    world.leaves(&out.udp(40000, 53, b"who"));
    for id in 0..500 {
        assert_eq!(world.arrives(&first(out.back(), id, 53)), Service);
    }
    assert_eq!(world.remembered(), (1, 500, 0));
    assert_eq!(world.arrives(&out.back().udp(53, 40000, b"me")), Reply);
}

#[test]
fn no_later_fragment_overwrites_the_transport_header_wherever_it_was() {
    let way = v6(PEER, PROTECTED);
    let world = world();
    let id = 7;
    // Options of 24 bytes, and the header behind them, in the first fragment.
    let first = |protocol| {
        let options = ExtensionHeader::DestinationOptions {
            options: vec![1; 20],
        };
        let packet = way.fragment(id, 0, true).extension(options);
        match protocol {
            UDP => packet.udp(3000, 53).payload(16).build(),
            _ => packet.tcp(3000, 80).flags(SYN).payload(16).build(),
        }
    };
    for (protocol, end) in [(UDP, 32), (TCP, 48)] {
        assert_eq!(world.arrives(&first(protocol)), Service);
        for offset in (24..64).step_by(8) {
            let expected = match offset < end {
                true => FragmentOverlap,
                false => FragmentFollows,
            };
            let reason = world.arrives(&at(way, id, offset, protocol));
            assert_eq!(reason, expected, "{protocol} {offset}");
        }
    }
    // A second first fragment takes nothing back.
    let plain = way.fragment(id, 0, true).udp(3000, 53).payload(16).build();
    assert_eq!(world.arrives(&plain), Service);
    assert_eq!(world.arrives(&at(way, id, 40, TCP)), FragmentOverlap);
    world.wait(31);
    assert_eq!(world.arrives(&plain), Service);
    assert_eq!(world.arrives(&at(way, id, 40, TCP)), FragmentFollows);
}

#[test]
fn tcp_options_are_part_of_the_header() {
    for way in ways() {
        let world = world();
        let mut frame = way
            .fragment(7, 0, true)
            .tcp(3000, 80)
            .flags(SYN)
            .payload(32)
            .build();
        let tcp = frame.len() - 52;
        frame[tcp + 12] = 0xa0;
        assert_eq!(world.arrives(&frame), Service);
        assert_eq!(world.arrives(&at(way, 7, 32, TCP)), FragmentOverlap);
        assert_eq!(world.arrives(&at(way, 7, 40, TCP)), FragmentFollows);
    }
}
