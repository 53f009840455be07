//! Ethernet II and 802.3, with up to two VLAN tags (IEEE 802.3, 802.1Q).

use super::{OrEnd, Parsed};
use crate::cursor::Cursor;
use crate::packet::Packet;
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
    pub(crate) const RARP: u16 = 0x8035;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const SLOW: u16 = 0x8809;
    pub(crate) const EAPOL: u16 = 0x888e;
    pub(crate) const SERVICE_VLAN: u16 = 0x88a8;
    pub(crate) const LLDP: u16 = 0x88cc;
    pub(crate) const MVRP: u16 = 0x88f5;
    pub(crate) const MMRP: u16 = 0x88f6;
    pub(crate) const PTP: u16 = 0x88f7;
    pub(crate) const CFM: u16 = 0x8902;
    /// Below this the field is the length of an 802.3 frame.
    pub(crate) const FIRST: u16 = 0x0600;
}

/// Group addresses of control frames.
mod group {
    /// The spanning tree of bridges (IEEE 802.1Q, table 8-1).
    pub(super) const BRIDGES: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];
    /// The spanning tree of a provider's bridges (table 8-2).
    pub(super) const PROVIDER_BRIDGES: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x08];
    /// Registration of group addresses, and of VLANs (IEEE 802.1D, table 12-1).
    pub(super) const GMRP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x20];
    pub(super) const GVRP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x21];
    /// Registration of VLANs between a provider's bridges.
    pub(super) const PROVIDER_GVRP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x0d];
    /// All that switches of Cisco tell each other but spanning tree.
    pub(super) const CISCO: [u8; 6] = [0x01, 0, 0x0c, 0xcc, 0xcc, 0xcc];
    /// Their spanning tree for each VLAN.
    pub(super) const CISCO_BRIDGES: [u8; 6] = [0x01, 0, 0x0c, 0xcc, 0xcc, 0xcd];
}

/// Source and destination service access point of spanning tree, and of registration.
const BRIDGE_LLC: [u8; 2] = [0x42, 0x42];

/// The same before a SNAP id.
const SNAP_LLC: [u8; 2] = [0xaa, 0xaa];

/// LLC's control field, and the organization, of what switches of Cisco tell each other.
const CISCO: [u8; 4] = [0x03, 0, 0, 0x0c];

/// The protocols of that organization.
mod cisco {
    pub(super) const PAGP: u16 = 0x0104;
    pub(super) const PVST: u16 = 0x010b;
    pub(super) const UDLD: u16 = 0x0111;
    pub(super) const CDP: u16 = 0x2000;
    pub(super) const VTP: u16 = 0x2003;
    pub(super) const DTP: u16 = 0x2004;
}

/// The packet type of MACsec key agreement (IEEE 802.1X-2020, table 11-3).
const EAPOL_MKA: u8 = 5;

/// The operation code of ring protection (ITU-T G.8013, table 9-1).
const RAPS: u8 = 40;

/// A RARP request (RFC 903): addresses of Ethernet and IPv4, their lengths, operation 3.
const RARP_REQUEST: [u8; 8] = [0, 1, 0x08, 0, 6, 4, 0, 3];

/// Bytes of the four addresses behind that.
const RARP_ADDRESSES: u32 = 20;

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

/// Reads the link header. A frame that carries no IP ends here, an essential among them. Into
/// `packet` goes the ethertype of a frame that is refused for it.
#[inline(always)]
pub fn parse<C: Cursor>(cursor: &mut C, packet: &mut Packet) -> Parsed<Network> {
    let destination: [u8; 6] = cursor.take().or_end(Reason::EthernetTruncated)?;
    let _source: [u8; 6] = cursor.take().or_end(Reason::EthernetTruncated)?;
    let mut kind = u16::from_be_bytes(cursor.take().or_end(Reason::EthernetTruncated)?);
    let mut tags = cursor.tags_beside();
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
        ethertype::EAPOL => Break(match second(cursor) {
            Some(EAPOL_MKA) => Reason::Mka,
            _ => Reason::Eapol,
        }),
        ethertype::LLDP => Break(Reason::Lldp),
        ethertype::SLOW => Break(Reason::SlowProtocol),
        ethertype::PTP => Break(Reason::Ptp),
        ethertype::MVRP => Break(Reason::Mvrp),
        ethertype::MMRP => Break(Reason::Mmrp),
        ethertype::CFM => Break(match second(cursor) {
            Some(RAPS) => Reason::Erps,
            _ => Reason::Cfm,
        }),
        length if length < ethertype::FIRST => {
            let points: [u8; 2] = cursor.take().or_end(Reason::EthernetTruncated)?;
            Break(match points {
                BRIDGE_LLC => between_bridges(destination),
                SNAP_LLC => between_switches(cursor, destination),
                _ => Reason::EthertypeRefused,
            })
        }
        ethertype::RARP if is_announcement(cursor) => Break(Reason::Rarp),
        refused => {
            packet.ethertype = refused;
            Break(Reason::EthertypeRefused)
        }
    }
}

/// The second byte behind the link header.
#[inline(always)]
fn second<C: Cursor>(cursor: &mut C) -> Option<u8> {
    let [_, second] = cursor.take()?;
    Some(second)
}

/// What bridges tell each other in 802.3 frames: the group decides.
#[inline(always)]
fn between_bridges(destination: [u8; 6]) -> Reason {
    match destination {
        group::BRIDGES | group::PROVIDER_BRIDGES => Reason::Stp,
        group::GVRP | group::PROVIDER_GVRP => Reason::Mvrp,
        group::GMRP => Reason::Mmrp,
        _ => Reason::EthertypeRefused,
    }
}

/// What switches of Cisco tell each other: a group, and the number of a protocol.
#[inline(always)]
fn between_switches<C: Cursor>(cursor: &mut C, destination: [u8; 6]) -> Reason {
    let (Some(CISCO), Some(protocol)) = (cursor.take(), cursor.take()) else {
        return Reason::EthertypeRefused;
    };
    match (destination, u16::from_be_bytes(protocol)) {
        (group::CISCO_BRIDGES, cisco::PVST) => Reason::Pvst,
        (group::CISCO, cisco::UDLD) => Reason::Udld,
        (group::CISCO, cisco::CDP) => Reason::Cdp,
        (group::CISCO, cisco::VTP) => Reason::Vtp,
        (group::CISCO, cisco::DTP) => Reason::Dtp,
        (group::CISCO, cisco::PAGP) => Reason::Pagp,
        _ => Reason::EthertypeRefused,
    }
}

/// Whether a whole RARP request follows. With it a machine's host, or the machine itself, tells
/// the bridges of a network where it is now.
#[inline(always)]
fn is_announcement<C: Cursor>(cursor: &mut C) -> bool {
    cursor.take() == Some(RARP_REQUEST) && cursor.holds(RARP_ADDRESSES)
}
