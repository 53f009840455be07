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
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const VLAN: u16 = 0x8100;
    pub const IPV6: u16 = 0x86dd;
    pub const SLOW: u16 = 0x8809;
    pub const EAPOL: u16 = 0x888e;
    pub const SERVICE_VLAN: u16 = 0x88a8;
    pub const LLDP: u16 = 0x88cc;
    pub const PTP: u16 = 0x88f7;
    /// Below this the field is the length of an 802.3 frame.
    pub const FIRST: u16 = 0x0600;
}

/// Group address of the spanning tree bridges.
const BRIDGES: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];

/// Source and destination service access point of spanning tree.
const STP_LLC: [u8; 2] = [0x42, 0x42];

pub(super) const MAX_TAGS: u32 = 2;

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
