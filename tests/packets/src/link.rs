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

    /// A frame of MACsec key agreement (802.1X, EAPOL-MKA).
    pub fn mka() -> Self {
        let body = vec![3, 5, 0, 4, 1, 0, 0, 0];
        Self::link(0x888e, [0x01, 0x80, 0xc2, 0, 0, 0x03], body)
    }

    /// A registration of VLANs (MVRP, 802.1Q), of one that is all zero.
    pub fn mvrp() -> Self {
        let body = vec![0, 1, 4, 0, 1, 0, 0, 0, 0, 0, 0];
        Self::link(0x88f5, [0x01, 0x80, 0xc2, 0, 0, 0x21], body)
    }

    /// The same of group addresses (MMRP).
    pub fn mmrp() -> Self {
        let body = vec![0, 1, 1, 0, 1, 0, 0, 0, 0];
        Self::link(0x88f6, [0x01, 0x80, 0xc2, 0, 0, 0x20], body)
    }

    /// A message of fault management (802.1Q, 21), of level 3.
    pub fn cfm(operation: u8) -> Self {
        let mut body = vec![3 << 5, operation, 4, 70];
        body.resize(75, 0);
        Self::link(0x8902, [0x01, 0x80, 0xc2, 0, 0, 0x33], body)
    }

    /// A message of ring protection (R-APS, G.8032): no request, ring 1.
    pub fn raps() -> Self {
        let mut body = vec![7 << 5 | 1, 40, 0, 32];
        body.resize(37, 0);
        Self::link(0x8902, [0x01, 0x19, 0xa7, 0, 0, 0x01], body)
    }

    /// A RARP packet (RFC 903) about this hardware address, to everybody.
    pub fn rarp(operation: u8, about: MacAddress) -> Self {
        let mut body = vec![0, 1, 0x08, 0, 6, 4, 0, operation];
        for _ in ["sender", "target"] {
            body.extend(about);
            body.extend([0; 4]);
        }
        Self::link(0x8035, BROADCAST, body).source_mac(about)
    }

    /// An 802.3 frame with a SNAP id: an organization and its protocol.
    pub fn snap([a, b, c]: [u8; 3], protocol: u16) -> Self {
        let [high, low] = protocol.to_be_bytes();
        let body = vec![0xaa, 0xaa, 0x03, a, b, c, high, low];
        Self::new(Network::Link(LinkFrame::Llc { body }), DESTINATION)
    }

    /// What switches of Cisco tell each other, by the number of the protocol, to their group.
    pub fn cisco(protocol: u16) -> Self {
        Self::snap([0, 0, 0x0c], protocol).destination_mac([0x01, 0, 0x0c, 0xcc, 0xcc, 0xcc])
    }

    /// Spanning tree for each VLAN (PVST+): a message as of [`Self::stp_bpdu`], and the VLAN.
    pub fn pvst_bpdu(vlan: u16) -> Self {
        let mut data = Self::stp_bpdu().payload;
        data.extend([0, 0, 0, 2]);
        data.extend(vlan.to_be_bytes());
        Self::snap([0, 0, 0x0c], 0x010b)
            .destination_mac([0x01, 0, 0x0c, 0xcc, 0xcc, 0xcd])
            .data(data)
    }

    fn link(ethertype: u16, destination: MacAddress, body: Vec<u8>) -> Self {
        Self::new(
            Network::Link(LinkFrame::Type { ethertype, body }),
            destination,
        )
    }
}
