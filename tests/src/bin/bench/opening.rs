//! What it costs to open a flow, and to find one among many.
//!
//! Here every packet is of another peer (see [`Walk`]), so that every one opens a flow of its own,
//! and the table's memory is as cold as in a network with many conversations. A round begins with
//! a table of its own, because a flow once written is never new again.

use std::os::fd::AsFd as _;

use anyhow::{Result, ensure};
use sccm_common::flow::DEFAULT_CAPACITY;
use sccm_common::{Hook, Reason};
use sccm_tests::datapath::Settings;
use sccm_tests::packet::Packet;

use crate::floor::{self, Walk};
use crate::series::{Series, Title};
use crate::sys;
use crate::world::World;

/// Flows that are opened in a table with room.
const FLOWS: u32 = 100_000;

/// Where an IPv4 frame without tags names the peer, but for the first byte, which would soon be that
/// of an address that nobody has: the destination of what leaves ...
pub const PEER_EGRESS: i16 = 31;
/// ... and the source of what arrives.
pub const PEER_XDP: i16 = 27;

/// The measurements of this module.
pub struct Opening {
    /// Each flow is new, and there is room.
    opened: Series,
    /// Each packet answers another one of them.
    replies: Series,
    /// Each flow is new, and takes the place of an old one.
    evicting: Series,
}

impl Opening {
    /// Without a round yet.
    pub const fn new() -> Self {
        const fn series(group: &'static str, name: &'static str, at_most: Option<u32>) -> Series {
            Series::new(Title {
                group,
                name,
                at_most,
            })
        }
        let group = "another peer each time";
        Self {
            opened: series(group, "opening a flow (TC)", Some(80)),
            replies: series(group, "reply, one of 100,000 flows", Some(60)),
            evicting: series(group, "opening a flow, table full (TC)", None),
        }
    }

    /// One round.
    ///
    /// # Errors
    /// When the kernel refuses, or not every packet opened a flow.
    pub fn round(&mut self, settings: &Settings) -> Result<()> {
        let mut world = World::new(settings)?;
        let empty = floor::empty(Hook::Egress)?;
        let floor = Walk::new(Hook::Egress, PEER_EGRESS, empty.as_fd())?;
        let ours = Walk::new(Hook::Egress, PEER_EGRESS, world.program(Hook::Egress)?)?;
        let opening = |port: u16| Packet::ipv4("192.0.2.10", "10.0.0.0").tcp(port, 443).syn();
        let open = |walk: &Walk, port, count| walk_on(walk, Hook::Egress, &opening(port), count);

        self.opened
            .add(open(&floor, 40000, FLOWS)?, open(&ours, 40000, FLOWS)?);
        self.replies(&mut world)?;
        // One after the other, so that the table is full before the last begins.
        open(&ours, 40001, 4 * DEFAULT_CAPACITY)?;
        self.evicting
            .add(open(&floor, 40002, FLOWS)?, open(&ours, 40002, FLOWS)?);
        Ok(())
    }

    /// Answers to all flows, which proves that each was opened.
    fn replies(&mut self, world: &mut World) -> Result<()> {
        let empty = floor::empty(Hook::Ingress)?;
        let floor = Walk::new(Hook::Ingress, PEER_XDP, empty.as_fd())?;
        let ours = Walk::new(Hook::Ingress, PEER_XDP, world.program(Hook::Ingress)?)?;
        let answer = Packet::ipv4("10.0.0.0", "192.0.2.10")
            .tcp(443, 40000)
            .syn()
            .ack();
        let run = |walk: &Walk| walk_on(walk, Hook::Ingress, &answer, FLOWS);
        self.replies.add(run(&floor)?, run(&ours)?);
        let answered = world.counted(Reason::Reply)?;
        // Some find their set full, and one of it makes way.
        ensure!(
            answered > u64::from(FLOWS / 100 * 99),
            "{answered} of {FLOWS} flows were there to be answered"
        );
        Ok(())
    }

    /// What was measured.
    pub fn series(self) -> [Series; 3] {
        [self.opened, self.replies, self.evicting]
    }
}

/// Runs a walk whose packets are all to pass, and returns the nanoseconds of each.
pub fn walk_on(walk: &Walk, hook: Hook, packet: &Packet, count: u32) -> Result<u32> {
    let run = sys::test_run(walk.program(), &packet.build(), count)?;
    ensure!(
        run.returned == floor::returned(hook, true),
        "a packet of another peer did not pass: {}",
        run.returned
    );
    Ok(run.nanoseconds)
}
