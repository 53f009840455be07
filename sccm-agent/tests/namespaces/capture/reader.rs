//! Reads a capture with the crate that wrote it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};

/// A packet of a file.
#[derive(Debug)]
pub struct Captured {
    pub interface: String,
    /// What its bytes begin with.
    pub link: DataLink,
    pub at: Duration,
    pub length: u32,
    pub data: Vec<u8>,
    pub comment: String,
    pub flags: u32,
}

/// Reads a file, which must hold whole blocks only.
pub fn read(path: &Path) -> Result<Vec<Captured>> {
    let mut reader = PcapNgReader::new(File::open(path)?)?;
    let (mut interfaces, mut packets) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block? {
            Block::InterfaceDescription(block) => {
                let options = || block.options.iter();
                let name = options().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.clone().into_owned()),
                    _ => None,
                });
                ensure!(
                    options().any(|one| *one == InterfaceDescriptionOption::IfTsResol(9)),
                    "times are not in nanoseconds"
                );
                let name = name.context("an interface without a name")?;
                interfaces.push((name, block.linktype));
            }
            Block::EnhancedPacket(block) => {
                let (interface, link) = interfaces[block.interface_id as usize].clone();
                let mut packet = Captured {
                    interface,
                    link,
                    at: block.timestamp,
                    length: block.original_len,
                    data: block.data.to_vec(),
                    comment: String::new(),
                    flags: 0,
                };
                for option in block.options {
                    match option {
                        EnhancedPacketOption::Comment(text) => packet.comment = text.into_owned(),
                        EnhancedPacketOption::Flags(flags) => packet.flags = flags,
                        _ => {}
                    }
                }
                packets.push(packet);
            }
            other => ensure!(matches!(other, Block::SectionHeader(_)), "{other:?}"),
        }
    }
    Ok(packets)
}
