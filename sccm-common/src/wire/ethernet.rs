//! Ethernet II and 802.3, with up to two VLAN tags (IEEE 802.3, 802.1Q).

use super::{OrEnd, Parsed};
use crate::cursor::Cursor;
use crate::reason::Reason;
use core::ops::ControlFlow::{Break, Continue};

/// The network layer behind the link header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Ethertype 0x0800.
    Ipv4,
    /// Ethertype 0x86dd.
    Ipv6,
}

/// Values of the type field (IEEE registration authority).
pub(super) mod ethertype {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const ARP: u16 = 0x0806;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const SLOW: u16 = 0x8809;
    pub(crate) const EAPOL: u16 = 0x888e;
    pub(crate) const SERVICE_VLAN: u16 = 0x88a8;
    pub(crate) const LLDP: u16 = 0x88cc;
    pub(crate) const PTP: u16 = 0x88f7;
    /// Below this the field is the length of an 802.3 frame.
    pub(crate) const FIRST: u16 = 0x0600;
}

/// Group address of the spanning tree bridges.
const BRIDGES: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];

/// Source and destination service access point of spanning tree.
const STP_LLC: [u8; 2] = [0x42, 0x42];

pub(super) const MAX_TAGS: u32 = 2;

/// Bytes from the first of a frame that hold its link header, with both tags and a SNAP header. A
/// power of two.
pub const HEADER: usize = 32;

/// What a link header says of a frame in which no IP packet was found. What is missing is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// To whom, by hardware address, as a number.
    pub destination: u64,
    /// From whom.
    pub source: u64,
    /// The ethertype behind the tags that the parser reads; 0 for an 802.3 frame.
    pub ethertype: u16,
    /// The first two bytes of an 802.3 frame's LLC header (the service access points), as the
    /// highest of this number; all eight bytes, if it is a SNAP header.
    pub llc: u64,
}

/// LLC's service access points and control field before a SNAP id (IEEE 802, 9.2).
const SNAP: u64 = 0xaa_aa03;

/// The bits of [`Header::llc`] that are the service access points.
const ACCESS_POINTS: u64 = 0xffff << 48;

/// Bytes of a tag.
const TAG: usize = 4;

impl Header {
    /// The header of a frame of `length` bytes that [`parse`] has refused; zeros stand behind a
    /// frame that is shorter than `bytes`.
    #[inline(always)]
    pub const fn of(bytes: &[u8; HEADER], length: u32) -> Self {
        // The type field, and what follows it.
        let mut at = 12;
        let mut kind = half(bytes, at);
        while (kind == ethertype::VLAN || kind == ethertype::SERVICE_VLAN)
            && at < 12 + MAX_TAGS as usize * TAG
            && at + 2 + TAG <= length as usize
        {
            at += TAG;
            kind = half(bytes, at);
        }
        let is_llc = kind < ethertype::FIRST;
        let llc = match (is_llc, word(bytes, at + 2)) {
            (false, _) => 0,
            (true, llc) if llc >> 40 == SNAP => llc,
            (true, llc) => llc & ACCESS_POINTS,
        };
        Self {
            destination: word(bytes, 0) >> 16,
            source: word(bytes, 4) & 0xffff_ffff_ffff,
            ethertype: if is_llc { 0 } else { kind },
            llc,
        }
    }

    /// The SNAP id: the organization's number, and the protocol's.
    #[must_use]
    pub const fn snap(&self) -> Option<([u8; 3], u16)> {
        let [_, _, _, a, b, c, high, low] = self.llc.to_be_bytes();
        match self.llc >> 40 == SNAP {
            true => Some(([a, b, c], u16::from_be_bytes([high, low]))),
            false => None,
        }
    }
}

/// Two bytes from `at` on.
#[inline(always)]
const fn half(bytes: &[u8; HEADER], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Eight bytes from `at` on.
#[inline(always)]
const fn word(bytes: &[u8; HEADER], at: usize) -> u64 {
    match bytes.split_at(at).1.first_chunk() {
        Some(word) => u64::from_be_bytes(*word),
        None => 0,
    }
}

/// Reads the link header. A frame that carries no IP ends here, an essential among them.
#[inline(always)]
pub fn parse<C: Cursor>(cursor: &mut C) -> Parsed<Network> {
    let destination: [u8; 6] = cursor.take().or_end(Reason::EthernetTruncated)?;
    let _source: [u8; 6] = cursor.take().or_end(Reason::EthernetTruncated)?;
    let mut kind = u16::from_be_bytes(cursor.take().or_end(Reason::EthernetTruncated)?);
    let mut tags = 0;
    while kind == ethertype::VLAN || kind == ethertype::SERVICE_VLAN {
        if tags == MAX_TAGS {
            return Break(Reason::VlanDepth);
        }
        let tag: [u8; 4] = cursor.take().or_end(Reason::VlanTruncated)?;
        kind = u16::from_be_bytes([tag[2], tag[3]]);
        tags += 1;
    }
    match kind {
        ethertype::IPV4 => Continue(Network::Ipv4),
        ethertype::IPV6 => Continue(Network::Ipv6),
        ethertype::ARP => Break(Reason::Arp),
        ethertype::EAPOL => Break(Reason::Eapol),
        ethertype::LLDP => Break(Reason::Lldp),
        ethertype::SLOW => Break(Reason::SlowProtocol),
        ethertype::PTP => Break(Reason::Ptp),
        length if length < ethertype::FIRST => {
            let llc: [u8; 2] = cursor.take().or_end(Reason::EthernetTruncated)?;
            if destination == BRIDGES && llc == STP_LLC {
                Break(Reason::Stp)
            } else {
                Break(Reason::EthertypeRefused)
            }
        }
        _ => Break(Reason::EthertypeRefused),
    }
}
