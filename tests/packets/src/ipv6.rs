//! The IPv6 header and its chain of extension headers.

use std::net::Ipv6Addr;

use super::{ExtensionHeader, Network, Packet};

#[derive(Clone, Debug)]
pub(super) struct Ipv6 {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    hop_limit: u8,
    extensions: Vec<ExtensionHeader>,
    pub(super) version: u8,
    payload_length: Option<u16>,
}

impl Ipv6 {
    pub(super) fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            source,
            destination,
            hop_limit: 64,
            extensions: Vec::new(),
            version: 6,
            payload_length: None,
        }
    }

    /// The header, the extension headers and `body`, which `protocol` names.
    pub(super) fn bytes(&self, protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut next = protocol;
        let mut chain: Vec<Vec<u8>> = Vec::new();
        for extension in self.extensions.iter().rev() {
            chain.push(extension.bytes(next));
            next = extension.protocol();
        }
        chain.reverse();
        let chain = chain.concat();
        let payload_length = self
            .payload_length
            .unwrap_or((chain.len() + body.len()) as u16);

        let mut packet = vec![self.version << 4, 0, 0, 0];
        packet.extend(payload_length.to_be_bytes());
        packet.extend([next, self.hop_limit]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(chain);
        packet.extend(body);
        packet
    }
}

impl Packet {
    #[track_caller]
    fn ipv6_header(&mut self, call: &str) -> &mut Ipv6 {
        match &mut self.network {
            Network::Ipv6(header) => header,
            _ => panic!("{call} belongs to IPv6: start with Packet::ipv6"),
        }
    }

    /// IPv6 hop limit; neighbour discovery needs 255.
    #[track_caller]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.ipv6_header("hop_limit").hop_limit = hop_limit;
        self
    }

    /// Appends an IPv6 extension header behind those that are already there.
    #[track_caller]
    pub fn extension(mut self, extension: ExtensionHeader) -> Self {
        self.ipv6_header("extension").extensions.push(extension);
        self
    }

    /// Falsifies the IPv6 payload length field.
    #[track_caller]
    pub fn payload_length(mut self, bytes: u16) -> Self {
        self.ipv6_header("payload_length").payload_length = Some(bytes);
        self
    }
}
