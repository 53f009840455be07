//! Frames that are not IP: ARP, the protocols that keep a link alive, and anything else.
//!
//! Each link protocol carries one small real message, so that a capture tool names it.

use std::net::Ipv4Addr;

use super::ethernet::{BROADCAST, DESTINATION, Ethernet};
use super::{MacAddress, Network, Packet, ipv4_address};

#[derive(Clone, Debug)]
pub(super) enum LinkFrame {
    /// An ARP request. The hardware address in it is the frame's source.
    Arp { sender: Ipv4Addr, target: Ipv4Addr },
    /// A frame with an ethertype.
    Type { ethertype: u16, body: Vec<u8> },
    /// An 802.3 frame: the field behind the addresses is the length of what follows.
    Llc { body: Vec<u8> },
}

impl LinkFrame {
    pub(super) fn bytes(&self, ethernet: &Ethernet) -> Vec<u8> {
        match self {
            Self::Arp { sender, target } => {
                // Ethernet, IPv4, address lengths 6 and 4, operation 1.
                let mut body = vec![0, 1, 0x08, 0x00, 6, 4, 0, 1];
                body.extend(ethernet.source);
                body.extend(sender.octets());
                body.extend([0; 6]);
                body.extend(target.octets());
                body
            }
            Self::Type { body, .. } | Self::Llc { body } => body.clone(),
        }
    }

    pub(super) fn type_or_length(&self, body_length: usize) -> u16 {
        match self {
            Self::Arp { .. } => 0x0806,
            Self::Type { ethertype, .. } => *ethertype,
            Self::Llc { .. } => body_length as u16,
        }
    }
}

impl Packet {
    /// A broadcast ARP request: `sender` asks who has `target`.
    #[track_caller]
    pub fn arp_request(sender: &str, target: &str) -> Self {
        let (sender, target) = (ipv4_address(sender), ipv4_address(target));
        Self::new(Network::Link(LinkFrame::Arp { sender, target }), BROADCAST)
    }

    /// A frame of any ethertype; `payload` or `data` fills it.
    pub fn ethertype(ethertype: u16) -> Self {
        Self::link(ethertype, DESTINATION, Vec::new())
    }

    /// An 802.3 frame with an unnumbered LLC header; `payload` or `data` fills it.
    pub fn llc(destination_service: u8, source_service: u8) -> Self {
        let body = vec![destination_service, source_service, 0x03];
        Self::new(Network::Link(LinkFrame::Llc { body }), DESTINATION)
    }

    /// A spanning-tree configuration message (802.1D) in an 802.3 frame.
    pub fn stp_bpdu() -> Self {
        let bridge = [0x80, 0, 0x02, 0, 0, 0, 0, 0x01];
        let mut body = vec![0, 0, 0, 0, 0]; // protocol, version, type, flags
        body.extend(bridge); // root
        body.extend([0, 0, 0, 0]); // cost of the path to the root
        body.extend(bridge); // sender
        body.extend([0x80, 0x01]); // port
        body.extend([0, 0, 20, 0, 2, 0, 15, 0]); // age, maximum age, hello time, forward delay
        Self::llc(0x42, 0x42)
            .destination_mac([0x01, 0x80, 0xc2, 0, 0, 0])
            .data(body)
    }

    /// An EAPOL-Start (802.1X).
    pub fn eapol() -> Self {
        let start = vec![1, 1, 0, 0];
        Self::link(0x888e, [0x01, 0x80, 0xc2, 0, 0, 0x03], start)
    }

    /// An LLDP announcement (802.1AB) with the mandatory elements.
    pub fn lldp() -> Self {
        let mut body = vec![0x02, 7, 4, 0x02, 0, 0, 0, 0, 0x01]; // chassis: a MAC address
        body.extend([0x04, 2, 7, b'1']); // port: locally assigned "1"
        body.extend([0x06, 2, 0, 120]); // time to live
        body.extend([0, 0]); // end
        Self::link(0x88cc, [0x01, 0x80, 0xc2, 0, 0, 0x0e], body)
    }

    /// A link-aggregation message (LACP), one of the "slow protocols" of 802.3.
    pub fn lacp() -> Self {
        let mut body = vec![1, 1]; // subtype, version
        for (element, length) in [(1, 20), (2, 20), (3, 16), (0, 52)] {
            // Actor, partner, collector, end. The end's length field is zero by definition.
            body.extend([element, if element == 0 { 0 } else { length }]);
            body.resize(body.len() + usize::from(length) - 2, 0);
        }
        Self::link(0x8809, [0x01, 0x80, 0xc2, 0, 0, 0x02], body)
    }

    /// A PTP version 2 Sync message (IEEE 1588) directly on Ethernet.
    pub fn ptp() -> Self {
        let mut body = vec![0, 2, 0, 44];
        body.resize(44, 0);
        Self::link(0x88f7, [0x01, 0x1b, 0x19, 0, 0, 0], body)
    }

    fn link(ethertype: u16, destination: MacAddress, body: Vec<u8>) -> Self {
        Self::new(
            Network::Link(LinkFrame::Type { ethertype, body }),
            destination,
        )
    }
}
