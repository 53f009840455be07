//! Transfers between the client that asked and the server that it asked.

use crate::Reason::{NotAllowed, Outbound, OutboundNotAllowed, Reply, Service};
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, STRANGER, World, class};
use std::vec::Vec;

/// The client's port, and the one from which the server answers.
pub(super) const CLIENT: u16 = 2070;
pub(super) const SERVER: u16 = 49500;

pub(super) fn read_request() -> Vec<u8> {
    b"\x00\x01boot.wim\x00octet\x00".to_vec()
}

pub(super) fn write_request() -> Vec<u8> {
    b"\x00\x02log.txt\x00octet\x00".to_vec()
}

pub(super) fn data(number: u16, bytes: usize) -> Vec<u8> {
    let mut message = [3, number].map(u16::to_be_bytes).concat();
    message.resize(4 + bytes, 0);
    message
}

pub(super) fn acknowledgement(number: u16) -> Vec<u8> {
    [4, number].map(u16::to_be_bytes).concat()
}

pub(super) fn error(code: u16) -> Vec<u8> {
    [&[0, 5], &code.to_be_bytes()[..], b"no\0"].concat()
}

pub(super) fn options(text: &[u8]) -> Vec<u8> {
    [&[0, 6], text].concat()
}

/// A client and a server with something between them that judges.
pub(super) struct Pair {
    pub world: World,
    pub family: crate::address::Family,
    /// Whether the server is the protected one.
    pub serving: bool,
    pub client_port: u16,
    pub server_port: u16,
}

impl Pair {
    /// A protected server in front of outside clients.
    pub(crate) fn serving(world: World, family: crate::address::Family) -> Self {
        Self {
            world,
            family,
            serving: true,
            client_port: CLIENT,
            server_port: SERVER,
        }
    }

    /// A protected client of an outside server.
    pub(crate) fn asking(world: World, family: crate::address::Family) -> Self {
        Self {
            serving: false,
            ..Self::serving(world, family)
        }
    }

    fn send(&self, from_protected: bool, from: u16, to: u16, message: &[u8]) -> bool {
        let out = Link::new(self.family, PROTECTED, PEER);
        if from_protected {
            self.world.leaves(&out.udp(from, to, message)).passes()
        } else {
            self.world
                .arrives(&out.back().udp(from, to, message))
                .passes()
        }
    }

    /// Sends a request to port 69.
    pub(crate) fn ask(&self, message: &[u8]) -> bool {
        self.send(!self.serving, self.client_port, 69, message)
    }

    /// Sends from the server to the client.
    pub(crate) fn server(&self, message: &[u8]) -> bool {
        self.send(self.serving, self.server_port, self.client_port, message)
    }

    /// Sends from the client to the server's new port.
    pub(crate) fn client(&self, message: &[u8]) -> bool {
        self.send(!self.serving, self.client_port, self.server_port, message)
    }
}

/// Each of the two, in both families, where nothing else is open.
pub(super) fn pairs() -> Vec<Pair> {
    let mut pairs = Vec::new();
    for family in FAMILIES {
        let serving = World::host().inbound(&[class::TFTP]).enforcing(&[]);
        pairs.push(Pair::serving(serving, family));
        let asking = World::host().enforcing(&[class::TFTP]);
        pairs.push(Pair::asking(asking, family));
    }
    pairs
}

/// The boot code of a network card asks from whatever port it likes.
#[test]
fn firmware_asks_from_low_ports_too() {
    for port in [1, 7, 69, 1023] {
        for mut pair in pairs() {
            pair.client_port = port;
            assert!(!pair.server(&data(1, 512)), "{port}: before the request");
            assert!(pair.ask(&read_request()), "{port}");
            assert!(pair.server(&data(1, 512)), "{port}");
            assert!(pair.client(&acknowledgement(1)), "{port}");
        }
    }
}

#[test]
fn a_file_is_read() {
    for pair in pairs() {
        assert!(!pair.server(&data(1, 512)), "before the request");
        assert!(pair.ask(&read_request()));
        assert!(!pair.client(&acknowledgement(1)), "before the answer");
        for number in 1..=40 {
            assert!(pair.server(&data(number, 512)));
            assert!(pair.client(&acknowledgement(number)));
        }
        assert!(pair.server(&data(41, 100)));
        assert!(pair.client(&acknowledgement(41)));
    }
}

#[test]
fn a_file_is_written() {
    for pair in pairs() {
        assert!(pair.ask(&write_request()));
        assert!(pair.server(&acknowledgement(0)));
        for number in 1..=40 {
            assert!(pair.client(&data(number, 512)));
            assert!(pair.server(&acknowledgement(number)));
        }
        assert!(pair.client(&data(41, 100)));
        assert!(pair.server(&acknowledgement(41)));
    }
}

#[test]
fn track_lets_them_through_too() {
    for family in FAMILIES {
        let serving = Pair::serving(World::host().inbound(&[class::TFTP]), family);
        for pair in [serving, Pair::asking(World::host(), family)] {
            assert!(pair.ask(&read_request()));
            for number in 1..=3 {
                assert!(pair.server(&data(number, 512)));
                assert!(pair.client(&acknowledgement(number)));
            }
            let flows = usize::from(!pair.serving);
            assert_eq!(pair.world.flows(), flows, "the client's request only");
        }
    }
}

#[test]
fn block_numbers_roll_over() {
    for pair in pairs() {
        assert!(pair.ask(&read_request()));
        for block in 65_500..65_600u32 {
            assert!(pair.server(&data(block as u16, 512)));
            assert!(pair.client(&acknowledgement(block as u16)));
        }
    }
}

#[test]
fn only_that_client_that_server_and_those_ports() {
    for family in FAMILIES {
        let pair = Pair::serving(World::host().inbound(&[class::TFTP]), family);
        assert!(pair.ask(&read_request()));
        assert!(pair.server(&data(1, 512)));
        let world = &pair.world;
        let answer = acknowledgement(1);
        let client = Link::new(family, PEER, PROTECTED);
        let stranger = Link::new(family, STRANGER, PROTECTED);
        let third = Link::new(family, PEER, STRANGER);
        for (link, from, to) in [
            (stranger, CLIENT, SERVER),
            (third, CLIENT, SERVER),
            (client, CLIENT + 1, SERVER),
            (client, CLIENT, SERVER + 1),
            (client, SERVER, CLIENT),
        ] {
            let frame = link.udp(from, to, &answer);
            assert_eq!(world.arrives(&frame), NotAllowed, "{link:?} {from} {to}");
        }
        let frame = client.udp(CLIENT, SERVER, &answer);
        assert_eq!(world.arrives(&frame), Reply);
        // Nothing but a transfer's messages, and no other protocol.
        for message in [
            &read_request()[..],
            &write_request(),
            b"\x00\x07xx",
            b"\x00",
        ] {
            let frame = client.udp(CLIENT, SERVER, message);
            assert_eq!(world.arrives(&frame), NotAllowed);
        }
        let frame = client.tcp_data(CLIENT, SERVER);
        assert_eq!(world.arrives(&frame), NotAllowed);
    }
}

#[test]
fn an_answer_comes_only_from_the_server_that_was_asked() {
    for family in FAMILIES {
        let pair = Pair::asking(World::host(), family);
        assert!(pair.ask(&read_request()));
        let world = &pair.world;
        let block = data(1, 512);
        let stranger = Link::new(family, STRANGER, PROTECTED);
        let frame = stranger.udp(SERVER, CLIENT, &block);
        assert_eq!(world.arrives(&frame), NotAllowed);
        let server = Link::new(family, PEER, PROTECTED);
        let frame = server.udp(SERVER, CLIENT + 1, &block);
        assert_eq!(world.arrives(&frame), NotAllowed);
        // Anything else from the server's new port is no answer.
        for message in [&read_request()[..], b"\x00\x00abcd", b"hello"] {
            let frame = server.udp(SERVER, CLIENT, message);
            assert_eq!(world.arrives(&frame), NotAllowed);
        }
        assert_eq!(world.arrives(&server.udp(SERVER, CLIENT, &block)), Reply);
    }
}

#[test]
fn a_request_that_the_policy_refuses_notes_nothing() {
    for family in FAMILIES {
        let pair = Pair::serving(World::host().enforcing(&[]), family);
        assert!(!pair.ask(&read_request()));
        assert_eq!(pair.world.remembered(), (0, 0, 0));
        assert!(!pair.server(&data(1, 512)));

        let pair = Pair::asking(World::host().enforcing(&[]), family);
        assert!(!pair.ask(&read_request()));
        assert_eq!(pair.world.remembered(), (0, 0, 0));
        assert!(!pair.server(&data(1, 512)));
    }
}

#[test]
fn what_is_no_request_notes_nothing() {
    for family in FAMILIES {
        let world = World::host().inbound(&[class::TFTP]);
        let client = Link::new(family, PEER, PROTECTED);
        for message in [
            &data(1, 512)[..],
            &acknowledgement(1),
            &error(0),
            b"\x00",
            b"",
        ] {
            let frame = client.udp(CLIENT, 69, message);
            assert_eq!(world.arrives(&frame), Service);
        }
        assert_eq!(world.remembered(), (0, 0, 0));
    }
}

#[test]
fn enforce_lets_no_server_answer_unasked() {
    for family in FAMILIES {
        let world = World::host().inbound(&[class::TFTP]).enforcing(&[]);
        let pair = Pair::serving(world, family);
        let out = Link::new(family, PROTECTED, PEER);
        let block = out.udp(SERVER, CLIENT, &data(1, 512));
        assert_eq!(pair.world.leaves(&block), OutboundNotAllowed);
        assert!(pair.ask(&read_request()));
        let other = Link::new(family, PROTECTED, STRANGER);
        let elsewhere = other.udp(SERVER, CLIENT, &data(1, 512));
        assert_eq!(pair.world.leaves(&elsewhere), OutboundNotAllowed);
        let wrong_port = out.udp(SERVER, CLIENT + 1, &data(1, 512));
        assert_eq!(pair.world.leaves(&wrong_port), OutboundNotAllowed);
        let no_message = out.udp(SERVER, CLIENT, b"secrets");
        assert_eq!(pair.world.leaves(&no_message), OutboundNotAllowed);
        assert_eq!(pair.world.leaves(&block), Outbound);
    }
}
