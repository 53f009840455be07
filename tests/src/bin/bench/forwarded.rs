//! What a packet that the machine forwards costs where it goes out, after it was judged where it
//! came in.

use std::os::fd::AsFd as _;

use anyhow::{Result, ensure};
use sccm_agent::kernel::IngressAt;
use sccm_common::{Hook, Place};
use sccm_tests::datapath::Settings;
use sccm_tests::packet::Packet;

use crate::floor;
use crate::series::{Series, Title};
use crate::sys;
use crate::world::World;

/// Packets of a run.
const REPEAT: u32 = 1_000_000;

/// The number of the interface through which they came in.
const UPLINK: u32 = 7;

/// A gateway's segment, and what was measured there.
pub struct Forwarded {
    world: World,
    series: [(bool, Series); 2],
}

impl Forwarded {
    /// Without a round yet.
    pub fn new(gateway: &Settings) -> Result<Self> {
        let series = |name| {
            Series::new(Title {
                group: "forwarded into the segment, judged before (TC)",
                name,
                at_most: None,
            })
        };
        Ok(Self {
            world: World::at(gateway, Place::Segment, IngressAt::Tc)?,
            series: [
                (false, series("IPv4 TCP")),
                (true, series("IPv4 TCP, on a machine that translates")),
            ],
        })
    }

    /// One round.
    ///
    /// # Errors
    /// When the kernel refuses, or the program judged a packet again.
    pub fn round(&mut self) -> Result<()> {
        let packet = Packet::ipv4("198.51.100.7", "192.0.2.10").tcp(50000, 80);
        let packet = packet.ack().payload(64).build();
        let empty = floor::empty(Hook::Egress)?;
        for (translates, series) in &mut self.series {
            self.world.came_in_by(UPLINK, Place::Uplink, *translates)?;
            let floor = sys::test_run_from(empty.as_fd(), &packet, UPLINK, REPEAT)?;
            let before = self.world.counted_altogether()?;
            let program = self.world.program(Hook::Egress)?;
            let run = sys::test_run_from(program, &packet, UPLINK, REPEAT)?;
            ensure!(
                run.returned == floor::returned(Hook::Egress, true),
                "a packet that was judged did not go on: {}",
                run.returned
            );
            let counted = self.world.counted_altogether()? - before;
            ensure!(counted == 0, "{counted} packets were judged twice");
            series.add(floor.nanoseconds, run.nanoseconds);
        }
        Ok(())
    }

    /// What was measured.
    pub fn series(self) -> impl Iterator<Item = Series> {
        self.series.into_iter().map(|(_, series)| series)
    }
}
