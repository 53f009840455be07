//! `rpc = "tracked"`: ports that the endpoint mapper has handed out.

mod answers;

use crate::Reason::{
    NotAllowed, Outbound, OutboundNotAllowed, Reply, RpcNotNamed, Service as Passes,
};
use crate::address::Family;
use crate::rpc::{How, Refusal};
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, STRANGER, World, class};
use crate::verdict::Outcome;
use crate::{Reason, ServiceClass};
use sccm_packets::rpc::{self, Name, Unit};
use sccm_packets::tcp_flag::{ACK, PSH, RST, SYN};
use std::vec;
use std::vec::Vec;

const MAPPER: ServiceClass = ServiceClass(30);
const RANGE: ServiceClass = ServiceClass(31);

const HOST: [u8; 4] = [0; 4];

/// A host, or a client, that is handed ports between 49152 and 65535, but for one that is a service.
fn tracking() -> World {
    let mut world = World::host();
    world.policy.tcp[135] = MAPPER;
    world.policy.tcp[49_152..].fill(RANGE);
    world.policy.tcp[50_000] = class::SSH;
    world.policy.dynamic.insert(RANGE);
    world
}

fn server() -> World {
    tracking().inbound(&[MAPPER, ServiceClass::HANDED_OUT])
}

fn client() -> World {
    tracking().enforcing(&[MAPPER, ServiceClass::HANDED_OUT])
}

/// Both ends of a connection to a mapper, whose packets are judged as the world sees them.
struct Talk<'a> {
    world: &'a World,
    /// From the client to the server.
    link: Link,
    /// The server is the protected system.
    serves: bool,
    port: u16,
    said: [u32; 2],
}

impl<'a> Talk<'a> {
    fn new(world: &'a World, link: Link, serves: bool) -> Self {
        let said = [1000, 9000];
        let port = 40_000;
        let talk = Self {
            world,
            link,
            serves,
            port,
            said,
        };
        if !serves {
            let syn = link.tcp(port, 135, SYN);
            assert_eq!(world.leaves(&syn), Outbound);
            assert_eq!(talk.segment(false, &[], 0), Reply);
            assert_eq!(talk.segment(true, &[], 0), Outbound);
        }
        talk
    }

    /// A segment `ahead` of where the stream is.
    fn segment(&self, of_client: bool, data: &[u8], ahead: u32) -> Reason {
        let (link, ports) = match of_client {
            true => (self.link, (self.port, 135)),
            false => (self.link.back(), (135, self.port)),
        };
        let [client, server] = self.said;
        let (mine, other) = match of_client {
            true => (client, server),
            false => (server, client),
        };
        let packet = link.packet().tcp(ports.0, ports.1).flags(ACK | PSH);
        let packet = packet
            .sequence(mine.wrapping_add(ahead))
            .acknowledgement(other);
        // With a time stamp, as most stacks write it; those who open the connection may leave it out.
        let options = if self.serves { vec![1; 12] } else { Vec::new() };
        let words = 5 + options.len() / 4;
        let packet = packet.data_offset(words as u8);
        let frame = packet.data([options.as_slice(), data].concat()).build();
        match of_client == self.serves {
            true => self.world.arrives(&frame),
            false => self.world.leaves(&frame),
        }
    }

    fn says(&mut self, of_client: bool, data: &[u8]) -> Reason {
        let reason = self.segment(of_client, data, 0);
        self.said[usize::from(!of_client)] += data.len() as u32;
        reason
    }

    fn binds(&mut self, interface: Name<'_>, syntax: Name<'_>) {
        let contexts: [rpc::Context<'_>; 2] =
            [(0, interface, &[rpc::NDR32]), (1, interface, &[rpc::NDR64])];
        self.says(true, &rpc::proposal(Unit::new(11, 1), &contexts));
        let results = [(0, rpc::NDR32), (0, syntax)];
        self.says(false, &rpc::agreement(Unit::new(12, 1), &results));
    }

    /// A call and its answer.
    fn calls(&mut self, context: u16, operation: u16, stub: &[u8]) {
        self.asks(context, operation);
        self.says(false, &rpc::response(Unit::new(2, 2), context, stub));
    }

    fn asks(&mut self, context: u16, operation: u16) {
        self.says(
            true,
            &rpc::request(Unit::new(0, 2), context, operation, &[0; 40]),
        );
    }
}

fn answer(is_64: bool, ports: &[u16]) -> Vec<u8> {
    let towers: Vec<Vec<u8>> = ports
        .iter()
        .map(|port| rpc::tower(7, *port, HOST))
        .collect();
    rpc::towers(false, is_64, &towers, 0)
}

/// What becomes of a connection's first packet, to the server.
fn connects(world: &World, link: Link, serves: bool, port: u16) -> Reason {
    let syn = link.tcp(41_000, port, SYN);
    match serves {
        true => world.arrives(&syn),
        false => world.leaves(&syn),
    }
}

/// Both sides on which the server may be, with what passes there.
fn sides() -> impl Iterator<Item = (World, Link, bool, Reason)> {
    FAMILIES.into_iter().flat_map(|family| {
        let to_us = Link::new(family, PEER, PROTECTED);
        [
            (server(), to_us, true, Passes),
            (client(), to_us.back(), false, Outbound),
        ]
    })
}

fn outcomes(world: &World) -> Vec<(Result<How, Refusal>, u64)> {
    let counts = world.state.rpc.borrow();
    let mut all: Vec<_> = counts
        .iter()
        .map(|(outcome, count)| (*outcome, *count))
        .collect();
    all.sort();
    let read = |(outcome, count): (Outcome, u64)| (outcome.read().unwrap(), count);
    all.into_iter().map(read).collect()
}

#[test]
fn what_the_mapper_hands_out_is_open_to_that_client_alone() {
    for is_64 in [false, true] {
        for (world, link, serves, passes) in sides() {
            let mut talk = Talk::new(&world, link, serves);
            assert_eq!(connects(&world, link, serves, 49_700), RpcNotNamed);
            talk.binds(rpc::MAPPER, rpc::NDR64);
            talk.calls(is_64.into(), 3, &answer(is_64, &[49_700, 49_701]));
            for port in [49_700, 49_701] {
                assert_eq!(connects(&world, link, serves, port), passes, "{port}");
            }
            for port in [49_152, 49_699, 49_702, 65_535] {
                assert_eq!(connects(&world, link, serves, port), RpcNotNamed, "{port}");
            }
            // Another client, or another server, as the case may be.
            let other = match serves {
                true => Link::new(link.family, STRANGER, PROTECTED),
                false => Link::new(link.family, PROTECTED, STRANGER),
            };
            assert_eq!(connects(&world, other, serves, 49_700), RpcNotNamed);
            assert_eq!(outcomes(&world), [(Ok(How::Map), 2)]);
        }
    }
}

#[test]
fn an_opening_ends_unless_somebody_uses_it() {
    for (world, link, serves, passes) in sides() {
        let timeouts = world.policy.timeouts;
        let mut talk = Talk::new(&world, link, serves);
        talk.binds(rpc::MAPPER, rpc::NDR64);
        talk.calls(0, 3, &answer(false, &[49_700, 49_701]));
        world.wait(timeouts.rpc_unused);
        assert_eq!(connects(&world, link, serves, 49_700), passes);
        world.wait(1);
        assert_eq!(connects(&world, link, serves, 49_701), RpcNotNamed);
        world.wait(timeouts.rpc_used - 1);
        assert_eq!(connects(&world, link, serves, 49_700), passes);
        world.wait(timeouts.rpc_used + 1);
        assert_eq!(connects(&world, link, serves, 49_700), RpcNotNamed);
    }
}

/// The segments of a connection to a port that was handed out, each with what becomes of it.
#[test]
fn a_connection_goes_on_after_its_opening_has_ended() {
    for (world, link, serves, passes) in sides() {
        let timeouts = world.policy.timeouts;
        let mut talk = Talk::new(&world, link, serves);
        talk.binds(rpc::MAPPER, rpc::NDR64);
        talk.calls(0, 3, &answer(false, &[49_700]));
        let back = link.back();
        let judge = |of_client: bool, frame: Vec<u8>| match of_client == serves {
            true => world.arrives(&frame),
            false => world.leaves(&frame),
        };
        let other = if serves { Outbound } else { Reply };
        // The client's port is in the range, too.
        let (mine, port) = (60_000, 49_700);
        assert_eq!(judge(true, link.tcp(mine, port, SYN)), passes);
        assert_eq!(judge(false, back.tcp(port, mine, SYN | ACK)), other);
        // A SYN-ACK answers whoever forged the SYN: it writes nothing.
        if serves {
            assert_eq!(world.flows(), 0);
        }
        assert_eq!(judge(true, link.tcp_data(mine, port)), passes);
        assert_eq!(judge(false, back.tcp_data(port, mine)), other);
        world.wait(timeouts.rpc_used + 1);
        let goes_on = if serves { Reply } else { Outbound };
        assert_eq!(connects(&world, link, serves, port), RpcNotNamed);
        assert_eq!(judge(true, link.tcp_data(mine, port)), goes_on);
        assert_eq!(judge(false, back.tcp_data(port, mine)), other);
    }
}

#[test]
fn under_enforce_a_server_answers_on_what_it_handed_out_and_nowhere_else() {
    for family in FAMILIES {
        let link = Link::new(family, PEER, PROTECTED);
        let world = tracking()
            .inbound(&[MAPPER, ServiceClass::HANDED_OUT])
            .enforcing(&[]);
        let mut talk = Talk::new(&world, link, true);
        talk.binds(rpc::MAPPER, rpc::NDR64);
        talk.calls(0, 3, &answer(false, &[49_700]));
        let back = link.back();
        for flags in [SYN | ACK, ACK, RST] {
            assert_eq!(world.leaves(&back.tcp(49_700, 60_000, flags)), Outbound);
            assert_eq!(
                world.leaves(&back.tcp(49_701, 60_000, flags)),
                OutboundNotAllowed
            );
        }
        // What it was handed out for does not let it open anything itself.
        assert_eq!(
            world.leaves(&back.tcp(49_700, 60_000, SYN)),
            OutboundNotAllowed
        );
        assert_eq!(world.leaves(&back.tcp(49_700, 80, SYN)), OutboundNotAllowed);
    }
}

/// Of two entries with one address, one is static: nothing depends on the opening, and the fast path
/// does not look for it.
#[test]
fn a_static_right_uses_no_opening() {
    let world = tracking().inbound(&[MAPPER, ServiceClass::HANDED_OUT, RANGE]);
    let link = Link::new(Family::V4, PEER, PROTECTED);
    let mut talk = Talk::new(&world, link, true);
    talk.binds(rpc::MAPPER, rpc::NDR64);
    talk.calls(0, 3, &answer(false, &[49_700]));
    for port in [49_700, 49_701] {
        assert_eq!(connects(&world, link, true, port), Passes);
    }
    let openings = world.state.openings.borrow();
    assert!(openings.values().all(|(opening, ..)| !opening.is_used()));
}

/// A peer goes on in a connection that it may not open: what it says opens nothing.
#[test]
fn whoever_may_not_open_the_mapper_asks_it_nothing() {
    let link = Link::new(Family::V4, PEER, PROTECTED);
    let world = tracking().inbound(&[ServiceClass::HANDED_OUT]);
    let mut talk = Talk::new(&world, link, true);
    // As of a connection that was there before the policy.
    assert_eq!(talk.says(false, &[0; 4]), Outbound);
    assert_eq!(talk.says(true, &[0; 4]), Reply);
    talk.binds(rpc::MAPPER, rpc::NDR64);
    talk.calls(0, 3, &answer(false, &[49_700]));
    assert_eq!(connects(&world, link, true, 49_700), RpcNotNamed);
}

#[test]
fn whoever_has_no_right_to_it_is_handed_nothing() {
    for family in FAMILIES {
        let link = Link::new(family, PEER, PROTECTED);
        // The mapper is allowed, what it hands out is not.
        let world = tracking().inbound(&[MAPPER]);
        let mut talk = Talk::new(&world, link, true);
        talk.binds(rpc::MAPPER, rpc::NDR64);
        talk.calls(0, 3, &answer(false, &[49_700]));
        assert_eq!(connects(&world, link, true, 49_700), NotAllowed);
        assert!(world.state.questions.borrow().is_empty() && outcomes(&world).is_empty());
        // The mapper is not allowed.
        let world = tracking().inbound(&[ServiceClass::HANDED_OUT]);
        let mut talk = Talk::new(&world, link, true);
        talk.binds(rpc::MAPPER, rpc::NDR64);
        talk.calls(0, 3, &answer(false, &[49_700]));
        assert_eq!(connects(&world, link, true, 49_700), RpcNotNamed);
    }
}
