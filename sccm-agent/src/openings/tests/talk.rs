//! Both ends of a connection, as frames.

use sccm_tests::packet::rpc::{self as wire, Name, Unit};
use sccm_tests::packet::{Packet, tcp_flag};

/// Where each end begins to count.
const FIRST: [u32; 2] = [0xffff_ff00, 9000];

/// A connection that is being had.
pub(super) struct Talk {
    pub(super) client: String,
    pub(super) server: String,
    /// The bytes that each end has sent.
    pub(super) sent: [u32; 2],
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) is_big: bool,
}

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

impl Talk {
    pub(super) fn between(client: &str, server: &str) -> Self {
        let mut talk = Self {
            client: client.to_owned(),
            server: server.to_owned(),
            sent: [0; 2],
            frames: Vec::new(),
            is_big: false,
        };
        let [first, second] = FIRST;
        let syn = talk.packet(CLIENT).sequence(first).syn();
        let answer = talk.packet(SERVER).sequence(second).syn().ack();
        let answer = answer.acknowledgement(first.wrapping_add(1));
        talk.frames.extend([syn.build(), answer.build()]);
        let done = talk.segment(CLIENT, 0, b"");
        talk.frames.push(done);
        talk
    }

    /// One of IPv4, that has bound the mapper as context 0.
    pub(super) fn bound() -> Self {
        let mut talk = Self::between("192.0.2.10", "192.0.2.20");
        talk.bind(0, wire::MAPPER, wire::NDR32);
        talk
    }

    fn packet(&self, end: usize) -> Packet {
        match end {
            CLIENT => Packet::ip(&self.client, &self.server).tcp(50000, 135),
            _ => Packet::ip(&self.server, &self.client).tcp(135, 50000),
        }
    }

    /// Bytes at a place of an end's stream.
    pub(super) fn segment(&self, end: usize, place: u32, bytes: &[u8]) -> Vec<u8> {
        let number = |end: usize, place: u32| FIRST[end].wrapping_add(1).wrapping_add(place);
        let packet = self.packet(end).flags(tcp_flag::PSH | tcp_flag::ACK);
        packet
            .sequence(number(end, place))
            .acknowledgement(number(1 - end, self.sent[1 - end]))
            .data(bytes)
            .build()
    }

    /// An end sends bytes.
    pub(super) fn say(&mut self, end: usize, bytes: &[u8]) {
        let frame = self.segment(end, self.sent[end], bytes);
        self.sent[end] += bytes.len() as u32;
        self.frames.push(frame);
    }

    pub(super) fn unit(&self, kind: u8, call: u32) -> Unit {
        Unit {
            is_big: self.is_big,
            ..Unit::new(kind, call)
        }
    }

    /// Both ends agree on a context.
    pub(super) fn bind(&mut self, context: u16, interface: Name<'_>, syntax: Name<'_>) {
        let call = 100 + u32::from(context);
        let asks = wire::proposal(self.unit(11, call), &[(context, interface, &[syntax])]);
        self.say(CLIENT, &asks);
        let answers = wire::agreement(self.unit(12, call), &[(0, syntax)]);
        self.say(SERVER, &answers);
    }

    /// A question of one call, and its answer.
    pub(super) fn call(&mut self, call: u32, context: u16, operation: u16, answer: &[u8]) {
        let asks = wire::request(self.unit(0, call), context, operation, b"what?");
        self.say(CLIENT, &asks);
        let answers = wire::response(self.unit(2, call), context, answer);
        self.say(SERVER, &answers);
    }
}
