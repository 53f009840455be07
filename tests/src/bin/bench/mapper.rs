//! What it costs to follow an endpoint mapper (`rpc = "tracked"`): its own packets, those to a port
//! that it has handed out, and all others, beside the static range.

use std::os::fd::AsFd as _;

use anyhow::{Result, ensure};
use sccm_agent::policy::Rpc;
use sccm_common::Hook;
use sccm_common::Reason::{NotAllowed, Outbound, RpcNotNamed, Service};
use sccm_tests::datapath::Settings;
use sccm_tests::packet::Packet;
use sccm_tests::packet::rpc::{self, Context, Unit};

use crate::case::Case;
use crate::cases::ROLES;
use crate::floor::{self, Walk};
use crate::opening::{PEER_EGRESS, PEER_XDP, walk_on};
use crate::series::{Series, Title};
use crate::world::World;

/// A port of the range that is handed out, and one that is not.
const OPEN: u16 = 49_700;
const CLOSED: u16 = 49_701;

/// Calls: of the mapper, and of DCOM.
const MAP: u32 = 2;
const CREATE: u32 = 3;

/// The roles of the other cases, with tracking.
pub fn tracked() -> Settings {
    Settings {
        rpc: Rpc::Tracked,
        ..Settings::roles(&ROLES)
    }
}

/// The protected system, and a peer.
const ENDS: (&str, &str) = ("192.0.2.10", "198.51.100.7");

fn arrives(port: u16) -> Packet {
    Packet::ipv4(ENDS.1, ENDS.0).tcp(50_000, port)
}

/// What a client says to the mapper, where it awaits the answer at 900.
fn asks(data: Vec<u8>, packet: Packet) -> Packet {
    let packet = packet.tcp(50_000, 135).psh().ack();
    packet.sequence(100).acknowledgement(900).data(data)
}

fn answers(data: Vec<u8>, packet: Packet) -> Packet {
    let packet = packet.tcp(135, 50_000).psh().ack();
    packet.sequence(900).acknowledgement(100).data(data)
}

fn asks_from_peer(data: Vec<u8>) -> Packet {
    asks(data, Packet::ipv4(ENDS.1, ENDS.0))
}

fn answers_to_peer(data: Vec<u8>) -> Packet {
    answers(data, Packet::ipv4(ENDS.0, ENDS.1))
}

fn bind() -> Vec<u8> {
    let contexts: [Context<'_>; 2] = [
        (0, rpc::MAPPER, &[rpc::NDR32]),
        (1, rpc::ACTIVATOR, &[rpc::NDR32]),
    ];
    rpc::proposal(Unit::new(11, 1), &contexts)
}

fn question(call: u32, context: u16, operation: u16) -> Vec<u8> {
    rpc::request(Unit::new(0, call), context, operation, &[0; 132])
}

fn mapped() -> Vec<u8> {
    let towers = rpc::towers(false, false, &[rpc::tower(7, OPEN, [0; 4])], 0);
    rpc::response(Unit::new(2, MAP), 0, &towers)
}

/// As long as those of Windows: two pipes, a name and an address.
fn activated() -> Vec<u8> {
    let texts = [
        (15, "\\\\SITE01\\PIPE\\atsvc"),
        (15, "\\\\SITE01\\PIPE\\wkssvc"),
        (7, "site01.corp.example[49700]"),
        (7, "192.0.2.10[49700]"),
    ];
    rpc::response(Unit::new(2, CREATE), 1, &rpc::activated(false, &texts, 0))
}

fn passing(group: &'static str, name: &'static str, packet: Packet) -> Case {
    Case::new(group, name, Hook::Ingress, packet, Service)
}

/// The same packets without tracking, in the same rounds.
pub fn untracked() -> Vec<Case> {
    let group = "RPC, static range";
    let case = |name, port| passing(group, name, arrives(port).syn());
    vec![
        case("another port than 135", 80),
        Case::new(
            group,
            "another port, refused",
            Hook::Ingress,
            arrives(3389).syn(),
            NotAllowed,
        ),
        case("SYN to a port of the range", OPEN),
    ]
}

/// With it.
pub fn cases() -> Vec<Case> {
    let group = "RPC, tracked";
    let known = |case: Case| {
        let case = case.after(Hook::Ingress, asks_from_peer(bind()));
        let case = case.after(Hook::Ingress, asks_from_peer(question(MAP, 0, 3)));
        case.after(Hook::Ingress, asks_from_peer(question(CREATE, 1, 4)))
    };
    let asking = |name, data| known(passing(group, name, asks_from_peer(data)));
    let answering = |name, data| {
        let case = Case::new(group, name, Hook::Egress, answers_to_peer(data), Outbound);
        known(case).at_most(2000)
    };
    let handed_out = known(passing(group, "SYN to an opening", arrives(OPEN).syn()));
    vec![
        passing(group, "another port than 135", arrives(80).syn()),
        Case::new(
            group,
            "another port, refused",
            Hook::Ingress,
            arrives(3389).syn(),
            NotAllowed,
        ),
        passing(group, "SYN to the mapper", arrives(135).syn()),
        handed_out.after(Hook::Egress, answers_to_peer(mapped())),
        Case::new(
            group,
            "SYN to a port that nobody named",
            Hook::Ingress,
            arrives(CLOSED).syn(),
            RpcNotNamed,
        ),
        asking("bind of two interfaces", bind()),
        asking("question of the mapper", question(MAP, 0, 3)),
        answering("answer of the mapper (TC)", mapped()),
        answering("answer of DCOM (TC)", activated()),
    ]
}

/// Clients that ask one after the other.
const CLIENTS: u32 = 100_000;

/// Questions and answers of another client each time, so that each answer opens a port.
pub struct First {
    asked: Series,
    answered: Series,
}

impl First {
    /// Without a round yet.
    pub const fn new() -> Self {
        const fn series(name: &'static str, at_most: Option<u32>) -> Series {
            Series::new(Title {
                group: "RPC, another client each time",
                name,
                at_most,
            })
        }
        Self {
            asked: series("bind and question in one segment", None),
            answered: series("answer that opens a port (TC)", Some(2000)),
        }
    }

    /// One round.
    ///
    /// # Errors
    /// When the kernel refuses, or not every answer opened a port.
    pub fn round(&mut self) -> Result<()> {
        let mut world = World::new(&tracked())?;
        let question = [bind(), question(MAP, 0, 3)].concat();
        let question = asks(question, Packet::ipv4("10.0.0.0", ENDS.0));
        let answer = answers(mapped(), Packet::ipv4(ENDS.0, "10.0.0.0"));
        for (series, hook, at, packet) in [
            (&mut self.asked, Hook::Ingress, PEER_XDP, question),
            (&mut self.answered, Hook::Egress, PEER_EGRESS, answer),
        ] {
            let empty = floor::empty(hook)?;
            let floor = Walk::new(hook, at, empty.as_fd())?;
            let ours = Walk::new(hook, at, world.program(hook)?)?;
            let run = |walk: &Walk| walk_on(walk, hook, &packet, CLIENTS);
            series.add(run(&floor)?, run(&ours)?);
        }
        // A question is known by 24 bits of its hash, so a few look answered already.
        let lacking = u64::from(CLIENTS) - world.handed_out()?;
        ensure!(
            lacking < 10,
            "{lacking} of {CLIENTS} answers opened no port"
        );
        Ok(())
    }

    /// What was measured.
    pub fn series(self) -> [Series; 2] {
        [self.asked, self.answered]
    }
}
