//! The Ethernet header and its VLAN tags.
//!
//! Addresses are locally administered ones unless a test names others. A multicast or broadcast
//! IP destination gets the Ethernet address that belongs to it, so that a real stack accepts it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Packet;

/// An Ethernet address, in the order of the wire.
pub type MacAddress = [u8; 6];

pub(super) const BROADCAST: MacAddress = [0xff; 6];
const SOURCE: MacAddress = [0x02, 0, 0, 0, 0, 0x01];
pub(super) const DESTINATION: MacAddress = [0x02, 0, 0, 0, 0, 0x02];

#[derive(Clone, Debug)]
pub(super) struct Ethernet {
    pub(super) source: MacAddress,
    destination: MacAddress,
    /// (tag type, VLAN id), outermost first.
    tags: Vec<(u16, u16)>,
}

impl Ethernet {
    pub(super) fn new(destination: MacAddress) -> Self {
        Self {
            source: SOURCE,
            destination,
            tags: Vec::new(),
        }
    }

    /// `type_or_length` is an ethertype, or the length of an 802.3 frame.
    pub(super) fn frame(&self, type_or_length: u16, body: &[u8]) -> Vec<u8> {
        let mut frame = [self.destination, self.source].concat();
        for (tag_type, id) in &self.tags {
            frame.extend(tag_type.to_be_bytes());
            frame.extend(id.to_be_bytes());
        }
        frame.extend(type_or_length.to_be_bytes());
        frame.extend(body);
        frame
    }
}

impl Packet {
    /// The sender's Ethernet address.
    pub fn source_mac(mut self, address: MacAddress) -> Self {
        self.ethernet.source = address;
        self
    }

    /// The receiver's Ethernet address.
    pub fn destination_mac(mut self, address: MacAddress) -> Self {
        self.ethernet.destination = address;
        self
    }

    /// Adds an 802.1Q tag (0x8100) behind the tags that are already there. `id` fills the whole
    /// tag: priority bits go above the lower 12.
    pub fn vlan(self, id: u16) -> Self {
        self.tag(0x8100, id)
    }

    /// Adds an 802.1ad service tag (0x88a8) and inside it an 802.1Q tag.
    pub fn qinq(self, outer: u16, inner: u16) -> Self {
        self.tag(0x88a8, outer).tag(0x8100, inner)
    }

    /// Adds a tag of any type, such as the old 0x9100.
    pub fn tag(mut self, tag_type: u16, id: u16) -> Self {
        self.ethernet.tags.push((tag_type, id));
        self
    }
}

/// Where a packet to this address goes: RFC 1112 for multicast.
pub(super) fn for_ipv4(destination: Ipv4Addr) -> MacAddress {
    let [_, second, third, fourth] = destination.octets();
    if destination.is_broadcast() {
        BROADCAST
    } else if destination.is_multicast() {
        [0x01, 0x00, 0x5e, second & 0x7f, third, fourth]
    } else {
        DESTINATION
    }
}

/// Where a packet to this address goes: RFC 2464 for multicast.
pub(super) fn for_ipv6(destination: Ipv6Addr) -> MacAddress {
    let octets = destination.octets();
    if destination.is_multicast() {
        [0x33, 0x33, octets[12], octets[13], octets[14], octets[15]]
    } else {
        DESTINATION
    }
}
