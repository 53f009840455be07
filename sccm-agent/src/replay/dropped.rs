//! The packets that would be dropped, as `sccm-agent capture` writes those that were.

use crate::blocked::Names;
use crate::capture::read::Frame;
use crate::capture::{Target, Writer};
use crate::changed::Changed;
use crate::kernel::Dropped;
use crate::policy::ServiceNames;
use anyhow::{Context as _, Result};
use sccm_common::Verdict;
use sccm_common::capture::{About, Header, mark};
use sccm_common::counter::Direction;

/// More than any packet has.
const SNAPLEN: u32 = 262_144;

/// Packets that are written at once.
const TOGETHER: u64 = 256;

/// A file of them.
pub struct DroppedFile {
    writer: Writer,
    names: Names,
    packets: u64,
}

impl DroppedFile {
    /// Makes the file.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn begin(target: &Target, services: &ServiceNames) -> Result<Self> {
        let names = Names {
            services: services.clone(),
            ..Names::default()
        };
        let writer = Writer::begin(target.open()?, SNAPLEN).context(Changed)?;
        Ok(Self {
            writer,
            names,
            packets: 0,
        })
    }

    pub(super) fn add(
        &mut self,
        frame: &Frame<'_>,
        direction: Direction,
        verdict: Verdict,
    ) -> Result<()> {
        let outbound = match direction {
            Direction::Inbound => 0,
            Direction::Outbound => mark::OUTBOUND | mark::LEAVING,
        };
        let dropped = Dropped {
            header: Header {
                about: About {
                    reason: verdict.reason as u8,
                    service: verdict.service.0,
                    slot: self.slot(frame.interface_name),
                    marks: mark::OBSERVED | outbound,
                },
                length: frame.length,
                ..Header::default()
            },
            bytes: frame.bytes.to_vec(),
        };
        let added = self.writer.add(&dropped, frame.at, &self.names, u64::MAX);
        added.context(Changed)?;
        self.packets += 1;
        if self.packets.is_multiple_of(TOGETHER) {
            self.writer.flush().context(Changed)?;
        }
        Ok(())
    }

    /// Writes the rest, and tells how many packets there are.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self) -> Result<u64> {
        self.writer.finish().context(Changed)?;
        Ok(self.packets)
    }

    /// The number under which the writer knows an interface. The last one is for all that are too many.
    fn slot(&mut self, interface: &str) -> u8 {
        let known = &mut self.names.interfaces;
        let found = known.iter().find(|(_, name)| *name == interface);
        if let Some((slot, _)) = found {
            return u8::try_from(*slot).unwrap_or(u8::MAX);
        }
        let slot = u8::try_from(known.len()).unwrap_or(u8::MAX);
        known
            .entry(slot.into())
            .or_insert_with(|| interface.to_owned());
        slot
    }
}
