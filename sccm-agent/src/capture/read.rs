//! Capture files: pcap and pcapng, also packed, as one row of Ethernet frames.
//!
//! A file may be anything: cut off, damaged, of another kind, or without an end. At most one block is
//! in memory at a time, and what is wrong is said with the number of the packet.

mod block;
mod input;
mod interfaces;
mod link;

pub use link::Way;

use anyhow::{Context as _, Result, anyhow, bail};
use block::{Pcap, PcapNg};
use input::{Input, Magic, Progress};
use interfaces::Interfaces;
use link::{ETHERNET, Link};
use pcap_file::PcapError;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// More bytes than a packet can have (BIG TCP): a longer one was never sent.
const LONGEST: usize = 1024 * 1024;

/// A packet of the file, as an Ethernet frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number in the file, from 1 on, as Wireshark counts.
    pub number: u64,
    /// Which one of [`Reader::interfaces`] it was seen at.
    pub interface: usize,
    /// The name of that one.
    pub interface_name: &'a str,
    /// When it was seen, since 1970. A packet without a time has that of the packet before it.
    pub at: Duration,
    /// Which way it went, if the file says so.
    pub way: Option<Way>,
    /// What the file has of it.
    pub bytes: &'a [u8],
    /// Bytes that it had; fewer are in the file if it was cut off.
    pub length: u32,
}

impl Frame<'_> {
    /// Whether the file has only its beginning.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        (self.bytes.len() as u64) < u64::from(self.length)
    }
}

/// Reads a capture file.
pub struct Reader {
    format: Format,
    progress: Rc<Progress>,
    interfaces: Interfaces,
    number: u64,
    at: Duration,
    frame: Vec<u8>,
    ended_early: bool,
}

enum Format {
    Pcap(Pcap<Input>),
    PcapNg(PcapNg<Input>),
}

/// A packet as the file has it; its bytes are handed over beside it.
struct Raw {
    link: Link,
    interface: usize,
    at: Option<Duration>,
    way: Option<Way>,
    length: u32,
}

impl Reader {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = input::open(path).and_then(|(source, size)| Self::new(source, size));
        opened.with_context(|| path.display().to_string())
    }

    /// Reads what comes from `source`, of `size` bytes, or 0 if nobody knows.
    ///
    /// # Errors
    /// It is no capture.
    pub fn new(source: Box<dyn Read>, size: u64) -> Result<Self> {
        let (input, magic) = Input::new(source, size)?;
        let progress = input.progress();
        let Some(magic) = magic else {
            bail!("ends before it says what it is: it is no capture");
        };
        let format = Format::begin(input, magic).map_err(|error| {
            match is_at_the_end(&error, &progress) {
                true => anyhow!("ends within its head: there are no packets in it"),
                false => in_words(error),
            }
        })?;
        Ok(Self {
            format,
            progress,
            interfaces: Interfaces::default(),
            number: 0,
            at: Duration::ZERO,
            frame: Vec::new(),
            ended_early: false,
        })
    }

    /// The next packet; `None` at the end.
    ///
    /// # Errors
    /// The file is damaged, or has packets of a link type that is not read.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        self.frame.clear();
        // The place of an Ethernet header that may be missing.
        self.frame.resize(ETHERNET, 0);
        let next = match &mut self.format {
            Format::Pcap(file) => file.next(&mut self.frame, &mut self.interfaces),
            Format::PcapNg(file) => file.next(&mut self.frame, &mut self.interfaces),
        };
        let raw = match next {
            Ok(Some(raw)) => raw,
            Ok(None) => {
                self.ended_early = self.progress.is_cut();
                return Ok(None);
            }
            Err(error) if is_at_the_end(&error, &self.progress) => {
                self.ended_early = true;
                return Ok(None);
            }
            Err(error) => {
                let packet = format!("packet {}", self.number + 1);
                return Err(in_words(error).context(packet));
            }
        };
        self.number += 1;
        self.at = raw.at.unwrap_or(self.at);
        self.framed(raw).map(Some)
    }

    /// The names of the interfaces that the file has named so far.
    #[must_use]
    pub fn interfaces(&self) -> &[String] {
        self.interfaces.names()
    }

    /// Whether the file ended within a packet, or within what is packed: whoever wrote it was
    /// interrupted. All whole packets were read.
    #[must_use]
    pub const fn ended_early(&self) -> bool {
        self.ended_early
    }

    /// Bytes of the file that were read, and all that it has: 0 if nobody knows.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        self.progress.of()
    }

    /// Puts an Ethernet header before the packet in `self.frame`, unless it has one.
    fn framed(&mut self, raw: Raw) -> Result<Frame<'_>> {
        let data = self.frame.get(ETHERNET..).unwrap_or_default();
        let had = u64::from(raw.length).max(data.len() as u64);
        let mut frame = Frame {
            number: self.number,
            interface: raw.interface,
            interface_name: "",
            at: self.at,
            way: raw.way,
            bytes: &[],
            length: u32::try_from(had).unwrap_or(u32::MAX),
        };
        let Some(before) = raw.link.before(data) else {
            // Cut off before the packet begins.
            frame.length = frame.length.max(1);
            frame.interface_name = self.interfaces.name(frame.interface);
            return Ok(frame);
        };
        frame.way = raw.way.or(before.way);
        if let Some(index) = before.interface {
            frame.interface = self.interfaces.indexed(index)?;
        }
        let mut begins = ETHERNET;
        if let Some(header) = before.ethernet {
            begins = before.replaced;
            if let Some(place) = self.frame.get_mut(begins..begins + ETHERNET) {
                place.copy_from_slice(&header);
            }
            let length = had - before.replaced as u64 + ETHERNET as u64;
            frame.length = u32::try_from(length).unwrap_or(u32::MAX);
        }
        frame.bytes = self.frame.get(begins..).unwrap_or_default();
        frame.interface_name = self.interfaces.name(frame.interface);
        Ok(frame)
    }
}

impl Format {
    fn begin(input: Input, magic: Magic) -> Result<Self> {
        Ok(match magic {
            [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0xd4, 0xc3, 0xb2, 0xa1]
            | [0x4d, 0x3c, 0xb2, 0xa1] => Self::Pcap(Pcap::begin(input)?),
            [0x0a, 0x0d, 0x0d, 0x0a] => Self::PcapNg(PcapNg::begin(input)?),
            _ => bail!(
                "is no pcap or pcapng file: make one with `tcpdump -w` or `dumpcap`, or turn another \
                 capture into one with `editcap -F pcapng IN OUT`"
            ),
        })
    }
}

/// Whether the file ended where something should have followed. (The crate says the same of a block
/// that is larger than its buffer, while there is more to read.)
fn is_at_the_end(error: &anyhow::Error, progress: &Progress) -> bool {
    is_unexpected_end(error) && progress.is_drained()
}

fn is_unexpected_end(error: &anyhow::Error) -> bool {
    let Some(PcapError::IoError(error)) = error.downcast_ref() else {
        return false;
    };
    error.kind() == ErrorKind::UnexpectedEof
}

fn in_words(error: anyhow::Error) -> anyhow::Error {
    if is_unexpected_end(&error) {
        return anyhow!("a block of more than 8 MB: the file is damaged");
    }
    match error.downcast::<PcapError>() {
        Ok(PcapError::IoError(error)) => anyhow!("cannot be read, or unpacked: {error}"),
        Ok(error) => anyhow!("the file is damaged here: {error}"),
        Err(other) => other,
    }
}

#[cfg(test)]
mod tests;
