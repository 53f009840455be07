//! What each link type puts before a packet, and the Ethernet header that stands for it.

use anyhow::{Result, bail};

/// Link types, as <https://www.tcpdump.org/linktypes.html> numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Ethernet,
    /// `LINKTYPE_LINUX_SLL`: what "any" was on older machines.
    Cooked,
    /// `LINKTYPE_LINUX_SLL2`.
    Cooked2,
    /// IPv4 or IPv6, and nothing before it.
    Ip,
}

/// Which way a packet went through the interface, where the file says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Arrived,
    Left,
}

/// What stands before a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Before {
    /// Bytes of the file that the Ethernet header replaces.
    pub replaced: usize,
    pub ethernet: Option<[u8; ETHERNET]>,
    pub way: Option<Way>,
    /// The number of the interface, where the packet itself says so.
    pub interface: Option<u32>,
}

/// Bytes of an Ethernet header.
pub(super) const ETHERNET: usize = 14;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

impl Link {
    /// The one of this number.
    ///
    /// # Errors
    /// One that is not read, by name.
    pub(super) fn of(number: u32) -> Result<Self> {
        Ok(match number {
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            113 => Self::Cooked,
            276 => Self::Cooked2,
            _ => bail!(
                "is of link type {}: only Ethernet, Linux cooked (v1, v2) and raw IP are read. Capture at \
                 a wired interface, or at \"any\"",
                name(number)
            ),
        })
    }

    /// What stands before the packet in `data`; `None` if `data` ends within it.
    pub(super) fn before(self, data: &[u8]) -> Option<Before> {
        let plain = Before {
            replaced: 0,
            ethernet: None,
            way: None,
            interface: None,
        };
        match self {
            Self::Ethernet => Some(plain),
            Self::Ip => {
                let ethertype = match data.first()? >> 4 {
                    6 => IPV6,
                    // Of another version: the verdict says so.
                    _ => IPV4,
                };
                Some(Before {
                    ethernet: Some(header([0; 6], [0; 6], ethertype)),
                    ..plain
                })
            }
            Self::Cooked => {
                let head: &[u8; 16] = data.first_chunk()?;
                let kind = u16::from_be_bytes([head[0], head[1]]);
                let length = u16::from_be_bytes([head[4], head[5]]);
                let protocol = u16::from_be_bytes([head[14], head[15]]);
                let address = *head[6..].first_chunk()?;
                Some(cooked(16, kind, (length, address), protocol, data.len()))
            }
            Self::Cooked2 => {
                let head: &[u8; 20] = data.first_chunk()?;
                let protocol = u16::from_be_bytes([head[0], head[1]]);
                let interface = u32::from_be_bytes(*head[4..].first_chunk()?);
                let (kind, length) = (u16::from(head[10]), u16::from(head[11]));
                let address = *head[12..].first_chunk()?;
                Some(Before {
                    interface: Some(interface),
                    ..cooked(20, kind, (length, address), protocol, data.len())
                })
            }
        }
    }
}

/// Who a cooked packet was for: `sll_pkttype` of packet(7).
fn cooked(
    replaced: usize,
    kind: u16,
    (length, address): (u16, [u8; 8]),
    protocol: u16,
    whole: usize,
) -> Before {
    const BROADCAST: u16 = 1;
    const MULTICAST: u16 = 2;
    const OUTGOING: u16 = 4;
    /// Below it, the field of Ethernet is a length (IEEE 802.3, 3.2.6), and LLC follows.
    const LEAST_ETHERTYPE: u16 = 0x600;
    let source = match (length, address) {
        (6, [a, b, c, d, e, f, ..]) => [a, b, c, d, e, f],
        _ => [0; 6],
    };
    let destination = match kind {
        BROADCAST => [0xff; 6],
        // Some group: which one is not in the file.
        MULTICAST => [0x01, 0, 0, 0, 0, 0],
        _ => [0; 6],
    };
    let ethertype = match protocol < LEAST_ETHERTYPE {
        true => u16::try_from(whole - replaced).map_or(0, |length| length.min(1500)),
        false => protocol,
    };
    Before {
        replaced,
        ethernet: Some(header(destination, source, ethertype)),
        way: Some(match kind {
            OUTGOING => Way::Left,
            _ => Way::Arrived,
        }),
        interface: None,
    }
}

fn header(destination: [u8; 6], source: [u8; 6], ethertype: u16) -> [u8; ETHERNET] {
    let mut header = [0; ETHERNET];
    header[..6].copy_from_slice(&destination);
    header[6..12].copy_from_slice(&source);
    header[12..].copy_from_slice(&ethertype.to_be_bytes());
    header
}

/// Names of those that people meet.
fn name(number: u32) -> String {
    let name = match number {
        0 | 108 => "BSD loopback",
        9 | 50 => "PPP",
        51 => "PPPoE",
        105 => "802.11",
        119 => "802.11 with Prism header",
        127 => "802.11 with radiotap header",
        163 => "802.11 with AVS header",
        148 | 186 | 189 | 220 | 249 => "USB",
        187 | 201 | 251 | 255 => "Bluetooth",
        239 => "nflog",
        253 => "netlink",
        _ => return format!("{number}"),
    };
    format!("{name} ({number})")
}
