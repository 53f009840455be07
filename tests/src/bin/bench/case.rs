//! One packet, run again and again, beside the empty program.
//!
//! Why the packet passed or was dropped is checked against the kernel's counters in every round, so
//! that no case measures anything but what it says.

use std::os::fd::AsFd as _;

use anyhow::{Result, ensure};
use sccm_common::{Hook, Reason};
use sccm_tests::packet::Packet;

use crate::floor;
use crate::series::Title;
use crate::sys;
use crate::world::World;

/// Packets of a run.
const REPEAT: u32 = 1_000_000;

/// What a packet costs at a hook.
#[derive(Clone)]
pub struct Case {
    /// What is measured.
    pub title: Title,
    hook: Hook,
    /// Packets before it, which make the state that it meets.
    before: Vec<(Hook, Packet)>,
    packet: Packet,
    reason: Reason,
}

impl Case {
    /// A packet that ends at a hook for this reason.
    pub fn new(
        group: &'static str,
        name: &'static str,
        hook: Hook,
        packet: Packet,
        reason: Reason,
    ) -> Self {
        Self {
            title: Title {
                group,
                name,
                at_most: None,
            },
            hook,
            before: Vec::new(),
            packet,
            reason,
        }
    }

    /// Runs this packet before, once a round: it makes the state that the case meets.
    pub fn after(mut self, hook: Hook, packet: Packet) -> Self {
        self.before.push((hook, packet));
        self
    }

    /// Names the figure that the project aims at.
    pub fn at_most(mut self, nanoseconds: u32) -> Self {
        self.title.at_most = Some(nanoseconds);
        self
    }

    /// Runs the floor and the case, and returns what each took for a packet, in nanoseconds.
    ///
    /// # Errors
    /// When the kernel refuses, and when the packets meet another fate than expected.
    pub fn measure(&self, world: &mut World) -> Result<(u32, u32)> {
        let name = self.title.name;
        for (hook, packet) in &self.before {
            world.run(*hook, packet, 1)?;
        }
        let kind = world.kind(self.hook);
        let empty = floor::empty(kind)?;
        let empty = sys::test_run(empty.as_fd(), &self.packet.build(), REPEAT)?;
        let counted = world.counted(self.reason)?;
        let run = world.run(self.hook, &self.packet, REPEAT)?;
        let counted = world.counted(self.reason)? - counted;
        ensure!(
            counted == u64::from(REPEAT),
            "{name}: {counted} of {REPEAT} packets ended as {:?}",
            self.reason
        );
        ensure!(
            run.returned == floor::returned(kind, self.reason.passes()),
            "{name}: the program returned {}",
            run.returned
        );
        Ok((empty.nanoseconds, run.nanoseconds))
    }
}
