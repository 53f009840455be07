//! Packets as pcapng blocks (draft-ietf-opsawg-pcapng), by the crate `pcap-file`.
//!
//! An interface is described before its first packet. Times are in nanoseconds, which each
//! description says.

use super::Output;
use crate::blocked::Names;
use crate::kernel::Dropped;
use anyhow::{Context as _, Result};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use sccm_common::capture::{About, mark};
use sccm_common::{Reason, ServiceClass};
use std::borrow::Cow;
use std::time::Duration;

/// Bytes of the two addresses that a VLAN tag stands behind.
const ADDRESSES: usize = 12;

/// Bytes of a tag.
const TAG: u32 = 4;

/// Units of time, as a negative power of ten.
const NANOSECONDS: u8 = 9;

/// Writes packets.
pub struct Writer {
    /// Collects blocks until they are written together.
    blocks: PcapNgWriter<Vec<u8>>,
    output: Output,
    snaplen: u32,
    /// The interfaces that are described, in the order of their numbers in the file.
    described: Vec<Described>,
}

impl Writer {
    /// Writes the file's head.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(output: Output, snaplen: u32) -> Result<Self> {
        let application = concat!("sccm-agent ", env!("CARGO_PKG_VERSION"));
        let head = SectionHeaderBlock {
            options: vec![SectionHeaderOption::UserApplication(application.into())],
            ..SectionHeaderBlock::default()
        };
        let blocks = PcapNgWriter::with_section_header(Vec::new(), head);
        let mut writer = Self {
            blocks: blocks.context("writing the file's head")?,
            output,
            snaplen,
            described: Vec::new(),
        };
        writer.flush()?;
        Ok(writer)
    }

    /// Adds a packet of the time `at` since 1970; false if the file would become larger than
    /// `size` bytes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(
        &mut self,
        dropped: &Dropped,
        at: Duration,
        names: &Names,
        size: u64,
    ) -> Result<bool> {
        let before = (self.blocks.get_ref().len(), self.described.len());
        let about = dropped.header.about;
        let interface_id = self.interface(Described::of(about), names)?;
        let (data, added) = tagged(dropped);
        let packet = EnhancedPacketBlock {
            interface_id,
            timestamp: at,
            original_len: dropped.header.length + added,
            data,
            options: vec![
                EnhancedPacketOption::Comment(comment(about, names).into()),
                EnhancedPacketOption::Flags(direction_flag(about)),
            ],
        };
        self.blocks
            .write_pcapng_block(packet)
            .context("writing a packet")?;
        let collected = self.blocks.get_ref().len() as u64;
        if self.output.written() + collected > size {
            self.blocks.get_mut().truncate(before.0);
            self.described.truncate(before.1);
            return Ok(false);
        }
        Ok(true)
    }

    /// Writes what is collected; false if the reader has gone.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<bool> {
        let blocks = std::mem::take(self.blocks.get_mut());
        self.output.write(&blocks)
    }

    /// Writes what is collected, and tells how many bytes there are in all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<u64> {
        self.flush()?;
        Ok(self.output.written())
    }

    /// The number of an interface in the file, which describes it first.
    fn interface(&mut self, one: Described, names: &Names) -> Result<u32> {
        if let Some(known) = self.described.iter().position(|known| *known == one) {
            return Ok(u32::try_from(known)?);
        }
        let name = names.interfaces.get(&u32::from(one.slot)).cloned();
        let name = name.unwrap_or_else(|| one.slot.to_string());
        let interface = InterfaceDescriptionBlock {
            linktype: match one.has_link {
                true => DataLink::ETHERNET,
                false => DataLink::RAW,
            },
            snaplen: self.snaplen + TAG,
            options: vec![
                InterfaceDescriptionOption::IfName(name.into()),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        self.blocks
            .write_pcapng_block(interface)
            .context("describing an interface")?;
        self.described.push(one);
        Ok(u32::try_from(self.described.len() - 1)?)
    }
}

/// An interface that is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Described {
    slot: u8,
    /// Its frames have an Ethernet header.
    has_link: bool,
}

impl Described {
    const fn of(about: About) -> Self {
        Self {
            slot: about.slot,
            has_link: about.marks & mark::NO_LINK == 0,
        }
    }
}

/// The packet's bytes, with the VLAN tag that the kernel kept beside them, and how many
/// bytes that are more.
fn tagged(dropped: &Dropped) -> (Cow<'_, [u8]>, u32) {
    let (bytes, tag) = (dropped.bytes.as_slice(), dropped.header.tag.to_be_bytes());
    match bytes.split_at_checked(ADDRESSES) {
        Some((addresses, rest)) if dropped.header.tag != 0 => {
            let whole = [addresses, &tag, rest].concat();
            (whole.into(), TAG)
        }
        _ => (bytes.into(), 0),
    }
}

/// Why a packet was refused, for whoever looks at it.
fn comment(about: About, names: &Names) -> String {
    let has = |mark| about.marks & mark != 0;
    let outcome = if has(mark::OBSERVED) {
        "would be dropped"
    } else {
        "dropped"
    };
    let direction = if has(mark::OUTBOUND) {
        "outbound"
    } else {
        "inbound"
    };
    let Some(reason) = Reason::from_number(about.reason) else {
        return format!("{outcome} {direction}: reason {}", about.reason);
    };
    let service = match reason.service_row() {
        None => String::new(),
        Some(_) => match names.services.get(ServiceClass(about.service)) {
            Some(name) => format!(" ({} {})", name.protocol, name.service),
            None => format!(" (service {})", about.service),
        },
    };
    let why = reason.explanation();
    format!("{outcome} {direction}: {}{service}. {why}", reason.label())
}

/// Which way the packet went through the interface (`epb_flags`).
const fn direction_flag(about: About) -> u32 {
    const ARRIVED: u32 = 1;
    const LEFT: u32 = 2;
    match about.marks & mark::LEAVING {
        0 => ARRIVED,
        _ => LEFT,
    }
}

#[cfg(test)]
mod tests;
