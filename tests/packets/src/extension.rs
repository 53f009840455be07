//! IPv6 extension headers, each well-formed; `Raw` makes all others, malformed ones too.

use std::net::Ipv6Addr;

use super::protocol::{AH, DESTINATION_OPTIONS, FRAGMENT};

/// One IPv6 extension header. Its next-header field is filled in when the packet is built.
#[derive(Clone, Debug)]
pub enum ExtensionHeader {
    /// Hop-by-hop options (protocol 0), padded to a multiple of eight bytes.
    HopByHop {
        /// The options as type, length, value.
        options: Vec<u8>,
    },
    /// Destination options (protocol 60), padded to a multiple of eight bytes.
    DestinationOptions {
        /// The options as type, length, value.
        options: Vec<u8>,
    },
    /// A routing header (protocol 43) of any type with room for one address.
    Routing {
        /// 0 source route, 2 mobility, 4 segment routing.
        kind: u8,
        /// How many listed addresses are still to be visited.
        segments_left: u8,
    },
    /// A fragment header (protocol 44).
    Fragment {
        /// What the fragments of one packet share.
        id: u32,
        /// Where this part begins; a multiple of eight.
        offset_bytes: u16,
        /// Whether another part follows.
        more: bool,
    },
    /// A mobility header (protocol 135): a binding refresh request.
    Mobility,
    /// An authentication header (protocol 51) with a 12-byte check value.
    Ah,
    /// Any header: the first byte becomes the next-header field, the rest is taken as it is.
    Raw {
        /// The number by which the header before it names this one.
        protocol: u8,
        /// All bytes of the header; at least one.
        bytes: Vec<u8>,
    },
}

/// The fixed content of an authentication header behind its next-header field.
pub(super) const AH_BODY: [u8; 23] = {
    let mut body = [0; 23];
    body[0] = 4; // words of four bytes, less two
    body[5] = 1; // security parameters index 256
    body[10] = 1; // sequence number
    body
};

impl ExtensionHeader {
    /// A hop-by-hop header with the router-alert option (RFC 2711), as MLD carries it.
    pub fn router_alert() -> Self {
        Self::HopByHop {
            options: vec![5, 2, 0, 0],
        }
    }

    pub(super) fn protocol(&self) -> u8 {
        match self {
            Self::HopByHop { .. } => 0,
            Self::DestinationOptions { .. } => DESTINATION_OPTIONS,
            Self::Routing { .. } => 43,
            Self::Fragment { .. } => FRAGMENT,
            Self::Mobility => 135,
            Self::Ah => AH,
            Self::Raw { protocol, .. } => *protocol,
        }
    }

    pub(super) fn bytes(&self, next: u8) -> Vec<u8> {
        match self {
            Self::HopByHop { options } | Self::DestinationOptions { options } => {
                padded_options(next, options)
            }
            Self::Routing {
                kind,
                segments_left,
            } => {
                let mut header = vec![next, 2, *kind, *segments_left, 0, 0, 0, 0];
                header.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99).octets());
                header
            }
            Self::Fragment {
                id,
                offset_bytes,
                more,
            } => {
                // The offset counts steps of eight bytes in the upper 13 bits: the same number.
                let word = offset_bytes & !7 | u16::from(*more);
                let mut header = vec![next, 0];
                header.extend(word.to_be_bytes());
                header.extend(id.to_be_bytes());
                header
            }
            Self::Mobility => vec![next, 0, 0, 0, 0, 0, 0, 0],
            Self::Ah => [&[next], AH_BODY.as_slice()].concat(),
            Self::Raw { bytes, .. } => {
                let mut header = bytes.clone();
                header[0] = next;
                header
            }
        }
    }
}

fn padded_options(next: u8, options: &[u8]) -> Vec<u8> {
    let length = (2 + options.len()).next_multiple_of(8);
    let mut header = vec![next, (length / 8 - 1) as u8];
    header.extend(options);
    match length - header.len() {
        0 => {}
        1 => header.push(0), // Pad1
        missing => {
            header.extend([1, (missing - 2) as u8]); // PadN
            header.resize(length, 0);
        }
    }
    header
}
