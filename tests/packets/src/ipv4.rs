//! The IPv4 header: options, fragments, and the fields that a test may falsify.

use std::net::Ipv4Addr;

use super::checksum::checksum;
use super::{ExtensionHeader, Network, Packet};

#[derive(Clone, Debug)]
pub(super) struct Ipv4 {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    ttl: u8,
    options: Vec<u8>,
    fragment: Option<Fragment>,
    version: u8,
    ihl: Option<u8>,
    total_length: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
struct Fragment {
    id: u16,
    offset_bytes: u16,
    more: bool,
}

impl Ipv4 {
    pub(super) fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            ttl: 64,
            options: Vec::new(),
            fragment: None,
            version: 4,
            ihl: None,
            total_length: None,
        }
    }

    /// The header and `body`. Falsified lengths change the fields only, never what is laid out.
    pub(super) fn bytes(&self, protocol: u8, body: &[u8]) -> Vec<u8> {
        let header_length = 20 + self.options.len();
        let ihl = self.ihl.unwrap_or((header_length / 4) as u8);
        let total_length = self
            .total_length
            .unwrap_or((header_length + body.len()) as u16);
        let (id, fragment_word) = match self.fragment {
            None => (0, 0x4000), // do not fragment
            Some(fragment) => (
                fragment.id,
                (fragment.offset_bytes / 8) | (u16::from(fragment.more) << 13),
            ),
        };

        let mut packet = vec![self.version << 4 | ihl, 0];
        packet.extend(total_length.to_be_bytes());
        packet.extend(id.to_be_bytes());
        packet.extend(fragment_word.to_be_bytes());
        packet.extend([self.ttl, protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(&self.options);
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(body);
        packet
    }
}

impl Packet {
    #[track_caller]
    fn ipv4_header(&mut self, call: &str) -> &mut Ipv4 {
        match &mut self.network {
            Network::Ipv4(header) => header,
            _ => panic!("{call} belongs to IPv4: start with Packet::ipv4"),
        }
    }

    /// IPv4 time to live.
    #[track_caller]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ipv4_header("ttl").ttl = ttl;
        self
    }

    /// Appends IPv4 options, padded with zeros to a multiple of four bytes; 40 bytes at most.
    #[track_caller]
    pub fn options(mut self, bytes: &[u8]) -> Self {
        let options = &mut self.ipv4_header("options").options;
        options.extend(bytes);
        options.resize(options.len().next_multiple_of(4), 0);
        assert!(options.len() <= 40, "IPv4 options end at 40 bytes");
        self
    }

    /// Appends the IPv4 router-alert option (RFC 2113). IPv6 has it in a hop-by-hop header:
    /// [`ExtensionHeader::router_alert`](super::ExtensionHeader::router_alert).
    #[track_caller]
    pub fn router_alert(self) -> Self {
        self.options(&[0x94, 4, 0, 0])
    }

    /// Marks a fragment: in the IPv4 header, or by one more extension header of IPv6. The
    /// transport header is laid out as asked at any offset; a true later fragment is
    /// `ip_protocol(n).payload(..)`. `offset_bytes` is a multiple of eight.
    #[track_caller]
    pub fn fragment(mut self, id: u16, offset_bytes: u16, more: bool) -> Self {
        assert!(
            offset_bytes.is_multiple_of(8),
            "fragments start at 8-byte steps"
        );
        match &mut self.network {
            Network::Ipv4(header) => {
                header.fragment = Some(Fragment {
                    id,
                    offset_bytes,
                    more,
                });
                self
            }
            _ => self.extension(ExtensionHeader::Fragment {
                id: id.into(),
                offset_bytes,
                more,
            }),
        }
    }

    /// Falsifies the IPv4 header length field (in words of four bytes, 0 to 15).
    #[track_caller]
    pub fn ihl(mut self, words: u8) -> Self {
        assert!(words <= 15, "the header length field has four bits");
        self.ipv4_header("ihl").ihl = Some(words);
        self
    }

    /// Falsifies the IPv4 total length field.
    #[track_caller]
    pub fn total_length(mut self, bytes: u16) -> Self {
        self.ipv4_header("total_length").total_length = Some(bytes);
        self
    }

    /// Falsifies the version field of IPv4 or IPv6 (0 to 15).
    #[track_caller]
    pub fn version(mut self, version: u8) -> Self {
        assert!(version <= 15, "the version field has four bits");
        match &mut self.network {
            Network::Ipv4(header) => header.version = version,
            Network::Ipv6(header) => header.version = version,
            Network::Link(_) => panic!("version belongs to IP: start with Packet::ipv4 or ipv6"),
        }
        self
    }
}
