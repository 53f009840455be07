//! Builds raw Ethernet frames, correct ones and wrong ones, in one readable line.
//!
//! A [`Packet`] is a description; [`Packet::build`] turns it into bytes. The order of the calls
//! does not matter, except that extension headers and VLAN tags appear as they were added.
//! Lengths and checksums (IPv4, TCP, UDP, ICMP, ICMPv6, IGMP) are right unless a call makes them
//! wrong, because some frames go to the kernel's own network stack.
//!
//! Nothing is added silently: a router-alert option, a hop limit of 255 or a fragment header is
//! there when the test asks for it. A call that does not fit the packet (`ttl` on IPv6) panics at
//! the line of the test that made it.
//!
//! ```
//! use sccm_packets::Packet;
//! let frame = Packet::ipv4("192.0.2.1", "192.0.2.2").tcp(40000, 80).syn().build();
//! assert_eq!(frame.len(), 14 + 20 + 20);
//! ```
//!
//! The crate depends on nothing, so that the unit tests of `sccm-common` use it as well as the
//! tests that need the kernel; the latter know it as `sccm_tests::packet`.

#![warn(unreachable_pub)]

mod checksum;
mod control;
mod ethernet;
mod extension;
mod ipv4;
mod ipv6;
mod link;
pub mod protocol;
pub mod rpc;
pub mod tcp_flag;
mod transport;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use ethernet::MacAddress;
pub use extension::ExtensionHeader;

use checksum::PseudoHeader;
use ethernet::Ethernet;
use ipv4::Ipv4;
use ipv6::Ipv6;
use link::LinkFrame;
use transport::Transport;

/// The description of one Ethernet frame.
#[derive(Clone, Debug)]
pub struct Packet {
    ethernet: Ethernet,
    network: Network,
    transport: Transport,
    payload: Vec<u8>,
    truncate: Option<usize>,
    padding: usize,
}

/// What follows the Ethernet header and its tags.
#[derive(Clone, Debug)]
enum Network {
    Ipv4(Ipv4),
    Ipv6(Ipv6),
    Link(LinkFrame),
}

impl Packet {
    /// An IPv4 packet with a time to live of 64 and, until told otherwise, protocol 253.
    #[track_caller]
    pub fn ipv4(source: &str, destination: &str) -> Self {
        let (source, destination) = (ipv4_address(source), ipv4_address(destination));
        let mac = ethernet::for_ipv4(destination);
        Self::new(Network::Ipv4(Ipv4::new(source, destination)), mac)
    }

    /// An IPv6 packet with a hop limit of 64 and, until told otherwise, protocol 253.
    #[track_caller]
    pub fn ipv6(source: &str, destination: &str) -> Self {
        let (source, destination) = (ipv6_address(source), ipv6_address(destination));
        let mac = ethernet::for_ipv6(destination);
        Self::new(Network::Ipv6(Ipv6::new(source, destination)), mac)
    }

    /// An IPv4 or IPv6 packet, by what the addresses are.
    #[track_caller]
    pub fn ip(source: &str, destination: &str) -> Self {
        match source.contains(':') {
            true => Self::ipv6(source, destination),
            false => Self::ipv4(source, destination),
        }
    }

    fn new(network: Network, destination_mac: MacAddress) -> Self {
        Self {
            ethernet: Ethernet::new(destination_mac),
            network,
            transport: Transport::Protocol(253),
            payload: Vec::new(),
            truncate: None,
            padding: 0,
        }
    }

    /// Carries `length` bytes of a counting pattern behind the last header.
    pub fn payload(self, length: usize) -> Self {
        self.data((0..=u8::MAX).cycle().take(length).collect::<Vec<u8>>())
    }

    /// Carries exactly these bytes behind the last header.
    pub fn data(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = bytes.into();
        self
    }

    /// Cuts the finished frame after `length` bytes. Lengths inside still name the whole packet.
    pub fn truncate(mut self, length: usize) -> Self {
        self.truncate = Some(length);
        self
    }

    /// Appends `length` zero bytes that no header counts, as a card does with short frames.
    pub fn pad(mut self, length: usize) -> Self {
        self.padding = length;
        self
    }

    /// The frame as bytes, without the frame check sequence.
    pub fn build(&self) -> Vec<u8> {
        let mut frame = match &self.network {
            Network::Ipv4(header) => {
                let addresses = PseudoHeader::V4(header.source, header.destination);
                let body = self.transport.bytes(&self.payload, addresses);
                let packet = header.bytes(self.transport.protocol(), &body);
                self.ethernet.frame(0x0800, &packet)
            }
            Network::Ipv6(header) => {
                let addresses = PseudoHeader::V6(header.source, header.destination);
                let body = self.transport.bytes(&self.payload, addresses);
                let packet = header.bytes(self.transport.protocol(), &body);
                self.ethernet.frame(0x86dd, &packet)
            }
            Network::Link(link) => {
                let mut body = link.bytes(&self.ethernet);
                body.extend(&self.payload);
                self.ethernet.frame(link.type_or_length(body.len()), &body)
            }
        };
        if let Some(length) = self.truncate {
            frame.truncate(length);
        }
        frame.resize(frame.len() + self.padding, 0);
        frame
    }
}

#[track_caller]
fn ipv4_address(text: &str) -> Ipv4Addr {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is not an IPv4 address"))
}

#[track_caller]
fn ipv6_address(text: &str) -> Ipv6Addr {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is not an IPv6 address"))
}
