//! The two formats, block by block, by the crate `pcap-file`.
//!
//! It finds the blocks. What is in a packet's block is read here, because the crate refuses packets that
//! a short snap length cut off, and reads every time as nanoseconds.

use super::interfaces::Interfaces;
use super::link::{Link, Way};
use super::{LONGEST, Raw};
use anyhow::{Context as _, Result, ensure};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
    SIMPLE_PACKET_BLOCK,
};
use pcap_file::{Endianness, TsResolution};
use std::io::Read;
use std::time::Duration;

/// More bytes of descriptions than a section has: they stay in memory.
const MOST_DESCRIPTION: usize = 1024 * 1024;

const NANOSECONDS: u128 = 1_000_000_000;

/// A file of the older format: one interface, without a name.
pub(super) struct Pcap<R: Read> {
    reader: PcapReader<R>,
    link: u32,
    interface: Option<usize>,
}

impl<R: Read> Pcap<R> {
    pub(super) fn begin(input: R) -> Result<Self> {
        let reader = PcapReader::new(input)?;
        // The upper half says whether frames have their check sequence, which is padding here.
        let link = u32::from(reader.header().datalink) & 0xffff;
        Ok(Self {
            reader,
            link,
            interface: None,
        })
    }

    /// Appends the next packet's bytes to `frame`.
    pub(super) fn next(
        &mut self,
        frame: &mut Vec<u8>,
        interfaces: &mut Interfaces,
    ) -> Result<Option<Raw>> {
        let unit = match self.reader.header().ts_resolution {
            TsResolution::MicroSecond => 1000,
            TsResolution::NanoSecond => 1,
        };
        let Some(packet) = self.reader.next_raw_packet() else {
            return Ok(None);
        };
        let packet = packet?;
        append(frame, &packet.data)?;
        let nanoseconds = u64::from(packet.ts_frac) * unit;
        let at = Duration::from_secs(packet.ts_sec.into()) + Duration::from_nanos(nanoseconds);
        let length = packet.orig_len;
        let interface = match self.interface {
            Some(interface) => interface,
            None => interfaces.named("interface 0")?,
        };
        self.interface = Some(interface);
        Ok(Some(Raw {
            link: Link::of(self.link)?,
            interface,
            at: Some(at),
            way: None,
            length,
        }))
    }
}

/// A pcapng file.
pub(super) struct PcapNg<R: Read> {
    reader: PcapNgReader<R>,
    /// Those of this section, in the order of their numbers.
    described: Vec<Described>,
    /// Bytes of their descriptions.
    bytes: usize,
}

/// An interface of a section.
struct Described {
    /// A number that is refused only when a packet has it.
    link: u32,
    snaplen: u32,
    interface: usize,
    /// Units of time in a second.
    units: u128,
    /// Seconds to be added.
    offset: i64,
}

/// What a block came to.
enum Step {
    Section,
    Interface,
    Packet(Body),
    Other,
}

/// The fields of a packet's block.
struct Body {
    interface: u32,
    ticks: Option<u64>,
    length: u32,
    way: Option<Way>,
}

impl<R: Read> PcapNg<R> {
    pub(super) fn begin(input: R) -> Result<Self> {
        Ok(Self {
            reader: PcapNgReader::new(input)?,
            described: Vec::new(),
            bytes: 0,
        })
    }

    /// Appends the next packet's bytes to `frame`.
    pub(super) fn next(
        &mut self,
        frame: &mut Vec<u8>,
        interfaces: &mut Interfaces,
    ) -> Result<Option<Raw>> {
        loop {
            let order = self.reader.section().endianness;
            // A packet without an interface's number is of the first one.
            let snaplen = self.described.first().map_or(0, |first| first.snaplen);
            let Some(block) = self.reader.next_raw_block() else {
                return Ok(None);
            };
            let block = block?;
            let fields = Fields {
                bytes: &block.body,
                order,
            };
            let length = block.body.len();
            let step = match block.type_ {
                SECTION_HEADER_BLOCK => Step::Section,
                INTERFACE_DESCRIPTION_BLOCK => Step::Interface,
                ENHANCED_PACKET_BLOCK => Step::Packet(fields.enhanced(frame)?),
                PACKET_BLOCK => Step::Packet(fields.packet(frame)?),
                SIMPLE_PACKET_BLOCK => Step::Packet(fields.simple(frame, snaplen)?),
                _ => Step::Other,
            };
            match step {
                Step::Section => {
                    self.described.clear();
                    self.bytes = 0;
                }
                Step::Interface => {
                    self.bytes += length;
                    ensure!(
                        self.bytes <= MOST_DESCRIPTION,
                        "more than a mebibyte of descriptions of interfaces: no capture has so many"
                    );
                    let last = self.reader.interfaces().last();
                    let block = last.context("an interface without a description")?;
                    let number = self.described.len();
                    self.described
                        .push(Described::new(block, number, interfaces)?);
                }
                Step::Packet(body) => return self.raw(&body).map(Some),
                Step::Other => {}
            }
        }
    }

    fn raw(&self, body: &Body) -> Result<Raw> {
        let described = self.described.get(body.interface as usize);
        let described = described.with_context(|| {
            format!(
                "of interface {}, which the file does not describe",
                body.interface
            )
        })?;
        Ok(Raw {
            link: Link::of(described.link)?,
            interface: described.interface,
            at: body.ticks.map(|ticks| described.time(ticks)),
            way: body.way,
            length: body.length,
        })
    }
}

impl Described {
    fn new(
        block: &InterfaceDescriptionBlock<'_>,
        number: usize,
        interfaces: &mut Interfaces,
    ) -> Result<Self> {
        const MICROSECONDS: u128 = 1_000_000;
        let (mut name, mut units, mut offset) = (None, MICROSECONDS, 0);
        for option in &block.options {
            match option {
                InterfaceDescriptionOption::IfName(given) => name = Some(given.as_ref()),
                InterfaceDescriptionOption::IfTsResol(resolution) => {
                    let power = u32::from(resolution & 0x7f);
                    let base = if resolution & 0x80 == 0 { 10_u128 } else { 2 };
                    // Finer than any clock: all times are the beginning then.
                    units = base.checked_pow(power).unwrap_or(u128::MAX);
                }
                InterfaceDescriptionOption::IfTsOffset(seconds) => offset = seconds.cast_signed(),
                _ => {}
            }
        }
        let interface = match name {
            Some(name) => interfaces.named(name)?,
            None => interfaces.named(&format!("interface {number}"))?,
        };
        Ok(Self {
            link: block.linktype.into(),
            snaplen: block.snaplen,
            interface,
            units,
            offset,
        })
    }

    /// A time since 1970; what is before or beyond all clocks is their end.
    fn time(&self, ticks: u64) -> Duration {
        let nanoseconds = u128::from(ticks) * NANOSECONDS / self.units;
        let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
        let offset = Duration::from_secs(self.offset.unsigned_abs());
        let at = Duration::from_nanos(nanoseconds);
        match self.offset < 0 {
            true => at.saturating_sub(offset),
            false => at.saturating_add(offset),
        }
    }
}

/// The body of a block.
struct Fields<'a> {
    bytes: &'a [u8],
    order: Endianness,
}

impl Fields<'_> {
    fn u32(&self, at: usize) -> Result<u32> {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        let bytes = *bytes.context("a block is shorter than its fields")?;
        Ok(match self.order {
            Endianness::Big => u32::from_be_bytes(bytes),
            Endianness::Little => u32::from_le_bytes(bytes),
        })
    }

    fn u16(&self, at: usize) -> Result<u16> {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        let bytes = *bytes.context("a block is shorter than its fields")?;
        Ok(match self.order {
            Endianness::Big => u16::from_be_bytes(bytes),
            Endianness::Little => u16::from_le_bytes(bytes),
        })
    }

    /// An enhanced packet block.
    fn enhanced(&self, frame: &mut Vec<u8>) -> Result<Body> {
        let interface = self.u32(0)?;
        self.timed(interface, frame)
    }

    /// A packet block, which older programs wrote: the interface's number is shorter, and the
    /// number of lost packets stands behind it.
    fn packet(&self, frame: &mut Vec<u8>) -> Result<Body> {
        let interface = u32::from(self.u16(0)?);
        self.timed(interface, frame)
    }

    fn timed(&self, interface: u32, frame: &mut Vec<u8>) -> Result<Body> {
        const DATA: usize = 20;
        let ticks = u64::from(self.u32(4)?) << 32 | u64::from(self.u32(8)?);
        let (captured, length) = (self.u32(12)? as usize, self.u32(16)?);
        let end = DATA.saturating_add(captured);
        let data = self.bytes.get(DATA..end);
        append(frame, data.context("a packet is longer than its block")?)?;
        Ok(Body {
            interface,
            ticks: Some(ticks),
            length,
            way: self.way(end.next_multiple_of(4)),
        })
    }

    /// A simple packet block: how much of the packet is there follows from the snap length.
    fn simple(&self, frame: &mut Vec<u8>, snaplen: u32) -> Result<Body> {
        let length = self.u32(0)?;
        let captured = match snaplen {
            0 => length,
            snaplen => length.min(snaplen),
        };
        let data = self.bytes.get(4..4_usize.saturating_add(captured as usize));
        append(frame, data.context("a packet is longer than its block")?)?;
        Ok(Body {
            interface: 0,
            ticks: None,
            length,
            way: None,
        })
    }

    /// The direction of `epb_flags`, among the options that begin at `at`; other options, also
    /// broken ones, say nothing.
    fn way(&self, mut at: usize) -> Option<Way> {
        const END: u16 = 0;
        const FLAGS: u16 = 2;
        loop {
            let (code, length) = (self.u16(at).ok()?, self.u16(at + 2).ok()?);
            match (code, length) {
                (END, _) => return None,
                (FLAGS, 4) => {
                    return match self.u32(at + 4).ok()? & 0b11 {
                        1 => Some(Way::Arrived),
                        2 => Some(Way::Left),
                        _ => None,
                    };
                }
                _ => at += 4 + usize::from(length).next_multiple_of(4),
            }
        }
    }
}

fn append(frame: &mut Vec<u8>, data: &[u8]) -> Result<()> {
    ensure!(
        data.len() <= LONGEST,
        "{} bytes long, more than any packet: the file is damaged",
        data.len()
    );
    frame.extend_from_slice(data);
    Ok(())
}
