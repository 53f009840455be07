//! The Internet checksum (RFC 1071) and the address part that TCP, UDP and ICMPv6 add to it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The addresses of the packet, as the checksum of the layer above covers them.
#[derive(Clone, Copy, Debug)]
pub(super) enum PseudoHeader {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl PseudoHeader {
    /// The checksum of `message`, which `protocol` carries between these addresses.
    pub(super) fn checksum(self, protocol: u8, message: &[u8]) -> u16 {
        let mut covered = match self {
            Self::V4(source, destination) => [source.octets(), destination.octets()].concat(),
            Self::V6(source, destination) => [source.octets(), destination.octets()].concat(),
        };
        // Both address families sum up alike: zeros in front of a number change nothing.
        covered.extend([0, 0, 0, protocol]);
        covered.extend((message.len() as u32).to_be_bytes());
        covered.extend(message);
        checksum(&covered)
    }
}

/// The checksum of bytes whose own checksum field is still zero.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
