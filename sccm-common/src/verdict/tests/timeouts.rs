//! How long a flow lives, phase by phase.

use crate::Reason::{NotAllowed, Reply};
use crate::policy::Timeouts;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, World};
use sccm_packets::protocol::GRE;
use sccm_packets::tcp_flag::{ACK, FIN, SYN};
use std::vec::Vec;

/// Four that differ from each other and from the defaults.
const TIMEOUTS: Timeouts = Timeouts {
    tcp_opening: 11,
    tcp_established: 1000,
    tcp_half_closed: 200,
    tcp_closing: 5,
    answer: 60,
    other: 70,
    ..Timeouts::DEFAULT
};

fn worlds() -> impl Iterator<Item = (World, Link)> {
    FAMILIES.into_iter().map(|family| {
        let mut world = World::host();
        world.policy.timeouts = TIMEOUTS;
        (world, Link::new(family, PROTECTED, PEER))
    })
}

/// Whether the answer is in time after `limit` seconds, and late one second later.
/// An answer in time would refresh the flow, so each needs a world of its own.
fn lives_exactly(limit: u32, prepare: impl Fn(&World, Link), answer: impl Fn(Link) -> Vec<u8>) {
    for (wait, expected) in [(limit, Reply), (limit + 1, NotAllowed)] {
        for (world, out) in worlds() {
            prepare(&world, out);
            world.wait(wait);
            let reason = world.arrives(&answer(out.back()));
            assert_eq!(reason, expected, "after {wait} s, {:?}", out.family);
        }
    }
}

fn established(world: &World, out: Link) {
    world.leaves(&out.tcp(40000, 80, SYN));
    assert_eq!(world.arrives(&out.back().tcp(80, 40000, SYN | ACK)), Reply);
    world.leaves(&out.tcp(40000, 80, ACK));
}

fn data(back: Link) -> Vec<u8> {
    back.tcp_data(80, 40000)
}

#[test]
fn opening() {
    lives_exactly(
        TIMEOUTS.tcp_opening,
        |world, out| {
            world.leaves(&out.tcp(40000, 80, SYN));
        },
        |back| back.tcp(80, 40000, SYN | ACK),
    );
    // What the peer sends does not make it an open one.
    lives_exactly(
        TIMEOUTS.tcp_opening,
        |world, out| {
            world.leaves(&out.tcp(40000, 80, SYN));
            assert_eq!(world.arrives(&data(out.back())), Reply);
        },
        data,
    );
}

#[test]
fn established_idles_long() {
    lives_exactly(TIMEOUTS.tcp_established, established, data);
}

#[test]
fn a_port_is_used_again() {
    for (world, out) in worlds() {
        established(&world, out);
        world.leaves(&out.tcp(40000, 80, FIN | ACK));
        world.wait(TIMEOUTS.tcp_closing + 1);
        established(&world, out);
        world.wait(TIMEOUTS.tcp_established);
        assert_eq!(world.arrives(&data(out.back())), Reply);
    }
}

#[test]
fn everything_else() {
    lives_exactly(
        TIMEOUTS.other,
        |world, out| {
            world.leaves(&out.udp(40000, 53, b"who"));
        },
        |back| back.udp(53, 40000, b"me"),
    );
    lives_exactly(
        TIMEOUTS.other,
        |world, out| {
            world.leaves(&out.echo(7));
        },
        |back| back.echo_reply(7),
    );
    lives_exactly(
        TIMEOUTS.other,
        |world, out| {
            world.leaves(&out.ip(GRE, &[0; 8]));
        },
        |back| back.ip(GRE, &[0; 8]),
    );
}

#[test]
fn answers_refresh() {
    for (world, out) in worlds() {
        established(&world, out);
        world.leaves(&out.udp(40000, 53, b"who"));
        for _ in 0..30 {
            world.wait(TIMEOUTS.other);
            let back = out.back();
            assert_eq!(world.arrives(&back.udp(53, 40000, b"me")), Reply);
            assert_eq!(world.arrives(&data(back)), Reply);
        }
    }
}

#[test]
fn a_dropped_packet_does_not_refresh() {
    lives_exactly(
        TIMEOUTS.tcp_established,
        |world, out| {
            established(world, out);
            let now = world.state.now.get();
            world.wait(5);
            assert_eq!(world.arrives(&out.back().tcp(80, 40000, SYN)), NotAllowed);
            world.state.now.set(now);
        },
        data,
    );
}

#[test]
fn a_clock_that_lags_behind_the_last_writers_is_no_timeout() {
    for (world, out) in worlds() {
        established(&world, out);
        world.leaves(&out.udp(40000, 53, b"who"));
        world.state.now.set(world.state.now.get() - 1);
        assert_eq!(world.arrives(&data(out.back())), Reply);
        assert_eq!(world.arrives(&out.back().udp(53, 40000, b"me")), Reply);
    }
}
